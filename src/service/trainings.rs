//! Trainings as callers see them.
//!
//! - The owner of a namespace runs one and reports to the store what it is at, about once a
//!   second. So every replica can tell of it, and ask for its end.
//! - It goes on when the one who asked for it leaves. Its last report stays until the next
//!   training of the namespace begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Service;
use super::Stores;
use super::error::Error;
use super::namespace::Namespace;
use crate::storage;
use crate::storage::LEASE_TTL;
use engine::TrainingError;
use engine::TrainingProgress;
use engine::domain::Timestamp;

/// How often a training is reported while it runs.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(1);

/// In the order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrainingStage {
    #[default]
    Searching,
    Fitting,
    Publishing,
}

/// What a training is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingStep {
    pub stage: TrainingStage,
    /// From 1, while searching; 0 otherwise.
    pub trial: usize,
    pub trials: usize,
    pub epoch: usize,
    pub epochs: usize,
    pub loss: Option<f64>,
    /// NDCG@20 on what is held out, best epoch so far; while searching.
    pub validation_ndcg: Option<f64>,
}

impl TrainingStep {
    pub(super) fn publishing() -> Self {
        Self { stage: TrainingStage::Publishing, ..Self::default() }
    }

    pub(super) fn of(progress: TrainingProgress) -> Self {
        Self {
            stage: match progress.stage {
                engine::TrainingStage::Training => TrainingStage::Searching,
                engine::TrainingStage::Fitting => TrainingStage::Fitting,
            },
            trial: progress.trial,
            trials: progress.trials,
            epoch: progress.epoch,
            epochs: progress.epochs,
            loss: Some(progress.loss).filter(|loss| loss.is_finite()),
            validation_ndcg: progress.ndcg,
        }
    }
}

/// Why a training published nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrainingFailure {
    TooLittleData,
    NotBetter,
    Diverged,
    /// Its process ended, closed the namespace, lost the lead, or could not reach the store.
    Interrupted,
    Internal,
}

/// Whether a training runs, and what it came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TrainingState {
    Running,
    Succeeded { model_version: u64, figures: BTreeMap<String, f64> },
    Failed { failure: TrainingFailure, text: String },
    Cancelled,
}

/// A training, as it was reported last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub training_id: String,
    /// Whether it was due; otherwise a caller asked for it.
    pub scheduled: bool,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub state: TrainingState,
    pub step: TrainingStep,
}

impl Training {
    pub(super) fn begun(scheduled: bool, started_at: Timestamp) -> Self {
        Self {
            training_id: uuid::Uuid::now_v7().simple().to_string(),
            scheduled,
            started_at,
            ended_at: None,
            state: TrainingState::Running,
            step: TrainingStep::default(),
        }
    }

    pub fn is_running(&self) -> bool {
        self.state == TrainingState::Running
    }

    pub(super) fn end(&mut self, state: TrainingState, ended_at: Timestamp) {
        (self.state, self.ended_at) = (state, Some(ended_at));
    }

    fn of(reported: &storage::ReportedTraining) -> Result<Self, Error> {
        let mut training: Self = serde_json::from_str(&reported.report).map_err(|error| {
            tracing::warn!(%error, "the report of a training is of another version");
            Error::NoTraining { newest: None }
        })?;
        if training.is_running() && reported.silent_for > LEASE_TTL {
            let text =
                "its process ended, or closed the namespace because it was not used".to_owned();
            training.state = TrainingState::Failed { failure: TrainingFailure::Interrupted, text };
        }
        Ok(training)
    }
}

/// What a training that published nothing came to. `is_cancelled`: one that was stopped was so because
/// its end was requested, or the process ends.
pub(super) fn state_of(error: &Error, is_cancelled: bool) -> TrainingState {
    let failure = match error {
        Error::Training(TrainingError::Cancelled) if is_cancelled => {
            return TrainingState::Cancelled;
        }
        Error::Training(TrainingError::TooLittleData { .. }) => TrainingFailure::TooLittleData,
        Error::Training(TrainingError::NotBetter { .. }) => TrainingFailure::NotBetter,
        Error::Training(TrainingError::Diverged) => TrainingFailure::Diverged,
        Error::Internal { .. } => TrainingFailure::Internal,
        _ => TrainingFailure::Interrupted,
    };
    TrainingState::Failed { failure, text: error.to_string() }
}

impl Service {
    /// Has a training started, and returns it with `true`; or the one that runs already, here or
    /// in another process, with `false`. It goes on when this is given up.
    ///
    /// # Errors
    /// `TrainingRuns` when another one is about to begin or to end; `TooLittleData`; `Opening`
    /// when the namespace is closed just now; storage errors.
    pub async fn retrain(&self, namespace: &Arc<Namespace>) -> Result<(Training, bool), Error> {
        match namespace.train().await {
            Ok(training) => Ok((training, true)),
            Err(Error::TrainingRuns) => match self.training(namespace, None).await {
                Ok(training) if training.is_running() => Ok((training, false)),
                Ok(_) | Err(Error::NoTraining { .. }) => Err(Error::TrainingRuns),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The newest training of a namespace, in whichever process it runs or ran.
    ///
    /// # Errors
    /// `NoTraining` when there is none, or it is not the one of this id; storage errors.
    pub async fn training(
        &self,
        namespace: &Namespace,
        training_id: Option<&str>,
    ) -> Result<Training, Error> {
        let partition = namespace.tail.partition.clone();
        let reported = move |stores: &Stores| stores.trainings.reported(&partition);
        match self.namespaces.with_stores(reported).await? {
            Some(newest) if training_id.is_none_or(|id| id == newest.training_id) => {
                Training::of(&newest)
            }
            other => Err(Error::NoTraining { newest: other.map(|newest| newest.training_id) }),
        }
    }

    /// Asks for the end of a training, in whichever process it runs. It ends at once in this one,
    /// within about a second in another. One that has ended is left as it is.
    ///
    /// # Errors
    /// As [`Self::training`].
    pub async fn cancel_training(
        &self,
        namespace: &Namespace,
        training_id: &str,
    ) -> Result<Training, Error> {
        let training = self.training(namespace, Some(training_id)).await?;
        if training.is_running() {
            let (partition, id) = (namespace.tail.partition.clone(), training.training_id.clone());
            let request = move |stores: &Stores| stores.trainings.request_end(&partition, &id);
            self.namespaces.with_stores(request).await?;
            namespace.training_end.notify_one();
            tracing::info!(namespace = %namespace.name(), training_id, "end of a training requested");
        }
        Ok(training)
    }
}
