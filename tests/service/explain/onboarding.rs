//! What to ask a new user, and what the answers are worth.

use std::collections::BTreeSet;

use personalization::proto::Filters;
use personalization::proto::InteractionType;
use personalization::proto::OnboardingItem;
use personalization::proto::OnboardingItemsRequest;
use personalization::proto::PersonalizeRequest;
use tonic::Code;

use super::trained_world;
use super::world;
use crate::harness::Api;
use crate::harness::event;
use crate::harness::greedy;
use crate::harness::of_taste;
use crate::harness::strings;

async fn ask(api: &Api, request: OnboardingItemsRequest) -> Vec<OnboardingItem> {
    let answer = api.personalization.clone().onboarding_items(request).await;
    answer.expect("items to ask about").into_inner().items
}

fn some(max_results: u32, min_watermark: u64) -> OnboardingItemsRequest {
    OnboardingItemsRequest { max_results, min_watermark, ..OnboardingItemsRequest::default() }
}

#[tokio::test]
async fn the_answers_of_a_new_user_turn_the_recommendations_to_their_taste() {
    let (_server, api, min_watermark) = trained_world().await;
    let items = ask(&api, some(6, min_watermark)).await;
    assert_eq!(items.len(), 6);
    let tastes: BTreeSet<&str> = items[..3].iter().map(|item| item.topics[0].as_str()).collect();
    assert_eq!(tastes.into_iter().collect::<Vec<_>>(), ["jazz", "metal"]);
    assert!(items.iter().all(|item| item.gain > 0.0 && item.familiarity > 0.0), "{items:?}");
    assert!(items.iter().all(|item| !item.title.is_empty() && !item.text.is_empty()));
    for taste in ["jazz", "metal"] {
        let user = format!("new-{taste}");
        let request = |min_watermark| PersonalizeRequest { min_watermark, ..greedy(&user, 8) };
        let before = of_taste(taste, &api.personalize(request(min_watermark)).await);
        let answers = items.iter().map(|item| {
            let likes = item.topics[0] == taste;
            let kind = if likes { InteractionType::Like } else { InteractionType::Dislike };
            event(&format!("{user}/{}", item.item_id), &user, &item.item_id, kind)
        });
        let min_watermark = api.record(answers.collect()).await.last_sequence;
        let after = of_taste(taste, &api.personalize(request(min_watermark)).await);
        assert!(after > before && after >= 7, "{taste}: {before} before, {after} after");
    }
}

#[tokio::test]
async fn without_a_model_popular_items_of_all_topics_are_asked_about_within_the_filters() {
    let (_server, api, min_watermark) = world().await;
    let items = ask(&api, some(0, min_watermark)).await;
    assert_eq!(items.len(), 10);
    assert_eq!(items[0].item_id, "metal-00", "all users know it");
    assert_eq!(items[1].topics, ["jazz"]);
    assert!(items.iter().all(|item| item.gain == 0.0));
    let filters = Filters {
        topics: strings(["jazz"]),
        exclude_item_ids: strings(["jazz-00"]),
        ..Filters::default()
    };
    let request = OnboardingItemsRequest { filters: Some(filters), ..some(50, min_watermark) };
    let jazz = ask(&api, request).await;
    assert_eq!(jazz.len(), 19);
    assert!(jazz.iter().all(|item| item.topics == ["jazz"] && item.item_id != "jazz-00"));
    let refused = api.personalization.clone().onboarding_items(some(51, 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}
