//! Reasons in words, with the item that caused them.

use personalization::proto::Boost;
use personalization::proto::PersonalizeRequest;
use personalization::proto::ReasonDetail;
use personalization::proto::ReasonKind;
use personalization::proto::Recommendation;
use personalization::proto::boost::Change;
use personalization::proto::boost::Target;

use super::trained_world;
use super::world;
use crate::harness::click;
use crate::harness::greedy;

fn details(items: &[Recommendation]) -> impl Iterator<Item = &ReasonDetail> {
    items.iter().flat_map(|item| &item.reason_details)
}

#[tokio::test]
async fn reasons_name_the_liked_item_and_what_it_adds_to_the_score() {
    let (_server, api, _) = trained_world().await;
    let liked = vec![click("reader", "jazz-03"), click("reader", "jazz-06")];
    let min_watermark = api.record(liked).await.last_sequence;
    let request = PersonalizeRequest { min_watermark, explain: true, ..greedy("reader", 10) };
    let answer = api.personalize(request.clone()).await;
    for item in &answer.recommendations {
        let texts: Vec<&str> = item.reason_details.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(item.reasons, texts);
        let sum: f64 = item.components.values().sum();
        assert!((sum - item.score).abs() < 1e-9, "{item:?}");
        for detail in item.reason_details.iter().filter(|detail| !detail.component.is_empty()) {
            assert_eq!(item.components[&detail.component], detail.contribution);
        }
    }
    let caused = details(&answer.recommendations).filter(|detail| !detail.cause_item_id.is_empty());
    let caused: Vec<&ReasonDetail> = caused.collect();
    assert!(!caused.is_empty(), "{answer:?}");
    for detail in &caused {
        assert!(["jazz-03", "jazz-06"].contains(&detail.cause_item_id.as_str()), "{detail:?}");
        assert!(detail.text.contains(&detail.cause_title), "{detail:?}");
        assert!(detail.cause_title.starts_with("jazz record"), "{detail:?}");
    }
    let together = |one: &&ReasonDetail| one.kind() == ReasonKind::ConsumedTogether;
    let together = caused.into_iter().find(together).expect("a liked item of the same fans");
    assert_eq!(together.text, format!("because you liked {}", together.cause_title));
    let silent = api.personalize(PersonalizeRequest { explain: false, ..request }).await;
    assert_eq!(details(&silent.recommendations).count(), 0);
}

#[tokio::test]
async fn what_is_popular_or_raised_is_said_to_be_so_with_its_topic() {
    let (_server, api, min_watermark) = world().await;
    let boost = Boost {
        target: Some(Target::ItemId("jazz-09".to_owned())),
        change: Some(Change::Add(0.75)),
    };
    let request = PersonalizeRequest {
        min_watermark,
        explain: true,
        boosts: vec![boost],
        ..greedy("new-user", 2)
    };
    let answer = api.personalize(request).await;
    let [raised, popular] = &answer.recommendations[..] else {
        panic!("two items: {answer:?}");
    };
    let first = &raised.reason_details[0];
    assert_eq!((first.kind(), first.contribution), (ReasonKind::Boosted, 0.75));
    assert_eq!(first.text, "promoted");
    assert_eq!(popular.item_id, "metal-00");
    let mut detail = popular.reason_details.iter();
    let detail = detail.find(|one| one.kind() == ReasonKind::Popular).unwrap();
    assert_eq!((detail.text.as_str(), detail.topic.as_str()), ("popular in metal", "metal"));
}
