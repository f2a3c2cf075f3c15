//! The catalogue: upsert, get, list, delete.

use std::collections::BTreeSet;

use personalization::proto::DeleteItemsRequest;
use personalization::proto::DeleteItemsResponse;
use personalization::proto::GetItemRequest;
use personalization::proto::GetItemResponse;
use personalization::proto::Item;
use personalization::proto::ItemView;
use personalization::proto::ListItemsRequest;
use personalization::proto::ListItemsResponse;
use personalization::proto::PersonalizeRequest;
use personalization::proto::SimilarItemsRequest;
use personalization::proto::UpsertItemsRequest;
use personalization::proto::UpsertItemsResponse;
use prost::Message as _;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

async fn get(api: &Api, item_id: &str) -> Result<GetItemResponse, Status> {
    let request = GetItemRequest { item_id: item_id.to_owned(), ..Default::default() };
    api.catalog.clone().get_item(request).await.map(tonic::Response::into_inner)
}

async fn page(api: &Api, page_size: u32, page_token: &str) -> ListItemsResponse {
    let page_token = page_token.to_owned();
    let request = ListItemsRequest { page_size, page_token, ..Default::default() };
    api.catalog.clone().list_items(request).await.expect("a page").into_inner()
}

/// All ids by pages, and how many pages there were.
async fn list(api: &Api, page_size: u32) -> (Vec<String>, usize) {
    let (mut ids, mut pages, mut token) = (Vec::new(), 0, String::new());
    loop {
        let page = page(api, page_size, &token).await;
        pages += 1;
        ids.extend(page.items.into_iter().map(|item| item.item_id));
        if page.next_page_token.is_empty() {
            return (ids, pages);
        }
        token = page.next_page_token;
    }
}

async fn delete(api: &Api, item_ids: Vec<String>) -> DeleteItemsResponse {
    let request = DeleteItemsRequest { item_ids, ..Default::default() };
    api.catalog.clone().delete_items(request).await.expect("a deletion").into_inner()
}

#[tokio::test]
async fn an_item_comes_back_as_it_was_sent() {
    let server = Server::start().await;
    let api = server.api().await;
    let full = Item {
        content: "Ein Café am Meer — 🎷".to_owned(),
        topics: strings(["jazz", "sea"]),
        source: "press".to_owned(),
        published_at: Some(now_plus(-1_000)),
        embedding: (0..384).map(|n| n as f32 / 7.0).collect(),
        attributes: structure([("color", text("blue"))]),
        ..item("full")
    };
    api.upsert(vec![full.clone(), item("bare")]).await;
    let found = get(&api, "full").await.unwrap();
    assert_eq!(found.item, Some(full));
    assert!(found.updated_at.unwrap().seconds >= now_plus(-60).seconds);
    assert_eq!(get(&api, "bare").await.unwrap().item, Some(item("bare")));
    let unknown = get(&api, "unknown").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert_eq!(unknown.get_error_details().error_info().unwrap().metadata["item_id"], "unknown");
}

#[tokio::test]
async fn an_item_sent_again_replaces_the_one_before_as_a_whole() {
    let server = Server::start().await;
    let api = server.api().await;
    let first = Item { topics: strings(["old"]), ..item("x") };
    let second = Item { title: "second".to_owned(), topics: Vec::new(), ..item("x") };
    api.upsert(vec![first.clone()]).await;
    let answer = api.upsert(vec![first, item("y"), second.clone()]).await;
    assert_eq!((answer.received, answer.accepted, answer.rejected), (3, 3, 0));
    assert_eq!(get(&api, "x").await.unwrap().item, Some(second));
    assert_eq!(page(&api, 0, "").await.total_size, 2);
    assert_eq!(api.settled_status().await.items, 2);
}

#[tokio::test]
async fn bad_items_are_reported_and_their_neighbours_are_kept() {
    let server = Server::start().await;
    let api = server.api().await;
    let long = Item { title: "x".repeat(2_000), ..item("long") };
    let answer = api.upsert(vec![item("a"), Item::default(), item("b"), long]).await;
    assert_eq!((answer.received, answer.accepted, answer.rejected), (4, 2, 2));
    let described: Vec<(u64, &str, &str)> = answer
        .rejections
        .iter()
        .map(|one| (one.index, one.id.as_str(), one.violations[0].field.as_str()))
        .collect();
    assert_eq!(described, [(1, "", "item_id"), (3, "long", "title")]);
    assert_eq!(list(&api, 0).await.0.len(), 2);
}

#[tokio::test]
async fn five_thousand_items_are_listed_once_each_by_pages_of_any_size() {
    let server = Server::start().await;
    let api = server.api().await;
    let items: Vec<Item> = (0..5_000).map(|n| item(&format!("item-{n:04}"))).collect();
    let answer = api.upsert(items).await;
    assert_eq!((answer.accepted, answer.rejected), (5_000, 0));
    let (all, pages) = list(&api, 1_000).await;
    assert_eq!((all.len(), pages), (5_000, 5));
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 5_000);
    for (page_size, expected) in [(0, 50), (999, 6), (333, 16)] {
        let (again, pages) = list(&api, page_size).await;
        assert_eq!((again == all, pages), (true, expected));
    }
    assert_eq!(page(&api, 1, "").await.total_size, 5_000);
    let answer = api.personalize(greedy("new-user", 500)).await;
    assert_eq!(answer.recommendations.len(), 500);
}

#[tokio::test]
async fn pages_of_large_items_are_small_and_every_item_comes_once_and_whole() {
    let server = Server::start().await;
    let api = server.api().await;
    let large = |n: usize| Item {
        content: "x".repeat(if n.is_multiple_of(3) { 65_536 } else { 20_000 }),
        embedding: vec![0.5; 384],
        topics: strings(["large"]),
        ..item(&format!("item-{n:03}"))
    };
    let items: Vec<Item> = (0..100).map(large).collect();
    assert_eq!(api.upsert(items.clone()).await.accepted, 100);
    let basic = page(&api, 0, "").await;
    assert_eq!((basic.items.len(), basic.next_page_token.as_str()), (100, ""));
    for (listed, sent) in basic.items.iter().zip(&items) {
        let expected = Item { content: String::new(), embedding: Vec::new(), ..sent.clone() };
        assert_eq!(listed, &expected);
    }
    let (mut listed, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let view = ItemView::Full.into();
        let request = ListItemsRequest { page_token, view, ..Default::default() };
        let page = api.catalog.clone().list_items(request).await.expect("a page").into_inner();
        assert!(page.encoded_len() <= (1 << 20) + 1_024, "{} bytes", page.encoded_len());
        pages += 1;
        listed.extend(page.items);
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    assert!(listed == items, "{} items", listed.len());
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn a_listing_goes_on_after_its_last_item_was_deleted_or_replaced() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert((0..10).map(|n| item(&format!("item-{n}"))).collect()).await;
    let first = page(&api, 4, "").await;
    let last_of_page = first.items[3].item_id.clone();
    delete(&api, vec![last_of_page]).await;
    api.upsert(vec![Item { title: "new".to_owned(), ..item(&first.items[0].item_id) }]).await;
    let rest = page(&api, 1_000, &first.next_page_token).await;
    assert_eq!((rest.items.len(), rest.total_size), (6, 9));
    assert!(rest.next_page_token.is_empty());
}

#[tokio::test]
async fn deleted_items_are_no_longer_found_or_recommended() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let answer = delete(&api, strings(["unknown", "jazz-01", "metal-00", "jazz-01"])).await;
    assert_eq!(answer.deleted, 2);
    assert_eq!(answer.unknown_item_ids, ["unknown"]);
    assert_eq!(answer.last_sequence, api.status().await.log_end);
    assert_eq!(get(&api, "jazz-01").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(page(&api, 0, "").await.total_size, 38);
    let request =
        PersonalizeRequest { min_watermark: answer.last_sequence, ..greedy("new-user", 100) };
    let ranked = api.personalize(request).await.recommendations;
    assert_eq!(ranked.len(), 38);
    assert!(ranked.iter().all(|item| item.item_id != "jazz-01" && item.item_id != "metal-00"));
    api.upsert(vec![item("jazz-01")]).await;
    assert_eq!(get(&api, "jazz-01").await.unwrap().item.unwrap().title, "Title of jazz-01");
}

#[tokio::test]
async fn a_deletion_of_nothing_writes_nothing() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert(vec![item("x")]).await;
    let before = api.settled_status().await;
    for item_ids in [Vec::new(), strings(["unknown", "unheard-of"])] {
        let answer = delete(&api, item_ids.clone()).await;
        let unknown_item_ids = item_ids;
        let nothing = DeleteItemsResponse { deleted: 0, unknown_item_ids, last_sequence: 0 };
        assert_eq!(answer, nothing);
    }
    assert_eq!(api.settled_status().await, before);
}

#[tokio::test]
async fn an_empty_stream_of_items_is_answered_and_a_foreign_namespace_ends_one() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut client = api.catalog.clone();
    let nothing = tokio_stream::iter(Vec::<UpsertItemsRequest>::new());
    let answer = client.upsert_items(nothing).await.unwrap().into_inner();
    assert_eq!(answer, UpsertItemsResponse::default());
    let message = |namespace: &str, id: &str| UpsertItemsRequest {
        namespace: namespace.to_owned(),
        items: vec![item(id)],
        ..Default::default()
    };
    let messages = vec![message("", "x"), message("other", "y")];
    let refused = client.upsert_items(tokio_stream::iter(messages)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["accepted"], "1");
    assert_eq!(list(&api, 0).await.0, ["x"]);
}

#[tokio::test]
async fn items_like_an_item_are_of_its_kind_and_never_itself() {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    api.profile("jazz-fan-1", watermark).await;
    let similar = async |item_id: &str, max_results| {
        let item_id = item_id.to_owned();
        let request = SimilarItemsRequest { item_id, max_results, ..Default::default() };
        api.personalization.clone().similar_items(request).await.map(tonic::Response::into_inner)
    };
    let alike = similar("jazz-04", 5).await.unwrap().items;
    assert_eq!(alike.len(), 5);
    assert!(alike.iter().all(|item| item.item_id.starts_with("jazz")), "{alike:?}");
    assert!(alike.iter().all(|item| item.item_id != "jazz-04"));
    assert!(alike.is_sorted_by(|better, worse| better.score >= worse.score));
    for item in &alike {
        let sum: f64 = item.components.values().sum();
        assert!((sum - item.score).abs() < 1e-6, "{item:?}");
    }
    assert!(similar("jazz-04", 0).await.unwrap().items.len() <= 20);
    assert_eq!(similar("unknown", 5).await.unwrap_err().code(), Code::NotFound);
}
