//! What may be shown again, how often and when.

use personalization::proto::CreateNamespaceRequest;
use personalization::proto::Filters;
use personalization::proto::InteractionType;
use personalization::proto::NamespaceSettings;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RequestContext;

use super::ids;
use super::world;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::now_plus;

#[tokio::test]
async fn an_item_is_shown_no_more_often_than_its_cap_by_the_very_next_request() {
    let (_server, api, min_watermark) = world().await;
    let request = |frequency_cap_per_day| PersonalizeRequest {
        frequency_cap_per_day,
        min_watermark,
        ..greedy("anna", 10)
    };
    let mut shown = std::collections::BTreeMap::<String, u32>::new();
    // 40 items twice are 8 pages of 10, asked for without a pause.
    for _page in 0..8 {
        let answer = api.personalize(request(Some(2))).await;
        assert_eq!(answer.recommendations.len(), 10);
        ids(&answer).iter().for_each(|id| *shown.entry((*id).to_owned()).or_default() += 1);
    }
    assert!(shown.values().all(|&times| times == 2), "{shown:?}");
    assert!(api.personalize(request(Some(2))).await.recommendations.is_empty());
    api.settled_status().await;
    assert!(api.personalize(request(Some(2))).await.recommendations.is_empty());
    assert_eq!(api.personalize(request(None)).await.recommendations.len(), 10);
    let tomorrow = PersonalizeRequest {
        context: Some(RequestContext {
            timestamp: Some(now_plus(86_400 - 5)),
            ..RequestContext::default()
        }),
        ..request(Some(4))
    };
    assert_eq!(api.personalize(tomorrow).await.recommendations.len(), 10);
}

#[tokio::test]
async fn shown_items_are_counted_again_after_a_restart_and_impressions_without_a_decision_count() {
    let (mut server, api, min_watermark) = world().await;
    let capped =
        |user: &str| PersonalizeRequest { frequency_cap_per_day: Some(1), ..greedy(user, 30) };
    let first = api.personalize(PersonalizeRequest { min_watermark, ..capped("anna") }).await;
    assert_eq!(first.recommendations.len(), 30);
    let impression = event("e1", "bert", "jazz-05", InteractionType::Impression);
    let min_watermark = api.record(vec![impression]).await.last_sequence;
    api.settled_status().await;
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    let second = api.personalize(PersonalizeRequest { min_watermark, ..capped("anna") }).await;
    assert_eq!(second.recommendations.len(), 10);
    assert!(ids(&second).iter().all(|id| !ids(&first).contains(id)));
    let other = api.personalize(PersonalizeRequest { ..capped("bert") }).await;
    assert!(!ids(&other).contains(&"jazz-05"));
}

#[tokio::test]
async fn a_cap_is_a_setting_of_a_namespace_that_a_request_overrides() {
    let server = Server::start().await;
    let api = server.api().await.within("capped");
    let settings =
        NamespaceSettings { frequency_cap_per_day: Some(1), ..NamespaceSettings::default() };
    let create =
        CreateNamespaceRequest { namespace: "capped".to_owned(), settings: Some(settings) };
    let made = api.admin.clone().create_namespace(create).await.unwrap().into_inner();
    let settings = made.namespace_info.unwrap().settings.unwrap();
    assert_eq!(settings.frequency_cap_per_day, Some(1));
    let min_watermark = World::fill(&api).await;
    let request = PersonalizeRequest { min_watermark, ..greedy("anna", 40) };
    assert_eq!(api.personalize(request.clone()).await.recommendations.len(), 40);
    assert!(api.personalize(request.clone()).await.recommendations.is_empty());
    let free = PersonalizeRequest { frequency_cap_per_day: Some(0), ..request };
    assert_eq!(api.personalize(free).await.recommendations.len(), 40);
}

#[tokio::test]
async fn what_was_seen_comes_back_after_its_hours_and_until_it_was_had_often_enough() {
    let (_server, api, _) = world().await;
    let at = |id: &str, item: &str, seconds: i64| personalization::proto::Interaction {
        occurred_at: Some(now_plus(seconds)),
        ..event(id, "anna", item, InteractionType::Click)
    };
    let min_watermark = api
        .record(vec![
            at("1", "jazz-01", -3 * 3_600),
            at("2", "jazz-02", -3_600),
            at("3", "jazz-03", -33 * 3_600),
            at("4", "jazz-03", -8 * 3_600),
        ])
        .await
        .last_sequence;
    let missing = async |filters: Filters| {
        let filters = Some(filters);
        let request = PersonalizeRequest { filters, min_watermark, ..greedy("anna", 100) };
        let answer = api.personalize(request).await;
        let all = ["jazz-01", "jazz-02", "jazz-03"];
        all.into_iter().filter(|id| !ids(&answer).contains(id)).collect::<Vec<_>>()
    };
    assert_eq!(missing(Filters::default()).await.len(), 3);
    let seen_cooldown = Some(prost_types::Duration { seconds: 7_200, nanos: 0 });
    let two_hours = Filters { seen_cooldown, ..Filters::default() };
    assert_eq!(missing(two_hours).await, ["jazz-02"]);
    let twice = Filters { seen_after_sessions: Some(2), ..Filters::default() };
    assert_eq!(missing(twice).await, ["jazz-03"]);
    let never = Filters { include_seen: Some(false), seen_cooldown, ..Filters::default() };
    assert_eq!(missing(never).await.len(), 3);
}
