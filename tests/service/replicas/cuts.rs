//! Networks that fail between a replica and its stores: silent, closed, slow.

use std::time::Duration;
use std::time::Instant;

use tonic::Code;

use super::fleet::LIKES;
use super::fleet::PACE;
use super::fleet::agreed;
use super::fleet::assert_come_back;
use super::fleet::fill;
use super::fleet::flags;
use super::fleet::is_unwell;
use super::fleet::is_well;
use super::fleet::nothing_lost_or_doubled;
use super::fleet::percentiles;
use super::fleet::prompt_ranking;
use super::fleet::time_until;
use crate::harness::INGEST;
use crate::harness::Network;
use crate::harness::Postgres;
use crate::harness::Producers;
use crate::harness::Proxy;
use crate::harness::Random;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::events;
use crate::harness::is_serving;

/// Longest time until an outage is noticed, and until its end is.
const NOTICE: Duration = Duration::from_secs(10);
/// How long an outage lasts once it is noticed.
const OUTAGE: Duration = Duration::from_secs(5);
/// Most memory an outage may cost, with producers that never give up.
const GROWTH_KIB: u64 = 64 << 10;

const SERVICE: &str = "personalization.v1.PersonalizationService";

/// Asserts, for as long as an outage lasts, that rankings are prompt and said to be
/// stale, and that health tells ingest from the rest.
async fn ranks_from_memory(server: &Server) {
    let (started, mut calls) = (Instant::now(), Vec::new());
    while started.elapsed() < OUTAGE {
        let called = Instant::now();
        let answer = prompt_ranking(server).await;
        calls.push(called.elapsed());
        assert!(!answer.degraded.is_empty(), "nothing says that the answer may be stale");
        assert!(is_serving(server.grpc, "").await && is_serving(server.grpc, SERVICE).await);
        assert!(!is_serving(server.grpc, INGEST).await, "ingest is said to work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("rankings meanwhile: {}", percentiles(calls));
}

/// Asserts the same time long that ingest is refused. Returns how many single events
/// were offered.
async fn refuses_ingest(server: &Server) -> u64 {
    let (started, mut calls) = (Instant::now(), Vec::new());
    let api = server.api().await;
    while started.elapsed() < OUTAGE {
        let (called, number) = (Instant::now(), calls.len() as u64);
        let refused = api.try_record(events("refused", number..number + 1)).await;
        calls.push(called.elapsed());
        assert_come_back(&refused.expect_err("a false ack"), Code::Unavailable);
    }
    let offered = calls.len() as u64;
    println!("rejections of ingest meanwhile: {}", percentiles(calls));
    offered
}

/// How long a replica takes to append. The event is known already, so there is nothing
/// to count afterwards, and all the same it goes through the lock of the log.
async fn time_to_append(server: &Server) -> Duration {
    let api = server.api().await;
    let known = || World::likes()[..1].to_vec();
    let acked = async || api.try_record(known()).await.is_ok();
    time_until("an ack of the other replica", acked).await
}

/// One replica loses its database, another keeps it; both have producers.
async fn cut_from_postgresql(network: Network) {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let proxy = Proxy::to(postgres.address()).await;
    let cut_url = postgres.url_at(proxy.address);
    let short_timeout = ["--database-statement-timeout-ms", "2000"];
    let cut = Server::replica(&[&flags(&cut_url, None)[..], &short_timeout].concat()).await;
    let whole = Server::replica(&flags(&url, None)).await;
    let api = cut.api().await;
    fill(&[&cut, &whole]).await;
    let mut cut_producers = Producers::start("cut", &[cut.grpc; 3], Duration::from_millis(1));
    let mut whole_producers = Producers::start("whole", &[whole.grpc], PACE);
    cut_producers.progress().await;
    whole_producers.progress().await;
    assert!(is_well(&cut).await);
    let resident = cut.resident_kib();

    proxy.set(network);
    let (late, noticed, held_up) = tokio::join!(
        api.try_record(events("late", 0..10)),
        time_until("the outage is noticed", async || is_unwell(&cut).await),
        time_to_append(&whole),
    );
    assert_come_back(&late.expect_err("a false ack"), Code::Unavailable);
    assert!(noticed < NOTICE && held_up < NOTICE, "noticed {noticed:?}, held up {held_up:?}");
    let (offered, ()) = tokio::join!(refuses_ingest(&cut), ranks_from_memory(&cut));
    let grown = cut.resident_kib().saturating_sub(resident);
    println!("resident memory grew by {grown} KiB of {resident}");
    assert!(grown < GROWTH_KIB, "{grown} KiB more");

    proxy.restore();
    let recovery = time_until("all is well again", async || is_well(&cut).await);
    let (recovered, acked) = tokio::join!(recovery, cut_producers.progress());
    println!("acks after the outage: {acked:?}");
    assert!(recovered < NOTICE && acked < NOTICE, "{recovered:?} {acked:?}");
    // What was refused may have been written all the same. It is sent again, and must be
    // there once.
    for (name, count) in [("late", 10), ("refused", offered)] {
        let again = api.record(events(name, 0..count)).await;
        assert_eq!(again.accepted + again.duplicates, count);
    }
    let producers = &mut [&mut cut_producers, &mut whole_producers];
    nothing_lost_or_doubled(&[&cut, &whole], &url, producers, LIKES + 10 + offered).await;
}

#[tokio::test]
async fn a_replica_whose_database_falls_silent_serves_from_memory_and_recovers_by_itself() {
    Box::pin(cut_from_postgresql(Network::Silent)).await;
}

#[tokio::test]
async fn a_replica_whose_database_refuses_it_serves_from_memory_and_recovers_by_itself() {
    Box::pin(cut_from_postgresql(Network::Closed)).await;
}

#[tokio::test]
async fn a_replica_cut_off_in_the_middle_of_an_append_holds_up_the_others_for_seconds_only() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let proxy = Proxy::to(postgres.address()).await;
    let cut = Server::replica(&flags(&postgres.url_at(proxy.address), None)).await;
    let whole = Server::replica(&flags(&url, None)).await;
    fill(&[&whole, &cut]).await;
    // So slow that the replica holds the lock of the log most of the time.
    let slow = Network::Slow(Duration::from_millis(50));
    proxy.set(slow);
    let mut cut_producers = Producers::start("cut", &[cut.grpc; 3], Duration::from_millis(1));
    let pause = Duration::from_millis(25);
    let mut whole_producers = Producers::start("whole", &[whole.grpc], pause);
    let mut random = Random(2_029);
    for _ in 0..4 {
        cut_producers.progress().await;
        tokio::time::sleep(Duration::from_millis(random.below(200))).await;
        proxy.set(Network::Silent);
        let held_up = time_to_append(&whole).await;
        assert!(held_up < NOTICE, "{held_up:?}");
        proxy.set(slow);
    }
    proxy.restore();
    cut_producers.progress().await;
    let producers = &mut [&mut cut_producers, &mut whole_producers];
    nothing_lost_or_doubled(&[&cut, &whole], &url, producers, LIKES).await;
}

#[tokio::test]
async fn a_replica_far_from_its_database_is_slow_to_acknowledge_and_prompt_to_rank() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let proxy = Proxy::to(postgres.address()).await;
    let far = Server::replica(&flags(&postgres.url_at(proxy.address), None)).await;
    let near = Server::replica(&flags(&url, None)).await;
    fill(&[&far, &near]).await;
    let mut producers = Producers::start("p", &[far.grpc, near.grpc, far.grpc], PACE);
    producers.progress().await;
    proxy.set(Network::Slow(Duration::from_millis(200)));
    let apis = [("far", far.api().await), ("near", near.api().await)];
    let mut acks = [Vec::new(), Vec::new()];
    let mut rankings = Vec::new();
    for round in 0..5 {
        for ((name, api), acks) in apis.iter().zip(&mut acks) {
            let called = Instant::now();
            api.record(events(name, round..round + 1)).await;
            acks.push(called.elapsed());
        }
        let called = Instant::now();
        prompt_ranking(&far).await;
        rankings.push(called.elapsed());
        assert!(is_well(&far).await && is_well(&near).await);
    }
    let [far_acks, near_acks] = acks;
    println!("acks at 400 ms a round trip: {}", percentiles(far_acks));
    println!("acks of the near replica: {}", percentiles(near_acks));
    println!("rankings of the far replica: {}", percentiles(rankings));
    proxy.restore();
    nothing_lost_or_doubled(&[&far, &near], &url, &mut [&mut producers], LIKES + 10).await;
}

/// One replica loses Redis, another keeps it.
async fn cut_from_redis(network: Network) {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let proxy = Proxy::to(redis.address()).await;
    let (url, redis_url, proxy_url) = (postgres.url(), redis.url(), Redis::url_at(proxy.address));
    let cut = Server::replica(&flags(&url, Some(&proxy_url))).await;
    let whole = Server::replica(&flags(&url, Some(&redis_url))).await;
    fill(&[&cut, &whole]).await;
    let mut producers = Producers::start("p", &[cut.grpc, whole.grpc], PACE);
    producers.progress().await;
    let resident = cut.resident_kib();
    proxy.set(network);
    let (apis, started) = ([cut.api().await, whole.api().await], Instant::now());
    let (mut acks, mut reads) = (Vec::new(), Vec::new());
    let mut round = 0;
    while started.elapsed() < OUTAGE {
        acks.push(producers.progress().await);
        assert!(is_well(&cut).await && is_well(&whole).await);
        let (writer, reader) = (&apis[round % 2], &apis[(round + 1) % 2]);
        let number = round as u64;
        let sequence = writer.record(events("x", number..number + 1)).await.last_sequence;
        let called = Instant::now();
        reader.profile("jazz-fan-1", sequence).await;
        reads.push(called.elapsed());
        round += 1;
    }
    println!("acks of all producers meanwhile: {}", percentiles(acks));
    println!("acknowledged to readable elsewhere: {}", percentiles(reads));
    let grown = cut.resident_kib().saturating_sub(resident);
    println!("resident memory grew by {grown} KiB of {resident}");
    assert!(grown < GROWTH_KIB, "{grown} KiB more");
    proxy.restore();
    producers.progress().await;
    let others = LIKES + round as u64;
    nothing_lost_or_doubled(&[&cut, &whole], &url, &mut [&mut producers], others).await;
}

#[tokio::test]
async fn a_replica_whose_redis_falls_silent_follows_by_the_database() {
    cut_from_redis(Network::Silent).await;
}

#[tokio::test]
async fn a_replica_whose_redis_refuses_it_follows_by_the_database() {
    cut_from_redis(Network::Closed).await;
}

#[tokio::test]
async fn an_outage_without_any_ingest_is_noticed_too() {
    let mut postgres = Postgres::start().await;
    let server = Server::replica(&flags(&postgres.url(), None)).await;
    World::fill(&server.api().await).await;
    let before = agreed(&[&server]).await;
    postgres.kill_9();
    assert!(time_until("the outage is noticed", async || is_unwell(&server).await).await < NOTICE);
    postgres.restart().await;
    assert!(time_until("all is well again", async || is_well(&server).await).await < NOTICE);
    assert_eq!(agreed(&[&server]).await.interactions, before.interactions);
}
