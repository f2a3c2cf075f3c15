//! Items at fixed positions, and scores raised or lowered by rule.

use personalization::proto::Boost;
use personalization::proto::Filters;
use personalization::proto::GetModelMetricsRequest;
use personalization::proto::InteractionType;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Pin;
use personalization::proto::boost::Change;
use personalization::proto::boost::Target;

use super::ids;
use super::world;
use crate::harness::Api;
use crate::harness::click;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::item;
use crate::harness::of_taste;
use crate::harness::strings;

fn pin(item_id: &str, position: u32) -> Pin {
    Pin { item_id: item_id.to_owned(), position }
}

/// Positions of decisions that the ranker has learnt from.
async fn impressions(api: &Api) -> u64 {
    api.settled_status().await;
    let request = GetModelMetricsRequest::default();
    let metrics = api.model.clone().get_model_metrics(request).await.unwrap();
    metrics.into_inner().impressions
}

#[tokio::test]
async fn a_pinned_item_is_exactly_there_though_it_was_seen_and_is_no_candidate() {
    let (_server, api, _) = world().await;
    let min_watermark = api.record(vec![click("anna", "metal-07")]).await.last_sequence;
    let pins = vec![pin("metal-07", 3), pin("jazz-19", 0), pin("unheard-of", 1)];
    let request = PersonalizeRequest { pins, min_watermark, explain: true, ..greedy("anna", 6) };
    let answer = api.personalize(request.clone()).await;
    assert_eq!(answer.recommendations.len(), 6);
    assert_eq!((ids(&answer)[0], ids(&answer)[3]), ("jazz-19", "metal-07"));
    let pinned = &answer.recommendations[3];
    assert_eq!((pinned.propensity, pinned.position), (1.0, 3));
    assert_eq!(pinned.reasons, ["selected for you"]);
    let candidate_ids = strings(["jazz-01", "jazz-02"]);
    let given = api.personalize(PersonalizeRequest { candidate_ids, ..request.clone() }).await;
    assert_eq!(ids(&given)[0], "jazz-19");
    assert_eq!(ids(&given)[3], "metal-07");
    let inline = PersonalizeRequest {
        candidates: vec![item("inline"), item("other")],
        pins: vec![pin("inline", 1)],
        ..request
    };
    assert_eq!(ids(&api.personalize(inline).await), ["other", "inline"]);
}

#[tokio::test]
async fn filters_hold_for_pinned_items_too() {
    let (_server, api, min_watermark) = world().await;
    let filters = Filters { expression: "source = 'blue'".to_owned(), ..Filters::default() };
    let pins = vec![pin("metal-01", 0), pin("jazz-07", 1)];
    let filters = Some(filters);
    let request = PersonalizeRequest { pins, filters, min_watermark, ..greedy("anna", 5) };
    let answer = api.personalize(request).await;
    assert!(!ids(&answer).contains(&"metal-01"));
    assert_eq!(ids(&answer)[1], "jazz-07");
}

#[tokio::test]
async fn the_ranker_does_not_learn_from_a_pin_as_from_a_choice_of_its_own() {
    let (_server, api, min_watermark) = world().await;
    let learnt = async |pins: Vec<Pin>, user: &str| {
        let request = PersonalizeRequest { pins, min_watermark, ..greedy(user, 3) };
        let answer = api.personalize(request).await;
        let item_id = answer.recommendations[0].item_id.clone();
        let before = impressions(&api).await;
        let click = event(&format!("c/{user}"), user, &item_id, InteractionType::Click);
        let decision_id = answer.decision_id;
        api.record(vec![personalization::proto::Interaction { decision_id, ..click }]).await;
        impressions(&api).await - before
    };
    assert_eq!(learnt(vec![pin("jazz-03", 0)], "anna").await, 0);
    assert_eq!(learnt(Vec::new(), "bert").await, 1);
}

#[tokio::test]
async fn boosts_change_the_order_and_are_a_component_of_the_score() {
    let (_server, api, min_watermark) = world().await;
    let boost = |target, change| Boost { target: Some(target), change: Some(change) };
    let request =
        |boosts| PersonalizeRequest { boosts, min_watermark, ..greedy("metal-fan-3", 10) };
    assert_eq!(of_taste("metal", &api.personalize(request(Vec::new())).await), 10);
    for target in [
        Target::Topic("jazz".to_owned()),
        Target::Source("blue".to_owned()),
        Target::Expression("source = 'blue' and not has(price)".to_owned()),
    ] {
        let answer = api.personalize(request(vec![boost(target, Change::Add(0.5))])).await;
        assert_eq!(of_taste("jazz", &answer), 10);
        for item in &answer.recommendations {
            assert_eq!(item.components["boost"], 0.5);
            let sum: f64 = item.components.values().sum();
            assert!((sum - item.score).abs() < 1e-6);
        }
    }
    let one = boost(Target::ItemId("jazz-11".to_owned()), Change::Multiply(1_000.0));
    assert_eq!(ids(&api.personalize(request(vec![one])).await)[0], "jazz-11");
    let none = boost(Target::Topic("metal".to_owned()), Change::Add(-1.0));
    assert_eq!(of_taste("jazz", &api.personalize(request(vec![none])).await), 10);
}
