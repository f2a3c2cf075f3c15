//! Training, the model's state and its figures.

use std::collections::BTreeSet;
use std::time::Duration;

use personalization::proto::CancelTrainingRequest;
use personalization::proto::GetModelMetricsRequest;
use personalization::proto::GetModelMetricsResponse;
use personalization::proto::GetTrainingRequest;
use personalization::proto::Interaction;
use personalization::proto::Item;
use personalization::proto::PersonalizeRequest;
use personalization::proto::RetrainRequest;
use personalization::proto::Training;
use personalization::proto::TrainingFailure;
use personalization::proto::TrainingState;
use personalization::proto::WatchTrainingRequest;
use tonic::Code;
use tonic::Status;

use crate::harness::Api;
use crate::harness::Random;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::of_taste;

async fn get_training(api: &Api, training_id: &str) -> Result<Training, Status> {
    let training_id = training_id.to_owned();
    let request = GetTrainingRequest { namespace: api.namespace.clone(), training_id };
    Ok(api.model.clone().get_training(request).await?.into_inner().training.unwrap())
}

async fn cancel(api: &Api, training_id: &str) -> Result<Training, Status> {
    let training_id = training_id.to_owned();
    let request = CancelTrainingRequest { namespace: api.namespace.clone(), training_id };
    Ok(api.model.clone().cancel_training(request).await?.into_inner().training.unwrap())
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
    let begun = api.try_retrain().await.unwrap();
    assert_eq!((begun.state(), begun.scheduled), (TrainingState::Running, false));
    let told = api.watch(&begun.training_id).await.unwrap();
    assert!(told.is_sorted_by(|a, b| a.progress <= b.progress), "{told:?}");
    assert!(told.iter().all(|it| it.epoch <= it.epochs || it.epochs == 0));
    assert!(told.iter().filter_map(|it| it.loss).all(f64::is_finite));
    let (done, earlier) = told.split_last().unwrap();
    let outcome = (done.state(), done.progress, done.model_version);
    assert_eq!(outcome, (TrainingState::Succeeded, 1.0, 1));
    assert!(!done.metrics.is_empty() && done.ended_at.is_some());
    assert!(earlier.iter().all(|it| it.model_version == 0 && it.metrics.is_empty()));
    // Who asks later is told the same.
    assert_eq!(get_training(&api, "").await.unwrap(), *done);
    assert_eq!(api.watch(&begun.training_id).await.unwrap(), std::slice::from_ref(done));

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
    assert_eq!(api.retrain().await.model_version, 2);
}

/// A server with enough factors and events for a training of about a second.
async fn busy() -> (Server, Api) {
    let server = Server::start_with(&["--collaborative-factors", "256"]).await;
    let api = server.api().await;
    api.record(events("e", 0..9_797)).await;
    api.settled_status().await;
    (server, api)
}

#[tokio::test]
async fn a_training_goes_on_when_its_callers_leave_and_can_be_joined_again() {
    let (_server, api) = busy().await;
    let missing = get_training(&api, "").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let begun = api.try_retrain().await.unwrap();
    let request =
        WatchTrainingRequest { training_id: begun.training_id.clone(), ..Default::default() };
    let mut leaves = api.model.clone().watch_training(request).await.unwrap().into_inner();
    leaves.message().await.unwrap().expect("a first message");
    drop(leaves);
    // A call sent again begins no second training.
    let again = api.model.clone().retrain(RetrainRequest::default()).await.unwrap().into_inner();
    assert!(again.already_running);
    assert_eq!(again.training.unwrap().training_id, begun.training_id);
    let told = api.watch(&begun.training_id).await.unwrap();
    let done = told.last().unwrap();
    assert_eq!((done.state(), done.model_version), (TrainingState::Succeeded, 1));
}

#[tokio::test]
async fn a_training_that_is_cancelled_publishes_nothing_and_the_next_one_may_begin() {
    let (_server, api) = busy().await;
    let begun = api.try_retrain().await.unwrap();
    cancel(&api, &begun.training_id).await.unwrap();
    let told = api.watch(&begun.training_id).await.unwrap();
    let last = told.last().unwrap();
    assert_eq!((last.state(), last.model_version), (TrainingState::Cancelled, 0), "{last:?}");
    assert_eq!((last.trial, last.epochs, last.loss), (0, 0, None), "it is at nothing any more");
    assert_eq!(api.status().await.model_version, 0);
    assert_eq!(cancel(&api, &begun.training_id).await.unwrap(), *last, "it has ended");
    assert_eq!(cancel(&api, "another").await.unwrap_err().code(), Code::NotFound);
    let next = eventually("the next training", async || api.try_retrain().await.ok()).await;
    assert_eq!(api.watch(&next.training_id).await.unwrap().last().unwrap().model_version, 1);
    let replaced = api.watch(&begun.training_id).await.unwrap_err();
    assert_eq!(replaced.code(), Code::NotFound);
}

#[tokio::test]
async fn a_training_whose_process_was_killed_is_told_of_as_interrupted() {
    let (mut server, api) = busy().await;
    let begun = api.try_retrain().await.unwrap();
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    let told = api.watch(&begun.training_id).await.unwrap();
    let last = told.last().unwrap();
    assert_eq!(last.state(), TrainingState::Failed);
    assert_eq!(last.failure(), TrainingFailure::Interrupted);
    assert_eq!(api.retrain().await.model_version, 1);
}

#[tokio::test]
async fn too_little_to_train_on_is_said_and_leaves_everything_as_it_was() {
    let server = Server::start().await;
    let api = server.api().await;
    for recorded in [0, 19] {
        api.record(events("e", 0..recorded)).await;
        let before = api.settled_status().await;
        assert_eq!(api.try_retrain().await.unwrap_err().code(), Code::FailedPrecondition);
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
    assert_eq!(api.retrain().await.model_version, 1);
    // A pull to zero that leaves little of tastes, and no search that would find a better one.
    let bad = ["--collaborative-regularization", "0.5", "--search-trials", "1"];
    server.restart_with(&bad).await;
    let api = server.api().await;
    // Histories keep the second: what follows must lie in a later one than the training.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    api.record(tastes.clicks(2_000)).await;
    let before = api.settled_status().await;
    let refused = api.retrain().await;
    assert_eq!(refused.state(), TrainingState::Failed);
    assert_eq!(refused.failure(), TrainingFailure::NotBetter, "{refused:?}");
    let after = eventually("the end of the training", async || {
        let status = api.status().await;
        (!status.training).then_some(status)
    })
    .await;
    assert_eq!(after, before);
    assert_eq!(api.personalize(greedy("user-1", 5)).await.model_version, 1);
    server.restart_without(&bad).await;
    let api = server.api().await;
    assert_eq!(api.retrain().await.model_version, 2);
}

#[tokio::test]
async fn a_model_outlives_a_restart_and_gives_the_same_answers() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    api.retrain().await;
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
        async move { api.retrain().await }
    });
    let mut answered = 0;
    while !training.is_finished() {
        let event = events("meanwhile", answered..answered + 1);
        let min_watermark = api.record(event).await.last_sequence;
        let request = PersonalizeRequest { min_watermark, ..greedy("jazz-fan-1", 5) };
        assert_eq!(api.personalize(request).await.recommendations.len(), 5);
        answered += 1;
    }
    assert_eq!(training.await.unwrap().model_version, 1);
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
