//! More than the service can take, or may.

use std::time::Duration;
use std::time::Instant;

use personalization::proto::Degradation;
use personalization::proto::DegradedReason;
use tokio::task::JoinSet;
use tonic::Code;

use super::fleet::LIKES;
use super::fleet::assert_come_back;
use super::fleet::flags;
use super::fleet::nothing_lost_or_doubled;
use super::fleet::percentiles;
use crate::harness::Api;
use crate::harness::Postgres;
use crate::harness::Producers;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::events;
use crate::harness::greedy;

const SECONDS: u64 = 4;

/// Rankings at a modest rate for a while; every one must be given, and nothing may be wrong
/// with it but `allowed`.
async fn rankings(server: &Server, prefix: &str, allowed: Option<DegradedReason>) -> Vec<Duration> {
    let (api, started, mut calls) = (server.api().await, Instant::now(), Vec::new());
    while started.elapsed() < Duration::from_secs(SECONDS) {
        let called = Instant::now();
        let user = format!("{prefix}-fan-{}", calls.len() % 20);
        let answer = api.personalize(greedy(&user, 10)).await;
        let is_allowed = |one: &Degradation| Some(one.reason()) == allowed;
        assert!(answer.degraded.iter().all(is_allowed), "{:?}", answer.degraded);
        calls.push(called.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rankings_go_on_while_ingest_is_saturated() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let server = Server::replica(&flags(&url, None)).await;
    World::fill(&server.api().await).await;
    let idle = rankings(&server, "jazz", None).await;
    println!("rankings, idle: {}", percentiles(idle));
    let mut producers = Producers::start("p", &[server.grpc; 12], Duration::ZERO);
    producers.progress().await;
    let (before, started) = (producers.acked(), Instant::now());
    // More is written than one core of a development build learns, and answers say so.
    let busy = rankings(&server, "metal", Some(DegradedReason::BehindLog)).await;
    let acked = (producers.acked() - before) as f64 / started.elapsed().as_secs_f64();
    assert!(busy.iter().all(|&took| took < Duration::from_secs(5)), "{}", percentiles(busy));
    println!("rankings at {acked:.0} events/s: {}", percentiles(busy));
    nothing_lost_or_doubled(&[&server], &url, &mut [&mut producers], LIKES).await;
}

/// Calls made by several callers at once for a while: how many were accepted, and how
/// many of them were refused.
async fn hammer<F: Future<Output = Result<u64, tonic::Status>> + Send>(
    replicas: &[Server],
    call: impl Fn(Api, u64) -> F + Clone + Send + 'static,
) -> (u64, u64) {
    let mut callers = JoinSet::new();
    for (n, replica) in replicas.iter().cycle().take(6).enumerate() {
        let (api, call) = (replica.api().await, call.clone());
        callers.spawn(async move {
            let (started, mut accepted, mut refused) = (Instant::now(), 0, 0);
            for number in (n as u64 * 1_000_000).. {
                match call(api.clone(), number).await {
                    Ok(count) => accepted += count,
                    Err(status) => {
                        assert_come_back(&status, Code::ResourceExhausted);
                        refused += 1;
                    }
                }
                if started.elapsed() > Duration::from_secs(SECONDS) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (accepted, refused)
        });
    }
    callers.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// The limit holds of all replicas together. A period that begins and ends within a
/// second touches one second more than it lasts.
fn assert_near_limit(accepted: u64, limit: u64) {
    println!("{accepted} accepted in {SECONDS} s at a limit of {limit} a second");
    let within = limit * SECONDS * 6 / 10..limit * (SECONDS + 1) * 13 / 10;
    assert!(within.contains(&accepted), "{accepted} is not within {within:?}");
}

async fn limited(limit: [&str; 2]) -> (Postgres, Redis, [Server; 2]) {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let open = Server::replica(&flags(&url, Some(&redis_url))).await;
    World::fill(&open.api().await).await;
    drop(open);
    let flags = [&flags(&url, Some(&redis_url))[..], &limit].concat();
    let replicas = [Server::replica(&flags).await, Server::replica(&flags).await];
    (postgres, redis, replicas)
}

#[tokio::test]
async fn a_limit_of_requests_holds_of_two_replicas_together() {
    let (_postgres, mut redis, replicas) = limited(["--rate-limit-requests", "50"]).await;
    let call = |api: Api, _| async move {
        api.try_personalize(greedy("jazz-fan-1", 5)).await.map(|_answer| 1)
    };
    let (accepted, refused) = hammer(&replicas, call).await;
    assert!(refused > 0);
    assert_near_limit(accepted, 50);
    // Being unable to count together is no reason to refuse: each counts for itself.
    redis.kill_9();
    let (accepted, refused) = hammer(&replicas, call).await;
    assert!(refused > 0);
    assert_near_limit(accepted, 100);
}

#[tokio::test]
async fn a_limit_of_events_holds_of_two_replicas_together() {
    let (_postgres, _redis, replicas) = limited(["--rate-limit-events", "1000"]).await;
    let call = |api: Api, number| async move {
        let sent = events("limited", number * 20..number * 20 + 20);
        api.try_record(sent).await.map(|recorded| recorded.accepted)
    };
    let (accepted, refused) = hammer(&replicas, call).await;
    assert!(refused > 0);
    assert_near_limit(accepted, 1_000);
}
