//! A trained model: made from a view off to the side, published as a log record.
//!
//! Training uses kernels whose last bits depend on the processor, so its result is
//! data to the engine: every replica reads the same bytes at the same place of the
//! log. What is derived here (the Gram matrix) uses `numeric` only.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::collaborative;
use super::collaborative::EpochProgress;
use super::collaborative::Hyperparameters;
use super::collaborative::Regularization;
use super::collaborative::TrainingSet;
use super::column::encode;
use super::view::View;
use crate::domain::PublishedModel;
use crate::domain::Sequence;
use crate::domain::Timestamp;

/// Fewest positive interactions worth a training.
pub const TRAINING_POSITIVES_MIN: usize = 20;
/// Newest positives of a person that are trained on, the same as are folded in.
const TRAINING_EVENTS_PER_USER: usize = 500;

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
    /// Figures of the training, by name.
    pub figures: BTreeMap<String, f64>,
}

/// The bytes of a published model.
#[derive(Debug, Serialize, Deserialize)]
struct Encoded {
    k: usize,
    regularization: Regularization,
    item_factors: Vec<f32>,
    user_gram: Vec<f32>,
    figures: BTreeMap<String, f64>,
}

/// Why no model came out of a training.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrainingError {
    #[error(
        "{found} positive interactions are too few to train on, {TRAINING_POSITIVES_MIN} are needed"
    )]
    TooLittleData { found: usize },
    #[error("the training was cancelled")]
    Cancelled,
    #[error("the training diverged: a factor is not finite")]
    Diverged,
}

/// Trains a model on everything the view has learnt from. Takes seconds to minutes;
/// `progress` is called after each epoch and may cancel.
///
/// # Errors
/// [`TrainingError`].
pub fn train(
    view: &View,
    progress: &mut dyn FnMut(EpochProgress) -> ControlFlow<()>,
) -> Result<PublishedModel, TrainingError> {
    let rows = training_rows(view);
    let positives: usize = rows.iter().map(Vec::len).sum();
    if positives < TRAINING_POSITIVES_MIN {
        return Err(TrainingError::TooLittleData { found: positives });
    }
    let set = TrainingSet::from_rows(view.items_len(), &rows)
        .expect("histories hold known items once each, with positive confidences");
    let settings = view.settings();
    let hyperparameters = Hyperparameters {
        regularization: settings.collaborative_regularization,
        unobserved_weight: settings.unobserved_weight,
        seed: settings.seed,
        ..Hyperparameters::with_factors(settings.collaborative_factors as usize)
    };
    let trained = collaborative::train(&set, &hyperparameters, None, progress)
        .ok_or(TrainingError::Cancelled)?;
    if trained.item_factors.iter().any(|value| !value.is_finite()) {
        return Err(TrainingError::Diverged);
    }
    let figures = BTreeMap::from([
        ("users".to_owned(), rows.len() as f64),
        ("items".to_owned(), view.items_len() as f64),
        ("positives".to_owned(), positives as f64),
        ("factors".to_owned(), trained.factors as f64),
        ("epochs".to_owned(), hyperparameters.epochs as f64),
        ("loss".to_owned(), trained.loss),
    ]);
    let encoded = encode(&Encoded {
        k: trained.factors,
        regularization: trained.regularization,
        item_factors: trained.item_factors,
        user_gram: trained.user_gram,
        figures,
    });
    Ok(PublishedModel {
        version: view.model_version() + 1,
        trained_at: view.watermark(),
        encoded: encoded.into(),
    })
}

fn training_rows(view: &View) -> Vec<Vec<(u32, f32)>> {
    view.users
        .iter()
        .map(|user| {
            let positives = user.history.positives().take(TRAINING_EVENTS_PER_USER);
            positives.map(|entry| (entry.item, entry.confidence)).collect()
        })
        .collect()
}

/// Reads a published model; `None` when the bytes are not one.
pub(super) fn decode(
    published: &PublishedModel,
    published_at: Timestamp,
) -> Option<(Arc<Model>, Vec<f32>)> {
    let encoded: Encoded = postcard::from_bytes(&published.encoded).ok()?;
    let k = encoded.k;
    let whole = k > 0
        && encoded.item_factors.len().is_multiple_of(k)
        && encoded.user_gram.len() == k * k
        && encoded.item_factors.iter().chain(&encoded.user_gram).all(|value| value.is_finite());
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
        figures: encoded.figures,
    };
    Some((Arc::new(model), encoded.item_factors))
}
