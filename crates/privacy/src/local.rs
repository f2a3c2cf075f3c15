//! Local differential privacy: the client changes its answer by chance before it sends it, so the server
//! never has what it could leak.
//!
//! - A report has the stated epsilon with a delta of 0, whatever the server does. Reports of one user
//!   add up: a user who answers t times has t times the epsilon.
//! - Draws are exact (`noise`) and defined by words of 64 bits, so a client in another language can
//!   make the same: `tests/reference/local.json` has words and reports.
//! - An estimate has no bias; it may be below 0 or above 1.
//!
//! Sources: Warner, "Randomized Response" (1965); Kairouz, Bonawitz and Ramage, "Discrete Distribution
//! Estimation under Local Privacy" (2016); Ding, Kulkarni and Yekhanin, "Collecting Telemetry Data
//! Privately" (2017), for one bit of a number.

use rand::Rng;
use statistics::ParameterError;
use statistics::special::math;

use crate::noise;
use crate::parameter;
use crate::ratio::Ratio;

/// How many bits of a value between 0 and 1 count.
const VALUE_BITS: u32 = 53;

/// k-ary randomized response: the true category, or one of the others, each `exp(epsilon)` times less
/// likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomizedResponse {
    epsilon: Ratio,
    categories: u32,
}

/// One bit of a value from 0 to 1: a coin with that share of heads, sent by randomized response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneBit(RandomizedResponse);

/// A share or mean, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub standard_error: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LocalError {
    #[error("there must be at least 2 categories, not {0}")]
    Categories(u32),
    #[error("there is no category {category}: there are {categories}, from 0")]
    NoCategory { category: u32, categories: u32 },
    #[error("there are counts of {found} categories, not of {categories}")]
    Counts { found: usize, categories: u32 },
    #[error("there must be from 1 to 2^53 reports, and no more of one kind than of all")]
    Reports,
    #[error(transparent)]
    Value(#[from] ParameterError),
}

impl RandomizedResponse {
    /// For at least 2 categories.
    pub fn new(epsilon: Ratio, categories: u32) -> Result<Self, LocalError> {
        let is_choice = categories >= 2;
        is_choice.then_some(Self { epsilon, categories }).ok_or(LocalError::Categories(categories))
    }

    /// On the client: what to send instead of `truth`, both from 0 and below the number of categories.
    ///
    /// A category is drawn uniformly until one is kept: the true one always, another with the
    /// probability `exp(-epsilon)`.
    pub fn report(self, truth: u32, rng: &mut impl Rng) -> Result<u32, LocalError> {
        let categories = self.categories;
        if truth >= categories {
            return Err(LocalError::NoCategory { category: truth, categories });
        }
        loop {
            let drawn = noise::below(categories.into(), rng) as u32;
            if drawn == truth || noise::bernoulli_exp_minus(self.epsilon, rng) {
                return Ok(drawn);
            }
        }
    }

    /// The probabilities that a report is the truth, and that it is one given other category.
    #[must_use]
    pub fn probabilities(self) -> (f64, f64) {
        let odds = math::exp(-self.epsilon.value());
        let all = 1.0 + f64::from(self.categories - 1) * odds;
        (1.0 / all, odds / all)
    }

    /// On the server: the share of each category among the users, from the number of reports of each.
    pub fn shares(self, counts: &[u64]) -> Result<Vec<Estimate>, LocalError> {
        let categories = self.categories;
        if counts.len() != categories as usize {
            return Err(LocalError::Counts { found: counts.len(), categories });
        }
        let reports = counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        let reports = reports.ok_or(LocalError::Reports)?;
        counts.iter().map(|count| self.share(*count, reports)).collect()
    }

    fn share(self, count: u64, reports: u64) -> Result<Estimate, LocalError> {
        if reports == 0 || reports > 1 << VALUE_BITS || count > reports {
            return Err(LocalError::Reports);
        }
        let (truth, other) = self.probabilities();
        // The difference of the two, without cancellation where epsilon is small.
        let gap = -math::exp_less_one(-self.epsilon.value()) * truth;
        let found = count as f64 / reports as f64;
        // What is expected is never outside the two: a count of 0 has an error, too.
        let likely = found.clamp(other, truth);
        let standard_error = (likely * (1.0 - likely) / reports as f64).sqrt() / gap;
        Ok(Estimate { value: (found - other) / gap, standard_error })
    }
}

impl OneBit {
    #[must_use]
    pub fn new(epsilon: Ratio) -> Self {
        Self(RandomizedResponse { epsilon, categories: 2 })
    }

    /// On the client: the bit to send for `value`, from 0 to 1. True with the probability
    /// `(1 + value * (exp(epsilon) - 1)) / (exp(epsilon) + 1)`, the value cut to 53 bits.
    pub fn report(self, value: f64, rng: &mut impl Rng) -> Result<bool, LocalError> {
        let value = parameter::within("the value", value, (0.0, 1.0), "from 0 to 1")?;
        let parts = 1_u64 << VALUE_BITS;
        let coin = noise::below(parts.into(), rng) < (value * parts as f64) as u128;
        Ok(self.0.report(coin.into(), rng)? == 1)
    }

    /// On the server: the mean of the users' values, from the number of true bits among all reports.
    pub fn mean(self, ones: u64, reports: u64) -> Result<Estimate, LocalError> {
        self.0.share(ones, reports)
    }
}
