//! Duties that one replica has: trainings by schedule, snapshots.

use std::time::Duration;

use super::fleet::agreed;
use super::fleet::time_until;
use crate::harness::Postgres;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::counter;
use crate::harness::events;

/// Longest time until a duty passes on, with the work it is there for.
const SUCCESSION: Duration = Duration::from_secs(20);

async fn trained(server: &Server, version: u64) -> Duration {
    let api = server.api().await;
    let what = format!("model {version} on every replica");
    time_until(&what, async || api.status().await.model_version == version).await
}

#[tokio::test]
async fn one_replica_trains_and_stores_snapshots_and_another_takes_over_when_it_is_killed() {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags = [
        ["--database-url", &url],
        ["--redis-url", &redis_url],
        ["--snapshot-every-records", "1000"],
        ["--auto-retrain", "true"],
    ];
    let flags = flags.concat();
    let mut replicas = vec![Server::replica(&flags).await, Server::replica(&flags).await];
    World::fill(&replicas[0].api().await).await;
    replicas[1].api().await.record(events("first", 0..2_000)).await;
    for replica in &replicas {
        trained(replica, 1).await;
    }
    agreed(&[&replicas[0], &replicas[1]]).await;
    let trainings =
        [counter(&replicas[0], "trainings").await, counter(&replicas[1], "trainings").await];
    assert_eq!(trainings.iter().sum::<u64>(), 1, "one model, one training: {trainings:?}");
    time_until("a snapshot of the leader", async || {
        counter(&replicas[0], "snapshots").await + counter(&replicas[1], "snapshots").await > 0
    })
    .await;
    let leader = usize::from(trainings[1] == 1);
    assert_eq!(
        counter(&replicas[1 - leader], "snapshots").await,
        0,
        "a follower stored a snapshot"
    );

    let mut killed = replicas.remove(leader);
    killed.kill_9();
    let successor = &replicas[0];
    successor.api().await.record(events("second", 0..4_000)).await;
    assert!(trained(successor, 2).await < SUCCESSION);
    let stored = time_until("a snapshot of the successor", async || {
        counter(successor, "snapshots").await > 0
    });
    assert!(stored.await < SUCCESSION);
    killed.restart().await;
    assert!(!killed.log().contains("snapshot_at=0"), "it starts from a snapshot: {}", killed.log());
    assert_eq!(agreed(&[successor, &killed]).await.model_version, 2);
    assert_eq!(counter(&killed, "trainings").await, 0);
}

#[tokio::test]
async fn a_leader_that_stops_hands_its_duty_over_at_once() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = ["--database-url", &url, "--auto-retrain", "true"];
    let mut replicas = vec![Server::replica(&flags).await, Server::replica(&flags).await];
    World::fill(&replicas[0].api().await).await;
    replicas[0].api().await.record(events("first", 0..2_000)).await;
    for replica in &replicas {
        trained(replica, 1).await;
    }
    let mut leader = replicas.remove(usize::from(counter(&replicas[1], "trainings").await == 1));
    let successor = &replicas[0];
    assert!(leader.stop_gracefully().await.success());
    successor.api().await.record(events("second", 0..4_000)).await;
    assert!(trained(successor, 2).await < SUCCESSION);
}
