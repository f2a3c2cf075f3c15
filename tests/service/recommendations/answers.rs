//! What an answer holds: positions, scores, propensities, variety, reasons.

use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use personalization::proto::DiversityParams;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Strategy;
use tonic::Code;
use tonic::Request;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::greedy;
use crate::harness::of_taste;

async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    (server, api, watermark)
}

fn assert_well_formed(answer: &PersonalizeResponse) {
    for (position, item) in answer.recommendations.iter().enumerate() {
        assert_eq!(item.position as usize, position);
        let sum: f64 = item.components.values().sum();
        assert!((sum - item.score).abs() < 1e-6, "{} is not {sum}", item.score);
        assert!(item.score.is_finite());
        assert!(item.propensity > 0.0 && item.propensity <= 1.0, "{}", item.propensity);
    }
    let distinct: BTreeSet<_> = answer.recommendations.iter().map(|item| &item.item_id).collect();
    assert_eq!(distinct.len(), answer.recommendations.len());
    assert!(answer.degraded.is_empty(), "{:?}", answer.degraded);
}

fn varied(diversity: DiversityParams) -> PersonalizeRequest {
    PersonalizeRequest { diversity: Some(diversity), ..greedy("metal-fan-3", 10) }
}

#[tokio::test]
async fn components_add_up_to_scores_and_positions_and_propensities_are_sound() {
    let (_server, api, min_watermark) = world().await;
    for user_id in ["jazz-fan-1", "metal-fan-2", "never seen before"] {
        for strategy in [Strategy::Greedy, Strategy::EpsilonGreedy] {
            let answer = api
                .personalize(PersonalizeRequest {
                    user_id: user_id.to_owned(),
                    strategy: strategy.into(),
                    min_watermark,
                    ..PersonalizeRequest::default()
                })
                .await;
            assert_eq!(answer.strategy(), strategy);
            assert_eq!(answer.recommendations.len(), 20);
            assert!(answer.watermark >= min_watermark);
            assert_well_formed(&answer);
        }
    }
}

#[tokio::test]
async fn greedy_is_certain_of_its_choice_and_epsilon_greedy_is_not() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("jazz-fan-1", 20) };
    let certain = api.personalize(request.clone()).await;
    assert!(certain.recommendations.iter().all(|item| item.propensity == 1.0));
    let scores: Vec<f64> = certain.recommendations.iter().map(|item| item.score).collect();
    assert!(scores.is_sorted_by(|better, worse| better >= worse), "{scores:?}");
    let again = api.personalize(request.clone()).await;
    let order = |answer: &PersonalizeResponse| -> Vec<String> {
        answer.recommendations.iter().map(|item| item.item_id.clone()).collect()
    };
    assert_eq!(order(&certain), order(&again));
    let strategy = Strategy::EpsilonGreedy.into();
    let exploring = api.personalize(PersonalizeRequest { strategy, ..request }).await;
    assert!(exploring.recommendations.iter().all(|item| item.propensity < 1.0));
}

#[tokio::test]
async fn an_answer_is_as_long_as_was_asked_for() {
    let (_server, api, min_watermark) = world().await;
    for positions in [1, 7, 40] {
        let request = PersonalizeRequest { min_watermark, ..greedy("new-user", positions) };
        assert_eq!(api.personalize(request).await.recommendations.len(), positions as usize);
    }
    let request = PersonalizeRequest { min_watermark, ..greedy("new-user", 500) };
    assert_eq!(api.personalize(request).await.recommendations.len(), 40);
}

#[tokio::test]
async fn a_topic_or_a_source_takes_no_more_positions_than_its_threshold_leaves() {
    let (_server, api, min_watermark) = world().await;
    let uncapped = PersonalizeRequest { min_watermark, ..greedy("metal-fan-3", 10) };
    let metal = of_taste("metal", &api.personalize(uncapped).await);
    assert!(metal > 7, "a fan of metal gets metal, not {metal} of 10");
    let none = DiversityParams {
        topic_diversity_threshold: Some(0.0),
        diversity_weight: Some(0.0),
        ..DiversityParams::default()
    };
    for (threshold, most) in [(0.3, 7), (0.5, 5), (0.9, 1)] {
        let by_topic = DiversityParams { topic_diversity_threshold: Some(threshold), ..none };
        let by_source = DiversityParams { source_diversity_threshold: Some(threshold), ..none };
        for diversity in [by_topic, by_source] {
            let answer = api.personalize(varied(diversity)).await;
            // With two topics only, positions that the caps leave free are filled all the same.
            let best = &answer.recommendations[..(2 * most).min(10)];
            let metal = best.iter().filter(|item| item.item_id.starts_with("metal")).count();
            assert_eq!(metal, most, "{threshold}");
            assert_eq!(answer.recommendations.len(), 10);
        }
    }
}

#[tokio::test]
async fn thresholds_are_not_used_with_variety_off() {
    let (_server, api, min_watermark) = world().await;
    let off = DiversityParams {
        enable_diversity: Some(false),
        topic_diversity_threshold: Some(0.9),
        source_diversity_threshold: Some(0.9),
        diversity_weight: Some(1.0),
        ..DiversityParams::default()
    };
    let plain = PersonalizeRequest { min_watermark, ..greedy("metal-fan-3", 10) };
    let ids = |answer: PersonalizeResponse| -> Vec<String> {
        answer.recommendations.into_iter().map(|item| item.item_id).collect()
    };
    let plain = ids(api.personalize(plain).await);
    assert_eq!(ids(api.personalize(varied(off)).await), plain);
}

#[tokio::test]
async fn reasons_are_given_when_asked_for() {
    let (_server, api, _) = world().await;
    let liked = vec![click("reader", "jazz-03"), click("reader", "jazz-06")];
    let min_watermark = api.record(liked).await.last_sequence;
    let request = PersonalizeRequest { min_watermark, ..greedy("reader", 5) };
    let plain = api.personalize(request.clone()).await;
    assert!(plain.recommendations.iter().all(|item| item.reasons.is_empty()));
    let explained = api.personalize(PersonalizeRequest { explain: true, ..request }).await;
    let first = &explained.recommendations[0];
    assert!(!first.reasons.is_empty(), "{first:?}");
    assert!(first.reasons.iter().all(|reason| !reason.trim().is_empty()));
}

#[tokio::test]
async fn every_decision_has_an_id_of_its_own() {
    let (_server, api, _) = world().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let api = api.clone();
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..50 {
                ids.push(api.personalize(greedy("new-user", 2)).await.decision_id);
            }
            ids
        });
    }
    let ids: Vec<String> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (400, 400));
}

#[tokio::test]
async fn a_watermark_that_is_never_reached_ends_at_the_deadline() {
    let (_server, api, _) = world().await;
    let far = PersonalizeRequest { min_watermark: u64::MAX, ..greedy("new-user", 5) };
    let mut request = Request::new(far);
    request.set_timeout(Duration::from_millis(500));
    let started = Instant::now();
    let refused = api.personalization.clone().personalize(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_well_formed(&api.personalize(greedy("new-user", 5)).await);
}
