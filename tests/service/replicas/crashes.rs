//! Processes killed at random moments under load: replicas, PostgreSQL, Redis.

use std::time::Duration;

use super::fleet::LIKES;
use super::fleet::PACE;
use super::fleet::agreed;
use super::fleet::fill;
use super::fleet::flags;
use super::fleet::nothing_lost_or_doubled;
use super::fleet::prompt_ranking;
use crate::harness::Postgres;
use crate::harness::Producers;
use crate::harness::Random;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::free_address;
use crate::harness::is_serving;

/// Longest time from the end of an outage to new acknowledgements for all clients.
const RECOVERY: Duration = Duration::from_secs(15);

/// Not a wait for something: the moment of the cut is what the tests vary.
async fn random_moment(random: &mut Random) {
    tokio::time::sleep(Duration::from_millis(50 + random.below(450))).await;
}

async fn progress_in_time(producers: &Producers, after: &str) {
    let took = producers.progress().await;
    println!("acks of all producers after {after}: {took:?}");
    assert!(took < RECOVERY, "{after}: {took:?}");
}

#[tokio::test]
async fn replicas_killed_at_random_moments_under_load_lose_and_double_nothing() {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags =
        [&flags(&url, Some(&redis_url))[..], &["--snapshot-every-records", "1000"]].concat();
    let mut replicas = [Server::replica(&flags).await, Server::replica(&flags).await];
    World::fill(&replicas[0].api().await).await;
    let addresses = [replicas[0].grpc, replicas[1].grpc, replicas[0].grpc];
    let mut producers = Producers::start("p", &addresses, PACE);
    let mut random = Random(2_026);
    for round in 0..8 {
        producers.progress().await;
        random_moment(&mut random).await;
        let victim = (random.next() % 2) as usize;
        replicas[victim].kill_9();
        progress_in_time(&producers, "a replica was killed").await;
        if round == 7 {
            // Nobody is left for a moment.
            replicas[1 - victim].kill_9();
            replicas[1 - victim].restart().await;
        }
        replicas[victim].restart().await;
    }
    let [a, b] = &replicas;
    nothing_lost_or_doubled(&[a, b], &url, &mut [&mut producers], LIKES).await;
}

#[tokio::test]
async fn postgresql_killed_and_restarted_at_random_moments_under_load_loses_and_doubles_nothing() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url();
    let (a, b) =
        (Server::replica(&flags(&url, None)).await, Server::replica(&flags(&url, None)).await);
    fill(&[&a, &b]).await;
    let mut producers = Producers::start("p", &[a.grpc, b.grpc, a.grpc], PACE);
    let mut random = Random(2_027);
    for round in 0..6 {
        producers.progress().await;
        random_moment(&mut random).await;
        let after = match round % 2 {
            0 => {
                postgres.kill_9();
                "PostgreSQL was killed"
            }
            _ => {
                postgres.stop().await;
                "PostgreSQL was stopped"
            }
        };
        random_moment(&mut random).await;
        prompt_ranking(&a).await;
        postgres.restart().await;
        progress_in_time(&producers, after).await;
    }
    nothing_lost_or_doubled(&[&a, &b], &url, &mut [&mut producers], LIKES).await;
}

#[tokio::test]
async fn redis_killed_flushed_and_restarted_under_load_holds_up_nobody() {
    let (postgres, mut redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags = flags(&url, Some(&redis_url));
    let (a, b) = (Server::replica(&flags).await, Server::replica(&flags).await);
    fill(&[&a, &b]).await;
    let mut producers = Producers::start("p", &[a.grpc, b.grpc], PACE);
    let mut random = Random(2_028);
    for _ in 0..4 {
        producers.progress().await;
        random_moment(&mut random).await;
        redis.flush().await;
        progress_in_time(&producers, "Redis was flushed").await;
        prompt_ranking(&b).await;
        redis.kill_9();
        progress_in_time(&producers, "Redis was killed").await;
        for replica in [&a, &b] {
            prompt_ranking(replica).await;
            assert!(is_serving(replica.grpc, "").await);
        }
        random_moment(&mut random).await;
        redis.restart().await;
        progress_in_time(&producers, "Redis was restarted").await;
    }
    nothing_lost_or_doubled(&[&a, &b], &url, &mut [&mut producers], LIKES).await;
}

#[tokio::test]
async fn a_redis_that_was_never_there_keeps_nobody_from_starting_and_following() {
    let postgres = Postgres::start().await;
    let (url, nowhere) = (postgres.url(), Redis::url_at(free_address()));
    let without = Server::replica(&flags(&url, None)).await;
    let without_redis = Server::replica(&flags(&url, Some(&nowhere))).await;
    let sequence = World::fill(&without.api().await).await;
    let profile = without_redis.api().await.profile("jazz-fan-1", sequence).await;
    assert!(profile.profile.is_some());
    assert!(prompt_ranking(&without_redis).await.watermark >= sequence);
    let again = without_redis.api().await.record(World::likes()).await;
    assert_eq!((again.accepted, again.duplicates), (0, again.received));
    agreed(&[&without, &without_redis]).await;
}
