//! Connections: how many there may be, and how long one may do nothing.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::SHORT_TIMEOUT;
use super::SOON;
use crate::harness::Api;
use crate::harness::Hostile;
use crate::harness::PREFACE;
use crate::harness::Server;
use crate::harness::eventually;
use crate::harness::get;
use crate::harness::greedy;
use crate::harness::prlimit;
use crate::harness::reason_of;

/// Connects, says this, and nothing more.
async fn say(address: SocketAddr, words: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("the port is open");
    // One that is not taken may be closed before it says anything.
    let _closed = stream.write_all(words).await;
    stream
}

/// Reads until the server closes the connection; `false` when it does not.
async fn is_closed(mut stream: TcpStream) -> bool {
    let mut heard = Vec::new();
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut heard)).await;
    // A reset is an end, too.
    read.is_ok()
}

#[tokio::test]
async fn a_connection_without_preface_or_call_is_closed() {
    let server = Server::start_with(&SHORT_TIMEOUT).await;
    let silent = say(server.grpc, b"").await;
    let half = say(server.grpc, &PREFACE[..10]).await;
    let http_silent = say(server.http, b"").await;
    let http_half =
        say(server.http, b"GET /healthz HTTP/1.1\r\nHost: somewhere.that.is.long\r\n").await;
    for (who, connection) in [
        ("silent", silent),
        ("half a preface", half),
        ("silent to HTTP", http_silent),
        ("half a request to HTTP", http_half),
    ] {
        assert!(is_closed(connection).await, "{who}");
    }
    let (_code, metrics) = get(server.http, "/metrics").await;
    let line = "personalization_connections_closed_total{reason=\"no_preface\"}";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn half_a_request_ends_though_its_connection_pings() {
    let server = Server::start_with(&SHORT_TIMEOUT).await;
    let mut connection = Hostile::connect(server.grpc).await;
    let pinging = connection.ping_for_ever();
    let asked = Instant::now();
    let mut half = connection.call("PersonalizationService/GetProfile", None).await;
    half.announce(10).await;
    let (_code, reason) = reason_of(&half.status().await);
    assert_eq!(reason, "REQUEST_LATE");
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    pinging.abort();
}

#[tokio::test]
async fn connections_have_a_bound_and_probes_are_answered_at_it() {
    const BOUND: usize = 40;
    let bound = BOUND.to_string();
    let flags = [&["--max-connections", &bound][..], &SHORT_TIMEOUT].concat();
    let server = Server::start_with(&flags).await;
    eventually("the connections of the start to be gone", async || {
        let (_code, metrics) = get(server.http, "/metrics").await;
        metrics.contains("personalization_connections{port=\"grpc\"} 0\n").then_some(())
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..BOUND {
        held.push(say(server.grpc, PREFACE).await);
    }
    eventually("a connection that is refused", async || {
        let one_more = say(server.grpc, b"").await;
        tokio::time::timeout(Duration::from_millis(200), is_closed(one_more)).await.ok()
    })
    .await;
    assert_eq!(get(server.http, "/healthz").await.0, 200);
    let (_code, metrics) = get(server.http, "/metrics").await;
    assert!(metrics.contains("connections_refused_total{reason=\"bound\"}"), "{metrics}");
    assert_eq!(server.log().matches("no more connections are taken").count(), 1);
    // Those that only hold a slot lose it, since others want it.
    let api = eventually("a slot", async || Api::try_connect(server.grpc).await).await;
    eventually("an answer", async || api.try_personalize(greedy("a", 1)).await.ok()).await;
}

#[tokio::test]
async fn without_descriptors_the_server_waits_for_them_and_does_not_spin() {
    let server = Server::start().await;
    // The bound was computed from what there was at the start; now there is less.
    prlimit(server.pid(), "--nofile=30:1024");
    let mut held = Vec::new();
    for _ in 0..40 {
        held.push(say(server.grpc, PREFACE).await);
    }
    eventually("a complaint", async || {
        server.log().contains("connections cannot be taken").then_some(())
    })
    .await;
    let before = server.cpu_seconds();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let used = server.cpu_seconds() - before;
    println!("without descriptors: {:.0} % of a core", 100.0 * used);
    assert!(used < 0.3, "{used}");
    assert_eq!(server.log().matches("connections cannot be taken").count(), 1);
    prlimit(server.pid(), "--nofile=1024:1024");
    drop(held);
    let api = eventually("a slot", async || Api::try_connect(server.grpc).await).await;
    api.personalize(greedy("a", 1)).await;
}

#[tokio::test]
async fn a_server_with_few_descriptors_keeps_some_for_probes() {
    let server = Server::start_within("ulimit -n 200", &[]).await;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(say(server.grpc, PREFACE).await);
    }
    assert_eq!(get(server.http, "/healthz").await.0, 200);
    let (_code, metrics) = get(server.http, "/metrics").await;
    assert!(metrics.contains("connections_refused_total{reason=\"bound\"}"), "{metrics}");
    assert!(!metrics.contains("reason=\"descriptors\""), "{metrics}");
}

#[tokio::test]
async fn a_client_that_does_not_react_does_not_hold_up_the_end() {
    let mut server = Server::start().await;
    // Sends the preface and never reads: it acknowledges no settings, no ping, no end.
    let not_reading = say(server.grpc, PREFACE).await;
    let started = Instant::now();
    assert_eq!(server.stop_gracefully().await.code(), Some(0));
    println!("stopped with a client that does not read in {:?}", started.elapsed());
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    drop(not_reading);
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_at_the_timeout() {
    let flags = [&["--shutdown-seconds", "1"][..], &["--request-seconds", "60"]].concat();
    let mut server = Server::start_with(&flags).await;
    let mut connection = Hostile::connect(server.grpc).await;
    let mut half = connection.call("PersonalizationService/GetProfile", None).await;
    half.announce(10).await;
    let started = Instant::now();
    assert_eq!(server.stop_gracefully().await.code(), Some(0));
    println!("stopped with half a call in {:?}", started.elapsed());
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
}
