//! A training as the one who asked for it sees it. The owner of the namespace runs it.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Service;
use super::error::Error;
use super::namespace::Namespace;
use engine::TrainingProgress;
use engine::TrainingStage;

/// Progress messages of a training; the last one is `Done` or an error.
pub type Training = mpsc::Receiver<Result<RetrainProgress, Error>>;

/// In the order they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetrainStage {
    Loading,
    Training,
    Fitting,
    Publishing,
    Done,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RetrainProgress {
    pub stage: RetrainStage,
    /// From 1, while training; 0 otherwise.
    pub trial: usize,
    pub trials: usize,
    pub epoch: usize,
    pub epochs: usize,
    pub loss: Option<f64>,
    /// NDCG@20 on what is held out, best epoch so far; while training.
    pub validation_ndcg: Option<f64>,
    /// Set when done.
    pub model_version: u64,
}

impl RetrainProgress {
    pub(super) fn stage(stage: RetrainStage) -> Self {
        Self {
            stage,
            trial: 0,
            trials: 0,
            epoch: 0,
            epochs: 0,
            loss: None,
            validation_ndcg: None,
            model_version: 0,
        }
    }

    pub(super) fn done(model_version: u64) -> Self {
        Self { model_version, ..Self::stage(RetrainStage::Done) }
    }

    pub(super) fn training(progress: TrainingProgress) -> Self {
        let stage = match progress.stage {
            TrainingStage::Training => RetrainStage::Training,
            TrainingStage::Fitting => RetrainStage::Fitting,
        };
        Self {
            trial: progress.trial,
            trials: progress.trials,
            epoch: progress.epoch,
            epochs: progress.epochs,
            loss: Some(progress.loss),
            validation_ndcg: progress.ndcg,
            ..Self::stage(stage)
        }
    }
}

impl Service {
    /// Has a training started and returns its progress. When the receiver is dropped the
    /// training is cancelled.
    ///
    /// # Errors
    /// `TrainingRuns`, here or in another process; `Opening` when the namespace is closed
    /// just now; storage errors.
    pub async fn retrain(&self, namespace: &Arc<Namespace>) -> Result<Training, Error> {
        namespace.train().await
    }
}
