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

use super::cold_items;
use super::collaborative;
use super::collaborative::EpochProgress;
use super::collaborative::Hyperparameters;
use super::collaborative::Regularization;
use super::collaborative::TrainingSet;
use super::column::encode;
use super::content::ContentModel;
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
    /// Bit `i % 64` of word `i / 64`: training saw item `i`.
    trained: Arc<[u64]>,
    pub(super) content: Arc<ContentModel>,
}

impl Model {
    /// Whether an item has factors of training: other items have those that their content
    /// foretells and their own evidence.
    pub(super) fn is_trained(&self, item: u32) -> bool {
        let word = self.trained.get(item as usize / 64);
        word.is_some_and(|word| word >> (item % 64) & 1 == 1)
    }
}

/// The bytes of a published model; a `ContentModel` follows, but not in models of before
/// there was one.
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
    let counts = item_counts(view.items_len(), &rows);
    let content = cold_items::fit_content(view, &trained.item_factors, trained.factors, &counts);
    let mut figures = BTreeMap::from([
        ("users".to_owned(), rows.len() as f64),
        ("items".to_owned(), view.items_len() as f64),
        ("positives".to_owned(), positives as f64),
        ("factors".to_owned(), trained.factors as f64),
        ("epochs".to_owned(), hyperparameters.epochs as f64),
        ("loss".to_owned(), trained.loss),
    ]);
    figures.append(&mut cold_items::content_figures(&content));
    let mut encoded = encode(&Encoded {
        k: trained.factors,
        regularization: trained.regularization,
        item_factors: trained.item_factors,
        user_gram: trained.user_gram,
        figures,
    });
    encoded.append(&mut encode(&content));
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

/// How many people's positives each item is among.
fn item_counts(items: usize, rows: &[Vec<(u32, f32)>]) -> Vec<u32> {
    let mut counts = vec![0; items];
    rows.iter().flatten().for_each(|&(item, _)| counts[item as usize] += 1);
    counts
}

/// Reads a published model; `None` when the bytes are not one.
pub(super) fn decode(
    published: &PublishedModel,
    published_at: Timestamp,
) -> Option<(Arc<Model>, Vec<f32>)> {
    let (encoded, rest) = postcard::take_from_bytes::<Encoded>(&published.encoded).ok()?;
    let content: ContentModel =
        if rest.is_empty() { ContentModel::default() } else { postcard::from_bytes(rest).ok()? };
    let k = encoded.k;
    let whole = k > 0
        && encoded.item_factors.len().is_multiple_of(k)
        && encoded.user_gram.len() == k * k
        && encoded.item_factors.iter().chain(&encoded.user_gram).all(|value| value.is_finite())
        && content.is_whole(k);
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
        trained: trained_items(&encoded.item_factors, k),
        content: Arc::new(content),
    };
    Some((Arc::new(model), encoded.item_factors))
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
