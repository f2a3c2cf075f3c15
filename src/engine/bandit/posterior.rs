//! Bayesian linear regression of rewards on ranker features, from sums.
//!
//! Model: `r ~ N(theta' x, 1)`, `theta ~ N(theta_0, (1/s) I)` with `s` pseudo-
//! observations of prior strength. An impression adds `x x'` to the precision with
//! reward 0; a later reward `r` adds `r x`. So the posterior is exact at every
//! moment, without timers.
//!
//! - The sums are integers in fixed point, hence exactly commutative: they merge in
//!   any order, and subtract on erasure, bit for bit.
//! - Features are clamped to -8..=8 and rounded to 2^-12 before use, so that a
//!   product is exact in 2^-24 and 2^33 impressions fit 63 bits.
//!
//! Cost: an impression d(d+1)/2 integer additions; the mean one d^3/6 solve.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::cholesky_f64;

const FEATURE_SCALE: f32 = 4_096.0;
const FEATURE_MAX: f32 = 8.0;
const SUM_SCALE: f64 = 4_096.0 * 4_096.0;
/// Impressions that the prior is worth.
const PRIOR_STRENGTH: f64 = 50.0;

/// Sufficient statistics of all decisions so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posterior {
    /// Lower triangle of `sum x x'`, by rows.
    precision: Vec<i64>,
    /// `sum r x`.
    response: Vec<i64>,
    pub impressions: u64,
    pub rewards: u64,
}

/// The posterior in a form to rank with.
#[derive(Debug, Clone, PartialEq)]
pub struct PosteriorMean {
    pub mean: Vec<f64>,
    pub standard_deviation: Vec<f64>,
}

fn quantise(feature: f32) -> i64 {
    // A feature that is not a number teaches nothing.
    let clamped = if feature.is_nan() { 0.0 } else { feature.clamp(-FEATURE_MAX, FEATURE_MAX) };
    (clamped * FEATURE_SCALE).round_ties_even() as i64
}

impl Posterior {
    pub fn new(dimension: usize) -> Self {
        Self {
            precision: vec![0; dimension * (dimension + 1) / 2],
            response: vec![0; dimension],
            impressions: 0,
            rewards: 0,
        }
    }

    pub fn dimension(&self) -> usize {
        self.response.len()
    }

    /// Learns that an item with these features was looked at, so far without reward.
    /// Features of another length (an older decision) teach nothing.
    pub fn add_impression(&mut self, features: &[f32]) {
        if features.len() != self.dimension() {
            return;
        }
        let mut cells = self.precision.iter_mut();
        for (row, &left) in features.iter().enumerate() {
            let left = quantise(left);
            for (&right, cell) in features[..=row].iter().zip(cells.by_ref()) {
                *cell = cell.saturating_add(left * quantise(right));
            }
        }
        self.impressions += 1;
    }

    /// Learns a reward, or a change of a reward, of an item shown with these features.
    pub fn add_reward(&mut self, features: &[f32], reward: f32) {
        if features.len() != self.dimension() {
            return;
        }
        let reward = quantise(reward);
        for (sum, &feature) in self.response.iter_mut().zip(features) {
            *sum = sum.saturating_add(reward * quantise(feature));
        }
        self.rewards += 1;
    }

    /// Posterior mean and standard deviations under a prior mean.
    pub fn solve(&self, prior_mean: &[f64]) -> PosteriorMean {
        let d = self.dimension();
        assert!(prior_mean.len() == d, "the prior has the posterior's dimension");
        let mut a = vec![0.0; d * d];
        let mut cells = self.precision.iter();
        for row in 0..d {
            for (column, &cell) in cells.by_ref().take(row + 1).enumerate() {
                a[column * d + row] = cell as f64 / SUM_SCALE;
            }
            a[row * d + row] += PRIOR_STRENGTH;
        }
        let mut mean: Vec<f64> = self
            .response
            .iter()
            .zip(prior_mean)
            .map(|(&sum, prior)| sum as f64 / SUM_SCALE + PRIOR_STRENGTH * prior)
            .collect();
        let mut inverse_diagonal = vec![0.0; d];
        if cholesky_f64::factor(&mut a, &mut inverse_diagonal).is_err() {
            // Sums that saturated are no Gram matrix any more: serve by the prior.
            return PosteriorMean {
                mean: prior_mean.to_vec(),
                standard_deviation: vec![PRIOR_STRENGTH.sqrt().recip(); d],
            };
        }
        cholesky_f64::solve(&a, &inverse_diagonal, &mut mean);
        let variances = cholesky_f64::inverse_diagonal(&a, &inverse_diagonal);
        PosteriorMean { mean, standard_deviation: variances.into_iter().map(f64::sqrt).collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_evidence_the_mean_is_the_prior() {
        let solved = Posterior::new(3).solve(&[0.5, -1.0, 0.0]);
        for (mean, prior) in solved.mean.iter().zip([0.5, -1.0, 0.0]) {
            assert!((mean - prior).abs() < 1e-12);
        }
    }

    #[test]
    fn in_one_dimension_the_mean_is_the_shrunk_average() {
        let mut posterior = Posterior::new(1);
        for number in 0..100 {
            posterior.add_impression(&[1.0]);
            if number < 25 {
                posterior.add_reward(&[1.0], 1.0);
            }
        }
        let solved = posterior.solve(&[0.1]);
        let expected = (25.0 + PRIOR_STRENGTH * 0.1) / (100.0 + PRIOR_STRENGTH);
        assert!((solved.mean[0] - expected).abs() < 1e-9);
        assert!((solved.standard_deviation[0] - (100.0 + PRIOR_STRENGTH).powf(-0.5)).abs() < 1e-9);
    }

    #[test]
    fn the_mean_solves_the_normal_equations_written_out() {
        let (rows, rewards) =
            ([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0], [2.0, 0.0, 1.0]], [1.0, 0.0, 0.5]);
        let prior = [0.1, -0.2, 0.3];
        let mut posterior = Posterior::new(3);
        for (row, reward) in rows.iter().zip(rewards) {
            posterior.add_impression(row);
            posterior.add_reward(row, reward);
        }
        let solved = posterior.solve(&prior);
        // (s I + sum x x') mean = s prior + sum r x, element by element.
        for i in 0..3 {
            let mut left = PRIOR_STRENGTH * solved.mean[i];
            let mut right = PRIOR_STRENGTH * prior[i];
            for (row, reward) in rows.iter().zip(rewards) {
                let x: [f64; 3] = row.map(f64::from);
                left += x[i] * x.iter().zip(&solved.mean).map(|(x, m)| x * m).sum::<f64>();
                right += f64::from(reward) * x[i];
            }
            assert!((left - right).abs() < 1e-9, "row {i}: {left} against {right}");
        }
    }

    #[test]
    fn sums_that_are_no_gram_matrix_fall_back_to_the_prior() {
        let mut posterior = Posterior::new(2);
        posterior.precision = vec![0, i64::MAX, 0];
        assert_eq!(posterior.solve(&[0.5, 0.1]).mean, [0.5, 0.1]);
    }

    #[test]
    fn features_that_are_no_numbers_teach_nothing() {
        let mut posterior = Posterior::new(2);
        posterior.add_impression(&[f32::NAN, f32::INFINITY]);
        posterior.add_reward(&[f32::NAN, 1.0], f32::NAN);
        assert!(posterior.solve(&[0.0, 0.0]).mean.iter().all(|mean| mean.is_finite()));
    }

    proptest! {
        #[test]
        fn the_order_of_evidence_does_not_matter(
            events in prop::collection::vec((prop::array::uniform3(-900..900_i32), 0..100_i32), 0..40)
        ) {
            let learn = |events: &mut dyn Iterator<Item = &([i32; 3], i32)>| {
                let mut posterior = Posterior::new(3);
                for (features, reward) in events {
                    let features = features.map(|feature| feature as f32 / 100.0);
                    posterior.add_impression(&features);
                    posterior.add_reward(&features, *reward as f32 / 100.0);
                }
                posterior
            };
            prop_assert_eq!(learn(&mut events.iter()), learn(&mut events.iter().rev()));
        }
    }
}
