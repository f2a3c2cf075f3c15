//! How much a training tries, where it is, and why nothing comes out of it.

use std::ops::ControlFlow;

use crate::models::collaborative::EpochProgress;

/// Fewest positive interactions worth a training.
pub const TRAINING_POSITIVES_MIN: usize = 20;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A search only where the data have doubled since the last one.
    WhenDue,
    /// A search, where there are enough data for one.
    Search,
    /// As when due, but the serving model is replaced whatever the gate says: a user who was erased
    /// is in it.
    Replace,
}

/// What a training is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingStage {
    /// Trials without what is held out.
    Training,
    /// The best configuration on everything.
    Fitting,
}

/// Where a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingProgress {
    pub stage: TrainingStage,
    /// From 1, of at most `trials`; 0 while fitting.
    pub trial: usize,
    pub trials: usize,
    pub epoch: usize,
    pub epochs: usize,
    pub loss: f64,
    /// NDCG@20 on what is held out, as far as the trial was judged.
    pub ndcg: Option<f64>,
}

impl TrainingProgress {
    pub(super) fn of(epoch: EpochProgress) -> Self {
        Self {
            stage: TrainingStage::Training,
            trial: 0,
            trials: 0,
            epoch: epoch.epoch,
            epochs: epoch.epochs,
            loss: epoch.loss,
            ndcg: None,
        }
    }
}

/// Why no model came out of a training.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainingError {
    #[error(
        "{found} positive interactions are too few to train on, {TRAINING_POSITIVES_MIN} are needed"
    )]
    TooLittleData { found: usize },
    #[error("the training was cancelled")]
    Cancelled,
    #[error(
        "the training diverged: factors are not finite, or all nearly zero; the weights of \
         regularization may not fit the data"
    )]
    Diverged,
    #[error(
        "the new model would rank what users consumed since the last training worse \
         (NDCG@20 {candidate:.4} against {serving:.4}), so the old one stays"
    )]
    NotBetter { candidate: f64, serving: f64 },
}

/// Called after each epoch; may cancel.
pub type Report<'a> = &'a mut dyn FnMut(TrainingProgress) -> ControlFlow<()>;
