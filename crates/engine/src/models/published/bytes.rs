//! The bytes of a published model, and whether a state takes them.
//!
//! - Bytes are data and may be anything: another log's, another version's, damaged. So
//!   everything is checked here, before a switch changes anything. What passes can be ranked
//!   with: no index is out of range, no length differs, no number overflows.
//! - A model names the log it was trained on: when it began, and the items it had. A log
//!   of the same name that was created anew does not take it.
//! - The verdict is a function of the state and the bytes, so every replica comes to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::PublishedModel;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::models::collaborative;
use crate::models::collaborative::ItemItem;
use crate::models::collaborative::Regularization;
use crate::models::collaborative::Trained;
use crate::models::content::ContentModel;
use crate::models::published::Model;
use crate::models::published::Origin;
use crate::state::View;
use crate::state::column::Digest;
use crate::state::column::encode;
use crate::state::interner::name_key;

/// Largest absolute factor. Those of trainings are below 100; sums of their products stay
/// far below what an `f32` holds.
const FACTOR_MAX: f32 = 1e6;
/// Largest absolute sum over the factors of all users.
const GRAM_MAX: f32 = 1e18;
/// L2 weights: below the least, a solve may blow up.
const LAMBDA: std::ops::RangeInclusive<f64> = 1e-9..=1e12;
const UNOBSERVED_WEIGHT_MAX: f32 = 1e6;
const HALF_LIFE_HOURS_MAX: f32 = 1e6;
const ITEM_ITEM_L2_MAX: f64 = 1e12;
const FIGURES_MAX: usize = 128;

/// Which log a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct LogMark {
    began: Timestamp,
    items: u64,
    /// Of the ids of the items in their order.
    item_ids: Digest,
}

#[derive(Debug, Serialize, Deserialize)]
struct Encoded {
    log: LogMark,
    k: usize,
    regularization: Regularization,
    item_factors: Vec<f32>,
    user_gram: Vec<f32>,
    figures: BTreeMap<String, f64>,
}

/// What a training makes beside the factors.
#[derive(Debug, Serialize, Deserialize)]
pub struct Beside {
    pub origin: Origin,
    pub item_item: ItemItem,
    pub content: ContentModel,
}

/// Why a published model is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModelFault {
    #[error("its bytes are not a model of this version")]
    Encoding,
    #[error("it is not the version after the one that serves")]
    Version,
    #[error("it was trained on records that come after its own")]
    TrainedAhead,
    #[error("it was trained on another log")]
    OtherLog,
    #[error("its {0} does not have the length that its factors and items ask for")]
    Length(&'static str),
    #[error("its {0} holds a number that is not finite or out of range")]
    Number(&'static str),
}

/// The bytes of a model trained on a view.
pub fn encoded(
    view: &View,
    trained: Trained,
    beside: &Beside,
    figures: BTreeMap<String, f64>,
) -> Vec<u8> {
    let items = view.items_len();
    let mark = log_mark(view, items as u64).expect("a view has as many items as it has");
    let mut bytes = encode(&Encoded {
        log: mark,
        k: trained.factors,
        regularization: trained.regularization,
        item_factors: trained.item_factors,
        user_gram: trained.user_gram,
        figures,
    });
    bytes.append(&mut encode(beside));
    bytes
}

/// The mark of the log when it had so many items; `None` when it never had.
fn log_mark(view: &View, items: u64) -> Option<LogMark> {
    let first = usize::try_from(items).ok()?;
    let mut hasher = blake3::Hasher::new();
    for item in 0..first {
        hasher.update(&name_key(view.items.ids.name(item as u32)?).to_le_bytes());
    }
    let item_ids = *hasher.finalize().as_bytes();
    Some(LogMark { began: view.began, items, item_ids })
}

/// A published model, decoded.
pub struct Decoded {
    pub model: Arc<Model>,
    pub item_factors: Vec<f32>,
    pub item_item: Arc<ItemItem>,
}

/// Reads a model that record `sequence` publishes to a state.
///
/// # Errors
/// [`ModelFault`]: the state does not take it.
pub fn decode(
    view: &View,
    published: &PublishedModel,
    sequence: Sequence,
    published_at: Timestamp,
) -> Result<Decoded, ModelFault> {
    if published.version.checked_sub(1) != Some(view.model_version()) {
        return Err(ModelFault::Version);
    }
    if published.trained_at >= sequence {
        return Err(ModelFault::TrainedAhead);
    }
    let ((encoded, beside), rest): ((Encoded, Beside), _) =
        postcard::take_from_bytes(&published.encoded).map_err(|_| ModelFault::Encoding)?;
    if !rest.is_empty() {
        return Err(ModelFault::Encoding);
    }
    if log_mark(view, encoded.log.items) != Some(encoded.log) {
        return Err(ModelFault::OtherLog);
    }
    check_lengths(&encoded, &beside)?;
    check_numbers(view, &encoded, &beside)?;
    let k = encoded.k;
    let item_gram = collaborative::gram(&encoded.item_factors, k);
    within(GRAM_MAX, "item factors", &item_gram)?;
    let model = Model {
        version: published.version,
        trained_at: published.trained_at,
        published_at,
        k,
        regularization: encoded.regularization,
        item_gram,
        user_gram: encoded.user_gram,
        origin: beside.origin,
        figures: encoded.figures,
        trained: trained_items(&encoded.item_factors, k),
        content: Arc::new(beside.content),
    };
    Ok(Decoded {
        model: Arc::new(model),
        item_factors: encoded.item_factors,
        item_item: Arc::new(beside.item_item),
    })
}

fn check_lengths(encoded: &Encoded, beside: &Beside) -> Result<(), ModelFault> {
    let Encoded { log, k, item_factors, user_gram, figures, regularization } = encoded;
    if beside.origin.hyperparameters.validate().is_err()
        || beside.origin.hyperparameters.factors != *k
    {
        return Err(ModelFault::Number("origin"));
    }
    // At most 512 factors: no product of lengths overflows.
    let items = log.items as usize;
    let checks = [
        ("item factors", items.checked_mul(*k) == Some(item_factors.len())),
        ("user factors", user_gram.len() == k * k),
        ("regularization", regularization.n_items == items),
        ("item-item weights", beside.item_item.is_sound(items)),
        ("content", beside.content.is_whole(*k)),
        ("figures", figures.len() <= FIGURES_MAX),
    ];
    match checks.into_iter().find(|(_, fits)| !fits) {
        Some((part, _)) => Err(ModelFault::Length(part)),
        None => Ok(()),
    }
}

fn check_numbers(view: &View, encoded: &Encoded, beside: &Beside) -> Result<(), ModelFault> {
    within(FACTOR_MAX, "item factors", &encoded.item_factors)?;
    within(GRAM_MAX, "user factors", &encoded.user_gram)?;
    within(FACTOR_MAX, "item-item weights", beside.item_item.weights())?;
    within(FACTOR_MAX, "content", beside.content.numbers())?;
    let Regularization { lambda, frequency_exponent, unobserved_weight, n_users, .. } =
        encoded.regularization;
    let is_regular = LAMBDA.contains(&lambda)
        && (0.0..=1.0).contains(&frequency_exponent)
        && (0.0..=UNOBSERVED_WEIGHT_MAX).contains(&unobserved_weight)
        && n_users <= view.users_len();
    let Origin { weighing, item_item_l2, searched_positives, trained_until, .. } = beside.origin;
    let is_of_the_past = searched_positives <= view.counts.positives
        && (Timestamp::default()..=view.clock).contains(&trained_until);
    let is_ours = is_of_the_past
        && (0.0..=HALF_LIFE_HOURS_MAX).contains(&weighing.half_life_hours)
        && (0.0..=ITEM_ITEM_L2_MAX).contains(&item_item_l2);
    let are_finite = encoded.figures.values().all(|figure| figure.is_finite());
    match (is_regular, is_ours, are_finite) {
        (false, ..) => Err(ModelFault::Number("regularization")),
        (_, false, _) => Err(ModelFault::Number("origin")),
        (.., false) => Err(ModelFault::Number("figures")),
        _ => Ok(()),
    }
}

/// Whether all numbers are finite and their absolute values within a bound.
fn within<'a>(
    most: f32,
    part: &'static str,
    numbers: impl IntoIterator<Item = &'a f32>,
) -> Result<(), ModelFault> {
    // NaN is within nothing.
    match numbers.into_iter().all(|number| number.abs() <= most) {
        true => Ok(()),
        false => Err(ModelFault::Number(part)),
    }
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
