//! Methods of variety, their weights, and absolute caps.

use personalization::proto::DiversityMethod;
use personalization::proto::DiversityParams;
use personalization::proto::PersonalizeRequest;

use super::world;
use crate::harness::greedy;
use crate::harness::of_taste;

fn varied(diversity: DiversityParams) -> PersonalizeRequest {
    PersonalizeRequest { diversity: Some(diversity), ..greedy("metal-fan-3", 10) }
}

#[tokio::test]
async fn every_method_brings_in_the_other_taste_and_calibration_keeps_to_the_users_own() {
    let (_server, api, min_watermark) = world().await;
    let jazz = async |method: DiversityMethod, diversity_weight: f64| {
        let diversity = DiversityParams {
            topic_diversity_threshold: Some(0.0),
            method: method.into(),
            diversity_weight: Some(diversity_weight),
            ..DiversityParams::default()
        };
        let request = PersonalizeRequest { min_watermark, ..varied(diversity) };
        of_taste("jazz", &api.personalize(request).await)
    };
    assert_eq!(jazz(DiversityMethod::None, 0.7).await, 0);
    assert!(jazz(DiversityMethod::Dpp, 0.7).await > 0);
    assert_eq!(jazz(DiversityMethod::Calibrated, 0.7).await, 0);
}

#[tokio::test]
async fn serendipity_prefers_what_is_unlike_the_past_and_novelty_what_few_know() {
    let (_server, api, min_watermark) = world().await;
    let answer = async |serendipity_weight: f64, novelty_weight: f64| {
        let diversity = DiversityParams {
            topic_diversity_threshold: Some(0.0),
            diversity_weight: Some(0.0),
            serendipity_weight: Some(serendipity_weight),
            novelty_weight: Some(novelty_weight),
            ..DiversityParams::default()
        };
        api.personalize(PersonalizeRequest { min_watermark, ..varied(diversity) }).await
    };
    let plain = answer(0.0, 0.0).await;
    assert_eq!(of_taste("jazz", &plain), 0);
    assert!(of_taste("jazz", &answer(1.0, 0.0).await) > 0);
    // All users like `metal-00`: with novelty alone it is the last of all 40.
    let position = async |novelty_weight: f64| {
        let mut request = greedy("new-user", 40);
        let diversity = request.diversity.as_mut().unwrap();
        diversity.enable_diversity = None;
        diversity.topic_diversity_threshold = Some(0.0);
        diversity.diversity_weight = Some(0.0);
        diversity.novelty_weight = Some(novelty_weight);
        let answer = api.personalize(PersonalizeRequest { min_watermark, ..request }).await;
        answer.recommendations.iter().position(|item| item.item_id == "metal-00")
    };
    assert_eq!((position(0.0).await, position(1.0).await), (Some(0), Some(39)));
}

#[tokio::test]
async fn absolute_caps_are_kept_and_the_list_is_as_long_as_they_allow() {
    let (_server, api, min_watermark) = world().await;
    for (per_topic, per_source, expected) in
        [(Some(3), None, 6), (None, Some(4), 8), (Some(9), Some(5), 10)]
    {
        let diversity = DiversityParams {
            enable_diversity: Some(false),
            max_per_topic: per_topic,
            max_per_source: per_source,
            ..DiversityParams::default()
        };
        let request = PersonalizeRequest { min_watermark, ..varied(diversity) };
        let answer = api.personalize(request).await;
        assert_eq!(answer.recommendations.len(), expected);
        assert_eq!(of_taste("jazz", &answer), expected / 2);
    }
}
