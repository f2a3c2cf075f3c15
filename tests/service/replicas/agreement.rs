//! Replicas that learnt the same records are in the same state, and a write on one can
//! be read from another.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use personalization::proto::InteractionType;

use super::fleet::LIKES;
use super::fleet::PACE;
use super::fleet::agreed;
use super::fleet::flags;
use super::fleet::nothing_lost_or_doubled;
use super::fleet::percentiles;
use crate::harness::Api;
use crate::harness::Postgres;
use crate::harness::Producers;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::item;

/// What a replica says it is at a watermark.
type State = (u64, String);

/// Records the state of each replica; two that are ever at the same watermark must agree.
async fn compare(replicas: &[Api], seen: &mut BTreeMap<u64, State>) {
    for replica in replicas {
        let status = replica.status().await;
        let state = (status.model_version, status.state_digest);
        let first = seen.entry(status.watermark).or_insert_with(|| state.clone());
        assert_eq!(*first, state, "at watermark {}", status.watermark);
    }
}

#[tokio::test]
async fn three_replicas_that_all_write_are_in_the_same_state_at_every_watermark() {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags = flags(&url, Some(&redis_url));
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let c = Server::replica(&flags).await;
    let apis = [a.api().await, b.api().await, c.api().await];
    World::fill(&apis[0]).await;
    let mut producers = Producers::start("p", &[a.grpc, b.grpc, c.grpc], PACE);
    let mut seen = BTreeMap::new();
    for round in 0..30 {
        let api = &apis[round % 3];
        api.upsert((0..5).map(|n| item(&format!("item-{}", round * 5 + n))).collect()).await;
        api.personalize(greedy("jazz-fan-1", 10)).await;
        compare(&apis, &mut seen).await;
    }
    let training = apis[1].retrain();
    let comparing = async {
        loop {
            compare(&apis, &mut seen).await;
        }
    };
    let version = tokio::select! {
        training = training => training.model_version,
        () = comparing => unreachable!("comparing does not end"),
    };
    assert_eq!(version, 1);
    producers.stop().await;
    let status = agreed(&[&a, &b, &c]).await;
    assert_eq!((status.model_version, status.items), (1, 190));
    assert!(status.decisions > 0);
    println!("{} watermarks looked at", seen.len());
    nothing_lost_or_doubled(&[&c, &b, &a], &url, &mut [&mut producers], LIKES).await;
}

/// How long until a write on one replica could be read from another.
async fn times_to_be_read_elsewhere(redis: Option<&str>) -> Vec<Duration> {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = flags(&url, redis);
    let (a, b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (a, b) = (a.api().await, b.api().await);
    World::fill(&a).await;
    let mut times = Vec::new();
    for round in 0..100 {
        let (writer, reader) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let user = format!("new-user-{round}");
        let like = event(&user, &user, "jazz-07", InteractionType::Like);
        let sequence = writer.record(vec![like]).await.last_sequence;
        let acknowledged = Instant::now();
        let profile = reader.profile(&user, sequence).await;
        times.push(acknowledged.elapsed());
        let counts = profile.profile.expect("a profile").interaction_counts;
        assert_eq!(counts.iter().map(|one| one.count).sum::<u64>(), 1, "{counts:?}");
    }
    times
}

#[tokio::test]
async fn a_write_on_one_replica_is_read_from_another_by_its_watermark() {
    let redis = Redis::start().await;
    let with_redis = times_to_be_read_elsewhere(Some(&redis.url())).await;
    println!("acknowledged to readable elsewhere, with Redis: {}", percentiles(with_redis));
    let without_redis = times_to_be_read_elsewhere(None).await;
    println!("acknowledged to readable elsewhere, without: {}", percentiles(without_redis));
}
