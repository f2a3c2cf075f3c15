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

/// What a training leaves to publish.
#[derive(Debug, Serialize, Deserialize)]
pub struct TrainedParts {
    k: usize,
    regularization: Regularization,
    item_factors: Vec<f32>,
    user_gram: Vec<f32>,
    pub loss: f64,
    pub item_item: ItemItem,
    pub origin: Origin,
}

impl TrainedParts {
    /// The factors; the rest is for the caller to fill in.
    pub fn of(trained: Trained, origin: Origin) -> Self {
        Self {
            k: trained.factors,
            regularization: trained.regularization,
            item_factors: trained.item_factors,
            user_gram: trained.user_gram,
            loss: trained.loss,
            item_item: ItemItem::default(),
            origin,
        }
    }
}

/// The bytes of a published model.
pub fn encoded(parts: &TrainedParts, figures: &BTreeMap<String, f64>) -> Vec<u8> {
    encode(&(parts, figures))
}

/// A published model, decoded.
pub struct Decoded {
    pub model: Arc<Model>,
    pub item_factors: Vec<f32>,
    pub item_item: Arc<ItemItem>,
}

/// Reads a published model; `None` when the bytes are not one.
pub fn decode(published: &PublishedModel, published_at: Timestamp) -> Option<Decoded> {
    let (parts, figures): (TrainedParts, BTreeMap<String, f64>) =
        postcard::from_bytes(&published.encoded).ok()?;
    let k = parts.k;
    let whole = k > 0
        && parts.item_factors.len().is_multiple_of(k)
        && parts.user_gram.len() == k * k
        && parts.item_factors.iter().chain(&parts.user_gram).all(|value| value.is_finite())
        && parts.item_item.is_sound(parts.item_factors.len() / k);
    if !whole {
        return None;
    }
    let model = Model {
        version: published.version,
        trained_at: published.trained_at,
        published_at,
        k,
        regularization: parts.regularization,
        item_gram: collaborative::gram(&parts.item_factors, k),
        user_gram: parts.user_gram,
        origin: parts.origin,
        figures,
    };
    Some(Decoded {
        model: Arc::new(model),
        item_factors: parts.item_factors,
        item_item: Arc::new(parts.item_item),
    })
}
