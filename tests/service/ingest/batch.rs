//! BatchRecordInteractions and BatchUpsertItems: the streams' checks and promises in one request.

use personalization::proto::BatchRecordInteractionsRequest;
use personalization::proto::BatchRecordInteractionsResponse;
use personalization::proto::BatchUpsertItemsRequest;
use personalization::proto::BatchUpsertItemsResponse;
use personalization::proto::GetItemRequest;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::Item;
use tonic::Code;
use tonic::Response;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::click;
use crate::harness::event;
use crate::harness::events;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::now_plus;

/// Most interactions or items of one call.
const MOST: usize = 1_000;

async fn record(
    api: &Api,
    interactions: Vec<Interaction>,
) -> Result<BatchRecordInteractionsResponse, Status> {
    let request = BatchRecordInteractionsRequest { namespace: String::new(), interactions };
    api.personalization.clone().batch_record_interactions(request).await.map(Response::into_inner)
}

async fn upsert(api: &Api, items: Vec<Item>) -> Result<BatchUpsertItemsResponse, Status> {
    let request = BatchUpsertItemsRequest { items, ..Default::default() };
    api.catalog.clone().batch_upsert_items(request).await.map(Response::into_inner)
}

/// The fields that a status complains about.
fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details.bad_request().expect("a BadRequest");
    bad.field_violations.iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test]
async fn a_batch_counts_rejects_and_recognises_events_as_a_stream_does() {
    let server = Server::start().await;
    let api = server.api().await;
    let nameless = Interaction { user_id: String::new(), ..click("a", "x") };
    let untyped = event("untyped", "a", "x", InteractionType::Unspecified);
    let early = Interaction { occurred_at: Some(now_plus(86_400 * 3)), ..click("a", "w") };
    let sent = vec![click("a", "1"), nameless, click("a", "2"), untyped, click("a", "1"), early];
    let answer = record(&api, sent.clone()).await.unwrap();
    let by_stream = api.record(vec![click("a", "2"), click("a", "3")]).await;
    assert_eq!((by_stream.accepted, by_stream.duplicates), (1, 1), "one set of event ids");
    assert_eq!((answer.received, answer.accepted), (6, 2));
    assert_eq!((answer.duplicates, answer.rejected), (1, 3));
    let described: Vec<(u64, &str, &str)> = answer
        .rejections
        .iter()
        .map(|one| (one.index, one.id.as_str(), one.violations[0].field.as_str()))
        .collect();
    let expected =
        [(1, "click/a/x", "user_id"), (3, "untyped", "type"), (5, "click/a/w", "occurred_at")];
    assert_eq!(described, expected);
    assert!(answer.rejections.iter().all(|one| !one.violations[0].reason.is_empty()));
    let again = record(&api, sent).await.unwrap();
    assert_eq!((again.accepted, again.duplicates, again.rejected), (0, 3, 3));
    assert_eq!(again.last_sequence, 0);
    assert_eq!(api.settled_status().await.interactions, 3);
}

#[tokio::test]
async fn what_a_batch_was_told_outlives_a_crash_and_is_in_the_next_answer() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let items = upsert(&api, vec![item("x"), item("y"), Item::default()]).await.unwrap();
    assert_eq!((items.received, items.accepted, items.rejected), (3, 2, 1));
    assert_eq!((items.rejections[0].index, items.rejections.len()), (2, 1));
    assert_eq!(items.rejections[0].violations[0].field, "item_id");
    let answer = record(&api, vec![click("anna", "x")]).await.unwrap();
    assert_eq!(answer.last_sequence, items.last_sequence + 1);
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    let profile = api.profile("anna", answer.last_sequence).await;
    assert!(profile.watermark >= answer.last_sequence);
    assert_eq!(profile.profile.unwrap().recent_items[0].item_id, "x");
    let request = GetItemRequest { item_id: "y".to_owned(), ..Default::default() };
    assert_eq!(
        api.catalog.clone().get_item(request).await.unwrap().into_inner().item,
        Some(item("y"))
    );
    assert_eq!(api.personalize(greedy("bert", 2)).await.recommendations.len(), 2);
}

#[tokio::test]
async fn a_batch_holds_a_thousand_and_one_more_is_refused_by_name_and_whole() {
    let server = Server::start().await;
    let api = server.api().await;
    let most = record(&api, events("e", 0..MOST as u64)).await.unwrap();
    assert_eq!((most.received, most.accepted), (1_000, 1_000));
    let more = record(&api, events("f", 0..MOST as u64 + 1)).await.unwrap_err();
    assert_eq!((more.code(), fields(&more)), (Code::InvalidArgument, vec!["interactions".into()]));
    let items = |count: usize| (0..count).map(|n| item(&format!("item-{n}"))).collect();
    assert_eq!(upsert(&api, items(MOST)).await.unwrap().accepted, 1_000);
    let more = upsert(&api, items(MOST + 1)).await.unwrap_err();
    assert_eq!((more.code(), fields(&more)), (Code::InvalidArgument, vec!["items".into()]));
    let nothing = record(&api, Vec::new()).await.unwrap();
    assert_eq!(nothing, BatchRecordInteractionsResponse::default());
    assert_eq!(upsert(&api, Vec::new()).await.unwrap(), BatchUpsertItemsResponse::default());
    let status = api.settled_status().await;
    assert_eq!((status.interactions, status.log_end), (1_000, most.last_sequence + 1_000));
}

#[tokio::test]
async fn a_batch_for_an_unknown_namespace_is_not_found() {
    let server = Server::start().await;
    let api = server.api().await;
    let namespace = "nowhere".to_owned();
    let request = BatchRecordInteractionsRequest { namespace, interactions: Vec::new() };
    let refused = api.personalization.clone().batch_record_interactions(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}
