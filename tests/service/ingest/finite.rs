//! RecordInteractions: one answer for all that was sent.

use std::collections::BTreeMap;

use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::RecordInteractionsRequest;
use personalization::proto::RecordInteractionsResponse;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::Server;
use crate::harness::click;
use crate::harness::event;
use crate::harness::events;
use crate::harness::now_plus;

fn message(namespace: &str, interactions: Vec<Interaction>) -> RecordInteractionsRequest {
    RecordInteractionsRequest { namespace: namespace.to_owned(), interactions }
}

fn counts(answer: &RecordInteractionsResponse) -> [u64; 4] {
    [answer.received, answer.accepted, answer.duplicates, answer.rejected]
}

/// The counts that the details of a status carry.
fn counts_so_far(status: &tonic::Status) -> BTreeMap<String, u64> {
    let info = status.get_error_details().error_info().cloned().expect("an ErrorInfo");
    let number = |text: String| text.parse().expect("a number");
    info.metadata.into_iter().map(|(name, value)| (name, number(value))).collect()
}

#[tokio::test]
async fn every_interaction_is_counted_once_and_learnt() {
    let server = Server::start().await;
    let api = server.api().await;
    let before = api.status().await;
    let answer = api.record(events("e", 0..1_234)).await;
    assert_eq!(counts(&answer), [1_234, 1_234, 0, 0]);
    assert!(answer.rejections.is_empty());
    assert_eq!(answer.last_sequence, before.log_end + 1_234);
    let after = api.settled_status().await;
    assert_eq!((after.interactions, after.users), (1_234, 97));
    assert_eq!(after.watermark, answer.last_sequence);
}

#[tokio::test]
async fn an_event_sent_twice_in_one_stream_is_a_duplicate() {
    let server = Server::start().await;
    let api = server.api().await;
    let twice = vec![click("a", "x"), click("a", "y"), click("a", "x")];
    let answer = api.record(twice).await;
    assert_eq!(counts(&answer), [3, 2, 1, 0]);
    let other_content = Interaction { user_id: "b".to_owned(), ..click("a", "x") };
    let again = api.record(vec![other_content]).await;
    assert_eq!(counts(&again), [1, 0, 1, 0], "the id decides, not the content");
    assert_eq!(again.last_sequence, 0);
}

#[tokio::test]
async fn bad_events_are_reported_by_index_and_field_and_their_neighbours_are_kept() {
    let server = Server::start().await;
    let api = server.api().await;
    let nameless = Interaction { user_id: String::new(), ..click("a", "x") };
    let untyped = event("untyped", "a", "x", InteractionType::Unspecified);
    let valueless = event("valueless", "a", "x", InteractionType::Rating);
    let early = Interaction { occurred_at: Some(now_plus(86_400 * 3)), ..click("a", "w") };
    let messages = vec![
        message("", vec![click("a", "1"), nameless, click("a", "2")]),
        message("", Vec::new()),
        message("default", vec![untyped, valueless, click("a", "3"), early]),
    ];
    let mut client = api.personalization.clone();
    let answer = client.record_interactions(tokio_stream::iter(messages)).await.unwrap();
    let answer = answer.into_inner();
    assert_eq!(counts(&answer), [7, 3, 0, 4]);
    let described: Vec<(u64, &str, &str)> = answer
        .rejections
        .iter()
        .map(|one| (one.index, one.id.as_str(), one.violations[0].field.as_str()))
        .collect();
    let expected = [
        (1, "click/a/x", "user_id"),
        (3, "untyped", "type"),
        (4, "valueless", "value"),
        (6, "click/a/w", "occurred_at"),
    ];
    assert_eq!(described, expected);
    assert!(answer.rejections.iter().all(|one| !one.violations[0].reason.is_empty()));
    assert_eq!(api.settled_status().await.interactions, 3);
}

#[tokio::test]
async fn a_hundred_rejections_are_described_and_all_are_counted() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut sent = vec![Interaction::default(); 150];
    sent.push(click("a", "x"));
    let answer = api.record(sent).await;
    assert_eq!(counts(&answer), [151, 1, 0, 150]);
    assert_eq!(answer.rejections.len(), 100);
}

#[tokio::test]
async fn a_hundred_thousand_events_sent_again_change_nothing() {
    let server = Server::start().await;
    let api = server.api().await;
    let first = api.record(events("e", 0..100_000)).await;
    assert_eq!(counts(&first), [100_000, 100_000, 0, 0]);
    let before = api.settled_status().await;
    assert_eq!(before.interactions, 100_000);
    let again = api.record(events("e", 0..100_000)).await;
    assert_eq!(counts(&again), [100_000, 0, 100_000, 0]);
    assert_eq!(again.last_sequence, 0);
    assert_eq!(api.settled_status().await, before);
}

#[tokio::test]
async fn an_event_without_an_id_gets_one_and_is_new_each_time() {
    let server = Server::start().await;
    let api = server.api().await;
    let unnamed = Interaction { event_id: String::new(), ..click("a", "x") };
    let answer = api.record(vec![unnamed.clone(); 500]).await;
    assert_eq!(counts(&answer), [500, 500, 0, 0]);
    assert_eq!(counts(&api.record(vec![unnamed; 500]).await), [500, 500, 0, 0]);
}

#[tokio::test]
async fn an_empty_stream_and_empty_messages_are_answered_with_zeros() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut client = api.personalization.clone();
    for messages in [Vec::new(), vec![message("", Vec::new()); 3]] {
        let answer = client.record_interactions(tokio_stream::iter(messages)).await.unwrap();
        assert_eq!(answer.into_inner(), RecordInteractionsResponse::default());
    }
}

#[tokio::test]
async fn a_later_message_that_names_another_namespace_ends_the_stream_with_its_counts() {
    let server = Server::start().await;
    let api = server.api().await;
    let messages = vec![
        message("", vec![click("a", "1"), Interaction::default()]),
        message("other", vec![click("a", "2")]),
    ];
    let mut client = api.personalization.clone();
    let refused = client.record_interactions(tokio_stream::iter(messages)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let violations = &refused.get_error_details().bad_request().unwrap().field_violations.clone();
    assert_eq!(violations[0].field, "namespace");
    let counts = counts_so_far(&refused);
    let of = |name: &str| counts[name];
    assert_eq!((of("received"), of("accepted"), of("duplicates"), of("rejected")), (2, 1, 0, 1));
    let status = api.settled_status().await;
    assert_eq!((status.interactions, status.log_end), (1, of("last_sequence")));
}

#[tokio::test]
async fn a_stream_of_bad_events_is_ended_and_what_was_good_stays() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut first = vec![Interaction::default(); 9_999];
    first.push(click("a", "good"));
    let messages = vec![message("", first), message("", vec![Interaction::default(); 10])];
    let mut client = api.personalization.clone();
    let refused = client.record_interactions(tokio_stream::iter(messages)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let counts = counts_so_far(&refused);
    assert!(counts["rejected"] > 10_000, "{counts:?}");
    assert_eq!(counts["accepted"], 1, "{counts:?}");
    assert_eq!(api.settled_status().await.interactions, 1);
}
