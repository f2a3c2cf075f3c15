//! UpsertItems and BatchUpsertItems with an update mask.

use personalization::proto::Item;
use personalization::proto::LocalizedText;
use personalization::proto::UpsertItemsRequest;
use prost_types::value::Kind;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use super::change;
use super::change_after;
use super::get;
use super::mask;
use crate::harness::Server;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

fn full(id: &str) -> Item {
    Item {
        content: "A text".to_owned(),
        topics: strings(["jazz", "sea"]),
        source: "press".to_owned(),
        published_at: Some(now_plus(-1_000)),
        attributes: structure([("color", text("blue")), ("size", text("L"))]),
        localized: [("de".to_owned(), german("Titel"))].into(),
        ..item(id)
    }
}

fn german(title: &str) -> LocalizedText {
    LocalizedText { title: title.to_owned(), content: String::new() }
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let bad = details.bad_request().expect("a BadRequest");
    bad.field_violations.iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test]
async fn what_the_mask_names_changes_and_the_rest_stays() {
    let server = Server::start().await;
    let api = server.api().await;
    let before = full("a");
    api.upsert(vec![before.clone(), full("b")]).await;
    let changed = Item {
        title: "New".to_owned(),
        source: "not read".to_owned(),
        attributes: structure([("color", text("red"))]),
        localized: [("fr".to_owned(), german("Titre"))].into(),
        ..item("a")
    };
    let paths = ["title", "attributes.color", "attributes.none", "localized.fr", "localized.de"];
    let misspelt = Item { attributes: structure([("colour", text("red"))]), ..item("b") };
    let items = vec![changed, item("unknown"), misspelt];
    let answer = change(&api, items, &paths).await.unwrap();
    assert_eq!((answer.received, answer.accepted, answer.rejected), (3, 1, 2));
    let rejected = answer.rejections.iter();
    let rejected = rejected.map(|one| (one.index, &*one.id, &*one.violations[0].field));
    let expected = [(1, "unknown", "item_id"), (2, "b", "attributes[\"colour\"]")];
    assert_eq!(rejected.collect::<Vec<_>>(), expected);
    let expected = Item {
        title: "New".to_owned(),
        attributes: structure([("color", text("red")), ("size", text("L"))]),
        localized: [("fr".to_owned(), german("Titre"))].into(),
        ..before
    };
    assert_eq!(get(&api, "a").await, expected);
    let all = Item { title: "Bare".to_owned(), ..item("b") };
    change(&api, vec![all.clone()], &["*"]).await.unwrap();
    assert_eq!(get(&api, "b").await, all);
}

#[tokio::test]
async fn paths_that_name_nothing_and_masks_that_differ_end_the_call() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert(vec![full("a")]).await;
    let refused = change(&api, vec![item("a")], &["title", "item_id", "price"]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(fields(&refused), ["update_mask.paths[1]", "update_mask.paths[2]"]);
    let before = get(&api, "a").await;
    let refused = change(&api, vec![item("a")], &[]).await.unwrap_err();
    assert_eq!(
        (refused.code(), fields(&refused)),
        (Code::InvalidArgument, strings(["update_mask"]))
    );
    assert_eq!(get(&api, "a").await, before, "nothing of it is erased");
    let message = |title: &str, paths: Option<&[&str]>| UpsertItemsRequest {
        items: vec![Item { title: title.to_owned(), ..item("a") }],
        update_mask: paths.and_then(mask),
        ..Default::default()
    };
    let stream = async |messages: Vec<UpsertItemsRequest>| {
        api.catalog.clone().upsert_items(tokio_stream::iter(messages)).await
    };
    let same = vec![
        message("one", Some(&["title"])),
        message("two", None),
        message("three", Some(&["title"])),
    ];
    assert_eq!(stream(same).await.unwrap().into_inner().accepted, 3);
    assert_eq!(get(&api, "a").await, Item { title: "three".to_owned(), ..get(&api, "a").await });
    assert_eq!(get(&api, "a").await.source, "press");
    for other in [Some(&["title", "content"][..]), Some(&[])] {
        let refused = stream(vec![message("four", Some(&["title"])), message("five", other)]).await;
        assert_eq!(fields(&refused.unwrap_err()), ["update_mask"]);
    }
    let refused = stream(vec![message("six", None), message("seven", Some(&["title"]))]).await;
    assert_eq!(fields(&refused.unwrap_err()), ["update_mask"]);
}

#[tokio::test]
async fn bounds_of_the_whole_item_are_told_in_its_place() {
    let server = Server::start().await;
    let api = server.api().await;
    let names: Vec<String> = (0..64).map(|n| format!("a{n}")).collect();
    let number = || prost_types::Value { kind: Some(Kind::NumberValue(1.0)) };
    let fields = names.iter().map(|name| (name.clone(), number())).collect();
    let crowded = Item { attributes: Some(prost_types::Struct { fields }), ..full("crowded") };
    let last = api.upsert(vec![crowded, full("a")]).await.last_sequence;
    let one_more = |id: &str| Item { attributes: structure([("b", text("x"))]), ..item(id) };
    let items = vec![one_more("crowded"), one_more("a")];
    let answer = change_after(&api, items, &["attributes.b"], last).await.unwrap();
    assert_eq!((answer.accepted, answer.rejected), (1, 1));
    assert_eq!(answer.rejections[0].violations[0].field, "attributes");
    let early = Item { expires_at: Some(now_plus(-2_000)), ..item("a") };
    let answer = change(&api, vec![early], &["expires_at"]).await.unwrap();
    assert_eq!(answer.rejections[0].violations[0].field, "expires_at");
    let exchanged = Item { attributes: structure([("b", text("x"))]), ..item("crowded") };
    let answer = change(&api, vec![exchanged], &["attributes.b", "attributes.a7"]).await.unwrap();
    assert_eq!(answer.accepted, 1);
}

#[tokio::test]
async fn a_changed_item_is_the_same_after_a_restart() {
    let mut server = Server::start().await;
    let api = server.api().await;
    api.upsert(vec![full("a")]).await;
    change(&api, vec![Item { hidden: true, ..item("a") }], &["hidden"]).await.unwrap();
    let (item, digest) = (get(&api, "a").await, api.settled_status().await.state_digest);
    server.restart().await;
    let api = server.api().await;
    assert_eq!((get(&api, "a").await, api.settled_status().await.state_digest), (item, digest));
}
