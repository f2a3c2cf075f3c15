//! Named arms over gRPC: choosing, rewarding, learning, surviving a kill.

pub mod features;
pub mod retries;

use std::collections::BTreeMap;
use std::path::Path;

use personalization::proto::ArmContext;
use personalization::proto::ArmSettings;
use personalization::proto::ArmStrategy;
use personalization::proto::CreateNamespaceRequest;
use personalization::proto::GetArmSetRequest;
use personalization::proto::GetArmSetResponse;
use personalization::proto::NamespaceSettings;
use personalization::proto::RewardArmRequest;
use personalization::proto::SelectArmRequest;
use personalization::proto::SelectArmResponse;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Random;
use crate::harness::Server;
use crate::harness::command;
use crate::harness::get;
use crate::harness::structure;
use crate::harness::text;

pub const LAYOUTS: [&str; 3] = ["grid", "list", "cards"];

pub fn request(set: &str, arms: &[&str]) -> SelectArmRequest {
    SelectArmRequest {
        arm_set: set.to_owned(),
        arms: arms.iter().map(|arm| (*arm).to_owned()).collect(),
        ..Default::default()
    }
}

fn numbers(numbers: &[f64]) -> Option<ArmContext> {
    Some(ArmContext { numbers: numbers.to_vec(), attributes: None })
}

pub async fn try_select(api: &Api, request: SelectArmRequest) -> Result<SelectArmResponse, Status> {
    let request = SelectArmRequest { namespace: api.namespace.clone(), ..request };
    Ok(api.bandit.clone().select_arm(request).await?.into_inner())
}

pub async fn select(api: &Api, request: SelectArmRequest) -> SelectArmResponse {
    try_select(api, request).await.expect("an arm")
}

/// Whether the reward was new, and its sequence.
async fn reward(api: &Api, decision_id: &str, reward: f64, event_id: &str) -> (bool, u64) {
    let request = RewardArmRequest {
        namespace: api.namespace.clone(),
        decision_id: decision_id.to_owned(),
        reward: Some(reward),
        event_id: event_id.to_owned(),
        ..Default::default()
    };
    let answer = api.bandit.clone().reward_arm(request).await.expect("a reward").into_inner();
    (!answer.duplicate, answer.sequence)
}

async fn try_set(api: &Api, request: GetArmSetRequest) -> Result<GetArmSetResponse, Status> {
    let request = GetArmSetRequest { namespace: api.namespace.clone(), ..request };
    Ok(api.bandit.clone().get_arm_set(request).await?.into_inner())
}

pub async fn set(api: &Api, name: &str, min_watermark: u64) -> GetArmSetResponse {
    let request =
        GetArmSetRequest { arm_set: name.to_owned(), min_watermark, ..Default::default() };
    try_set(api, request).await.expect("an arm set")
}

/// Paths of the wrong fields.
fn wrong_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    let wrong = &details.bad_request().expect("violations").field_violations;
    wrong.iter().map(|violation| violation.field.clone()).collect()
}

#[tokio::test]
async fn a_selection_answers_with_the_propensities_of_all_arms_and_is_learnt() {
    let server = Server::start().await;
    let api = server.api().await;
    let answer = select(&api, request("layout", &LAYOUTS)).await;
    let offered: Vec<&str> = answer.arms.iter().map(|arm| arm.arm.as_str()).collect();
    assert_eq!(offered, LAYOUTS);
    assert_eq!(answer.strategy(), ArmStrategy::Thompson);
    // Nothing is known: all are alike.
    for arm in &answer.arms {
        assert!((arm.propensity - 1.0 / 3.0).abs() < 1e-3, "{arm:?}");
        assert!((arm.mean - 0.5).abs() < 1e-9 && arm.standard_deviation > 0.1, "{arm:?}");
    }
    let chosen = answer.arms.iter().find(|arm| arm.arm == answer.arm).expect("an offered arm");
    assert_eq!(chosen.propensity, answer.propensity);

    let (new, sequence) = reward(&api, &answer.decision_id, 1.0, "first").await;
    assert!(new && sequence > answer.sequence);
    let known = set(&api, "layout", sequence).await;
    let arm = known.arms.iter().find(|arm| arm.arm == answer.arm).expect("the arm");
    assert_eq!((arm.pulls, arm.reward), (1, 1.0));
    assert!((arm.mean - 2.0 / 3.0).abs() < 1e-9, "{arm:?}");
    assert_eq!((known.selections, known.arms.len()), (1, 3));

    let (new, none) = reward(&api, &answer.decision_id, 0.5, "first").await;
    assert_eq!((new, none), (false, 0));
    let (_, sequence) = reward(&api, &answer.decision_id, 0.25, "second").await;
    assert_eq!(set(&api, "layout", sequence).await.arms, known.arms, "the best reward counts");
    let correction = RewardArmRequest {
        decision_id: answer.decision_id.clone(),
        reward: Some(0.25),
        corrects: true,
        ..Default::default()
    };
    let sequence = api.bandit.clone().reward_arm(correction).await.unwrap().into_inner().sequence;
    let corrected = set(&api, "layout", sequence).await;
    assert!((corrected.arms.iter().map(|arm| arm.reward).sum::<f64>() - 0.25).abs() < 1e-9);
    let metrics = get(server.http, "/metrics").await.1;
    assert!(metrics.contains(r#"arm_selections_total{strategy="thompson"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"arm_rewards_total{outcome="duplicate"} 1"#), "{metrics}");
}

/// Rounds of an audience whose click rates depend on the arm, and on whether the first
/// number of the context is high; the rate of the best arm is .8, of the others .2. Chance is
/// drawn from the ids of the decisions, so it is the same each time.
async fn rounds(api: &Api, strategy: ArmStrategy, contextual: bool, run: u64) -> f64 {
    let (name, count) = (format!("{}-{contextual}-{run}", strategy.as_str_name()), 240);
    let mut random = Random(count + run);
    let (mut clicks, mut sequence) = (0, 0);
    for round in 0..count {
        let high = random.below(2) == 1;
        let context = numbers(&[if high { 1.0 } else { -1.0 }]).filter(|_| contextual);
        let asked = SelectArmRequest {
            context,
            strategy: strategy.into(),
            epsilon: Some(0.1),
            min_watermark: sequence,
            decision_id: format!("{name}-{round}"),
            ..request(&name, &LAYOUTS)
        };
        let answer = select(api, asked).await;
        let best = if contextual && high { LAYOUTS[2] } else { LAYOUTS[0] };
        sequence = answer.sequence;
        if random.below(10) < if answer.arm == best { 8 } else { 2 } {
            sequence = reward(api, &answer.decision_id, 1.0, "").await.1;
            clicks += u64::from(round >= count / 2);
        }
    }
    2.0 * clicks as f64 / count as f64
}

#[tokio::test]
async fn every_strategy_finds_the_better_arm_with_a_context_and_without() {
    let server = Server::start().await;
    let api = server.api().await;
    for strategy in [
        ArmStrategy::EpsilonGreedy,
        ArmStrategy::Thompson,
        ArmStrategy::UpperConfidence,
        ArmStrategy::SquareCb,
    ] {
        for contextual in [false, true] {
            // One run in a hundred is unlucky for long.
            let mut rates = [0.0; 3];
            for (run, rate) in (0..).zip(&mut rates) {
                *rate = rounds(&api, strategy, contextual, run).await;
            }
            let mean = rates.iter().sum::<f64>() / 3.0;
            assert!(mean > 0.5, "{strategy:?} {contextual}: {rates:?}");
        }
    }
}

#[tokio::test]
async fn attributes_distinguish_contexts() {
    let server = Server::start().await;
    let api = server.api().await;
    let context = |device: &str| {
        let attributes = structure([("device", text(device))]);
        Some(ArmContext { numbers: Vec::new(), attributes })
    };
    let mut sequence = 0;
    for round in 0..160 {
        let device = ["phone", "desktop"][round % 2];
        let asked = SelectArmRequest {
            context: context(device),
            min_watermark: sequence,
            decision_id: format!("round-{round}"),
            ..request("notification", &["short", "long"])
        };
        let answer = select(&api, asked).await;
        sequence = answer.sequence;
        if (answer.arm == "short") == (device == "phone") {
            sequence = reward(&api, &answer.decision_id, 1.0, "").await.1;
        }
    }
    let of = async |device: &str| {
        let asked = GetArmSetRequest {
            arm_set: "notification".to_owned(),
            context: context(device),
            min_watermark: sequence,
            ..Default::default()
        };
        let known = try_set(&api, asked).await.unwrap();
        assert!(known.context_attributes && known.context_numbers == 0);
        let means = known.arms.into_iter().map(|arm| (arm.arm, arm.mean));
        means.collect::<BTreeMap<String, f64>>()
    };
    let (phone, desktop) = (of("phone").await, of("desktop").await);
    assert!(phone["short"] > phone["long"] + 0.3, "{phone:?}");
    assert!(desktop["long"] > desktop["short"] + 0.3, "{desktop:?}");
}

#[tokio::test]
async fn propensities_in_answers_are_how_often_arms_come() {
    const CALLS: u32 = 1_500;
    let server = Server::start().await;
    let api = server.api().await;
    for strategy in [ArmStrategy::Greedy, ArmStrategy::EpsilonGreedy, ArmStrategy::Thompson] {
        // Each call is a new set, of which nothing is known, in a context or not.
        let mut counts = BTreeMap::<String, (f64, f64)>::new();
        for call in 0..CALLS {
            let asked = SelectArmRequest {
                strategy: strategy.into(),
                epsilon: Some(0.4),
                ..request(&format!("{}-{}", strategy.as_str_name(), call % 300), &LAYOUTS)
            };
            let answer = select(&api, asked).await;
            for arm in answer.arms {
                counts.entry(arm.arm).or_default().1 += arm.propensity;
            }
            counts.entry(answer.arm).or_default().0 += 1.0;
        }
        for (arm, (came, expected)) in counts {
            // Five standard deviations of a count.
            let bound = 5.0 * f64::from(CALLS).sqrt() / 2.0;
            assert!((came - expected).abs() < bound, "{strategy:?} {arm}: {came} {expected}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_by_field() {
    let server = Server::start().await;
    let api = server.api().await;
    let wrong = SelectArmRequest {
        context: numbers(&[f64::NAN]),
        strategy: 77,
        epsilon: Some(2.0),
        ..request("", &["a", "a"])
    };
    let fields = wrong_fields(&try_select(&api, wrong).await.unwrap_err());
    let expected = ["arm_set", "arms[1]", "context.numbers[0]", "strategy", "epsilon"];
    assert_eq!(fields, expected);

    let asked = SelectArmRequest { context: numbers(&[1.0, 2.0]), ..request("set", &["a", "b"]) };
    let first = select(&api, asked).await;
    let attributes = structure([("device", text("phone"))]);
    let context = Some(ArmContext { numbers: vec![1.0], attributes });
    let other = SelectArmRequest {
        context: context.clone(),
        min_watermark: first.sequence,
        ..request("set", &["a"])
    };
    let fields = wrong_fields(&try_select(&api, other).await.unwrap_err());
    assert_eq!(fields, ["context.numbers", "context.attributes"]);
    let asked = GetArmSetRequest { arm_set: "set".to_owned(), context, ..Default::default() };
    let fields = wrong_fields(&try_set(&api, asked).await.unwrap_err());
    assert_eq!(fields, ["context.numbers", "context.attributes"]);

    let unknown = GetArmSetRequest { arm_set: "unheard".to_owned(), ..Default::default() };
    let status = try_set(&api, unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_error_details().error_info().unwrap().reason, "ARM_SET_NOT_FOUND");

    let bad = RewardArmRequest { reward: Some(1.5), ..Default::default() };
    let status = api.bandit.clone().reward_arm(bad).await.unwrap_err();
    assert_eq!(wrong_fields(&status), ["decision_id", "reward"]);
    // A reward of nobody's is kept and teaches nothing.
    assert!(reward(&api, "nobody", 1.0, "").await.0);
}

#[tokio::test]
async fn settings_of_arms_come_from_flags_the_namespace_and_the_request_in_this_order() {
    let flags = ["--arm-strategy", "greedy", "--bandit-alpha", "3", "--arm-floor", "0"];
    let server = Server::start_with(&flags).await;
    let api = server.api().await;
    let answer = select(&api, request("layout", &LAYOUTS)).await;
    assert_eq!(answer.strategy(), ArmStrategy::Greedy);
    assert!((answer.arms[0].mean - 0.75).abs() < 1e-6);

    let settings = NamespaceSettings {
        arms: Some(ArmSettings {
            strategy: Some(ArmStrategy::SquareCb.into()),
            floor: Some(0.3),
            ..Default::default()
        }),
        ..Default::default()
    };
    let create = CreateNamespaceRequest { namespace: "shop".to_owned(), settings: Some(settings) };
    api.admin.clone().create_namespace(create).await.expect("a namespace");
    let shop = api.within("shop");
    assert_eq!(select(&shop, request("a", &LAYOUTS)).await.strategy(), ArmStrategy::SquareCb);
    let mut sequence = 0;
    for _ in 0..40 {
        let asked = SelectArmRequest {
            strategy: ArmStrategy::Greedy.into(),
            min_watermark: sequence,
            ..request("b", &LAYOUTS)
        };
        let answer = select(&shop, asked).await;
        assert_eq!(answer.strategy(), ArmStrategy::Greedy);
        assert!(answer.arms.iter().all(|arm| arm.propensity >= 0.1 - 1e-9), "{answer:?}");
        sequence = answer.sequence;
    }
}

/// The best arm changes half-way; the click rate is back within 150 selections.
#[tokio::test]
async fn a_taste_that_shifts_is_followed() {
    const HALF: usize = 300;
    const RECOVERED: usize = HALF + 150;
    let server = Server::start_with(&["--arm-half-life", "64", "--arm-floor", "0.05"]).await;
    let api = server.api().await;
    let mut random = Random(77);
    let (mut before, mut after, mut sequence) = (0, 0, 0);
    for round in 0..2 * HALF {
        let best = LAYOUTS[if round < HALF { 0 } else { 2 }];
        let asked = SelectArmRequest {
            min_watermark: sequence,
            decision_id: format!("round-{round}"),
            ..request("shift", &LAYOUTS)
        };
        let answer = select(&api, asked).await;
        sequence = answer.sequence;
        if random.below(10) < if answer.arm == best { 8 } else { 2 } {
            sequence = reward(&api, &answer.decision_id, 1.0, "").await.1;
            before += u32::from((HALF / 2..HALF).contains(&round));
            after += u32::from(round >= RECOVERED);
        }
    }
    println!("{before} clicks in 150 selections before the shift, {after} from 150 after it on");
    assert!(f64::from(after) > 0.8 * f64::from(before), "{before} {after}");
}

fn verify(directory: &Path) -> String {
    let output = command("verify").arg("--data-dir").arg(directory).output().expect("verify runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn acknowledged_selections_and_rewards_survive_kills_and_replay_to_the_same_state() {
    let flags = ["--snapshot-every-records", "1000", "--arm-half-life", "64"];
    let mut server = Server::start_with(&flags).await;
    let (mut selections, mut rewards) = (0, 0);
    let mut last: Option<(String, String)> = None;
    for life in 0..4 {
        let api = server.api().await;
        if let Some((decision_id, event_id)) = last.take() {
            // Resent after the kill: known, and learnt once.
            assert!(!reward(&api, &decision_id, 1.0, &event_id).await.0);
        }
        for round in 0..150 {
            let context = numbers(&[f64::from(round) / 150.0, 1.0]).filter(|_| round % 3 > 0);
            let set = if round % 3 > 0 { "layout" } else { "banner" };
            let asked = SelectArmRequest { context, ..request(set, &LAYOUTS) };
            let answer = select(&api, asked).await;
            selections += 1;
            if answer.arm == LAYOUTS[1] {
                let event_id = format!("{life}-{round}");
                assert!(reward(&api, &answer.decision_id, 1.0, &event_id).await.0);
                rewards += 1;
                last = Some((answer.decision_id, event_id));
            }
        }
        server.kill_9();
        server.restart().await;
    }
    let api = server.api().await;
    let settled = api.settled_status().await;
    let (layout, banner) = (set(&api, "layout", 0).await, set(&api, "banner", 0).await);
    assert_eq!(layout.selections + banner.selections, selections);
    let total = |known: &GetArmSetResponse| known.arms.iter().map(|arm| arm.reward).sum::<f64>();
    assert_eq!((total(&layout) + total(&banner)).round(), f64::from(rewards));
    assert_eq!(settled.watermark, selections + u64::from(rewards as u32) + 1);
    assert!(server.stop_gracefully().await.success());
    let report = verify(server.data_dir());
    assert!(report.contains(&settled.state_digest), "{report}");
    assert!(report.contains("leads to the same state"), "{report}");
}

#[tokio::test]
async fn a_reward_of_a_selection_that_was_never_made_is_recorded_and_counted() {
    let server = Server::start().await;
    let api = server.api().await;
    let selected = select(&api, request("layout", &LAYOUTS)).await;
    let reward = async |decision_id: &str, event_id: &str| {
        let request = RewardArmRequest {
            decision_id: decision_id.to_owned(),
            reward: Some(1.0),
            event_id: event_id.to_owned(),
            ..Default::default()
        };
        api.bandit.clone().reward_arm(request).await.expect("a reward").into_inner()
    };
    assert!(!reward(&selected.decision_id, "a").await.unknown_decision);
    let unknown = reward("never-made", "b").await;
    assert!(unknown.sequence > 0 && !unknown.duplicate);
    assert!(unknown.unknown_decision);
    let again = reward("never-made", "b").await;
    assert!(again.duplicate);
    assert!(!again.unknown_decision);
    // Learnt by now, and still known.
    set(&api, "layout", unknown.sequence).await;
    assert!(!reward(&selected.decision_id, "c").await.unknown_decision);
}
