//! Requests: what they announce, what they hold, what they become in memory.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use personalization::proto::PersonalizeRequest;
use prost::Message;
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt;

use super::SHORT_TIMEOUT;
use super::is_advised_to_return;
use crate::harness::Hostile;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::call_with_bytes;
use crate::harness::eventually;
use crate::harness::get;
use crate::harness::greedy;
use crate::harness::reason_of;

const MIB: u64 = 1024;
const LARGEST: u32 = 16 << 20;
const RECORD: &str = "PersonalizationService/RecordInteractions";
const PERSONALIZE: &str = "PersonalizationService/Personalize";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_and_never_sent_takes_no_memory_and_ends() {
    const CONNECTIONS: usize = 20;
    const CALLS: usize = 200;
    let server = Server::start_with(&SHORT_TIMEOUT).await;
    let before = server.peak_kib();
    let (mut connections, mut calls) = (Vec::new(), Vec::new());
    for n in 0..CONNECTIONS {
        let mut connection = Hostile::connect(server.grpc).await;
        for _ in 0..CALLS {
            let method = if n % 2 == 0 { RECORD } else { PERSONALIZE };
            let mut call = connection.call(method, None).await;
            call.announce(LARGEST).await;
            calls.push((n, call));
        }
        connections.push(connection);
    }
    let mut answers = JoinSet::new();
    for (n, call) in calls {
        answers.spawn(async move { (n, call.status().await) });
    }
    for (n, status) in answers.join_all().await {
        let in_time = (Code::DeadlineExceeded, "REQUEST_LATE".to_owned());
        let refused = (Code::ResourceExhausted, "OVERLOADED".to_owned());
        let found = reason_of(&status);
        assert!(found == in_time || found == refused, "{n} {status:?}");
    }
    let grown = server.peak_kib() - before;
    println!("4,000 announcements of 16 MiB: {} MiB", grown / MIB);
    assert!(grown < 96 * MIB, "{grown} KiB");
    World::fill(&server.api().await).await;
}

#[tokio::test]
async fn small_things_that_are_large_in_memory_are_refused_before_they_are_decoded() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let before = server.peak_kib();
    for (method, element, field) in [
        (RECORD, [0x12, 0], "interactions"),
        ("CatalogService/UpsertItems", [0x12, 0], "items"),
        (PERSONALIZE, [0x32, 0], "candidates"),
    ] {
        let message = element.repeat(8_000_000);
        let decoded = PersonalizeRequest::decode(&[0x32_u8, 0][..]);
        assert_eq!(decoded.expect("a message").candidates.len(), 1, "the bytes name the field");
        let asked = Instant::now();
        let status = call_with_bytes(&api.channel, method, message).await.unwrap_err();
        assert!(asked.elapsed().as_secs() < 3, "{method} took {:?}", asked.elapsed());
        assert_eq!(status.code(), Code::InvalidArgument, "{method} {status}");
        let details = status.get_error_details();
        let violations = &details.bad_request().expect("a BadRequest").field_violations;
        assert_eq!(violations[0].field, field, "{method}");
    }
    let grown = server.peak_kib().saturating_sub(before);
    println!("8,000,000 empty elements, three times: {} MiB", grown / MIB);
    assert!(grown < 128 * MIB, "{grown} KiB");
    assert_eq!(api.personalize(greedy("new-user", 5)).await.recommendations.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_requests_that_are_not_whole_have_a_bound_and_are_given_back() {
    const CALLS: usize = 30;
    let server = Server::start_with(&SHORT_TIMEOUT).await;
    let api = server.api().await;
    World::fill(&api).await;
    let before = server.peak_kib();
    let mut answers = JoinSet::new();
    for _ in 0..CALLS {
        let mut connection = Hostile::connect(server.grpc).await;
        answers.spawn(async move {
            let mut call = connection.call(PERSONALIZE, None).await;
            call.announce(LARGEST).await;
            let _refused = call.send(Bytes::from(vec![0; 15 << 20]), false).await;
            // What has come buys time for the rest: those that are held are not answered.
            tokio::time::timeout(Duration::from_secs(3), call.status()).await.ok()
        });
    }
    let refused: Vec<_> = answers.join_all().await.into_iter().flatten().collect();
    assert!(!refused.is_empty() && refused.len() < CALLS, "{refused:?}");
    for status in &refused {
        assert_eq!(reason_of(status), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
        assert!(is_advised_to_return(status), "{status}");
    }
    let grown = server.peak_kib() - before;
    println!("30 requests of 15 MiB: {} MiB, {} refused", grown / MIB, refused.len());
    assert!(grown < 640 * MIB, "{grown} KiB");
    eventually("all bytes to be given back", async || {
        let (_code, metrics) = get(server.http, "/metrics").await;
        metrics.contains("personalization_request_bytes 0\n").then_some(())
    })
    .await;
    assert_eq!(api.personalize(greedy("new-user", 5)).await.recommendations.len(), 5);
}

#[tokio::test]
async fn each_method_takes_messages_as_large_as_it_needs() {
    let server = Server::start().await;
    let api = server.api().await;
    for (method, bytes) in [
        ("PersonalizationService/GetProfile", 65_537),
        ("ModelService/GetModelStatus", 65_537),
        ("BanditService/SelectArm", (4 << 20) + 1),
        (PERSONALIZE, LARGEST as usize + 1),
    ] {
        let status = call_with_bytes(&api.channel, method, vec![0; bytes]).await.unwrap_err();
        let expected = (Code::OutOfRange, "MESSAGE_TOO_LARGE".to_owned());
        assert_eq!(reason_of(&status), expected, "{method} {status}");
    }
}

#[tokio::test]
async fn what_is_no_message_is_the_callers_fault_and_says_where() {
    let server = Server::start().await;
    let api = server.api().await;
    let cases: [(&str, &[u8], &str); 4] = [
        // A field that is not encoded as its type is, a string that is none, an end within a
        // field, a field number that cannot be.
        ("PersonalizationService/GetProfile", &[0x08, 1], "namespace"),
        ("PersonalizationService/GetProfile", &[0x0a, 2, 0xff, 0xfe], "namespace must be UTF-8"),
        (RECORD, &[0x12, 9, 0], "interactions ends too early"),
        (PERSONALIZE, &[0x00, 1], "bad field"),
    ];
    for (method, message, said) in cases {
        let status = call_with_bytes(&api.channel, method, message.to_vec()).await.unwrap_err();
        assert_eq!(reason_of(&status), (Code::InvalidArgument, "MALFORMED".to_owned()), "{status}");
        assert!(status.message().contains(said), "{method} {status}");
    }
    let mut connection = Hostile::connect(server.grpc).await;
    let mut half = connection.call(PERSONALIZE, None).await;
    half.announce(100).await;
    half.send(Bytes::from_static(b"only this"), true).await.expect("bytes are taken");
    assert_eq!(reason_of(&half.status().await), (Code::InvalidArgument, "MALFORMED".to_owned()));
}
