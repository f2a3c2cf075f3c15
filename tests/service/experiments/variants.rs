//! What variants do to answers, and how exposures are recorded.

use std::collections::BTreeMap;

use personalization::proto::Boost;
use personalization::proto::DiversityParams;
use personalization::proto::ExperimentTester;
use personalization::proto::ListOrigin;
use personalization::proto::MetricKind;
use personalization::proto::NoAssignmentReason;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RequestContext;
use personalization::proto::Strategy;
use personalization::proto::TimeSlices;
use personalization::proto::VariantOverrides;
use personalization::proto::boost::Change;
use personalization::proto::boost::Target;
use personalization::proto::experiment::Split;
use tonic::Code;

use super::lab::assign;
use super::lab::create;
use super::lab::experiment;
use super::lab::exposed;
use super::lab::results;
use super::lab::run;
use super::lab::seconds;
use super::lab::start;
use super::lab::try_assign;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::reason_of;
use crate::harness::structure;
use crate::harness::text;

/// A user of each variant: control, treatment.
async fn two_users(api: &Api, key: &str) -> [String; 2] {
    let mut found = BTreeMap::new();
    for number in 0.. {
        let user = format!("user-{number}");
        let answer = try_assign(api, key, &user, true).await.unwrap();
        found.insert(answer.assignment.unwrap().variant, user);
        if let (Some(control), Some(treatment)) = (found.get("control"), found.get("treatment")) {
            return [control.clone(), treatment.clone()];
        }
    }
    unreachable!("both variants have users")
}

#[tokio::test]
async fn a_variant_changes_the_lists_of_its_users_and_of_no_others() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let overrides = VariantOverrides {
        strategy: Strategy::Thompson.into(),
        expression: "\"metal\" in topics".to_owned(),
        parameters: structure([("layout", text("large"))]),
        ..VariantOverrides::default()
    };
    let started = run(&api, experiment("metal", overrides)).await;
    let [control, treatment] = two_users(&api, "metal").await;
    let ask =
        |user: &str| PersonalizeRequest { min_watermark: started.max(known), ..greedy(user, 6) };
    let plain = api.personalize(ask(&control)).await;
    let changed = api.personalize(ask(&treatment)).await;
    let is_metal = |answer: &personalization::proto::PersonalizeResponse| {
        answer.recommendations.iter().all(|item| item.item_id.starts_with("metal"))
    };
    assert_eq!((plain.strategy(), is_metal(&plain)), (Strategy::Greedy, false));
    assert_eq!((changed.strategy(), is_metal(&changed)), (Strategy::Thompson, true));
    let assignment = &changed.assignments[0];
    assert_eq!(
        (assignment.experiment.as_str(), assignment.variant.as_str()),
        ("metal", "treatment")
    );
    assert_eq!(assignment.parameters, structure([("layout", text("large"))]));
    assert_eq!(plain.assignments[0].variant, "control");
    // A request for nothing but jazz gets nothing, and counts all the same.
    let jazz =
        personalization::proto::Filters { topics: vec!["jazz".into()], ..Default::default() };
    let empty =
        api.personalize(PersonalizeRequest { filters: Some(jazz), ..ask(&treatment) }).await;
    assert!(empty.recommendations.is_empty());
    eventually("both users are exposed once", async || {
        let found = results(&api, "metal", 0).await;
        (exposed(&found) == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_list_that_a_variant_leaves_empty_exposes_its_user() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let nothing = VariantOverrides { expression: "false".to_owned(), ..Default::default() };
    let started = run(&api, experiment("empty", nothing)).await;
    let [_, treatment] = two_users(&api, "empty").await;
    let request = PersonalizeRequest { min_watermark: started, ..greedy(&treatment, 3) };
    assert!(api.personalize(request).await.recommendations.is_empty());
    eventually("the user is exposed", async || {
        (exposed(&results(&api, "empty", 0).await) == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_variant_makes_no_request_of_a_caller_invalid() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let boost = |topic: &str| Boost {
        target: Some(Target::Topic(topic.to_owned())),
        change: Some(Change::Add(2.0)),
    };
    let overrides = VariantOverrides {
        boosts: vec![boost("metal"); 64],
        diversity: Some(DiversityParams { enable_diversity: Some(false), ..Default::default() }),
        ..VariantOverrides::default()
    };
    let started = run(&api, experiment("boosts", overrides)).await;
    let [_, treatment] = two_users(&api, "boosts").await;
    let request = PersonalizeRequest {
        boosts: vec![boost("jazz"); 64],
        min_watermark: started,
        ..greedy(&treatment, 3)
    };
    let answer = api.try_personalize(request).await.unwrap();
    assert_eq!(answer.recommendations.len(), 3);
}

#[tokio::test]
async fn a_user_is_exposed_once_by_whatever_asks_and_not_by_who_only_looks() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    run(&api, experiment("once", VariantOverrides::default())).await;
    assert!(try_assign(&api, "once", "ada", true).await.unwrap().assignment.is_some());
    assert_eq!(exposed(&results(&api, "once", 0).await), 0);
    let variant = assign(&api, "once", "ada").await;
    for _ in 0..3 {
        assert_eq!(assign(&api, "once", "ada").await, variant);
        api.personalize(greedy("ada", 3)).await;
    }
    let at = api.record(vec![click("ada", "jazz-01")]).await.last_sequence;
    assert_eq!(exposed(&results(&api, "once", at).await), 1);
    let unknown = try_assign(&api, "nothing", "ada", false).await.unwrap_err();
    assert_eq!(reason_of(&unknown), (Code::NotFound, "EXPERIMENT_NOT_FOUND".into()));
}

#[tokio::test]
async fn what_is_known_is_not_recorded_again() {
    let server = Server::start().await;
    let api = server.api().await;
    run(&api, experiment("users", VariantOverrides::default())).await;
    let mut hours = experiment("hours", VariantOverrides::default());
    hours.layer = "hours".to_owned();
    let slices = TimeSlices { slice: seconds(3_600), washout: None };
    hours.split = Some(Split::TimeSlices(slices));
    hours.metrics[0].kind = MetricKind::Ratio.into();
    hours.metrics[0].per = hours.metrics[0].measure.clone();
    hours.metrics[0].test = 0;
    run(&api, hours).await;
    assign(&api, "users", "ada").await;
    let before = api.settled_status().await.log_end;
    for _ in 0..10 {
        assert!(assign(&api, "users", "ada").await.is_some());
        assert!(assign(&api, "hours", "ada").await.is_some());
    }
    assert_eq!(api.settled_status().await.log_end, before);
}

#[tokio::test]
async fn the_profile_of_a_user_says_which_variants_the_user_was_exposed_to() {
    let server = Server::start().await;
    let api = server.api().await;
    run(&api, experiment("shown", VariantOverrides::default())).await;
    let variant = assign(&api, "shown", "ada").await.unwrap();
    let at = api.record(vec![click("ada", "jazz-01"), click("bob", "jazz-01")]).await.last_sequence;
    let profile = api.profile("ada", at).await.profile.unwrap();
    assert_eq!(profile.assignments.len(), 1);
    assert_eq!(profile.assignments[0].variant, variant);
    assert_eq!(api.profile("bob", at).await.profile.unwrap().assignments, []);
}

#[tokio::test]
async fn popular_lists_and_testers_are_told_as_what_they_are() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let popular = VariantOverrides { popular: true, ..VariantOverrides::default() };
    let mut written = experiment("popular", popular);
    let tester = |user: &str, variant: &str| ExperimentTester {
        user_id: user.to_owned(),
        variant: variant.to_owned(),
    };
    written.testers = vec![tester("grace", "treatment"), tester("alan", "control")];
    create(&api, written).await;
    let ask = |user: &str| PersonalizeRequest { min_watermark: known, ..greedy(user, 3) };
    let list = api.personalize(ask("grace")).await;
    assert_eq!(list.origin(), ListOrigin::Popular);
    assert!(list.assignments[0].tester, "{list:?}");
    let own = api.personalize(ask("alan")).await;
    assert_eq!(
        (own.origin(), own.assignments[0].variant.as_str()),
        (ListOrigin::Ranker, "control")
    );
    assert!(api.personalize(ask("ada")).await.assignments.is_empty());
}

#[tokio::test]
async fn it_is_said_why_a_user_has_no_variant() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut half = experiment("half", VariantOverrides::default());
    half.allocation = 0.5;
    run(&api, half).await;
    let mut rest = experiment("rest", VariantOverrides::default());
    rest.allocation = 0.5;
    rest.eligibility = "id != \"stranger\"".to_owned();
    create(&api, rest).await;
    let why = async |key: &str, user: &str| {
        let answer = try_assign(&api, key, user, false).await.unwrap();
        assert_eq!(answer.assignment.is_none(), answer.no_assignment_reason != 0);
        answer.no_assignment_reason()
    };
    assert_eq!(why("rest", "user-0").await, NoAssignmentReason::NotRunning);
    start(&api, "rest").await;
    assert_eq!(why("rest", "stranger").await, NoAssignmentReason::NotEligible);
    let (mut with, mut without) = (0, 0);
    for user in (0..40).map(|number| format!("user-{number}")) {
        // Half of the users are in the first one, and so in no other of its layer.
        let [first, second] = [why("half", &user).await, why("rest", &user).await];
        match first {
            NoAssignmentReason::Unspecified => {
                with += 1;
                let expected =
                    [NoAssignmentReason::InOtherExperiment, NoAssignmentReason::NotAllocated];
                assert!(expected.contains(&second), "{second:?}");
            }
            NoAssignmentReason::NotAllocated => {
                without += 1;
                assert_eq!(second, NoAssignmentReason::Unspecified);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(with > 5 && without > 5, "{with} {without}");
}

#[tokio::test]
async fn only_users_for_whom_the_condition_holds_get_a_variant() {
    let server = Server::start().await;
    let api = server.api().await;
    let known = World::fill(&api).await;
    let mut written = experiment("phones", VariantOverrides::default());
    written.eligibility = "device_type == \"phone\" and beta".to_owned();
    let started = run(&api, written).await;
    let beta = prost_types::Value { kind: Some(prost_types::value::Kind::BoolValue(true)) };
    let ask = |device: &str, beta: Option<prost_types::Value>| PersonalizeRequest {
        context: Some(RequestContext {
            device_type: device.to_owned(),
            attributes: beta.and_then(|beta| structure([("beta", beta)])),
            ..RequestContext::default()
        }),
        min_watermark: known.max(started),
        ..greedy("ada", 3)
    };
    for (request, is_in) in [
        (ask("phone", Some(beta.clone())), true),
        (ask("phone", None), false),
        (ask("desktop", Some(beta)), false),
    ] {
        assert_eq!(api.personalize(request).await.assignments.len(), usize::from(is_in));
    }
}

#[tokio::test]
async fn a_decision_of_a_variant_is_worked_out_again_bit_by_bit() {
    let mut server = Server::start_with(&["--decision-detail", "candidates"]).await;
    let api = server.api().await;
    World::fill(&api).await;
    let overrides = VariantOverrides {
        strategy: Strategy::Thompson.into(),
        expression: "not (\"metal\" in topics and id == \"metal-03\")".to_owned(),
        without_features: vec!["trend".to_owned()],
        ..VariantOverrides::default()
    };
    let started = run(&api, experiment("redone", overrides)).await;
    let [_, treatment] = two_users(&api, "redone").await;
    let request = PersonalizeRequest { min_watermark: started, ..greedy(&treatment, 4) };
    let mut answers = vec![api.personalize(request.clone()).await];
    let mut event = click(&treatment, &answers[0].recommendations[0].item_id);
    event.decision_id.clone_from(&answers[0].decision_id);
    let min_watermark = api.record(vec![event]).await.last_sequence;
    answers.push(api.personalize(PersonalizeRequest { min_watermark, ..request }).await);
    server.stop_gracefully().await;
    for answer in answers {
        let output = command("replay-decision")
            .arg("--data-dir")
            .arg(server.data_dir())
            .arg(&answer.decision_id)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    }
}
