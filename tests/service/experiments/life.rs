//! From the draft to the end: states, history, etags, pages, shipping, watching, replay.

use personalization::proto::ComparisonVerdict;
use personalization::proto::DiversityParams;
use personalization::proto::Experiment;
use personalization::proto::ExperimentAction;
use personalization::proto::ExperimentAdvice;
use personalization::proto::ExperimentState;
use personalization::proto::ExplorationParams;
use personalization::proto::GetNamespaceRequest;
use personalization::proto::InteractionType;
use personalization::proto::ListExperimentsRequest;
use personalization::proto::Strategy;
use personalization::proto::UpdateExperimentRequest;
use personalization::proto::VariantOverrides;
use personalization::proto::WatchExperimentResultsRequest;
use tonic::Code;

use super::lab::act;
use super::lab::assign;
use super::lab::create;
use super::lab::edit;
use super::lab::experiment;
use super::lab::exposed;
use super::lab::get;
use super::lab::guard_against;
use super::lab::results;
use super::lab::run;
use super::lab::seconds;
use super::lab::start;
use super::lab::try_create;
use super::lab::try_update;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::now_plus;
use crate::harness::of_taste;
use crate::harness::reason_of;

const USERS: usize = 400;

fn taste(number: usize) -> &'static str {
    ["jazz", "metal"][number % 2]
}

/// Users of two tastes, of whom one like is known, look at a list and click what they like.
pub async fn audience(api: &Api, users: std::ops::Range<usize>, prefix: &str) {
    let likes = users.clone().map(|number| {
        let (user, item) = (format!("{prefix}-{number}"), format!("{}-03", taste(number)));
        event(&format!("like/{user}"), &user, &item, InteractionType::Like)
    });
    let known = api.record(likes.collect()).await.last_sequence;
    let mut clicks = Vec::new();
    for number in users.clone() {
        let user = format!("{prefix}-{number}");
        let request =
            personalization::proto::PersonalizeRequest { min_watermark: known, ..greedy(&user, 4) };
        let answer = api.personalize(request).await;
        if of_taste(taste(number), &answer) >= 3 {
            let item = &answer.recommendations[0].item_id;
            clicks.push(event(&format!("click/{user}"), &user, item, InteractionType::Click));
        }
        // Within their windows.
        if number % 50 == 49 || number + 1 == users.end {
            api.record(std::mem::take(&mut clicks)).await;
        }
    }
}

/// Results when the windows of all users are over.
pub async fn complete(
    api: &Api,
    key: &str,
    users: u64,
) -> personalization::proto::ExperimentResults {
    let mut number = 0;
    eventually("complete windows", async || {
        // Time passes in records.
        number += 1;
        let id = format!("later-{key}-{number}");
        let later = event(&id, "nobody", "jazz-01", InteractionType::Impression);
        let at = api.record(vec![later]).await.last_sequence;
        let found = results(api, key, at).await;
        let complete: u64 = found.metrics[0].variants.iter().map(|it| it.users).sum();
        (complete >= users).then_some(found)
    })
    .await
}

/// The experiment once it has stopped by itself.
pub async fn stopped(api: &Api, key: &str) -> Experiment {
    let mut number = 0;
    eventually("the end of the experiment", async || {
        // Time passes in records.
        number += 1;
        let id = format!("passing-{key}-{number}");
        let later = event(&id, "nobody", "jazz-01", InteractionType::Impression);
        let at = api.record(vec![later]).await.last_sequence;
        api.profile("nobody", at).await;
        let found = get(api, key).await;
        (found.state() == ExperimentState::Stopped).then_some(found)
    })
    .await
}

#[tokio::test]
async fn a_variant_that_does_not_personalize_loses_and_results_outlive_the_process() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let popular = VariantOverrides { popular: true, ..VariantOverrides::default() };
    run(&api, experiment("popular", popular)).await;
    audience(&api, 0..USERS, "user").await;
    let found = complete(&api, "popular", USERS as u64).await;
    assert_eq!(exposed(&found), USERS as u64);
    let comparison = found.metrics[0].comparisons[0].comparison.as_ref().unwrap();
    assert_eq!(comparison.verdict(), ComparisonVerdict::Lower, "{found:?}");
    let verdict = found.verdict.as_ref().unwrap();
    assert_eq!(verdict.advice(), ExperimentAdvice::KeepControl, "{}", verdict.text);
    assert!(verdict.text.contains("treatment is worse"), "{}", verdict.text);
    assert!(!found.series.is_empty() && !found.sample_ratios[0].alarm);
    server.stop_gracefully().await;
    server.restart().await;
    let api = server.api().await;
    let again = results(&api, "popular", found.watermark).await;
    assert_eq!((&again.metrics, &again.verdict), (&found.metrics, &found.verdict));
    assert_eq!(again.exposures, found.exposures);
    assert_eq!(again.series, found.series);
}

#[tokio::test]
async fn a_harmed_guardrail_stops_an_experiment_without_anyone() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let mut written = experiment("loud", VariantOverrides::default());
    written.metrics.push(guard_against("hides", InteractionType::Hide));
    written.plan =
        Some(personalization::proto::ExperimentPlan { users: 600, ..Default::default() });
    run(&api, written).await;
    let mut hides = Vec::new();
    for number in 0..600 {
        let user = format!("user-{number}");
        let hidden = assign(&api, "loud", &user).await.unwrap() == "treatment";
        if (hidden && number % 3 > 0) || number % 5 == 0 {
            hides.push(event(&format!("hide/{user}"), &user, "jazz-01", InteractionType::Hide));
        }
        // Within their windows.
        if number % 50 == 49 {
            api.record(std::mem::take(&mut hides)).await;
        }
    }
    let stopped = stopped(&api, "loud").await;
    assert_eq!(stopped.stop_reason, "guardrail hides is harmed by treatment");
    assert!(stopped.history.last().unwrap().what.starts_with("stopped: guardrail"));
    assert_eq!(assign(&api, "loud", "user-1").await, None);
    let text = results(&api, "loud", 0).await.verdict.unwrap().text;
    assert!(text.contains("It stopped by itself"), "{text}");
}

#[tokio::test]
async fn an_experiment_has_a_life_with_a_history_and_nothing_happens_out_of_order() {
    let server = Server::start().await;
    let api = server.api().await;
    let draft = create(&api, experiment("life", VariantOverrides::default())).await;
    assert_eq!((draft.state(), draft.layer.as_str()), (ExperimentState::Draft, "default"));
    assert_eq!((draft.allocation, draft.plan.unwrap().users), (1.0, 5_000));
    let again = try_create(&api, experiment("life", VariantOverrides::default())).await;
    assert_eq!(reason_of(&again.unwrap_err()), (Code::AlreadyExists, "EXPERIMENT_EXISTS".into()));
    for wrong in [ExperimentAction::Pause, ExperimentAction::Stop, ExperimentAction::Ship] {
        let refused = try_update(&api, act("life", wrong)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{wrong:?}");
    }
    let smaller = Experiment { key: "life".into(), allocation: 0.2, ..Experiment::default() };
    let changed = UpdateExperimentRequest {
        etag: draft.etag.clone(),
        changed_by: "grace".into(),
        reason: "begin small".into(),
        action: ExperimentAction::Start.into(),
        ..edit(smaller, &["allocation"])
    };
    let running = try_update(&api, changed.clone()).await.unwrap().experiment.unwrap();
    assert_eq!((running.state(), running.allocation), (ExperimentState::Running, 0.2));
    assert_eq!(running.buckets.iter().map(|it| it.end - it.first).sum::<u32>(), 200_000);
    let stale = try_update(&api, changed).await.unwrap_err();
    assert_eq!(reason_of(&stale), (Code::Aborted, "EXPERIMENT_CHANGED".into()));
    let ramp =
        |share| Experiment { key: "life".into(), allocation: share, ..Experiment::default() };
    let raised = try_update(&api, edit(ramp(0.6), &["allocation"])).await.unwrap();
    assert_eq!(raised.experiment.unwrap().allocation, 0.6);
    let lowered = try_update(&api, edit(ramp(0.5), &["allocation"])).await.unwrap_err();
    assert!(lowered.message().starts_with("experiment.allocation must not fall"), "{lowered}");
    for action in [
        ExperimentAction::Pause,
        ExperimentAction::Start,
        ExperimentAction::Stop,
        ExperimentAction::Archive,
    ] {
        try_update(&api, act("life", action)).await.unwrap();
    }
    let over = get(&api, "life").await;
    let what: Vec<_> = over.history.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "created: a test",
            "started, changed allocation: begin small",
            "changed allocation",
            "paused",
            "started",
            "stopped",
            "archived"
        ]
    );
    assert_eq!((over.history[0].by.as_str(), over.history[1].by.as_str()), ("ada", "grace"));
    assert!(over.buckets.is_empty() && over.stopped_at.is_some());
}

#[tokio::test]
async fn experiments_are_listed_page_by_page_and_archived_ones_when_asked_for() {
    let server = Server::start().await;
    let api = server.api().await;
    for number in 0..5 {
        create(&api, experiment(&format!("e{number}"), VariantOverrides::default())).await;
    }
    try_update(&api, act("e2", ExperimentAction::Archive)).await.unwrap();
    let list = async |states: &[ExperimentState], page_token: String| {
        let request = ListExperimentsRequest {
            states: states.iter().map(|&state| state.into()).collect(),
            page_size: 3,
            page_token,
            ..ListExperimentsRequest::default()
        };
        let page = api.experiments.clone().list_experiments(request).await.unwrap().into_inner();
        let keys: Vec<String> = page.experiments.into_iter().map(|it| it.key).collect();
        (keys, page.next_page_token)
    };
    let (first, token) = list(&[], String::new()).await;
    assert_eq!(first, ["e4", "e3", "e1"]);
    let (second, end) = list(&[], token).await;
    assert_eq!((second, end.as_str()), (vec!["e0".to_owned()], ""));
    let (archived, _) = list(&[ExperimentState::Archived], String::new()).await;
    assert_eq!(archived, ["e2"]);
}

#[tokio::test]
async fn a_shipped_variant_becomes_the_settings_of_the_namespace() {
    let server = Server::start().await;
    let api = server.api().await;
    let better = VariantOverrides {
        strategy: Strategy::Thompson.into(),
        exploration: Some(ExplorationParams { exploration_scale: Some(0.5), ..Default::default() }),
        diversity: Some(DiversityParams { diversity_weight: Some(0.7), ..Default::default() }),
        ..VariantOverrides::default()
    };
    run(&api, experiment("better", better)).await;
    let ship = |variant: &str, validate_only| UpdateExperimentRequest {
        variant: variant.to_owned(),
        validate_only,
        ..act("better", ExperimentAction::Ship)
    };
    assert!(try_update(&api, ship("nothing", false)).await.is_err());
    let checked = try_update(&api, ship("treatment", true)).await.unwrap();
    assert_eq!(checked.sequence, 0);
    assert_eq!(get(&api, "better").await.state(), ExperimentState::Running, "only checked");
    let shipped = try_update(&api, ship("treatment", false)).await.unwrap().experiment.unwrap();
    assert_eq!(shipped.state(), ExperimentState::Stopped);
    assert_eq!(shipped.shipped_variant, "treatment");
    let request = GetNamespaceRequest::default();
    let namespace = api.admin.clone().get_namespace(request).await.unwrap().into_inner();
    let settings = namespace.settings_in_force.unwrap();
    assert_eq!((settings.strategy(), settings.diversity_weight), (Strategy::Thompson, Some(0.7)));
    assert_eq!(settings.ranker.unwrap().exploration_scale, Some(0.5));
}

#[tokio::test]
async fn a_variant_is_not_shipped_by_half_when_the_experiment_is_another_by_now() {
    let server = Server::start().await;
    let api = server.api().await;
    let diversity = DiversityParams { diversity_weight: Some(0.77), ..Default::default() };
    let varied = VariantOverrides { diversity: Some(diversity), ..VariantOverrides::default() };
    run(&api, experiment("better", varied)).await;
    let stale = UpdateExperimentRequest {
        variant: "treatment".to_owned(),
        etag: "another".to_owned(),
        ..act("better", ExperimentAction::Ship)
    };
    assert_eq!(try_update(&api, stale).await.unwrap_err().code(), Code::Aborted);
    let request = GetNamespaceRequest::default();
    let namespace = api.admin.clone().get_namespace(request).await.unwrap().into_inner();
    assert_ne!(namespace.settings_in_force.unwrap().diversity_weight, Some(0.77));
    assert_eq!(get(&api, "better").await.state(), ExperimentState::Running);
}

#[tokio::test]
async fn a_change_that_meets_the_end_of_the_experiment_is_made_all_the_same() {
    let server = Server::start().await;
    let api = server.api().await;
    let mut short = experiment("short", VariantOverrides::default());
    short.ends_at = Some(now_plus(1));
    short.metrics[0].window = seconds(1);
    run(&api, short.clone()).await;
    // Nothing is recorded until it is over: the record of the change ends it.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    short.hypothesis = "it was too short".to_owned();
    let changed = try_update(&api, edit(short, &["hypothesis"])).await.unwrap().experiment.unwrap();
    assert_eq!(changed.hypothesis, "it was too short");
    assert_eq!(changed.state(), ExperimentState::Stopped);
    let what: Vec<_> = changed.history.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(what[2..], ["stopped: its end has come", "changed hypothesis"]);
}

#[tokio::test]
async fn who_watches_results_is_told_when_they_change() {
    let server = Server::start().await;
    let api = server.api().await;
    create(&api, experiment("watched", VariantOverrides::default())).await;
    let request = WatchExperimentResultsRequest {
        key: "watched".to_owned(),
        interval: seconds(1),
        ..WatchExperimentResultsRequest::default()
    };
    let answer = api.experiments.clone().watch_experiment_results(request).await;
    let mut told = answer.unwrap().into_inner();
    let first = told.message().await.unwrap().unwrap().results.unwrap();
    assert_eq!((first.state(), exposed(&first)), (ExperimentState::Draft, 0));
    start(&api, "watched").await;
    for number in 0..10 {
        assign(&api, "watched", &format!("user-{number}")).await;
    }
    loop {
        let next = told.message().await.unwrap().unwrap().results.unwrap();
        if exposed(&next) == 10 {
            assert_eq!(next.state(), ExperimentState::Running);
            break;
        }
    }
}
