//! Calls: their number, their deadlines, and what they cost other calls.

use std::time::Duration;
use std::time::Instant;

use personalization::proto::ExplainAbsenceRequest;
use personalization::proto::SimilarItemsRequest;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::Request;

use super::is_advised_to_return;
use crate::harness::Hostile;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::get;
use crate::harness::greedy;
use crate::harness::reason_of;

#[tokio::test]
async fn a_deadline_that_passes_has_its_own_status() {
    let server = Server::start().await;
    let mut connection = Hostile::connect(server.grpc).await;
    let passed = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned());
    // Passed when it comes, while its request comes, while its stream stands open.
    let before = connection.call("PersonalizationService/Personalize", Some("1n")).await;
    assert_eq!(reason_of(&before.status().await), passed);
    let mut half = connection.call("PersonalizationService/Personalize", Some("100m")).await;
    half.announce(10).await;
    assert_eq!(reason_of(&half.status().await), passed);
    let open = connection.call("PersonalizationService/StreamInteractions", Some("100m")).await;
    assert_eq!(reason_of(&open.status().await), passed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_beyond_what_the_cores_can_do_wait_in_a_short_queue_or_are_refused() {
    const CALLERS: usize = 12;
    const EACH: usize = 250;
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    api.settled_status().await;
    let before = server.peak_kib();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let api = server.api().await;
        callers.spawn(async move {
            let mut calls = JoinSet::new();
            for n in 0..EACH {
                let mut client = api.personalization.clone();
                let item_id = format!("jazz-{:02}", n % 20);
                let request =
                    SimilarItemsRequest { item_id, max_results: 20, ..Default::default() };
                let ranking = greedy(&format!("fan-{n}"), 100);
                calls.spawn(async move {
                    if n % 2 == 0 {
                        client.similar_items(request).await.err()
                    } else {
                        client.personalize(ranking).await.err()
                    }
                });
            }
            calls.join_all().await
        });
    }
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let asked = Instant::now();
        api.record(events("other", n * 10..n * 10 + 10)).await;
        slowest = slowest.max(asked.elapsed());
    }
    let refused: Vec<_> = callers.join_all().await.into_iter().flatten().flatten().collect();
    for status in &refused {
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(is_advised_to_return(status), "{status}");
    }
    assert!(!refused.is_empty(), "rankings are reads as any other");
    let (threads, grown) = (server.threads(), server.peak_kib() - before);
    println!(
        "{} reads at once: {} refused, {threads} threads, {} MiB, slowest acknowledgement {slowest:?}",
        CALLERS * EACH,
        refused.len(),
        grown / 1024
    );
    assert!(threads < 64, "{threads}");
    assert!(grown < 128 * 1024, "{grown}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_any_more_is_not_worked_out() {
    const CONNECTIONS: usize = 16;
    const EACH: usize = 250;
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    api.settled_status().await;
    let ask = ExplainAbsenceRequest {
        item_id: "metal-03".to_owned(),
        request: Some(greedy("jazz-fan-1", 5)),
    };
    // One of them alone, to know what all of them would cost.
    let (started, asked) = (server.cpu_seconds(), 20);
    for _ in 0..asked {
        api.personalization.clone().explain_absence(ask.clone()).await.expect("an answer");
    }
    let each = (server.cpu_seconds() - started) / f64::from(asked);
    let started = server.cpu_seconds();
    let mut callers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (api, ask) = (server.api().await, ask.clone());
        callers.spawn(async move {
            let mut calls = JoinSet::new();
            for _ in 0..EACH {
                let (mut client, mut request) =
                    (api.personalization.clone(), Request::new(ask.clone()));
                request.set_timeout(Duration::from_millis(200));
                calls.spawn(async move { client.explain_absence(request).await.is_ok() });
            }
            calls.join_all().await.into_iter().filter(|&answered| answered).count()
        });
    }
    let answered: usize = callers.join_all().await.into_iter().sum();
    // Whatever is still worked out is, by then.
    eventually("an answer", async || {
        api.personalization.clone().explain_absence(ask.clone()).await.ok()
    })
    .await;
    let (spent, calls) = (server.cpu_seconds() - started, CONNECTIONS * EACH);
    println!("{calls} calls of {:.1} ms: {answered} answered, {spent:.1} s spent", 1_000.0 * each);
    assert!(answered < calls / 2, "{answered}");
    assert!(spent < 4.0, "{spent} s, {each} s each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_calls_leave_nothing_behind() {
    let server = Server::start_with(&["--rate-limit-requests", "1000000"]).await;
    let api = server.api().await;
    World::fill(&api).await;
    api.settled_status().await;
    api.within("nowhere").try_personalize(greedy("a", 1)).await.unwrap_err();
    let series = async || get(server.http, "/metrics").await.1.lines().count();
    let (before, resident) = (series().await, server.resident_kib());
    for n in 0..2_000 {
        let elsewhere = api.within(&format!("nowhere-{n}"));
        let status = elsewhere.try_personalize(greedy("a", 1)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
    }
    assert_eq!(series().await, before);
    let grown = server.resident_kib().saturating_sub(resident);
    assert!(grown < 8 * 1024, "{grown} KiB");
}
