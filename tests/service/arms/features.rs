//! Arms with features, and selections that are withdrawn, over gRPC and after a kill.

use std::collections::BTreeMap;

use personalization::proto::ArmFeatures;
use personalization::proto::GetArmSetRequest;
use personalization::proto::RewardArmRequest;
use personalization::proto::SelectArmRequest;
use tonic::Code;

use super::numbers;
use super::request;
use super::reward;
use super::select;
use super::set;
use super::try_select;
use super::try_set;
use super::wrong_fields;
use crate::harness::Api;
use crate::harness::Server;

fn features(of: &[(&str, f64)]) -> BTreeMap<String, ArmFeatures> {
    let described = of.iter().map(|&(arm, number)| {
        ((*arm).to_owned(), ArmFeatures { numbers: vec![number], attributes: None })
    });
    described.collect()
}

async fn withdraw(api: &Api, decision_id: &str) -> (u64, bool) {
    let request = RewardArmRequest {
        namespace: api.namespace.clone(),
        decision_id: decision_id.to_owned(),
        withdrawn: true,
        ..Default::default()
    };
    let answer = api.bandit.clone().reward_arm(request).await.expect("an answer").into_inner();
    (answer.sequence, answer.unknown_decision)
}

/// Short videos pay off for who has little time, long ones for the others, whatever they are called.
#[tokio::test]
async fn a_new_arm_is_chosen_by_its_features_in_the_context() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut sequence = 0;
    for round in 0..200 {
        let minutes = [2.0, 40.0][round % 2];
        let names = [format!("short-{}", round % 20), format!("long-{}", round % 20)];
        let asked = SelectArmRequest {
            context: numbers(&[minutes]),
            features: features(&[(&names[0], 90.0), (&names[1], 2_400.0)]),
            min_watermark: sequence,
            decision_id: format!("round-{round}"),
            ..request("video", &[&names[0], &names[1]])
        };
        let answer = select(&api, asked).await;
        sequence = answer.sequence;
        if answer.arm.starts_with("short") == (minutes < 10.0) {
            sequence = reward(&api, &answer.decision_id, 1.0, "").await.1;
        }
    }
    for (minutes, best) in [(2.0, "new-short"), (40.0, "new-long")] {
        let asked = SelectArmRequest {
            context: numbers(&[minutes]),
            features: features(&[("new-short", 80.0), ("new-long", 2_500.0)]),
            min_watermark: sequence,
            ..request("video", &["new-short", "new-long"])
        };
        let answer = select(&api, asked).await;
        let chance = |arm: &str| answer.arms.iter().find(|one| one.arm == arm).unwrap().propensity;
        assert!(chance(best) > 0.9, "{answer:?}");
        sequence = sequence.max(answer.sequence);
    }
    let asked = GetArmSetRequest {
        arm_set: "video".to_owned(),
        context: numbers(&[2.0]),
        features: features(&[("new-short", 80.0), ("new-long", 2_500.0), ("nobody", 1.0)]),
        min_watermark: sequence,
        ..Default::default()
    };
    let known = try_set(&api, asked).await.unwrap();
    assert_eq!((known.feature_numbers, known.feature_attributes), (1, false));
    let mean = |arm: &str| known.arms.iter().find(|one| one.arm == arm).unwrap().mean;
    assert!(mean("new-short") > mean("new-long") + 0.3, "{known:?}");

    let wrong = SelectArmRequest {
        context: numbers(&[1.0]),
        features: BTreeMap::from([(
            "a".to_owned(),
            ArmFeatures { numbers: vec![1.0, 2.0], attributes: None },
        )]),
        ..request("video", &["a", "b"])
    };
    assert_eq!(wrong_fields(&try_select(&api, wrong).await.unwrap_err()), ["features[a].numbers"]);
}

#[tokio::test]
async fn arms_beyond_those_a_set_remembers_push_out_the_longest_unused() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut sequence = 0;
    for first in (0..600).step_by(200) {
        let names: Vec<String> = (first..first + 200).map(|arm| format!("arm-{arm}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        sequence = select(&api, request("many", &names)).await.sequence;
    }
    let known = set(&api, "many", sequence).await;
    assert_eq!((known.arms.len(), known.selections), (500, 3));
}

#[tokio::test]
async fn a_withdrawn_selection_does_not_count_after_a_kill_either() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let shown = select(&api, request("layout", &["grid"])).await;
    reward(&api, &shown.decision_id, 1.0, "").await;
    let named = SelectArmRequest { decision_id: "mine".to_owned(), ..request("layout", &["grid"]) };
    let never = select(&api, named.clone()).await;
    reward(&api, "mine", 1.0, "").await;
    let (sequence, unknown) = withdraw(&api, "mine").await;
    assert!(!unknown);
    let known = set(&api, "layout", sequence).await;
    assert_eq!((known.selections, known.arms[0].pulls, known.arms[0].reward), (1, 1, 1.0));
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    reward(&api, "mine", 1.0, "").await;
    let (sequence, _) = withdraw(&api, "mine").await;
    assert_eq!(set(&api, "layout", sequence).await.arms, known.arms);
    // Its id is taken.
    assert_eq!(select(&api, named).await, never);
    assert!(withdraw(&api, "nobody").await.1);
    let both = RewardArmRequest {
        decision_id: "mine".to_owned(),
        reward: Some(1.0),
        withdrawn: true,
        ..Default::default()
    };
    let refused = api.bandit.clone().reward_arm(both).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(wrong_fields(&refused), ["reward"]);
}
