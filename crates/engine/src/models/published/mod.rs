//! A trained model: made from a view in the background, published as a log record.
//!
//! Training uses kernels whose last bits depend on the processor, so its result is
//! data to the engine: every replica reads the same bytes at the same position of the
//! log. What is derived of them uses `numeric` only.

mod bytes;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

pub use self::bytes::ModelFault;
pub use self::bytes::Publication;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::models::collaborative::Hyperparameters;
use crate::models::collaborative::Regularization;
use crate::models::content::ContentModel;
use crate::models::weighing::Weighing;

/// What is kept of a published model when its rows are in the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub version: u64,
    /// All records up to this one were trained on.
    pub trained_at: Sequence,
    /// When it entered the log.
    pub published_at: Timestamp,
    /// Number of factors.
    pub k: usize,
    pub regularization: Regularization,
    /// Gram matrix of the user factors, for new items.
    pub user_gram: Vec<f32>,
    pub origin: Origin,
    /// Figures of the training, by name.
    pub figures: BTreeMap<String, f64>,
    pub(crate) content: ContentModel,
}

impl Model {
    /// Whether what was read of a snapshot belongs together.
    pub(crate) fn is_whole(&self) -> bool {
        self.k > 0
            && self.k.checked_mul(self.k) == Some(self.user_gram.len())
            && self.content.is_whole(self.k)
    }
}

/// How a model is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    pub hyperparameters: Hyperparameters,
    /// Also how users are folded in.
    pub weighing: Weighing,
}

/// A configuration with the figure of its trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub configuration: Configuration,
    /// NDCG@20 on what was held out, 0 to 1.
    pub ndcg: f64,
}

/// The hyperparameters and figures of a training, from which the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub configuration: Configuration,
    /// What the settings asked for.
    pub asked: Hyperparameters,
    /// The best of all searches since these settings were asked for.
    pub best: Option<Found>,
    /// L2 weight of the item-item weights.
    pub item_item_l2: f64,
    /// Positives that had been learnt at the last search; 0: there was none.
    pub searched_positives: u64,
    /// Positives that had been learnt at this training.
    pub positives: u64,
    /// The same, older ones counting less (`training::schedule`).
    pub positive_mass: f64,
    /// The latest time of an interaction trained on.
    pub trained_until: Timestamp,
}
