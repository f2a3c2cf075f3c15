//! How the features weigh against each other, learnt from what people choose.
//!
//! Before an interaction is learnt, the item that was chosen and a sample of items
//! that were not are described by their features; a multinomial logit model over
//! them takes one Newton step on that choice. Nothing is set by hand but the prior,
//! and nothing leaks: the features are those of the moment before.
//!
//! Model: `P(chosen = i) = exp(w' x_i + o_i) / sum_j exp(w' x_j + o_j)`, with offsets `o` for
//! how the sample was drawn, prior `w ~ N(w_0, 1)`.
//! Step (Laplace approximation, as an extended Kalman filter): `H <- g H +
//! Cov_p(x)`, `w <- w + H^-1 (x_chosen - E_p[x])`, with forgetting `g`.
//!
//! Cost: m candidates of d features take m d^2 / 2 + d^3 / 6 operations.

use serde::Deserialize;
use serde::Serialize;

use crate::features::describe::FEATURE_COUNT;
use crate::features::describe::FeatureMatrix;
use crate::numeric::cholesky_f64;
use crate::numeric::math;

/// What each feature is worth before anything was learnt, in the order of
/// [`crate::features::describe::FEATURES`]: popularity first, content once there is a taste.
const PRIOR_WEIGHTS: [f64; FEATURE_COUNT] = [
    0.6, 0.5, 1.0, 1.0, 0.3, 0.3, 0.3, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3, 0.0, 0.2, 0.2, 0.2, 0.3, 0.3,
    0.5, 0.2, 0.1, 0.0, 0.5,
];
const PRIOR_PRECISION: f64 = 1.0;
/// Evidence keeps half its weight over about 7,000 choices, so that drift is followed.
const FORGETTING: f64 = 0.9999;

/// Weights of the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hybrid {
    weights: Vec<f64>,
    /// Precision of the weights, d x d.
    precision: Vec<f64>,
    /// Choices learnt from.
    pub choices: u64,
}

impl Default for Hybrid {
    fn default() -> Self {
        let mut precision = vec![0.0; FEATURE_COUNT * FEATURE_COUNT];
        for place in 0..FEATURE_COUNT {
            precision[place * FEATURE_COUNT + place] = PRIOR_PRECISION;
        }
        Self { weights: PRIOR_WEIGHTS.to_vec(), precision, choices: 0 }
    }
}

impl Hybrid {
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// What the weights were before anything was learnt.
    pub fn prior_weights(&self) -> &[f64] {
        &PRIOR_WEIGHTS
    }

    /// How uncertain each weight still is.
    pub fn standard_deviations(&self) -> Vec<f64> {
        let mut factor = self.precision.clone();
        let mut diagonal = vec![0.0; FEATURE_COUNT];
        match cholesky_f64::factor(&mut factor, &mut diagonal) {
            Ok(()) => cholesky_f64::inverse_diagonal(&factor, &diagonal)
                .into_iter()
                .map(f64::sqrt)
                .collect(),
            Err(_not_definite) => vec![f64::INFINITY; FEATURE_COUNT],
        }
    }

    /// `w' x`.
    pub fn score(&self, features: &[f32]) -> f64 {
        self.weights.iter().zip(features).map(|(weight, &x)| weight * f64::from(x)).sum()
    }

    /// Learns that the first row was chosen among all rows; `offsets`, one a row, are added
    /// to the scores.
    pub fn learn_choice(&mut self, features: &FeatureMatrix, offsets: &[f64]) {
        let d = FEATURE_COUNT;
        let rows = features.rows().zip(offsets);
        let scores: Vec<f64> = rows.map(|(row, offset)| self.score(row) + offset).collect();
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !best.is_finite() {
            return;
        }
        let mut shares: Vec<f64> = scores.iter().map(|score| math::exp(score - best)).collect();
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);

        let mut expected = vec![0.0; d];
        let mut second = vec![0.0; d * d];
        for (row, share) in features.rows().zip(&shares) {
            for column in 0..d {
                let weighted = share * f64::from(row[column]);
                expected[column] += weighted;
                for other in column..d {
                    second[column * d + other] += weighted * f64::from(row[other]);
                }
            }
        }
        for column in 0..d {
            for other in column..d {
                let covariance = second[column * d + other] - expected[column] * expected[other];
                let cell = &mut self.precision[column * d + other];
                *cell = *cell * FORGETTING + covariance;
            }
            // Forgetting must not wear the prior away, or an idle feature drifts.
            self.precision[column * d + column] += (1.0 - FORGETTING) * PRIOR_PRECISION;
        }
        let chosen = features.rows().next().expect("a choice has a first row");
        let mut step: Vec<f64> =
            chosen.iter().zip(&expected).map(|(&x, mean)| f64::from(x) - mean).collect();
        let mut factor = self.precision.clone();
        if cholesky_f64::solve_f64(&mut factor, &mut step).is_ok() {
            for (weight, step) in self.weights.iter_mut().zip(step) {
                *weight += step;
            }
        }
        self.choices += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    /// People choose by a hidden weighting of two features; the others are noise.
    #[test]
    fn the_weights_approach_those_that_people_choose_by() {
        let mut hidden = [0.0; FEATURE_COUNT];
        (hidden[0], hidden[5]) = (3.0, -1.0);
        let mut hybrid = Hybrid::default();
        let mut rng = seed::stream(5, seed::Purpose::Negatives, b"test");
        for _ in 0..4_000 {
            let mut rows: Vec<[f32; FEATURE_COUNT]> =
                (0..20).map(|_| std::array::from_fn(|_| seed::unit(&mut rng) as f32)).collect();
            // Gumbel noise turns the best score into a draw from the logit model.
            let noisy = |row: &[f32; FEATURE_COUNT], draw: f64| {
                let score: f64 = row.iter().zip(hidden).map(|(&x, w)| f64::from(x) * w).sum();
                score - (-draw.ln()).ln()
            };
            let scores: Vec<f64> =
                rows.iter().map(|row| noisy(row, seed::unit(&mut rng).max(1e-12))).collect();
            let chosen = (0..20).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            rows.swap(0, chosen);
            let rows = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
            hybrid.learn_choice(&rows, &[0.0; 20]);
        }
        for (weight, wanted) in hybrid.weights().iter().zip(hidden) {
            assert!((weight - wanted).abs() < 0.5, "{:?}", hybrid.weights());
        }
    }

    #[test]
    fn features_that_are_no_numbers_change_nothing() {
        let mut hybrid = Hybrid::default();
        let rows = [[f32::NAN; FEATURE_COUNT]; 3];
        let rows = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
        hybrid.learn_choice(&rows, &[0.0; 3]);
        assert_eq!(hybrid, Hybrid::default());
    }
}
