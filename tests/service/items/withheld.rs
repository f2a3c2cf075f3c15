//! Hidden and expired items come by no call that shows items, and by all that manage them.

use personalization::proto::AbsenceCause;
use personalization::proto::ExplainAbsenceRequest;
use personalization::proto::FilterRule;
use personalization::proto::Item;
use personalization::proto::ListItemsRequest;
use personalization::proto::OnboardingItemsRequest;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Pin;
use personalization::proto::RequestContext;
use personalization::proto::SimilarItemsRequest;

use super::change;
use super::get;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::now_plus;
use crate::harness::strings;

const WITHHELD: [&str; 2] = ["metal-00", "metal-01"];

/// The world of two tastes, where the item that all like is hidden and another has expired.
async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let hidden = Item { hidden: true, ..item("metal-00") };
    change(&api, vec![hidden], &["hidden"]).await.unwrap();
    let expired = Item { expires_at: Some(now_plus(-60)), ..item("metal-01") };
    let last = change(&api, vec![expired], &["expires_at"]).await.unwrap().last_sequence;
    (server, api, last)
}

#[tokio::test]
async fn a_withheld_item_comes_by_no_call_and_is_kept() {
    let (_server, api, min_watermark) = world().await;
    let ask = |n| PersonalizeRequest { min_watermark, ..greedy("metal-fan-3", n) };
    let pins = vec![Pin { item_id: "metal-00".to_owned(), position: 0 }];
    let ids = || strings(["metal-00", "metal-01", "metal-02"]);
    let described = || Item { hidden: true, ..item("inline") };
    let again = || vec![item("metal-00"), item("metal-01"), item("other")];
    let pins_of_again = WITHHELD.iter().zip(0..);
    let pins_of_again =
        pins_of_again.map(|(id, position)| Pin { item_id: (*id).to_owned(), position }).collect();
    let requests = [
        ask(100),
        PersonalizeRequest { candidate_ids: ids(), ..ask(10) },
        PersonalizeRequest { pins, ..ask(10) },
        PersonalizeRequest { baseline_item_ids: ids(), ..ask(10) },
        PersonalizeRequest { baseline_popular: true, ..ask(100) },
        PersonalizeRequest { candidates: vec![described(), item("other")], ..ask(10) },
        PersonalizeRequest { candidates: again(), ..ask(10) },
        PersonalizeRequest { candidates: again(), retrieve: true, ..ask(100) },
        PersonalizeRequest { candidates: again(), pins: pins_of_again, ..ask(10) },
        PersonalizeRequest { candidates: again(), baseline_item_ids: ids(), ..ask(10) },
    ];
    for request in requests {
        let answer = api.personalize(request).await;
        let shown: Vec<_> = answer.recommendations.iter().map(|one| &*one.item_id).collect();
        assert!(!shown.is_empty());
        assert!(!shown.iter().any(|id| WITHHELD.contains(id) || *id == "inline"), "{shown:?}");
        assert!(answer.unknown_candidate_ids.is_empty(), "they are known");
    }
    let similar = async |id: &str| {
        let request =
            SimilarItemsRequest { item_id: id.to_owned(), max_results: 100, ..Default::default() };
        api.personalization.clone().similar_items(request).await.unwrap().into_inner().items
    };
    assert!(similar("metal-02").await.iter().all(|one| !WITHHELD.contains(&&*one.item_id)));
    assert!(similar("metal-00").await[0].item_id.starts_with("metal"));
    let request = OnboardingItemsRequest { max_results: 50, min_watermark, ..Default::default() };
    let asked = api.personalization.clone().onboarding_items(request).await.unwrap().into_inner();
    assert!(asked.items.iter().all(|one| !WITHHELD.contains(&&*one.item_id)));
    assert!(get(&api, "metal-00").await.hidden);
    let listed = api.catalog.clone().list_items(ListItemsRequest::default()).await.unwrap();
    assert_eq!(listed.into_inner().total_size, 40);
}

#[tokio::test]
async fn an_absence_is_explained_by_what_withholds_the_item_and_nothing_is_suggested() {
    let (_server, api, min_watermark) = world().await;
    let explain = async |id: &str, candidates: Vec<Item>| {
        let request = greedy("new-user", 5);
        let request = Some(PersonalizeRequest { min_watermark, candidates, ..request });
        let request = ExplainAbsenceRequest { request, item_id: id.to_owned() };
        api.personalization.clone().explain_absence(request).await.unwrap().into_inner()
    };
    for (id, rule, words) in [
        ("metal-00", FilterRule::HiddenItem, "hidden"),
        ("metal-01", FilterRule::Expired, "expired"),
    ] {
        for described in [vec![], vec![item(id)]] {
            let absence = explain(id, described).await;
            assert_eq!(absence.cause(), AbsenceCause::Filtered);
            assert_eq!(absence.excluded_by().collect::<Vec<_>>(), [rule]);
            assert!(absence.suggestions.is_empty(), "{absence:?}");
            assert!(absence.summary.contains(words), "{absence:?}");
        }
    }
}

#[tokio::test]
async fn the_time_of_the_request_decides_and_an_item_shown_again_has_kept_its_place() {
    let (_server, api, min_watermark) = world().await;
    let at = |seconds| {
        let context = RequestContext { timestamp: Some(now_plus(seconds)), ..Default::default() };
        PersonalizeRequest { context: Some(context), min_watermark, ..greedy("new-user", 40) }
    };
    let has = async |request, id: &str| {
        api.personalize(request).await.recommendations.iter().any(|one| one.item_id == id)
    };
    assert!(has(at(-120), "metal-01").await && !has(at(0), "metal-01").await);
    let shown = change(&api, vec![item("metal-00")], &["hidden"]).await.unwrap().last_sequence;
    let request = PersonalizeRequest { min_watermark: shown, ..greedy("new-user", 3) };
    assert_eq!(api.personalize(request).await.recommendations[0].item_id, "metal-00");
}
