//! The weights of the features, learnt from what users choose.
//!
//! Before an interaction is learnt, the chosen item and a sample of items that were not chosen
//! are described by their features. A multinomial logit model over them takes one Newton step
//! on that choice. Only the prior is set by hand. Nothing leaks: the features are those of the
//! moment before.
//!
//! Model: `P(chosen = i) = exp(w' x_i + o_i) / sum_j exp(w' x_j + o_j)`, with features `x` on
//! their scale, offsets `o` for how the sample was drawn, prior `w ~ N(w_0, 1 / precision)`.
//! Step (Laplace approximation, as an extended Kalman filter), with forgetting `g` and the
//! weight `u` of the choice: `H <- (1 - u (1 - g)) H + u Cov_p(x)`,
//! `w <- w + u H^-1 (x_chosen - E_p[x])`.
//!
//! - Where the item was chosen from a list that was shown, the alternatives are the others of that
//!   list. Among all items, the choice would teach that shown items are chosen.
//! - Weights are stored by feature, so an engine with other features keeps those it has.
//! - A training may give features a [curve](crate::models::hybrid::Curve): `x` is then what the curve makes of a value. What users
//!   choose later moves the weights of curves, not their shape.
//! - A score has one scale for all requests: [`Hybrid::standardise`] subtracts the mean
//!   of the tests and divides by their standard deviation. Both are learnt and change slowly.
//!
//! Cost: m candidates of d features take m d^2 / 2 + d^3 / 6 operations. State: 8 (d^2 + 4 d)
//! bytes.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::FeatureLayout;
use crate::models::hybrid::curve::Curves;
use crate::models::hybrid::fit::HybridFit;
use crate::models::hybrid::rows::FeatureMatrix;
use crate::models::hybrid::scale::FeatureScale;
use crate::models::hybrid::scale::ScaleOf;
use crate::models::hybrid::scale::VALUE_MAX;
use crate::numeric::cholesky_f64;
use crate::numeric::math;

/// Choices that the prior weight of a feature counts as, about: a choice tells at most as much
/// about a weight as a variance of 1 does.
const PRIOR_PRECISION: f64 = 1.0;
/// Evidence keeps half its weight over about 7,000 choices, so that drift is followed.
const FORGETTING: f64 = 0.9999;
/// The most that one choice moves a score, in logits.
const SCORE_STEP: f64 = 0.5;
/// Choices that the initial mean and spread of scores count as, and the length of the later
/// average, in choices.
const LEVEL_PRIOR: f64 = 10.0;
const LEVEL_WINDOW: f64 = 5_000.0;
/// Choices that mean and spread of a training count as.
const LEVEL_FITTED: f64 = 200.0;
/// Lower bound of the spread: where all scores are equal, noise is not amplified.
const SPREAD_MIN: f64 = 0.05;
/// Spreads up to which a standard score is in proportion, and beyond which all are alike.
const STRAIGHT: f64 = 6.0;
const FAR: f64 = 1e6;
/// A mean counts as at most this many spreads from the present one, and a variance as at most
/// this many times the present one.
const LEVEL_SURPRISE: f64 = 4.0;

/// The prior of the features, by position.
#[derive(Debug, Clone)]
pub struct Prior {
    pub layout: FeatureLayout,
    pub scales: Vec<ScaleOf>,
    pub weights: Vec<f64>,
}

/// Mean and spread of the scores of tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Level {
    mean: f64,
    variance: f64,
    choices: f64,
}

impl Default for Level {
    fn default() -> Self {
        Self { mean: 0.0, variance: 1.0, choices: 0.0 }
    }
}

impl Level {
    fn learn(&mut self, scores: &[f64], weight: f64) {
        let n = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / n;
        if !(mean.is_finite() && variance.is_finite()) {
            return;
        }
        let pace = 2.0 * weight / (2.0 * LEVEL_PRIOR + self.choices);
        let most = LEVEL_SURPRISE * self.spread();
        self.mean += pace * (mean - self.mean).clamp(-most, most);
        let surprise = (variance / self.variance).min(LEVEL_SURPRISE) - 1.0;
        let least = SPREAD_MIN * SPREAD_MIN;
        self.variance = (self.variance * (1.0 + pace * surprise)).max(least);
        self.choices = (self.choices + weight).min(LEVEL_WINDOW);
    }

    fn spread(&self) -> f64 {
        self.variance.sqrt()
    }
}

/// The scale and the weights of the features.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hybrid {
    layout: FeatureLayout,
    scale: FeatureScale,
    /// As the last training fitted them.
    curves: Curves,
    weights: Vec<f64>,
    /// Precision of the weights, d x d.
    precision: Vec<f64>,
    level: Level,
    /// Choices learnt from.
    pub choices: u64,
}

impl Hybrid {
    pub fn new(prior: &Prior) -> Self {
        let d = prior.layout.len();
        let mut precision = vec![0.0; d * d];
        (0..d).for_each(|position| precision[position * (d + 1)] = PRIOR_PRECISION);
        Self {
            layout: prior.layout.clone(),
            scale: FeatureScale::new(prior.scales.iter().copied()),
            curves: Curves::default(),
            weights: prior.weights.clone(),
            precision,
            level: Level::default(),
            choices: 0,
        }
    }

    /// The same with the features of a prior: new ones start there, features that it lacks are
    /// removed as if they had never existed.
    #[must_use]
    pub fn aligned(&self, prior: &Prior) -> Self {
        if self.layout == prior.layout {
            return self.clone();
        }
        let new = Self::new(prior);
        let positions = prior.layout.positions_in(&self.layout);
        let (d, before) = (prior.layout.len(), self.layout.len());
        let mut aligned = Self {
            scale: self.scale.aligned(&positions, &new.scale),
            curves: self.curves.aligned(&positions),
            level: self.level,
            choices: self.choices,
            ..new
        };
        for (row, from) in positions.iter().enumerate() {
            let Some(from) = from else { continue };
            aligned.weights[row] = self.weights[*from];
            for (column, other) in positions.iter().enumerate() {
                if let Some(other) = other {
                    aligned.precision[row * d + column] = self.precision[from * before + other];
                }
            }
        }
        aligned
    }

    /// Goes on from what a training has fitted, as sure of it as its choices make one: what users choose
    /// later moves it as if they had come after those. Features of which it says nothing keep what
    /// they have.
    pub fn adopt(&mut self, fit: &HybridFit) {
        let d = self.layout.len();
        let is_fitted = |at: &usize| fit.units[*at].is_some();
        let positions = self.layout.positions_in(&fit.layout);
        let positions: Vec<Option<usize>> =
            positions.into_iter().map(|position| position.filter(is_fitted)).collect();
        for (row, from) in positions.iter().enumerate() {
            let Some(from) = *from else { continue };
            self.weights[row] = fit.weights[from];
            self.scale.fix(row, fit.units[from].expect("a fitted feature has a unit"));
            for (column, other) in positions.iter().enumerate() {
                let own = if row == column { PRIOR_PRECISION } else { 0.0 };
                let told =
                    other.map_or(0.0, |other| fit.information[from * fit.layout.len() + other]);
                self.precision[row * d + column] = own + told;
                self.precision[column * d + row] = own + told;
            }
        }
        self.curves = fit.curves.aligned(&positions);
        let variance = fit.variance.max(SPREAD_MIN * SPREAD_MIN);
        self.level = Level { mean: fit.mean, variance, choices: LEVEL_FITTED };
    }

    pub fn layout(&self) -> &FeatureLayout {
        &self.layout
    }

    pub fn scale(&self) -> &FeatureScale {
        &self.scale
    }

    /// Of features on their scale, in the order of the layout.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// How uncertain each weight still is.
    pub fn standard_deviations(&self) -> Vec<f64> {
        let d = self.weights.len();
        let mut factor = self.precision.clone();
        let mut diagonal = vec![0.0; d];
        match cholesky_f64::factor(&mut factor, &mut diagonal) {
            Ok(()) => cholesky_f64::inverse_diagonal(&factor, &diagonal)
                .into_iter()
                .map(f64::sqrt)
                .collect(),
            Err(_not_definite) => vec![f64::INFINITY; d],
        }
    }

    /// What the choices learnt from tell of the weights: the precision without that of the prior, d x d.
    pub fn information(&self) -> Vec<f64> {
        let d = self.weights.len();
        let mut information = self.precision.clone();
        (0..d).for_each(|at| information[at * (d + 1)] -= PRIOR_PRECISION);
        information
    }

    pub fn curves(&self) -> &Curves {
        &self.curves
    }

    /// What features on their scale add, each still to be weighed.
    pub fn shaped(&self, features: &FeatureMatrix) -> FeatureMatrix {
        let mut shaped = features.clone();
        self.curves.apply(&mut shaped);
        shaped
    }

    /// `w' x` of each of the rows that are [`Self::shaped`].
    pub fn scores<'r>(&'r self, shaped: &'r FeatureMatrix) -> impl Iterator<Item = f64> + 'r {
        shaped.rows().map(|row| score(&self.weights, row))
    }

    /// A score in spreads from the mean of scores, the same for all requests; within plus or
    /// minus [`VALUE_MAX`], as features are. Beyond [`STRAIGHT`] it is bent and not cut: the best
    /// items of a user are far from the mean, and must not be ties.
    pub fn standardise(&self, score: f64) -> f32 {
        let standard = (score - self.level.mean) / self.level.spread();
        let left = f64::from(VALUE_MAX) - STRAIGHT;
        let beyond = (standard.abs().min(FAR) - STRAIGHT).max(0.0) / left;
        let bent = standard.abs().min(STRAIGHT) + left * beyond / (1.0 + beyond);
        bent.copysign(standard) as f32
    }

    /// The factor from differences of scores to differences after [`Self::standardise`].
    pub fn per_spread(&self) -> f64 {
        1.0 / self.level.spread()
    }

    /// Learns that the first row was chosen among all rows, which are not on their scale yet;
    /// `offsets`, one a row, are added to the scores. `weight`, 0 to 1: how much the choice
    /// counts.
    pub fn learn_choice(&mut self, raw: &FeatureMatrix, offsets: &[f64], weight: f64) {
        if let Some(features) = self.observe(raw, weight) {
            self.learn_among(&features, offsets, weight);
        }
    }

    /// Learns the scale of features and of scores of the rows of a test, which are not on their
    /// scale yet; gives them on the scale of before. `None` where they are no such rows.
    pub fn observe(&mut self, raw: &FeatureMatrix, weight: f64) -> Option<FeatureMatrix> {
        if raw.is_empty() || raw.width() != self.weights.len() {
            return None;
        }
        let mut features = raw.clone();
        self.scale.apply(&mut features);
        self.scale.learn(raw, weight);
        let scores: Vec<f64> = self.scores(&self.shaped(&features)).collect();
        self.level.learn(&scores, weight);
        Some(features)
    }

    /// As [`Self::learn_choice`], of rows that are on their scale.
    pub fn learn_among(&mut self, features: &FeatureMatrix, offsets: &[f64], weight: f64) {
        if features.is_empty() || features.width() != self.weights.len() {
            return;
        }
        let features = &self.shaped(features);
        let scores = self.scores(features).zip(offsets);
        let scores: Vec<f64> = scores.map(|(score, offset)| score + offset).collect();
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut shares: Vec<f64> = scores.iter().map(|score| math::exp(score - best)).collect();
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        if !total.is_finite() {
            return;
        }
        let mut step = self.take_precision(features, &shares, weight);
        let mut factor = self.precision.clone();
        if cholesky_f64::solve_f64(&mut factor, &mut step).is_ok() {
            let scale = within_step(features, &step);
            for (own, step) in self.weights.iter_mut().zip(step) {
                *own += scale * step;
            }
        }
        self.choices += 1;
    }

    /// Adds the information of a choice to the precision; returns its gradient.
    fn take_precision(
        &mut self,
        features: &FeatureMatrix,
        shares: &[f64],
        weight: f64,
    ) -> Vec<f64> {
        let d = self.weights.len();
        let mut expected = vec![0.0; d];
        let mut second = vec![0.0; d * d];
        for (row, share) in features.rows().zip(shares) {
            for column in 0..d {
                let weighted = share * f64::from(row[column]);
                expected[column] += weighted;
                for other in column..d {
                    second[column * d + other] += weighted * f64::from(row[other]);
                }
            }
        }
        let forgotten = weight * (1.0 - FORGETTING);
        for column in 0..d {
            for other in column..d {
                let covariance = second[column * d + other] - expected[column] * expected[other];
                let cell = &mut self.precision[column * d + other];
                *cell = *cell * (1.0 - forgotten) + weight * covariance;
            }
            // Forgetting must not remove the prior, or the weight of an unused feature drifts.
            self.precision[column * d + column] += forgotten * PRIOR_PRECISION;
        }
        let chosen = features.row(0).iter();
        chosen.zip(&expected).map(|(&x, mean)| weight * (f64::from(x) - mean)).collect()
    }
}

/// `w' x`.
pub fn score(weights: &[f64], features: &[f32]) -> f64 {
    weights.iter().zip(features).map(|(weight, &x)| weight * f64::from(x)).sum()
}

/// What a step is shortened by, so that it moves no score of its choice by more than [`SCORE_STEP`].
/// The curvature is that before the step: where one item has nearly all of the probability, it is
/// next to nothing, and a whole step would overshoot.
fn within_step(features: &FeatureMatrix, step: &[f64]) -> f64 {
    let moves = features
        .rows()
        .map(|row| row.iter().zip(step).map(|(&x, step)| f64::from(x) * step).sum::<f64>().abs());
    let most = moves.fold(0.0, f64::max);
    if most > SCORE_STEP { SCORE_STEP / most } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FeatureId;
    use crate::seed;

    const D: usize = 6;

    fn prior(ids: impl IntoIterator<Item = FeatureId>) -> Prior {
        let layout = FeatureLayout::new(ids);
        let d = layout.len();
        Prior { layout, scales: vec![ScaleOf::Learnt(0.6); d], weights: vec![0.2; d] }
    }

    /// Users choose by a hidden weighting of two features; the others are noise.
    fn learnt(choices: usize) -> (Hybrid, [f64; D]) {
        let mut hidden = [0.0; D];
        (hidden[0], hidden[5]) = (2.0, -1.0);
        let mut hybrid = Hybrid::new(&prior(2..8));
        let mut rng = seed::stream(5, seed::Purpose::Negatives, b"test");
        for _ in 0..choices {
            let mut rows: Vec<[f32; D]> =
                (0..20).map(|_| std::array::from_fn(|_| seed::unit(&mut rng) as f32)).collect();
            // Gumbel noise turns the best score into a draw from the logit model.
            let noisy = |row: &[f32; D], draw: f64| {
                let score: f64 = row.iter().zip(hidden).map(|(&x, w)| f64::from(x) * w / 0.6).sum();
                score - (-draw.ln()).ln()
            };
            let scores: Vec<f64> =
                rows.iter().map(|row| noisy(row, seed::unit(&mut rng).max(1e-12))).collect();
            let chosen = (0..20).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            rows.swap(0, chosen);
            let rows = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
            hybrid.learn_choice(&rows, &[0.0; 20], 1.0);
        }
        (hybrid, hidden)
    }

    #[test]
    fn the_weights_approach_those_that_users_choose_by() {
        let (hybrid, hidden) = learnt(4_000);
        for (weight, hidden) in hybrid.weights().iter().zip(hidden) {
            assert!((weight - hidden).abs() < 0.3, "{:?}", hybrid.weights());
        }
    }

    #[test]
    fn the_weight_of_a_feature_stays_with_its_number_and_a_new_one_starts_at_the_prior() {
        let (hybrid, _) = learnt(400);
        let moved = hybrid.aligned(&prior([7, 30, 2]));
        let (before, units) = (hybrid.weights(), hybrid.scale().units().collect::<Vec<_>>());
        assert_eq!(moved.weights(), [before[5], 0.2, before[0]]);
        assert_eq!(moved.scale().units().collect::<Vec<_>>(), [units[5], 0.6, units[0]]);
        let deviations = moved.standard_deviations();
        assert!(deviations[0] < deviations[1] && deviations[2] < deviations[1], "{deviations:?}");
        assert_eq!(hybrid.aligned(&prior(2..8)), hybrid);
    }

    #[test]
    fn standard_scores_of_tests_have_mean_zero_and_spread_one() {
        let (hybrid, _) = learnt(2_000);
        let mut rng = seed::stream(6, seed::Purpose::Negatives, b"test");
        let rows: Vec<[f32; D]> =
            (0..4_000).map(|_| std::array::from_fn(|_| seed::unit(&mut rng) as f32)).collect();
        let mut rows = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
        hybrid.scale().apply(&mut rows);
        let scores: Vec<f64> =
            hybrid.scores(&rows).map(|score| f64::from(hybrid.standardise(score))).collect();
        let mean = scores.iter().sum::<f64>() / 4_000.0;
        let spread = (scores.iter().map(|score| score * score).sum::<f64>() / 4_000.0).sqrt();
        assert!(mean.abs() < 0.2 && (spread - 1.0).abs() < 0.2, "{mean} {spread}");
    }

    #[test]
    fn features_that_are_not_finite_never_reach_the_weights() {
        let mut hybrid = Hybrid::new(&prior(2..8));
        for worst in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE] {
            let rows = [[worst; D], [0.0; D], [-worst; D]];
            let rows = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
            hybrid.learn_choice(&rows, &[0.0; 3], 1.0);
        }
        let numbers = hybrid.weights().iter().copied().chain(hybrid.scale().units());
        assert!(numbers.chain(hybrid.standard_deviations()).all(f64::is_finite), "{hybrid:?}");
        assert_eq!(hybrid.scale().non_finite, 6 * 6);
        let (learnt, _) = learnt(300);
        let (highest, lowest) = (learnt.standardise(1e30), learnt.standardise(-1e30));
        assert!(highest <= VALUE_MAX && highest > 7.99 && lowest == -highest);
        assert!(learnt.standardise(1e3) < learnt.standardise(1.1e3), "the best are no ties");
    }
}
