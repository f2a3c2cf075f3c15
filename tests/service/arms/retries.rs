//! Selections that are sent again under an id of the caller's.

use personalization::proto::RewardArmRequest;
use personalization::proto::SelectArmRequest;
use personalization::proto::SelectArmResponse;
use tonic::Code;
use tonic_types::StatusExt;

use super::LAYOUTS;
use super::numbers;
use super::request;
use super::reward;
use super::select;
use super::set;
use super::try_select;
use super::wrong_fields;
use crate::harness::Api;
use crate::harness::Server;

/// A call with an id of its own.
pub fn named(decision_id: &str) -> SelectArmRequest {
    SelectArmRequest { decision_id: decision_id.to_owned(), ..request("layout", &LAYOUTS) }
}

/// Asserts that a call with the id of a selection and other arms is refused.
pub async fn assert_differs(api: &Api, other: SelectArmRequest) {
    let refused = try_select(api, other).await.unwrap_err();
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    let details = refused.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!(info.reason, "SELECTION_DIFFERS");
    assert_eq!(info.metadata["arm_set"], "layout");
}

#[tokio::test]
async fn a_selection_sent_again_gets_the_first_answer_and_counts_once_after_kills_too() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let mut answers: Vec<SelectArmResponse> = Vec::new();
    for number in 0..30 {
        let answer = select(&api, named(&format!("mine-{number}"))).await;
        assert_eq!(answer.decision_id, format!("mine-{number}"));
        assert_eq!(select(&api, named(&answer.decision_id)).await, answer);
        if answer.arm == LAYOUTS[0] {
            // What is learnt since changes what would be chosen now.
            reward(&api, &answer.decision_id, 1.0, "").await;
        }
        answers.push(answer);
    }
    for life in 0..2 {
        let api = server.api().await;
        for answer in &answers {
            let again = SelectArmRequest { context: numbers(&[0.5]), ..named(&answer.decision_id) };
            assert_eq!(&select(&api, again).await, answer, "in life {life}");
        }
        let known = set(&api, "layout", 0).await;
        assert_eq!((known.selections, known.context_numbers), (30, 0));
        assert_eq!(known.arms.iter().map(|arm| arm.pulls).sum::<u64>(), 30);
        server.kill_9();
        server.restart().await;
    }
    // An id of the server's is a new selection each time.
    let api = server.api().await;
    let (one, other) = (select(&api, named("")).await, select(&api, named("")).await);
    assert_ne!(one.decision_id, other.decision_id);
    assert_eq!(set(&api, "layout", other.sequence).await.selections, 32);
}

#[tokio::test]
async fn an_id_that_is_another_selections_is_refused_and_teaches_nothing() {
    let server = Server::start().await;
    let api = server.api().await;
    let first = select(&api, named("mine")).await;
    assert_differs(&api, SelectArmRequest { arm_set: "page".to_owned(), ..named("mine") }).await;
    let arms = |arms: &[&str]| arms.iter().map(|arm| (*arm).to_owned()).collect();
    for other in [&["grid", "list"][..], &["list", "grid", "cards"], &["grid", "list", "x"]] {
        assert_differs(&api, SelectArmRequest { arms: arms(other), ..named("mine") }).await;
    }
    assert_eq!(select(&api, named("mine")).await, first);
    assert_eq!(set(&api, "layout", 0).await.selections, 1);
    assert_eq!(api.settled_status().await.log_end, first.sequence, "nothing more was recorded");
    let long = try_select(&api, named(&"d".repeat(257))).await.unwrap_err();
    assert_eq!(wrong_fields(&long), ["decision_id"]);
    let known = RewardArmRequest {
        decision_id: "mine".to_owned(),
        reward: Some(1.0),
        ..Default::default()
    };
    let rewarded = api.bandit.clone().reward_arm(known).await.unwrap().into_inner();
    assert!(!rewarded.unknown_decision);
}

#[tokio::test]
async fn one_call_sent_many_times_at_once_is_one_selection() {
    let server = Server::start().await;
    let api = server.api().await;
    for round in 0..10 {
        let id = format!("mine-{round}");
        let calls = (0..16).map(|_| {
            let (api, call) = (api.clone(), named(&id));
            tokio::spawn(async move { select(&api, call).await })
        });
        let mut answers = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            answers.push(call.await.expect("an answer"));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    api.settled_status().await;
    assert_eq!(set(&api, "layout", 0).await.selections, 10);
}
