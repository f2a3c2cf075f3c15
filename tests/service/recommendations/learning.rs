//! How fast an answer follows what a user does.

use personalization::proto::GetModelMetricsRequest;
use personalization::proto::GetProfileRequest;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;
use personalization::proto::PersonalizeRequest;
use tonic::Code;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::event;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::of_taste;

async fn world() -> (Server, Api, u64) {
    let server = Server::start().await;
    let api = server.api().await;
    let watermark = World::fill(&api).await;
    (server, api, watermark)
}

fn likes(user: &str, items: [&str; 3]) -> Vec<Interaction> {
    let like = |item: &str| event(&format!("{user}+{item}"), user, item, InteractionType::Like);
    items.map(like).to_vec()
}

#[tokio::test]
async fn a_new_user_gets_what_is_popular_and_after_one_click_more_of_its_kind() {
    let (_server, api, min_watermark) = world().await;
    let request = PersonalizeRequest { min_watermark, ..greedy("new-user", 8) };
    let popular = api.personalize(request.clone()).await;
    let first: Vec<_> = popular.recommendations[..3].iter().map(|item| &item.item_id).collect();
    assert!(first.iter().any(|id| **id == "metal-00"), "all users like metal-00: {first:?}");
    let min_watermark = api.record(vec![click("new-user", "jazz-15")]).await.last_sequence;
    let adapted = api.personalize(PersonalizeRequest { min_watermark, ..request }).await;
    let (before, after) = (of_taste("jazz", &popular), of_taste("jazz", &adapted));
    assert!(after > before && after >= 6, "{before} then {after} of 8");
}

#[tokio::test]
async fn three_likes_move_the_very_next_answer() {
    let (_server, api, min_watermark) = world().await;
    for (user, taste, liked) in [
        ("ella", "jazz", ["jazz-10", "jazz-11", "jazz-12"]),
        ("ozzy", "metal", ["metal-10", "metal-11", "metal-12"]),
    ] {
        let request = PersonalizeRequest { min_watermark, ..greedy(user, 10) };
        let before = of_taste(taste, &api.personalize(request.clone()).await);
        let min_watermark = api.record(likes(user, liked)).await.last_sequence;
        let answer = api.personalize(PersonalizeRequest { min_watermark, ..request }).await;
        let after = of_taste(taste, &answer);
        assert!(answer.watermark >= min_watermark);
        assert!(after >= 9 && after >= before, "{taste}: {before} then {after} of 10");
    }
}

#[tokio::test]
async fn without_a_watermark_an_answer_follows_in_a_moment() {
    let (_server, api, _) = world().await;
    api.record(likes("ella", ["jazz-10", "jazz-11", "jazz-12"])).await;
    eventually("an answer that has learnt", async || {
        let answer = api.personalize(greedy("ella", 10)).await;
        (of_taste("jazz", &answer) >= 9).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_user_dislikes_pulls_its_kind_down() {
    let (_server, api, _) = world().await;
    let mut events = likes("picky", ["jazz-10", "jazz-11", "jazz-12"]);
    for item in ["metal-10", "metal-11"] {
        events.push(event(&format!("no {item}"), "picky", item, InteractionType::Dislike));
    }
    let min_watermark = api.record(events).await.last_sequence;
    let answer = api.personalize(PersonalizeRequest { min_watermark, ..greedy("picky", 10) }).await;
    assert!(of_taste("jazz", &answer) >= 9, "{:?}", answer.recommendations);
    let profile = api.profile("picky", min_watermark).await.profile.expect("a profile");
    let weight = |name| profile.topics.iter().find(|topic| topic.name == name).unwrap().weight;
    assert!(weight("jazz") > 0.0 && weight("metal") < 0.0, "{:?}", profile.topics);
    let counts = profile.interaction_counts.iter().map(|one| (one.r#type(), one.count));
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [(InteractionType::Like, 3), (InteractionType::Dislike, 2)]);
}

#[tokio::test]
async fn a_click_that_names_its_decision_is_a_reward() {
    let (_server, api, min_watermark) = world().await;
    let metrics = async || {
        let request = GetModelMetricsRequest::default();
        api.model.clone().get_model_metrics(request).await.expect("metrics").into_inner()
    };
    let before = metrics().await;
    let answer =
        api.personalize(PersonalizeRequest { min_watermark, ..greedy("reader", 10) }).await;
    let shown = &answer.recommendations[2].item_id;
    let rewarded = Interaction {
        decision_id: answer.decision_id.clone(),
        position: Some(2),
        ..click("reader", shown)
    };
    let watermark = api.record(vec![rewarded]).await.last_sequence;
    api.profile("reader", watermark).await;
    let after = metrics().await;
    assert_eq!(after.rewards, before.rewards + 1);
    // A user who clicks the third position has looked at those above it.
    assert_eq!(after.impressions, before.impressions + 3);
    assert_eq!(api.settled_status().await.decisions, 1);
}

#[tokio::test]
async fn a_click_that_names_the_decision_of_another_user_is_no_reward() {
    let (_server, api, min_watermark) = world().await;
    let answer = api.personalize(PersonalizeRequest { min_watermark, ..greedy("owner", 10) }).await;
    let shown = &answer.recommendations[0].item_id;
    let decision_id = answer.decision_id.clone();
    let foreign = Interaction { decision_id, ..click("other-user", shown) };
    let watermark = api.record(vec![foreign]).await.last_sequence;
    api.profile("other-user", watermark).await;
    let request = GetModelMetricsRequest::default();
    let metrics = api.model.clone().get_model_metrics(request).await.unwrap().into_inner();
    assert_eq!((metrics.rewards, metrics.impressions), (0, 0));
}

#[tokio::test]
async fn a_user_exists_from_the_first_interaction_on_not_from_the_first_ranking() {
    let (_server, api, min_watermark) = world().await;
    // Of a catalogue that is not learnt yet nothing is shown, and so nothing decided.
    api.personalize(PersonalizeRequest { min_watermark, ..greedy("looker", 5) }).await;
    eventually("the decision in the log", async || {
        (api.settled_status().await.decisions == 1).then_some(())
    })
    .await;
    let request = GetProfileRequest { user_id: "looker".to_owned(), ..Default::default() };
    let unknown = api.personalization.clone().get_profile(request).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let watermark = api.record(vec![click("looker", "jazz-01")]).await.last_sequence;
    let profile = api.profile("looker", watermark).await.profile.unwrap();
    assert_eq!(profile.first_seen, profile.last_seen);
    assert_eq!(profile.recent_items[0].title, "jazz record 1");
    assert_eq!(profile.topics[0].name, "jazz");
}
