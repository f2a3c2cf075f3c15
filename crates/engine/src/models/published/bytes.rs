//! The bytes of a published model, and their validation.
//!
//! - Bytes may come from another log or another version, or be damaged. So everything is checked
//!   here, before a switch changes anything. A model that passes can be used for ranking: no index
//!   is out of range, no length differs, no number overflows.
//! - Rows belong to items by the 64-bit key of their id: indices of items may be reused
//!   during a training. The state puts each row at the index that has its key.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::models::collaborative::Associations;
use crate::models::collaborative::FACTOR_MAX;
use crate::models::collaborative::Regularization;
use crate::models::content::ContentModel;
use crate::models::hybrid::HybridFit;
use crate::models::published::Configuration;
use crate::models::published::Origin;
use crate::numeric;

/// Largest absolute sum over the factors of all users.
const GRAM_MAX: f32 = 1e18;
/// L2 weights: below the least, a solve may blow up.
const LAMBDA: std::ops::RangeInclusive<f64> = 1e-9..=1e12;
const UNOBSERVED_WEIGHT_MAX: f32 = 1e6;
const HALF_LIFE_HOURS_MAX: f32 = 1e6;
const ITEM_ITEM_L2_MAX: f64 = 1e12;
const POSITIVE_MASS_MAX: f64 = 1e18;
const USERS_MAX: usize = u32::MAX as usize;
const FIGURES_MAX: usize = 128;

/// What a training publishes. Item `i` of all parts is the one with key `items[i]`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publication {
    /// When the log of the training began: it identifies the log.
    pub began: Timestamp,
    /// Keys of the items, each once.
    pub items: Vec<u64>,
    /// Number of factors.
    pub k: usize,
    pub regularization: Regularization,
    /// Row-major, `k` wide.
    pub item_factors: Vec<f32>,
    /// Gram matrix of the user factors, k x k.
    pub user_gram: Vec<f32>,
    pub figures: BTreeMap<String, f64>,
    pub origin: Origin,
    pub associations: Associations,
    /// Fitted with the features of this model; `None` where there was too little to fit it on.
    pub hybrid: Option<HybridFit>,
    pub content: ContentModel,
}

/// Why a published model is rejected.
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

impl Publication {
    /// # Errors
    /// [`ModelFault`]: the bytes are no model, or one that cannot be ranked with.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelFault> {
        let (publication, rest): (Self, _) =
            postcard::take_from_bytes(bytes).map_err(|_| ModelFault::Encoding)?;
        if !rest.is_empty() {
            return Err(ModelFault::Encoding);
        }
        publication.check_lengths()?;
        publication.check_numbers()?;
        Ok(publication)
    }

    /// The rows of the factors, in the order of the items.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.item_factors.chunks_exact(self.k.max(1))
    }

    fn check_lengths(&self) -> Result<(), ModelFault> {
        let Self { items, k, item_factors, user_gram, figures, origin, .. } = self;
        let hyperparameters = &origin.configuration.hyperparameters;
        if hyperparameters.validate().is_err() || hyperparameters.factors != *k {
            return Err(ModelFault::Number("origin"));
        }
        let mut distinct = items.clone();
        distinct.sort_unstable();
        distinct.dedup();
        // At most 512 factors: no product of lengths overflows.
        let checks = [
            ("items", distinct.len() == items.len()),
            ("item factors", items.len().checked_mul(*k) == Some(item_factors.len())),
            ("user factors", user_gram.len() == k * k),
            ("regularization", self.regularization.n_items == items.len()),
            ("weights of items", self.associations.is_sound(items.len())),
            ("content", self.content.is_whole(*k)),
            ("figures", figures.len() <= FIGURES_MAX),
        ];
        match checks.into_iter().find(|(_, fits)| !fits) {
            Some((part, _)) => Err(ModelFault::Length(part)),
            None => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), ModelFault> {
        within(FACTOR_MAX, "item factors", &self.item_factors)?;
        // No element of their Gram matrix is larger than this sum.
        within(GRAM_MAX, "item factors", [&numeric::sum_squares(&self.item_factors)])?;
        within(GRAM_MAX, "user factors", &self.user_gram)?;
        within(FACTOR_MAX, "weights of items", self.associations.weights())?;
        within(FACTOR_MAX, "content", self.content.numbers())?;
        let Regularization { lambda, frequency_exponent, unobserved_weight, n_users, .. } =
            self.regularization;
        let is_regular = LAMBDA.contains(&lambda)
            && (0.0..=1.0).contains(&frequency_exponent)
            && (0.0..=UNOBSERVED_WEIGHT_MAX).contains(&unobserved_weight)
            && n_users <= USERS_MAX;
        let are_finite = self.figures.values().all(|figure| figure.is_finite());
        if !self.hybrid.iter().all(HybridFit::is_sound) {
            return Err(ModelFault::Number("hybrid"));
        }
        match (is_regular, self.origin.is_in_range(), are_finite) {
            (false, ..) => Err(ModelFault::Number("regularization")),
            (_, false, _) => Err(ModelFault::Number("origin")),
            (.., false) => Err(ModelFault::Number("figures")),
            _ => Ok(()),
        }
    }
}

impl Origin {
    fn is_in_range(&self) -> bool {
        let is_usable = |configuration: &Configuration| {
            configuration.hyperparameters.validate().is_ok()
                && (0.0..=HALF_LIFE_HOURS_MAX).contains(&configuration.weighing.half_life_hours)
        };
        let best = self.best.as_ref();
        is_usable(&self.configuration)
            && best.is_none_or(|best| {
                is_usable(&best.configuration) && (0.0..=1.0).contains(&best.ndcg)
            })
            && (0.0..=ITEM_ITEM_L2_MAX).contains(&self.item_item_l2)
            && (0.0..=POSITIVE_MASS_MAX).contains(&self.positive_mass)
            && self.searched_positives <= self.positives
            && self.trained_until >= Timestamp::default()
    }
}

/// Whether all numbers are finite and their absolute values within a bound.
fn within<'a>(
    most: f32,
    part: &'static str,
    numbers: impl IntoIterator<Item = &'a f32>,
) -> Result<(), ModelFault> {
    // NaN fails this, too.
    match numbers.into_iter().all(|number| number.abs() <= most) {
        true => Ok(()),
        false => Err(ModelFault::Number(part)),
    }
}
