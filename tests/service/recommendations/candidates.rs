//! What is ranked: given candidates, retrieved ones, and what filters leave of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use personalization::proto::Filters;
use personalization::proto::Item;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::RequestContext;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    (server, api, watermark)
}

fn ids(answer: &PersonalizeResponse) -> Vec<&str> {
    answer.recommendations.iter().map(|item| item.item_id.as_str()).collect()
}

fn sorted_ids(answer: &PersonalizeResponse) -> Vec<&str> {
    let mut ids = ids(answer);
    ids.sort_unstable();
    ids
}

/// All items of the world that a filter leaves.
async fn filtered(api: &Api, min_watermark: u64, filters: Filters) -> PersonalizeResponse {
    let request = greedy("new-user", 100);
    api.personalize(PersonalizeRequest { filters: Some(filters), min_watermark, ..request }).await
}

#[tokio::test]
async fn items_described_in_the_request_are_ranked_and_not_added_to_the_catalogue() {
    let (_server, api, min_watermark) = world().await;
    let candidates = vec![item("inline-1"), item("inline-2"), item("jazz-03")];
    let request = PersonalizeRequest { candidates, min_watermark, ..greedy("new-user", 10) };
    let answer = api.personalize(request).await;
    assert_eq!(sorted_ids(&answer), ["inline-1", "inline-2", "jazz-03"]);
    let inline = answer.recommendations.iter().find(|item| item.item_id == "inline-1").unwrap();
    assert_eq!(inline.title, "Title of inline-1");
    assert_eq!(api.settled_status().await.items, 40);
    let all = filtered(&api, 0, Filters::default()).await;
    assert!(!ids(&all).contains(&"inline-1"));
}

#[tokio::test]
async fn ids_of_the_catalogue_are_ranked_and_unknown_ones_are_named_in_their_order() {
    let (_server, api, min_watermark) = world().await;
    let candidate_ids = strings(["nobody-2", "metal-05", "jazz-05", "nobody-1"]);
    let request = PersonalizeRequest { candidate_ids, min_watermark, ..greedy("new-user", 10) };
    let answer = api.personalize(request).await;
    assert_eq!(sorted_ids(&answer), ["jazz-05", "metal-05"]);
    assert_eq!(answer.unknown_candidate_ids, ["nobody-2", "nobody-1"]);
}

#[tokio::test]
async fn described_items_and_ids_go_together_and_no_item_takes_two_positions() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest {
        candidates: vec![item("inline-1"), item("inline-1"), item("jazz-05")],
        candidate_ids: strings(["jazz-05", "jazz-06", "jazz-06"]),
        min_watermark,
        ..greedy("new-user", 10)
    };
    assert_eq!(sorted_ids(&api.personalize(request).await), ["inline-1", "jazz-05", "jazz-06"]);
}

#[tokio::test]
async fn without_candidates_the_whole_catalogue_is_searched() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("new-user", 100) };
    assert_eq!(api.personalize(request).await.recommendations.len(), 40);
    let default = PersonalizeRequest { user_id: "new-user".to_owned(), ..Default::default() };
    assert_eq!(api.personalize(default).await.recommendations.len(), 20);
}

#[tokio::test]
async fn described_and_named_candidates_and_the_catalogue_are_ranked_in_one_list() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest {
        candidates: vec![item("inline-1"), Item { title: "Mine".to_owned(), ..item("jazz-05") }],
        candidate_ids: strings(["jazz-06", "nobody"]),
        retrieve: true,
        min_watermark,
        ..greedy("new-user", 100)
    };
    let answer = api.personalize(request.clone()).await;
    assert_eq!(answer.recommendations.len(), 41, "40 of the catalogue and one of the request");
    assert_eq!(ids(&answer).iter().collect::<BTreeSet<_>>().len(), 41);
    let title = |id: &str| {
        let found = answer.recommendations.iter().find(|item| item.item_id == id);
        found.expect("it is there").title.clone()
    };
    assert_eq!(title("inline-1"), "Title of inline-1");
    assert_eq!(title("jazz-05"), "Mine", "the request's own description counts");
    assert_eq!(answer.unknown_candidate_ids, ["nobody"]);
    let filters = Filters { topics: strings(["jazz"]), ..Filters::default() };
    let jazz = PersonalizeRequest { filters: Some(filters), ..request };
    let jazz = api.personalize(jazz).await;
    assert_eq!(jazz.recommendations.len(), 19, "a description without topics is not jazz");
    assert!(!ids(&jazz).contains(&"jazz-05"));
}

#[tokio::test]
async fn an_empty_catalogue_gives_an_empty_answer_that_is_no_decision() {
    let server = Server::start().await;
    let api = server.api().await;
    let answer = api.personalize(greedy("new-user", 10)).await;
    assert!(answer.recommendations.is_empty() && answer.decision_id.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn topics_and_sources_leave_the_items_that_have_one_of_them() {
    let (_server, api, watermark) = world().await;
    let topics = Filters { topics: strings(["jazz", "opera"]), ..Filters::default() };
    let jazz = filtered(&api, watermark, topics).await;
    assert_eq!(jazz.recommendations.len(), 20);
    assert!(ids(&jazz).iter().all(|id| id.starts_with("jazz")));
    let sources = Filters { sources: strings(["iron"]), ..Filters::default() };
    let metal = filtered(&api, watermark, sources).await;
    assert_eq!(metal.recommendations.len(), 20);
    assert!(ids(&metal).iter().all(|id| id.starts_with("metal")));
    let neither = Filters { sources: strings(["nobody"]), ..Filters::default() };
    assert!(filtered(&api, watermark, neither).await.recommendations.is_empty());
}

#[tokio::test]
async fn attributes_leave_the_items_that_equal_every_one_of_them() {
    let (_server, api, watermark) = world().await;
    let attributes = structure([("parity", text("even"))]);
    let even = filtered(&api, watermark, Filters { attributes, ..Filters::default() }).await;
    assert_eq!(even.recommendations.len(), 20);
    assert!(ids(&even).iter().all(|id| id.ends_with(['0', '2', '4', '6', '8'])));
    let attributes = structure([("parity", text("even")), ("color", text("red"))]);
    let none = filtered(&api, watermark, Filters { attributes, ..Filters::default() }).await;
    assert!(none.recommendations.is_empty());
}

#[tokio::test]
async fn a_time_of_publication_leaves_what_appeared_after_it() {
    let (_server, api, watermark) = world().await;
    api.upsert(vec![item("of-unknown-time")]).await;
    let published_after = Some(now_plus(-3 * 86_400));
    let recent = filtered(&api, watermark, Filters { published_after, ..Filters::default() }).await;
    let expected = ["jazz-00", "jazz-01", "jazz-02", "metal-00", "metal-01", "metal-02"];
    assert_eq!(sorted_ids(&recent), expected);
}

#[tokio::test]
async fn left_out_ids_are_left_out_of_candidates_and_of_the_catalogue() {
    let (_server, api, watermark) = world().await;
    let exclude_item_ids = strings(["metal-00", "jazz-01", "unheard-of"]);
    let filters = Filters { exclude_item_ids, ..Filters::default() };
    let rest = filtered(&api, watermark, filters.clone()).await;
    assert_eq!(rest.recommendations.len(), 38);
    assert!(!ids(&rest).contains(&"metal-00") && !ids(&rest).contains(&"jazz-01"));
    let request = PersonalizeRequest {
        candidate_ids: strings(["metal-00", "metal-01"]),
        filters: Some(filters),
        ..greedy("new-user", 10)
    };
    assert_eq!(ids(&api.personalize(request).await), ["metal-01"]);
}

#[tokio::test]
async fn what_a_user_had_comes_back_only_on_request() {
    let (_server, api, _) = world().await;
    let watermark = api.record(vec![click("reader", "jazz-07")]).await.last_sequence;
    let request = PersonalizeRequest { min_watermark: watermark, ..greedy("reader", 100) };
    let unseen = api.personalize(request.clone()).await;
    assert_eq!(unseen.recommendations.len(), 39);
    assert!(!ids(&unseen).contains(&"jazz-07"));
    let include_seen = Some(true);
    let filters = Some(Filters { include_seen, ..Filters::default() });
    let all = api.personalize(PersonalizeRequest { filters, ..request }).await;
    assert_eq!(all.recommendations.len(), 40);
}

#[tokio::test]
async fn without_chance_the_same_state_gives_the_same_list() {
    let server = Server::start().await;
    let api = server.api().await;
    let items = (0..400).map(|n| Item {
        item_id: format!("item-{n}"),
        title: format!("number {n}"),
        topics: vec![format!("topic-{}", n % 7)],
        ..Item::default()
    });
    let min_watermark = api.upsert(items.collect()).await.last_sequence;
    let context = RequestContext { timestamp: Some(now_plus(0)), ..RequestContext::default() };
    let request = PersonalizeRequest {
        min_watermark,
        context: Some(context),
        diversity: None,
        ..greedy("reader", 10)
    };
    let mut lists: BTreeMap<u64, BTreeSet<Vec<String>>> = BTreeMap::new();
    let mut answers = 0;
    for _ in 0..10 {
        let ask = || api.personalize(request.clone());
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        for answer in [one, two, three] {
            answers += 1;
            let list = ids(&answer).into_iter().map(str::to_owned).collect();
            lists.entry(answer.watermark).or_default().insert(list);
        }
    }
    assert!(lists.len() < answers, "no state answered twice");
    assert!(lists.values().all(|of_one| of_one.len() == 1), "{lists:?}");
}
