//! What one user adds at most, before anything is summed: noise hides no more than that.
//!
//! Invariants: what is added for a user depends on that user's records and on the user's generator alone,
//! not on the order of the records, nor on other users. So a user who comes or goes changes sums by at
//! most the sensitivities stated here.
//!
//! Publish sums of keys that are listed without looking at users: a key that appears with its first
//! user tells of that user, whatever its noise.
//!
//! Sources: Wilson et al., "Differentially Private SQL with Bounded User Contribution" (2020); Chien
//! et al., "Private Alternating Least Squares" (2021), for the weights of rows.

use std::collections::BTreeMap;

use rand::Rng;

use crate::noise;

/// So many keys of one user, and so much of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    keys: u32,
    amount: u32,
}

/// A bound of 0 lets nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user's contribution must be bounded by at least 1 key and an amount of 1")]
pub struct ZeroBound;

impl Bounds {
    /// At most `keys` keys of a user (L0), and of each from `-amount` to `amount` (L-infinity).
    pub fn new(keys: u32, amount: u32) -> Result<Self, ZeroBound> {
        if keys == 0 || amount == 0 { Err(ZeroBound) } else { Ok(Self { keys, amount }) }
    }

    /// What is added for one user, by key. Amounts of a key are summed first, then cut; the keys that stay
    /// are a uniform choice. The length is at most `keys`.
    ///
    /// `rng` is either true randomness or a stream of its own for each user: a stream that users share
    /// would let one user move the choices of others.
    pub fn clip<K: Ord>(
        self,
        records: impl IntoIterator<Item = (K, i64)>,
        rng: &mut impl Rng,
    ) -> Vec<(K, i64)> {
        let mut sums = BTreeMap::<K, i64>::new();
        for (key, amount) in records {
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(amount);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        let most = i64::from(self.amount);
        let kept = sums.len().min(self.keys as usize);
        for place in 0..kept {
            // The first steps of a shuffle.
            let left = sums.len() - place;
            sums.swap(place, place + noise::below(left as u128, rng) as usize);
        }
        sums.truncate(kept);
        sums.into_iter().map(|(key, sum)| (key, sum.clamp(-most, most))).collect()
    }

    /// The greatest sum of absolute changes when a user comes or goes: `keys * amount`. For Laplace noise.
    #[must_use]
    pub fn l1_sensitivity(self) -> u64 {
        u64::from(self.keys) * u64::from(self.amount)
    }

    /// The greatest sum of squared changes when a user comes or goes: `keys * amount^2`. For Gaussian noise.
    #[must_use]
    pub fn l2_sensitivity_squared(self) -> u128 {
        u128::from(self.l1_sensitivity()) * u128::from(self.amount)
    }
}

/// The factor for each of the `items` entries of a user's row, from 0 to 1: `min(1, sqrt(budget / items))`.
///
/// Entries are at most 1 in size, so a weighted row has a squared L2 norm of at most `budget`. A user
/// who comes or goes then changes
///
/// - a sum over items of weight times a vector of norm at most 1 by at most `sqrt(budget)` in L2,
/// - a Gram matrix of the rows, whole or its upper triangle, by at most `budget` in L2 (Frobenius).
#[must_use]
pub fn row_weight(items: u64, budget: u64) -> f64 {
    if items <= budget { 1.0 } else { (budget as f64 / items as f64).sqrt() }
}

/// `scale` times [`row_weight`], rounded down: entries of 0 or 1 times this are integers, as noise needs
/// them.
///
/// The sensitivities are exact in this unit: squared, `scale^2 * budget` for sums over items, and
/// `(scale^2 * budget)^2` for a Gram matrix.
#[must_use]
pub fn integer_row_weight(items: u64, budget: u64, scale: u32) -> u64 {
    let square = u128::from(scale).pow(2) * u128::from(budget);
    let root = (square / u128::from(items.max(1))).isqrt();
    u64::try_from(root).unwrap_or(u64::MAX).min(scale.into())
}
