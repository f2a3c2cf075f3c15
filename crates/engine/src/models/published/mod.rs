//! A trained model: made from a view off to the side, published as a log record.
//!
//! Training uses kernels whose last bits depend on the processor, so its result is
//! data to the engine: every replica reads the same bytes at the same position of the
//! log. What is derived here (the Gram matrix) uses `numeric` only.

mod bytes;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

pub use self::bytes::Beside;
pub use self::bytes::ModelFault;
pub use self::bytes::decode;
pub use self::bytes::encoded;
use crate::consumption::Weighing;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::models::collaborative::Hyperparameters;
use crate::models::collaborative::Regularization;
use crate::models::content::ContentModel;
use crate::state::factors::ItemFactors;

/// What stays of a published model once its factors are in the state.
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
    /// Gram matrix of the item factors, for fold-in.
    pub item_gram: Vec<f32>,
    /// Gram matrix of the user factors, for new items.
    pub user_gram: Vec<f32>,
    pub origin: Origin,
    /// Figures of the training, by name.
    pub figures: BTreeMap<String, f64>,
    /// Bit `i % 64` of word `i / 64`: training saw item `i`.
    trained: Arc<[u64]>,
    pub(crate) content: Arc<ContentModel>,
}

impl Model {
    /// Whether what was read of a snapshot fits the factors beside it.
    pub(crate) fn fits(&self, factors: &ItemFactors) -> bool {
        let squares = self.k.checked_mul(self.k);
        self.k > 0
            && (factors.k() == self.k || factors.k() == 0)
            && squares == Some(self.item_gram.len())
            && squares == Some(self.user_gram.len())
            && self.content.is_whole(self.k)
    }

    /// Whether a row of this model stands at an item's index.
    pub(crate) fn refers_to(&self, item: u32) -> bool {
        self.is_trained(item)
    }

    /// Whether an item has factors of training: other items have those that their content
    /// foretells and their own evidence.
    pub(crate) fn is_trained(&self, item: u32) -> bool {
        let word = self.trained.get(item as usize / 64);
        word.is_some_and(|word| word >> (item % 64) & 1 == 1)
    }
}

/// How a model came about: what the next training begins from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub hyperparameters: Hyperparameters,
    /// What the settings asked for: where the search began.
    pub asked: Hyperparameters,
    /// Also how people are folded in.
    pub weighing: Weighing,
    /// L2 weight of the item-item weights.
    pub item_item_l2: f64,
    /// Positives that had been learnt at the last search.
    pub searched_positives: u64,
    /// The latest time of an interaction trained on.
    pub trained_until: Timestamp,
}
