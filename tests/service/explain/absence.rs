//! Why an item is not in an answer, and changes that bring it in.

use personalization::proto::AbsenceCause;
use personalization::proto::Boost;
use personalization::proto::DiversityParams;
use personalization::proto::ExplainAbsenceRequest;
use personalization::proto::ExplainAbsenceResponse;
use personalization::proto::FilterRule;
use personalization::proto::Filters;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::ListRule;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RequestChange;
use personalization::proto::RequestContext;
use personalization::proto::boost;
use personalization::proto::request_change::Change;
use tonic::Code;
use tonic_types::StatusExt;

use super::world;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::now_plus;
use crate::harness::strings;

async fn explain(api: &Api, request: &PersonalizeRequest, item: &str) -> ExplainAbsenceResponse {
    let (request, item_id) = (Some(request.clone()), item.to_owned());
    let request = ExplainAbsenceRequest { request, item_id };
    api.personalization.clone().explain_absence(request).await.expect("an explanation").into_inner()
}

async fn position_of(api: &Api, request: &PersonalizeRequest, item: &str) -> Option<u32> {
    let answer = api.personalize(request.clone()).await;
    let found = answer.recommendations.iter().find(|one| one.item_id == item);
    found.map(|one| one.position)
}

/// The request with the changes made, as a caller would.
fn changed(
    request: &PersonalizeRequest,
    changes: &[RequestChange],
    item: &str,
) -> PersonalizeRequest {
    let mut request = request.clone();
    for change in changes {
        let filters = request.filters.get_or_insert_default();
        let diversity = request.diversity.get_or_insert_default();
        match change.change.as_ref().expect("a change") {
            Change::DropRule(rule) => match FilterRule::try_from(*rule).unwrap() {
                FilterRule::Topics => filters.topics.clear(),
                FilterRule::ExcludeItemIds => filters.exclude_item_ids.retain(|id| id != item),
                FilterRule::Seen => filters.include_seen = Some(true),
                FilterRule::FrequencyCap => request.frequency_cap_per_day = Some(0),
                other => panic!("not used here: {other:?}"),
            },
            Change::MaxResults(positions) => request.max_results = *positions,
            Change::BoostAdd(addend) => request.boosts.push(Boost {
                target: Some(boost::Target::ItemId(item.to_owned())),
                change: Some(boost::Change::Add(*addend)),
            }),
            Change::SwitchOff(rule) => match ListRule::try_from(*rule).unwrap() {
                ListRule::MaxPerTopic => diversity.max_per_topic = Some(0),
                ListRule::DiversityWeight => diversity.diversity_weight = Some(0.0),
                other => panic!("not used here: {other:?}"),
            },
            Change::AddCandidate(_) => request.candidate_ids.push(item.to_owned()),
        }
    }
    request
}

#[tokio::test]
async fn an_item_that_is_there_unknown_or_no_candidate_is_said_to_be_so() {
    let (_server, api, _) = world().await;
    let min_watermark = api.record(vec![click("anna", "ghost")]).await.last_sequence;
    let request = PersonalizeRequest { min_watermark, ..greedy("metal-fan-3", 10) };
    let shown = api.personalize(request.clone()).await.recommendations[4].item_id.clone();
    let present = explain(&api, &request, &shown).await;
    assert_eq!((present.cause(), present.position), (AbsenceCause::Present, Some(4)));
    assert!(present.suggestions.is_empty());
    let unknown = explain(&api, &request, "nobody-knows").await;
    assert_eq!(unknown.cause(), AbsenceCause::UnknownItem);
    let ghost = explain(&api, &request, "ghost").await;
    assert_eq!(ghost.cause(), AbsenceCause::NotInCatalogue);
    assert_eq!(ghost.excluded_by().collect::<Vec<_>>(), [FilterRule::Catalogue]);
    let candidate_ids = strings(["jazz-01", "jazz-02"]);
    let request = PersonalizeRequest { candidate_ids, ..request };
    let other = explain(&api, &request, "jazz-03").await;
    assert_eq!(other.cause(), AbsenceCause::NotACandidate);
    let suggestion = &other.suggestions[0];
    let request = changed(&request, &suggestion.changes, "jazz-03");
    assert_eq!(position_of(&api, &request, "jazz-03").await, Some(suggestion.position));
}

#[tokio::test]
async fn every_rule_that_filters_an_item_is_named_and_dropping_them_brings_it_in() {
    let (_server, api, _) = world().await;
    let min_watermark = api.record(vec![click("anna", "jazz-07")]).await.last_sequence;
    let filters = Filters {
        topics: strings(["metal"]).to_vec(),
        exclude_item_ids: strings(["jazz-07"]),
        ..Filters::default()
    };
    let filters = Some(filters);
    let request = PersonalizeRequest { min_watermark, filters, ..greedy("anna", 40) };
    let answer = explain(&api, &request, "jazz-07").await;
    assert_eq!(answer.cause(), AbsenceCause::Filtered);
    let rules = [FilterRule::Topics, FilterRule::ExcludeItemIds, FilterRule::Seen];
    assert_eq!(answer.excluded_by().collect::<Vec<_>>(), rules);
    assert!(answer.summary.contains("already had it"), "{}", answer.summary);
    let suggestion = &answer.suggestions[0];
    assert_eq!(suggestion.changes.len(), 3, "each of them is needed");
    let request = changed(&request, &suggestion.changes, "jazz-07");
    assert_eq!(position_of(&api, &request, "jazz-07").await, Some(suggestion.position));
}

#[tokio::test]
async fn where_users_come_back_to_items_a_seen_one_is_not_refused_for_it() {
    let server = Server::start().await;
    let api = server.api().await;
    api.upsert(World::items()).await;
    let likes = |hours_ago: i64| -> Vec<Interaction> {
        let like = |user: usize, n: usize| {
            let (id, user) = (format!("{user}/{n}/{hours_ago}"), format!("listener-{user}"));
            Interaction {
                occurred_at: Some(now_plus(-3_600 * hours_ago)),
                ..event(&id, &user, &format!("jazz-{n:02}"), InteractionType::Like)
            }
        };
        (0..40).flat_map(|user| (0..4).map(move |n| like(user, n))).collect()
    };
    let min_watermark = api.record(likes(48)).await.last_sequence;
    let request = PersonalizeRequest { min_watermark, ..greedy("listener-0", 40) };
    let once = explain(&api, &request, "jazz-00").await;
    assert_eq!(once.excluded_by().collect::<Vec<_>>(), [FilterRule::Seen]);

    // From now on half of all positives repeat an earlier one.
    let min_watermark = api.record(likes(24)).await.last_sequence;
    let request = PersonalizeRequest { min_watermark, ..request };
    let again = explain(&api, &request, "jazz-00").await;
    assert_eq!(again.cause(), AbsenceCause::Present, "{}", again.summary);
    assert!(position_of(&api, &request, "jazz-00").await.is_some());
    let filters = Filters { include_seen: Some(false), ..Filters::default() };
    let request = PersonalizeRequest { filters: Some(filters), ..request };
    let never = explain(&api, &request, "jazz-00").await;
    assert_eq!(never.excluded_by().collect::<Vec<_>>(), [FilterRule::Seen]);
}

#[tokio::test]
async fn what_was_shown_too_often_is_held_back_by_the_cap() {
    let (_server, api, min_watermark) = world().await;
    let frequency_cap_per_day = Some(1);
    let request = PersonalizeRequest { min_watermark, frequency_cap_per_day, ..greedy("bert", 5) };
    let shown = api.personalize(request.clone()).await.recommendations[0].item_id.clone();
    let answer = explain(&api, &request, &shown).await;
    assert_eq!(answer.excluded_by().collect::<Vec<_>>(), [FilterRule::FrequencyCap]);
    let request = changed(&request, &answer.suggestions[0].changes, &shown);
    assert_eq!(position_of(&api, &request, &shown).await, Some(answer.suggestions[0].position));
}

#[tokio::test]
async fn an_outranked_item_is_explained_with_its_gap_and_what_would_do() {
    let (_server, api, min_watermark) = world().await;
    // At one moment, so that no score fades between two requests.
    let context = RequestContext { timestamp: Some(now_plus(0)), ..RequestContext::default() };
    let context = Some(context);
    let request = PersonalizeRequest { min_watermark, context, ..greedy("metal-fan-3", 5) };
    let before = api.settled_status().await;
    let answer = explain(&api, &request, "jazz-19").await;
    assert_eq!(explain(&api, &request, "jazz-19").await, answer, "nothing is left to chance");
    assert_eq!(answer.cause(), AbsenceCause::Outranked);
    let candidate_rank = answer.candidate_rank.as_ref().unwrap();
    assert!(candidate_rank.rank >= 5 && candidate_rank.gap > 0.0, "{candidate_rank:?}");
    let sum: f64 = candidate_rank.differences.iter().map(|one| one.difference).sum();
    assert!((sum - candidate_rank.gap).abs() < 1e-9, "{candidate_rank:?}");
    assert!(candidate_rank.differences.is_sorted_by(|a, b| a.difference >= b.difference));
    assert!(answer.sources.iter().any(|source| source.rank.is_some()), "{:?}", answer.sources);
    assert_eq!(api.settled_status().await, before, "nothing was recorded");

    let changes: Vec<&Change> =
        answer.suggestions.iter().map(|one| one.changes[0].change.as_ref().unwrap()).collect();
    assert!(changes.contains(&&Change::MaxResults(candidate_rank.rank + 1)), "{changes:?}");
    assert!(matches!(changes[0], Change::BoostAdd(_)), "one item is displaced: {changes:?}");
    assert!(answer.suggestions.is_sorted_by_key(|one| one.displaced));
    for suggestion in &answer.suggestions {
        let request = changed(&request, &suggestion.changes, "jazz-19");
        assert_eq!(position_of(&api, &request, "jazz-19").await, Some(suggestion.position));
    }
    let Change::BoostAdd(addend) = changes[0] else { unreachable!("it was just looked at") };
    let less = [RequestChange { change: Some(Change::BoostAdd(addend * 0.98)) }];
    let request = changed(&request, &less, "jazz-19");
    assert_eq!(position_of(&api, &request, "jazz-19").await, None, "a smaller boost does not do");
}

#[tokio::test]
async fn an_item_that_a_cap_or_variety_holds_back_is_suppressed_by_it() {
    let (_server, api, min_watermark) = world().await;
    let plain = PersonalizeRequest { min_watermark, ..greedy("metal-fan-3", 10) };
    let by_score = api.personalize(plain.clone()).await.recommendations;
    let capped = DiversityParams {
        enable_diversity: Some(false),
        max_per_topic: Some(3),
        ..DiversityParams::default()
    };
    let varied = DiversityParams {
        topic_diversity_threshold: Some(0.0),
        diversity_weight: Some(0.7),
        ..DiversityParams::default()
    };
    let rules = [(capped, ListRule::MaxPerTopic), (varied, ListRule::DiversityWeight)];
    for (diversity, rule) in rules {
        let request = PersonalizeRequest { diversity: Some(diversity), ..plain.clone() };
        let list = api.personalize(request.clone()).await.recommendations;
        let is_gone = |id: &str| list.iter().all(|shown| shown.item_id != id);
        let gone = by_score.iter().find(|item| is_gone(&item.item_id)).expect("one is held back");
        let answer = explain(&api, &request, &gone.item_id).await;
        assert_eq!(answer.cause(), AbsenceCause::Suppressed, "{answer:?}");
        assert_eq!(answer.candidate_rank.as_ref().unwrap().rank, gone.position);
        let off = RequestChange { change: Some(Change::SwitchOff(rule.into())) };
        assert_eq!(answer.suppressed_by, std::slice::from_ref(&off), "{answer:?}");
        let request = changed(&request, &[off], &gone.item_id);
        assert_eq!(position_of(&api, &request, &gone.item_id).await, Some(gone.position));
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_request_is_named_by_its_path() {
    let (_server, api, _) = world().await;
    let mut client = api.personalization.clone();
    let status = client.explain_absence(ExplainAbsenceRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = &details.bad_request().expect("field violations").field_violations;
    let fields: Vec<&str> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["request.user_id", "item_id"]);
}
