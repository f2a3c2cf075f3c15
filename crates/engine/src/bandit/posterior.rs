//! Bayesian linear regression of rewards on ranker features, from sums.
//!
//! Model: `r ~ N(theta' x, sigma^2)`, `theta ~ N(theta_0, sigma^2 S^-1)`. `S` is diagonal: the
//! impressions that the prior of each coefficient counts as. An impression adds `x x'` to the precision
//! with reward 0; a later reward `r` adds `r x`. So the posterior is exact at every
//! moment, without timers.
//!
//! - The sums are integers in fixed point: sums merge in any order bit for bit, and
//!   an added value can be taken back exactly.
//! - Features are within -8..=8, where their scale puts them, and rounded to 2^-12 before use,
//!   so that a product is exact in 2^-24 and 2^33 impressions fit 63 bits. Rewards are within
//!   -1..=1. Weights are multiples of 2^-16; the weight 1 rounds nothing.
//! - A sum of products of two features does not depend on other features. So when features are
//!   added or removed, the sums of the others stay valid ([`Posterior::aligned`]).
//! - [`Posterior::forget`] scales the sums, never the prior. It rounds each sum by at most
//!   2^-25, so after any number of calls the error of a sum is below 2^-25 / (1 - factor):
//!   0.002 impressions at a half-life of a million.
//! - Sigma is learnt: the mean of its inverse-gamma posterior under the same model.
//!
//! Cost: an impression d(d+1)/2 integer additions; a solve d^3.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::belief::Belief;
use crate::domain::FeatureLayout;
use crate::models::hybrid::VALUE_MAX;

const FEATURE_SCALE: f32 = 4_096.0;
const REWARD_MAX: f32 = 1.0;
const SUM_SCALE: f64 = 4_096.0 * 4_096.0;
/// Prior variance of a reward, that of a click at a rate of 5 %, and the
/// impressions that it counts as.
const VARIANCE_STRENGTH: f64 = 50.0;
const PRIOR_VARIANCE: f64 = 0.05 * 0.95;
/// Lower bound of the variance, where all rewards are predicted exactly.
const VARIANCE_MIN: f64 = 1e-6;

/// The prior of the coefficients, by position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RankerPrior {
    /// The first feature is the constant 1.
    pub layout: FeatureLayout,
    pub mean: Vec<f64>,
    /// Impressions that the prior of each coefficient counts as; above 0.
    pub strength: Vec<f64>,
}

#[cfg(test)]
impl RankerPrior {
    /// Means of 0 with equal strength.
    pub fn even(dimension: usize, strength: f64) -> Self {
        let layout = FeatureLayout::new(0..dimension as u16);
        Self { layout, mean: vec![0.0; dimension], strength: vec![strength; dimension] }
    }

    pub fn about(mean: &[f64]) -> Self {
        Self { mean: mean.to_vec(), ..Self::even(mean.len(), 50.0) }
    }
}

/// The weight of a piece of evidence, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight(u32);

impl Weight {
    pub const NONE: Self = Self(0);
    pub const FULL: Self = Self(1 << 16);

    pub fn new(weight: f64) -> Self {
        Self((weight.clamp(0.0, 1.0) * f64::from(Self::FULL.0)).round_ties_even() as u32)
    }

    /// As a part of the full weight, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::FULL.0)
    }

    /// The rest up to the full weight.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(Self::FULL.0 - self.0)
    }

    #[must_use]
    pub const fn times(self, other: Self) -> Self {
        Self(((self.0 as u64 * other.0 as u64 + (1 << 15)) >> 16) as u32)
    }

    /// The product is at most 2^31 in size, so nothing overflows.
    const fn of(self, product: i64) -> i64 {
        (product * self.0 as i64 + (1 << 15)) >> 16
    }
}

/// The factor of old evidence, 0 to 1, with 32 bits after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention(u64);

impl Retention {
    pub fn new(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * 4_294_967_296.0).round_ties_even() as u64)
    }

    const fn of(self, sum: i64) -> i64 {
        ((sum as i128 * self.0 as i128 + (1 << 31)) >> 32) as i64
    }
}

/// Sufficient statistics of impressions and rewards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posterior {
    /// Lower triangle of `sum x x'`, by rows.
    precision: Vec<i64>,
    /// `sum r x`.
    response: Vec<i64>,
    /// `sum r^2`.
    squares: i64,
    /// Impressions and rewards, without forgetting.
    pub impressions: u64,
    pub rewards: u64,
}

/// NaN is ignored.
fn quantise(value: f32, most: f32) -> i64 {
    let clamped = if value.is_nan() { 0.0 } else { value.clamp(-most, most) };
    (clamped * FEATURE_SCALE).round_ties_even() as i64
}

impl Posterior {
    pub fn new(dimension: usize) -> Self {
        Self {
            precision: vec![0; dimension * (dimension + 1) / 2],
            response: vec![0; dimension],
            squares: 0,
            impressions: 0,
            rewards: 0,
        }
    }

    pub fn dimension(&self) -> usize {
        self.response.len()
    }

    /// Learns that an item with these features was looked at, so far without reward.
    /// Features of another length (an older decision) are ignored.
    pub fn add_impression(&mut self, features: &[f32], weight: Weight) {
        self.change_precision(features, |product| weight.of(product));
    }

    /// Takes back what [`Self::add_impression`] added with the same weight.
    pub fn remove_impression(&mut self, features: &[f32], weight: Weight) {
        self.change_precision(features, |product| -weight.of(product));
    }

    fn change_precision(&mut self, features: &[f32], change: impl Fn(i64) -> i64) {
        if features.len() != self.dimension() {
            return;
        }
        let mut cells = self.precision.iter_mut();
        for (row, &left) in features.iter().enumerate() {
            let left = quantise(left, VALUE_MAX);
            for (&right, cell) in features[..=row].iter().zip(cells.by_ref()) {
                *cell = cell.saturating_add(change(left * quantise(right, VALUE_MAX)));
            }
        }
    }

    /// Changes the reward of an item with these features from `from` to `to`.
    pub fn change_reward(&mut self, features: &[f32], from: f32, to: f32, weight: Weight) {
        if features.len() != self.dimension() {
            return;
        }
        let (from, to) = (quantise(from, REWARD_MAX), quantise(to, REWARD_MAX));
        for (sum, &feature) in self.response.iter_mut().zip(features) {
            *sum = sum.saturating_add(weight.of((to - from) * quantise(feature, VALUE_MAX)));
        }
        self.squares = self.squares.saturating_add(weight.of(to * to - from * from));
    }

    /// Reduces the weight of all evidence so far.
    pub fn forget(&mut self, left: Retention) {
        for sum in self.precision.iter_mut().chain(&mut self.response) {
            *sum = left.of(*sum);
        }
        self.squares = left.of(self.squares);
    }

    /// Impressions after forgetting. The first feature is the constant 1.
    pub fn mass(&self) -> f64 {
        self.precision.first().map_or(0.0, |&cell| cell as f64 / SUM_SCALE)
    }

    /// The same evidence with features at other positions; a new feature has none.
    #[must_use]
    pub fn aligned(&self, positions: &[Option<usize>]) -> Self {
        let mut aligned = Self {
            squares: self.squares,
            impressions: self.impressions,
            rewards: self.rewards,
            ..Self::new(positions.len())
        };
        let cell = |row: usize, column: usize| {
            let (row, column) = (row.max(column), row.min(column));
            row * (row + 1) / 2 + column
        };
        for (row, from) in positions.iter().enumerate() {
            let Some(from) = from else { continue };
            aligned.response[row] = self.response[*from];
            for (column, other) in positions[..=row].iter().enumerate() {
                if let Some(other) = other {
                    aligned.precision[cell(row, column)] = self.precision[cell(*from, *other)];
                }
            }
        }
        aligned
    }

    /// The posterior under a prior.
    pub fn solve(&self, prior: &RankerPrior) -> Belief {
        assert!(prior.mean.len() == self.dimension(), "the prior has the posterior's dimension");
        let response = self.response_with(&prior.mean, &prior.strength);
        let Some(covariance) = self.covariance(&prior.strength) else {
            // Sums that saturated are no Gram matrix any more: use the prior.
            return Belief::prior(&prior.mean, &prior.strength, PRIOR_VARIANCE);
        };
        let mean = product(&covariance, &response);
        let variance = self.variance(prior, &mean, &response);
        Belief::new(mean, covariance, variance)
    }

    /// `S * prior + sum r x`.
    pub(super) fn response_with(&self, prior: &[f64], strength: &[f64]) -> Vec<f64> {
        let both = self.response.iter().zip(prior.iter().zip(strength));
        both.map(|(&sum, (prior, strength))| sum as f64 / SUM_SCALE + strength * prior).collect()
    }

    /// `(S + sum x x')^-1`, by columns; `None` when that is singular.
    pub(super) fn covariance(&self, strength: &[f64]) -> Option<Vec<f64>> {
        let d = self.dimension();
        let mut a = vec![0.0; d * d];
        let mut cells = self.precision.iter();
        for row in 0..d {
            for (column, &cell) in cells.by_ref().take(row + 1).enumerate() {
                a[column * d + row] = cell as f64 / SUM_SCALE;
            }
            a[row * d + row] += strength[row];
        }
        crate::bandit::belief::inverse(&mut a, d)
    }

    /// The posterior mean of sigma^2: the squares of rewards (and of
    /// the prior as observations of its own mean) that the model does not explain.
    fn variance(&self, prior: &RankerPrior, mean: &[f64], response: &[f64]) -> f64 {
        let weighed = prior.mean.iter().zip(&prior.strength).map(|(m, s)| m * m * s);
        let squares = self.squares as f64 / SUM_SCALE + weighed.sum::<f64>();
        let explained: f64 = mean.iter().zip(response).map(|(m, r)| m * r).sum();
        let left = (squares - explained).max(0.0);
        let mass = VARIANCE_STRENGTH + self.mass().max(0.0);
        ((VARIANCE_STRENGTH * PRIOR_VARIANCE + left) / mass).max(VARIANCE_MIN)
    }
}

/// A symmetric matrix times a vector.
pub(super) fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    let rows = matrix.chunks_exact(vector.len().max(1));
    rows.map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STRENGTH: f64 = 50.0;

    fn seen(posterior: &mut Posterior, features: &[f32]) {
        posterior.add_impression(features, Weight::FULL);
    }

    fn rewarded(posterior: &mut Posterior, features: &[f32], reward: f32) {
        posterior.change_reward(features, 0.0, reward, Weight::FULL);
    }

    #[test]
    fn without_evidence_the_mean_is_the_prior() {
        let solved = Posterior::new(3).solve(&RankerPrior::about(&[0.5, -1.0, 0.0]));
        for (mean, prior) in solved.mean.iter().zip([0.5, -1.0, 0.0]) {
            assert!((mean - prior).abs() < 1e-12);
        }
    }

    #[test]
    fn in_one_dimension_the_mean_is_the_shrunk_average_and_sigma_that_of_the_rewards() {
        let mut posterior = Posterior::new(1);
        for number in 0..100_000 {
            seen(&mut posterior, &[1.0]);
            if number % 4 == 0 {
                rewarded(&mut posterior, &[1.0], 1.0);
            }
        }
        let solved = posterior.solve(&RankerPrior::about(&[0.1]));
        let mass = 100_000.0 + STRENGTH;
        let expected = (25_000.0 + STRENGTH * 0.1) / mass;
        assert!((solved.mean[0] - expected).abs() < 1e-9);
        let deviation = (0.25 * 0.75 / mass).sqrt();
        assert!((solved.standard_deviation[0] / deviation - 1.0).abs() < 1e-3);
    }

    #[test]
    fn sums_that_are_no_gram_matrix_fall_back_to_the_prior() {
        let mut posterior = Posterior::new(2);
        posterior.precision = vec![0, i64::MAX, 0];
        assert_eq!(posterior.solve(&RankerPrior::about(&[0.5, 0.1])).mean, [0.5, 0.1]);
    }

    #[test]
    fn features_that_are_not_finite_are_ignored() {
        let mut posterior = Posterior::new(2);
        seen(&mut posterior, &[f32::NAN, f32::INFINITY]);
        posterior.change_reward(&[f32::NAN, 1.0], 0.0, f32::NAN, Weight::FULL);
        assert!(
            posterior
                .solve(&RankerPrior::about(&[0.0, 0.0]))
                .mean
                .iter()
                .all(|mean| mean.is_finite())
        );
    }

    #[test]
    fn evidence_with_a_weight_is_taken_back_exactly() {
        let features = [1.0, -0.37, 2.5];
        let (mut posterior, weight) = (Posterior::new(3), Weight::new(0.3));
        seen(&mut posterior, &[1.0, 0.1, 0.2]);
        let before = posterior.clone();
        posterior.add_impression(&features, weight);
        posterior.change_reward(&features, 0.0, 0.7, weight);
        assert_ne!(posterior, before);
        posterior.change_reward(&features, 0.7, 0.0, weight);
        posterior.remove_impression(&features, weight);
        // Rounding is of each product: of -x it may be one unit from that of x.
        let off = |a: &[i64], b: &[i64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1);
        assert_eq!(posterior.precision, before.precision);
        assert!(off(&posterior.response, &before.response));
    }

    #[test]
    fn forgetting_halves_the_evidence_and_leaves_the_prior() {
        let mut posterior = Posterior::new(1);
        for _ in 0..1_000 {
            seen(&mut posterior, &[1.0]);
            rewarded(&mut posterior, &[1.0], 1.0);
        }
        posterior.forget(Retention::new(0.5));
        assert!((posterior.mass() - 500.0).abs() < 1e-6);
        posterior.forget(Retention::new(0.0));
        assert!((posterior.solve(&RankerPrior::about(&[0.1])).mean[0] - 0.1).abs() < 1e-12);
    }

    #[test]
    fn evidence_of_common_features_does_not_depend_on_the_others() {
        let row = |number: usize| -> Vec<f32> {
            (0..4).map(|at| ((number * 7 + at * 5) % 11) as f32 / 4.0 - 1.0).collect()
        };
        let (mut posterior, mut without) = (Posterior::new(4), Posterior::new(3));
        for number in 0..200 {
            let all = row(number);
            let some = [all[3], 0.0, all[1]];
            let reward = (number % 3) as f32 / 2.0;
            seen(&mut posterior, &all);
            rewarded(&mut posterior, &all, reward);
            seen(&mut without, &some);
            rewarded(&mut without, &some, reward);
        }
        assert_eq!(posterior.aligned(&[Some(3), None, Some(1)]), without);
    }

    /// Gaussian elimination with pivots: independent of the tested code.
    fn solved_in_f64(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
        let d = b.len();
        for at in 0..d {
            let pivot = (at..d).max_by(|&i, &j| a[i][at].abs().total_cmp(&a[j][at].abs())).unwrap();
            a.swap(at, pivot);
            b.swap(at, pivot);
            let (above, below) = a.split_at_mut(at + 1);
            for (position, row) in below.iter_mut().enumerate() {
                let factor = row[at] / above[at][at];
                row.iter_mut().zip(&above[at]).for_each(|(x, y)| *x -= factor * y);
                b[at + 1 + position] -= factor * b[at];
            }
        }
        for at in (0..d).rev() {
            b[at] = (b[at] - (at + 1..d).map(|j| a[at][j] * b[j]).sum::<f64>()) / a[at][at];
        }
        b
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_order_of_evidence_does_not_matter(
            events in prop::collection::vec((prop::array::uniform3(-900..900_i32), 0..100_i32), 0..40)
        ) {
            let learn = |events: &mut dyn Iterator<Item = &([i32; 3], i32)>| {
                let mut posterior = Posterior::new(3);
                for (features, reward) in events {
                    let features = features.map(|feature| feature as f32 / 100.0);
                    posterior.add_impression(&features, Weight::new(f64::from(*reward) / 100.0));
                    rewarded(&mut posterior, &features, *reward as f32 / 100.0);
                }
                posterior
            };
            prop_assert_eq!(learn(&mut events.iter()), learn(&mut events.iter().rev()));
        }

        /// Many updates with weights and forgetting, against the same in f64 from scratch.
        #[test]
        fn the_sums_agree_with_f64_after_many_updates(
            rows in prop::collection::vec(
                (prop::array::uniform4(-2.0..2.0_f32), -1.0..1.0_f32, 0.01..1.0_f64), 500..1_500),
            left in 0.9..1.0_f64,
        ) {
            const ROUNDS: usize = 20;
            let mut posterior = Posterior::new(4);
            let (mut a, mut b) = (vec![vec![0.0; 4]; 4], vec![0.0; 4]);
            let mut squares = 0.0;
            for (number, (features, reward, weight)) in
                std::iter::repeat_n(&rows, ROUNDS).flatten().enumerate()
            {
                let features = [1.0, features[1], features[2], features[3]];
                posterior.add_impression(&features, Weight::new(*weight));
                posterior.change_reward(&features, 0.0, *reward, Weight::new(*weight));
                for i in 0..4 {
                    for j in 0..4 {
                        a[i][j] += weight * f64::from(features[i]) * f64::from(features[j]);
                    }
                    b[i] += weight * f64::from(*reward) * f64::from(features[i]);
                }
                squares += weight * f64::from(reward * reward);
                if number % 100 == 99 {
                    posterior.forget(Retention::new(left));
                    a.iter_mut().flatten().chain(&mut b).for_each(|sum| *sum *= left);
                    squares *= left;
                }
            }
            for i in 0..4 {
                a[i][i] += STRENGTH;
                b[i] += STRENGTH * 0.1;
            }
            let solved = posterior.solve(&RankerPrior::about(&[0.1; 4]));
            let mean = solved_in_f64(a.clone(), b.clone());
            for (found, expected) in solved.mean.iter().zip(&mean) {
                prop_assert!((found - expected).abs() < 1e-3, "{found} against {expected}");
            }
            let explained: f64 = mean.iter().zip(&b).map(|(m, b)| m * b).sum();
            let mass = a[0][0] - STRENGTH + VARIANCE_STRENGTH;
            let variance = (VARIANCE_STRENGTH * PRIOR_VARIANCE + squares
                + 4.0 * STRENGTH * 0.01 - explained) / mass;
            for (feature, found) in solved.standard_deviation.iter().enumerate() {
                let mut unit = vec![0.0; 4];
                unit[feature] = 1.0;
                let expected = (solved_in_f64(a.clone(), unit)[feature] * variance).sqrt();
                prop_assert!((found / expected - 1.0).abs() < 5e-3, "{found} against {expected}");
            }
        }
    }
}
