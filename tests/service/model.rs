//! Training, the model's state and its figures.

use std::collections::BTreeSet;
use std::time::Duration;

use personalization::proto::GetModelMetricsRequest;
use personalization::proto::GetModelMetricsResponse;
use personalization::proto::Interaction;
use personalization::proto::Item;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RetrainRequest;
use personalization::proto::RetrainResponse;
use personalization::proto::RetrainStage;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Random;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::of_taste;

async fn retrain(api: &Api) -> Result<Vec<RetrainResponse>, Status> {
    let request = RetrainRequest { namespace: api.namespace.clone() };
    let mut progress = api.model.clone().retrain(request).await?.into_inner();
    let mut reports = Vec::new();
    while let Some(report) = progress.message().await? {
        reports.push(report);
    }
    Ok(reports)
}

async fn metrics(api: &Api) -> GetModelMetricsResponse {
    let request = GetModelMetricsRequest { namespace: api.namespace.clone() };
    api.model.clone().get_model_metrics(request).await.expect("metrics").into_inner()
}

#[tokio::test]
async fn a_training_reports_its_progress_and_its_model_serves_at_once() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let before = api.settled_status().await;
    assert_eq!((before.model_version, before.trained_at_watermark), (0, 0));
    assert_eq!(before.trained_at, None);
    let reports = retrain(&api).await.unwrap();
    assert_eq!(reports.first().unwrap().stage(), RetrainStage::Loading);
    assert!(reports.iter().any(|report| report.stage() == RetrainStage::Training));
    assert!(reports.iter().any(|report| report.stage() == RetrainStage::Fitting));
    assert!(reports.is_sorted_by_key(|report| report.stage));
    assert!(reports.is_sorted_by(|a, b| a.progress <= b.progress), "{reports:?}");
    assert!(reports.iter().all(|report| report.epoch <= report.epochs || report.epochs == 0));
    assert!(reports.iter().filter_map(|report| report.loss).all(f64::is_finite));
    let (done, earlier) = reports.split_last().unwrap();
    assert_eq!((done.stage(), done.progress, done.model_version), (RetrainStage::Done, 1.0, 1));
    assert!(!done.metrics.is_empty());
    assert!(earlier.iter().all(|report| report.model_version == 0 && report.metrics.is_empty()));

    let answer = api.personalize(greedy("jazz-fan-1", 10)).await;
    assert_eq!(answer.model_version, 1);
    // The last thing that all users liked is a metal record, and what was liked last counts
    // most: some of its kind stand among the ten.
    let jazz = of_taste("jazz", &answer);
    assert!(jazz >= 6, "{jazz} of 10");
    let after = api.settled_status().await;
    assert_eq!((after.model_version, after.training), (1, false));
    assert_eq!(after.trained_at_watermark, before.watermark);
    assert!(after.trained_at.is_some());
    assert_eq!(metrics(&api).await.training, done.metrics);
    assert_eq!(retrain(&api).await.unwrap().last().unwrap().model_version, 2);
}

#[tokio::test]
async fn a_second_training_at_the_same_time_is_aborted() {
    // Enough factors and events for a training of about a second.
    let server = Server::start_with(&["--collaborative-factors", "256"]).await;
    let api = server.api().await;
    api.record(events("e", 0..9_797)).await;
    api.settled_status().await;
    let mut first =
        api.model.clone().retrain(RetrainRequest::default()).await.unwrap().into_inner();
    let started = first.message().await.unwrap().expect("a first report");
    assert_eq!(started.stage(), RetrainStage::Loading);
    assert!(api.status().await.training);
    assert_eq!(retrain(&api).await.unwrap_err().code(), Code::Aborted);
    let mut last = started;
    while let Some(report) = first.message().await.expect("the first training goes on") {
        last = report;
    }
    assert_eq!((last.stage(), last.model_version), (RetrainStage::Done, 1));
    eventually("the end of the training", async || (!api.status().await.training).then_some(()))
        .await;
}

#[tokio::test]
async fn a_training_whose_caller_leaves_is_given_up_and_the_next_one_may_start() {
    let server = Server::start_with(&["--collaborative-factors", "256"]).await;
    let api = server.api().await;
    api.record(events("e", 0..9_797)).await;
    api.settled_status().await;
    let mut first =
        api.model.clone().retrain(RetrainRequest::default()).await.unwrap().into_inner();
    first.message().await.unwrap().expect("a first report");
    drop(first);
    eventually("the end of the training", async || (!api.status().await.training).then_some(()))
        .await;
    let done = retrain(&api).await.unwrap().pop().unwrap();
    assert_eq!((done.stage(), done.model_version), (RetrainStage::Done, 1));
}

#[tokio::test]
async fn too_little_to_train_on_is_said_and_leaves_everything_as_it_was() {
    let server = Server::start().await;
    let api = server.api().await;
    for recorded in [0, 19] {
        api.record(events("e", 0..recorded)).await;
        let before = api.settled_status().await;
        assert_eq!(retrain(&api).await.unwrap_err().code(), Code::FailedPrecondition);
        let after = eventually("the end of the training", async || {
            let status = api.status().await;
            (!status.training).then_some(status)
        })
        .await;
        assert_eq!(after, before);
    }
}

/// Clicks of 240 users of eight tastes, two of ten clicks outside their own; none twice.
struct Tastes {
    random: Random,
    had: BTreeSet<(u64, u64)>,
}

impl Tastes {
    fn clicks(&mut self, count: usize) -> Vec<Interaction> {
        let mut clicks = Vec::new();
        while clicks.len() < count {
            let user = self.random.below(240);
            let taste = if self.random.below(5) == 0 { self.random.below(8) } else { user % 8 };
            let item = 8 * self.random.below(40) + taste;
            if self.had.insert((user, item)) {
                clicks.push(click(&format!("user-{user}"), &format!("item-{item}")));
            }
        }
        clicks
    }
}

#[tokio::test]
async fn a_model_that_ranks_worse_what_came_since_is_refused_and_the_old_one_serves_on() {
    let mut server = Server::start_with(&["--collaborative-factors", "16"]).await;
    let api = server.api().await;
    let items = (0..320).map(|n| Item { item_id: format!("item-{n}"), ..Item::default() });
    api.upsert(items.collect()).await;
    let mut tastes = Tastes { random: Random(1), had: BTreeSet::new() };
    api.record(tastes.clicks(2_900)).await;
    // A training takes what is learnt by then.
    api.settled_status().await;
    assert_eq!(retrain(&api).await.unwrap().last().unwrap().model_version, 1);
    // A pull to zero that leaves little of tastes, and no search that would find a better one.
    let bad = ["--collaborative-regularization", "0.5", "--search-trials", "1"];
    server.restart_with(&bad).await;
    let api = server.api().await;
    // Histories keep the second: what follows must lie in a later one than the training.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    api.record(tastes.clicks(2_000)).await;
    let before = api.settled_status().await;
    let refused = retrain(&api).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let details = refused.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!(info.reason, "MODEL_NOT_BETTER");
    let after = eventually("the end of the training", async || {
        let status = api.status().await;
        (!status.training).then_some(status)
    })
    .await;
    assert_eq!(after, before);
    assert_eq!(api.personalize(greedy("user-1", 5)).await.model_version, 1);
    server.restart_without(&bad).await;
    let api = server.api().await;
    assert_eq!(retrain(&api).await.unwrap().last().unwrap().model_version, 2);
}

#[tokio::test]
async fn a_model_outlives_a_restart_and_gives_the_same_answers() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    retrain(&api).await.unwrap();
    let request = greedy("metal-fan-7", 15);
    let before = api.personalize(request.clone()).await;
    let status = api.settled_status().await;
    let figures = metrics(&api).await;
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    assert_eq!(api.settled_status().await, status);
    assert_eq!(metrics(&api).await, figures);
    let after = api.personalize(request).await;
    assert_eq!(after.model_version, 1);
    let ids = |answer: &personalization::proto::PersonalizeResponse| -> Vec<String> {
        answer.recommendations.iter().map(|item| item.item_id.clone()).collect()
    };
    assert_eq!(ids(&after), ids(&before));
}

#[tokio::test]
async fn serving_and_learning_go_on_during_a_training() {
    let server = Server::start_with(&["--collaborative-factors", "256"]).await;
    let api = server.api().await;
    World::fill(&api).await;
    api.record(events("e", 0..9_797)).await;
    let training = tokio::spawn({
        let api = api.clone();
        async move { retrain(&api).await }
    });
    let mut answered = 0;
    while !training.is_finished() {
        let event = events("meanwhile", answered..answered + 1);
        let min_watermark = api.record(event).await.last_sequence;
        let request = PersonalizeRequest { min_watermark, ..greedy("jazz-fan-1", 5) };
        assert_eq!(api.personalize(request).await.recommendations.len(), 5);
        answered += 1;
    }
    training.await.unwrap().unwrap();
    assert!(answered > 0);
    assert_eq!(api.personalize(greedy("jazz-fan-1", 5)).await.model_version, 1);
}

#[tokio::test]
async fn the_figures_are_plausible() {
    let server = Server::start().await;
    let api = server.api().await;
    let empty = metrics(&api).await;
    assert!(empty.training.is_empty());
    assert_eq!((empty.impressions, empty.rewards), (0, 0));
    World::fill(&api).await;
    api.record(events("e", 0..5_000)).await;
    api.settled_status().await;
    let live = metrics(&api).await;
    let prequential = live.prequential.expect("events were evaluated");
    assert!(prequential.window > 0);
    for share in [
        prequential.hit_rate_at_10,
        prequential.mean_reciprocal_rank,
        prequential.popularity_hit_rate_at_10,
    ] {
        assert!((0.0..=1.0).contains(&share), "{prequential:?}");
    }
    assert!(!live.feature_weights.is_empty());
    for weight in &live.feature_weights {
        assert!(weight.posterior_standard_deviation > 0.0, "{weight:?}");
        assert!(weight.posterior_mean.is_finite() && weight.prior_mean.is_finite(), "{weight:?}");
    }
    let names = |figures: &GetModelMetricsResponse| -> Vec<String> {
        figures.feature_weights.iter().map(|weight| weight.name.clone()).collect()
    };
    assert_eq!(names(&live), names(&empty));
    let request = PersonalizeRequest { explain: true, ..greedy("jazz-fan-1", 3) };
    let answer = api.personalize(request).await;
    let components = answer.recommendations[0].components.keys();
    assert!(components.clone().all(|name| names(&live).contains(name)), "{components:?}");
}

#[tokio::test]
async fn without_events_there_are_no_live_figures() {
    let server = Server::start().await;
    assert_eq!(metrics(&server.api().await).await.prequential, None);
}
