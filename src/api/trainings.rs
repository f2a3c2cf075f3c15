//! Trainings in messages, and the stream of one that is watched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tonic::Status;

use super::convert;
use crate::proto;
use crate::service::Error;
use crate::service::Namespace;
use crate::service::Service;
use crate::service::Training;
use crate::service::TrainingFailure;
use crate::service::TrainingStage;
use crate::service::TrainingState;
use crate::service::TrainingStep;

/// How often a watched training is looked at; it is reported once a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Share of a training's progress that is the search; it may end early.
const SEARCH_SHARE: f64 = 0.7;
/// Share that is done when the model is to be published.
const FITTED_SHARE: f64 = 0.95;

type Watched = Result<proto::WatchTrainingResponse, Status>;

/// Sends a training whenever something about it has changed, until it has ended, the caller
/// leaves or the service drains. Holds the permit meanwhile.
pub fn watch(
    service: Service,
    namespace: Arc<Namespace>,
    training: Training,
    permit: OwnedSemaphorePermit,
) -> mpsc::Receiver<Watched> {
    let (messages, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let last = tokio::select! {
            last = send_changes(&service, &namespace, training, &messages) => last,
            () = messages.closed() => Ok(()),
            () = service.draining.cancelled() => Err(Error::ShuttingDown),
        };
        drop(permit);
        if let Err(error) = last {
            let _gone = messages.send(Err(error.into())).await;
        }
    });
    receiver
}

async fn send_changes(
    service: &Service,
    namespace: &Namespace,
    mut training: Training,
    messages: &mpsc::Sender<Watched>,
) -> Result<(), Error> {
    let id = training.training_id.clone();
    loop {
        let message = proto::WatchTrainingResponse { training: Some(message(&training)) };
        if messages.send(Ok(message)).await.is_err() || !training.is_running() {
            return Ok(());
        }
        let before = training.clone();
        while training == before {
            tokio::time::sleep(LOOK_EVERY).await;
            training = service.training(namespace, Some(&id)).await?;
        }
    }
}

/// A training as callers see it.
pub fn message(training: &Training) -> proto::Training {
    let is_running = training.is_running();
    let step = if is_running { training.step } else { TrainingStep::default() };
    let mut message = proto::Training {
        training_id: training.training_id.clone(),
        scheduled: training.scheduled,
        started_at: Some(convert::timestamp_message(training.started_at)),
        ended_at: training.ended_at.map(convert::timestamp_message),
        stage: if is_running { stage(step.stage) } else { proto::TrainingStage::Unspecified }
            .into(),
        progress: progress(training),
        trial: step.trial as u32,
        trials: step.trials as u32,
        epoch: step.epoch as u32,
        epochs: step.epochs as u32,
        loss: step.loss,
        validation_ndcg_at_20: step.validation_ndcg,
        state: proto::TrainingState::Running.into(),
        model_version: 0,
        metrics: BTreeMap::new(),
        failure: proto::TrainingFailure::Unspecified.into(),
        failure_text: String::new(),
    };
    match &training.state {
        TrainingState::Running => {}
        TrainingState::Succeeded { model_version, figures } => {
            message.state = proto::TrainingState::Succeeded.into();
            (message.model_version, message.metrics) = (*model_version, figures.clone());
        }
        TrainingState::Failed { failure, text } => {
            message.state = proto::TrainingState::Failed.into();
            message.failure = failure_message(*failure).into();
            message.failure_text.clone_from(text);
        }
        TrainingState::Cancelled => message.state = proto::TrainingState::Cancelled.into(),
    }
    message
}

fn stage(stage: TrainingStage) -> proto::TrainingStage {
    match stage {
        TrainingStage::Searching => proto::TrainingStage::Searching,
        TrainingStage::Fitting => proto::TrainingStage::Fitting,
        TrainingStage::Publishing => proto::TrainingStage::Publishing,
    }
}

fn failure_message(failure: TrainingFailure) -> proto::TrainingFailure {
    match failure {
        TrainingFailure::TooLittleData => proto::TrainingFailure::TooLittleData,
        TrainingFailure::NotBetter => proto::TrainingFailure::NotBetter,
        TrainingFailure::Diverged => proto::TrainingFailure::Diverged,
        TrainingFailure::Interrupted => proto::TrainingFailure::Interrupted,
        TrainingFailure::Internal => proto::TrainingFailure::Internal,
    }
}

fn progress(training: &Training) -> f64 {
    if matches!(training.state, TrainingState::Succeeded { .. }) {
        return 1.0;
    }
    let step = training.step;
    let epochs = step.epoch as f64 / step.epochs.max(1) as f64;
    match step.stage {
        TrainingStage::Searching => {
            let before = step.trial.saturating_sub(1) as f64;
            SEARCH_SHARE * (before + epochs) / step.trials.max(1) as f64
        }
        TrainingStage::Fitting => SEARCH_SHARE + (FITTED_SHARE - SEARCH_SHARE) * epochs,
        TrainingStage::Publishing => FITTED_SHARE,
    }
}
