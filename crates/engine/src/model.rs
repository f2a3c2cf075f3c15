//! A trained model: made from a view off to the side, published as a log record.
//!
//! Training uses kernels whose last bits depend on the processor, so its result is
//! data to the engine: every replica reads the same bytes at the same place of the
//! log. What is derived here (the Gram matrix) uses `numeric` only.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::collaborative;
use super::collaborative::Hyperparameters;
use super::collaborative::ItemItem;
use super::collaborative::Regularization;
use super::collaborative::Trained;
use super::column::encode;
use super::content::ContentModel;
use super::factors::ItemFactors;
use super::weighing::Weighing;
use crate::domain::PublishedModel;
use crate::domain::Sequence;
use crate::domain::Timestamp;

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
    pub(super) content: Arc<ContentModel>,
}

impl Model {
    /// Whether what was read of a snapshot fits the factors beside it.
    pub(super) fn fits(&self, factors: &ItemFactors) -> bool {
        let squares = self.k.checked_mul(self.k);
        self.k > 0
            && (factors.k() == self.k || factors.k() == 0)
            && squares == Some(self.item_gram.len())
            && squares == Some(self.user_gram.len())
            && self.content.is_whole(self.k)
    }

    /// Whether an item has factors of training: other items have those that their content
    /// foretells and their own evidence.
    pub(super) fn is_trained(&self, item: u32) -> bool {
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
    /// The latest time of an interaction trained on; 0 when that is not known.
    pub trained_until: Timestamp,
}

impl Default for Origin {
    /// That of a model from before origins were kept: trained on positives, and asked for
    /// by no settings that there are.
    fn default() -> Self {
        Self {
            hyperparameters: Hyperparameters::default(),
            asked: Hyperparameters { factors: 0, ..Hyperparameters::default() },
            weighing: Weighing { negatives: false, ..Weighing::default() },
            item_item_l2: 0.0,
            searched_positives: 0,
            trained_until: Timestamp::default(),
        }
    }
}

/// The bytes of a published model: these, then [`Beside`], which models of the first
/// revision lack.
#[derive(Debug, Serialize, Deserialize)]
struct Encoded {
    k: usize,
    regularization: Regularization,
    item_factors: Vec<f32>,
    user_gram: Vec<f32>,
    figures: BTreeMap<String, f64>,
}

/// What a training makes beside the factors.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Beside {
    pub origin: Origin,
    pub item_item: ItemItem,
    pub content: ContentModel,
}

/// The bytes of a model to publish.
pub fn encoded(trained: Trained, beside: &Beside, figures: BTreeMap<String, f64>) -> Vec<u8> {
    let mut bytes = encode(&Encoded {
        k: trained.factors,
        regularization: trained.regularization,
        item_factors: trained.item_factors,
        user_gram: trained.user_gram,
        figures,
    });
    bytes.append(&mut encode(beside));
    bytes
}

/// A published model, decoded.
pub struct Decoded {
    pub model: Arc<Model>,
    pub item_factors: Vec<f32>,
    pub item_item: Arc<ItemItem>,
}

/// Reads a published model; `None` when the bytes are not one.
pub fn decode(published: &PublishedModel, published_at: Timestamp) -> Option<Decoded> {
    let (encoded, rest) = postcard::take_from_bytes::<Encoded>(&published.encoded).ok()?;
    let beside: Beside =
        if rest.is_empty() { Beside::default() } else { postcard::from_bytes(rest).ok()? };
    let k = encoded.k;
    let whole = k > 0
        && encoded.item_factors.len().is_multiple_of(k)
        && encoded.user_gram.len() == k * k
        && encoded.item_factors.iter().chain(&encoded.user_gram).all(|value| value.is_finite())
        && beside.item_item.is_sound(encoded.item_factors.len() / k)
        && beside.content.is_whole(k);
    if !whole {
        return None;
    }
    let model = Model {
        version: published.version,
        trained_at: published.trained_at,
        published_at,
        k,
        regularization: encoded.regularization,
        item_gram: collaborative::gram(&encoded.item_factors, k),
        user_gram: encoded.user_gram,
        origin: beside.origin,
        figures: encoded.figures,
        trained: trained_items(&encoded.item_factors, k),
        content: Arc::new(beside.content),
    };
    Some(Decoded {
        model: Arc::new(model),
        item_factors: encoded.item_factors,
        item_item: Arc::new(beside.item_item),
    })
}

/// Which items have factors, as bits.
fn trained_items(item_factors: &[f32], k: usize) -> Arc<[u64]> {
    let rows: Vec<&[f32]> = item_factors.chunks_exact(k).collect();
    let bits = |rows: &[&[f32]]| {
        rows.iter().enumerate().fold(0, |word, (bit, row)| {
            word | u64::from(row.iter().any(|&value| value != 0.0)) << bit
        })
    };
    rows.chunks(64).map(bits).collect()
}
