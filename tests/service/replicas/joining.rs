//! Starts: several at once, late, too early, and those that must not happen.

use std::time::Duration;
use std::time::Instant;

use tonic_health::pb::health_check_response::ServingStatus;

use super::fleet::LIKES;
use super::fleet::agreed;
use super::fleet::flags;
use crate::harness::Network;
use crate::harness::Postgres;
use crate::harness::Proxy;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::binary;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::health;
use crate::harness::is_serving;

/// A start that is refused must not keep its operator waiting.
const FAILURE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn replicas_started_at_once_on_an_empty_database_all_serve() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let mut replicas: Vec<Server> =
        (0..4).map(|_| Server::replica_of(&binary(), &flags(&url, None))).collect();
    for replica in &mut replicas {
        replica.serves().await;
    }
    let sequence = World::fill(&replicas[3].api().await).await;
    let all: Vec<&Server> = replicas.iter().collect();
    let status = agreed(&all).await;
    assert!(status.watermark >= sequence);
    assert_eq!(status.items, 40);
}

#[tokio::test]
async fn a_new_replica_serves_once_it_has_caught_up_with_a_long_log() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let without_snapshots = ["--snapshot-every-records", "100000000"];
    let old = Server::replica(&[&flags(&url, None)[..], &without_snapshots].concat()).await;
    World::fill(&old.api().await).await;
    let end = old.api().await.record(events("e", 0..20_000)).await.last_sequence;
    // A slow network, so that it can be watched catching up.
    let proxy = Proxy::to(postgres.address()).await;
    proxy.set(Network::Slow(Duration::from_millis(100)));
    let slow_url = postgres.url_at(proxy.address);
    let low_lag = ["--ready-lag-records", "100"];
    let started = Instant::now();
    let new = Server::replica_of(&binary(), &[&flags(&slow_url, None)[..], &low_lag].concat());
    let first = eventually("an answer about health", async || health(new.grpc, "").await).await;
    assert_eq!(first, ServingStatus::NotServing, "it cannot have caught up by then");
    eventually("a server that serves", async || is_serving(new.grpc, "").await.then_some(())).await;
    println!("{end} records caught up with after {:?}", started.elapsed());
    let status = new.api().await.status().await;
    assert!(status.watermark + 100 >= end, "it serves at {} of {end}", status.watermark);
    proxy.restore();
    let status = agreed(&[&old, &new]).await;
    assert_eq!((status.interactions, status.watermark), (LIKES + 20_000, end));
}

#[tokio::test]
async fn a_server_whose_database_is_not_up_yet_waits_for_it() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url();
    postgres.stop().await;
    let mut server = Server::replica_of(&binary(), &flags(&url, None));
    let first = eventually("an answer about health", async || health(server.grpc, "").await).await;
    assert_eq!(first, ServingStatus::NotServing);
    // Not a wait for something: it must go on waiting.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(health(server.grpc, "").await, Some(ServingStatus::NotServing));
    postgres.restart().await;
    let started = Instant::now();
    server.serves().await;
    println!("serves {:?} after the database does", started.elapsed());
    World::fill(&server.api().await).await;
}

/// Starts a server that must refuse to; returns what it says.
async fn refused_start(url: &str) -> String {
    let started = Instant::now();
    let mut server = Server::replica_of(&binary(), &flags(url, None));
    let status = server.ended().await;
    println!("ended after {:?}: {}", started.elapsed(), server.log());
    assert!(!status.success() && started.elapsed() < FAILURE, "{status} {:?}", started.elapsed());
    eventually("the reason", async || Some(server.log()).filter(|log| !log.is_empty())).await
}

#[tokio::test]
async fn a_schema_newer_than_the_binary_stops_the_start() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let mut server = Server::replica(&flags(&url, None)).await;
    assert!(server.stop_gracefully().await.success());
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
                 values (99, 'of_the_future', '2030-01-01T00:00:00Z', '1')";
    postgres.query(newer).await;
    let reason = refused_start(&url).await;
    assert!(reason.contains("version 99") && reason.contains("knows up to"), "{reason}");
}

#[tokio::test]
async fn a_wrong_password_or_database_stops_the_start_and_no_secret_is_shown() {
    let postgres = Postgres::start().await;
    postgres.create_role("anna", "the-right-one").await;
    let right = postgres.url().replace("postgres@", "anna:the-right-one@");
    Server::replica(&flags(&right, None)).await;
    let reason = refused_start(&right.replace("the-right-one", "the-wrong-one")).await;
    assert!(reason.contains("password") && reason.contains("anna"), "{reason}");
    assert!(!reason.contains("the-wrong-one"), "{reason}");
    let reason = refused_start(&right.replace("/postgres", "/nowhere")).await;
    assert!(reason.contains("nowhere"), "{reason}");
    assert!(!reason.contains("the-right-one"), "{reason}");
}
