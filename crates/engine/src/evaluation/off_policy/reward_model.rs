//! Models of the reward of showing an action, for the estimators that need one.
//!
//! - Rates: the mean reward of each action, shrunk to the mean of all: `(sum + s m) /
//!   (n + s)` with `s` rounds of prior. Without a given prior, `s` is the variance of
//!   rewards within actions over that between them, by the method of moments.
//! - Ridge: a linear function of features, `(Z'Z + penalty D) t = Z'y`, `D` the mean square
//!   of each feature, so that units of measurement do not matter. With features of
//!   candidates `z` is 1, those, and those of the request context, for all actions together, and
//!   each action adds the rate of what they leave: an action never shown goes by its
//!   features. With features of request contexts only, each action has coefficients of its own,
//!   fitted to what its rate leaves.
//! - Cross-fitted in two folds by unit: a round is judged by the model of the other fold.

use crate::evaluation::off_policy::log::Log;
use crate::evaluation::off_policy::log::RoundView;
use crate::numeric::cholesky_f64;

/// Features of a ridge at most, the constant among them: fitting takes the square of them
/// per round, and their cube.
pub const FEATURES_MAX: usize = 512;
/// Numbers in the matrices of a ridge by action, 1 GiB of them.
const CELLS_MAX: usize = 1 << 27;
/// Rounds of prior at most: there, actions do not differ.
const PRIOR_ROUNDS_MAX: f64 = 1e6;

/// What rates are shrunk to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prior {
    /// The mean of all, as strongly as the data say.
    Estimated,
    /// `rewards` in `rounds` rounds.
    Given { rewards: f64, rounds: f64 },
}

/// Which model to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RewardModel {
    Rates(Prior),
    /// Rates with an estimated prior, and a ridge over features. `penalty` above 0: rounds
    /// that the prior of a coefficient is worth.
    Ridge {
        penalty: f64,
    },
}

/// Why a model cannot be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("the log has no features to fit a ridge on")]
    NoFeatures,
    #[error("{found} features are too many for a ridge: at most {FEATURES_MAX}")]
    TooManyFeatures { found: usize },
    #[error("a ridge of {features} features for each of {actions} actions needs too much memory")]
    TooManyActions { features: usize, actions: usize },
}

/// Fitted models, one for each fold.
#[derive(Debug)]
pub struct FittedModel {
    /// One, or two: that at 0 judges the units of fold 0.
    folds: Vec<FoldModel>,
}

#[derive(Debug)]
struct FoldModel {
    /// By action.
    rates: Vec<f64>,
    ridge: Option<Coefficients>,
}

/// Of the constant, the candidate's features, the request context's.
#[derive(Debug)]
enum Coefficients {
    Shared(Vec<f64>),
    /// Row-major, by action.
    ByAction {
        width: usize,
        values: Vec<f64>,
    },
}

/// The fold of a unit: a hash, since numbers of units may have a pattern (Steele et al.
/// 2014, the finalizer of SplitMix).
fn fold_of(unit: u32) -> usize {
    let mixed = u64::from(unit).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) & 1) as usize
}

impl FittedModel {
    /// Fits one model, or two on a half of the units each.
    ///
    /// # Errors
    /// When the log has no features for a ridge, or too many.
    pub fn fit(log: &Log, model: RewardModel, cross_fit: bool) -> Result<Self, Unfit> {
        if let RewardModel::Ridge { .. } = model {
            check_size(log)?;
        }
        let fit = |judged: Option<usize>| {
            let trains = |unit: u32| judged.is_none_or(|judged| fold_of(unit) != judged);
            FoldModel::fit(log, model, trains)
        };
        let folds = if cross_fit {
            let (first, second) = rayon::join(|| fit(Some(0)), || fit(Some(1)));
            vec![first, second]
        } else {
            vec![fit(None)]
        };
        Ok(Self { folds })
    }

    /// Expected reward of each candidate of a round.
    pub fn predict(&self, round: &RoundView<'_>, out: &mut [f64]) {
        let fold = if self.folds.len() == 1 { 0 } else { fold_of(round.round.unit) };
        self.folds[fold].predict(round, out);
    }
}

fn check_size(log: &Log) -> Result<(), Unfit> {
    let found = log.features_width() + log.context_width();
    match found {
        0 => Err(Unfit::NoFeatures),
        _ if found >= FEATURES_MAX => Err(Unfit::TooManyFeatures { found }),
        features if log.features_width() == 0 => {
            let width = features + 1;
            let is_small = log.actions().saturating_mul(width * width) <= CELLS_MAX;
            let actions = log.actions();
            is_small.then_some(()).ok_or(Unfit::TooManyActions { features, actions })
        }
        _ => Ok(()),
    }
}

impl FoldModel {
    fn fit(log: &Log, model: RewardModel, trains: impl Fn(u32) -> bool) -> Self {
        let is_shared = log.features_width() > 0;
        match model {
            RewardModel::Rates(prior) => {
                Self { rates: rates(log, prior, &trains, |_| 0.0), ridge: None }
            }
            RewardModel::Ridge { penalty } if is_shared => {
                let mut solved = ridge(log, penalty, 1, &trains, |_| (0, 0.0));
                let shared = Coefficients::Shared(solved.swap_remove(0));
                let explained = |at: usize| {
                    let view = log.view(at);
                    shared.of(&view, view.round.chosen as usize)
                };
                let rates = rates(log, Prior::Estimated, &trains, explained);
                Self { rates, ridge: Some(shared) }
            }
            RewardModel::Ridge { penalty } => {
                let rates = rates(log, Prior::Estimated, &trains, |_| 0.0);
                let own = |at: usize| {
                    let action = log.rounds()[at].action as usize;
                    (action, rates[action])
                };
                let solved = ridge(log, penalty, log.actions(), &trains, own);
                let width = 1 + log.context_width();
                let values = solved.into_iter().flatten().collect();
                Self { rates, ridge: Some(Coefficients::ByAction { width, values }) }
            }
        }
    }

    fn predict(&self, round: &RoundView<'_>, out: &mut [f64]) {
        for (candidate, out) in out.iter_mut().enumerate() {
            let linear = self.ridge.as_ref().map_or(0.0, |ridge| ridge.of(round, candidate));
            *out = self.rates[round.action_of(candidate) as usize] + linear;
        }
    }
}

impl Coefficients {
    /// The linear part of one candidate.
    fn of(&self, round: &RoundView<'_>, candidate: usize) -> f64 {
        match self {
            Self::Shared(values) => {
                let width = round.features.len() / round.candidates;
                let (of_candidate, rest) = values[1..].split_at(width);
                let features = &round.features[candidate * width..(candidate + 1) * width];
                values[0] + product(rest, round.context) + product(of_candidate, features)
            }
            Self::ByAction { width, values } => {
                let at = round.action_of(candidate) as usize * width;
                let own = &values[at..at + width];
                own[0] + product(&own[1..], round.context)
            }
        }
    }
}

fn product(coefficients: &[f64], features: &[f32]) -> f64 {
    coefficients.iter().zip(features).map(|(c, x)| c * f64::from(*x)).sum()
}

/// Shrunk mean of each action over the rounds that train, of the reward less what is
/// explained already.
fn rates(
    log: &Log,
    prior: Prior,
    trains: &impl Fn(u32) -> bool,
    explained: impl Fn(usize) -> f64,
) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); log.actions()];
    let (mut total, mut squares, mut rounds) = (0.0, 0.0, 0.0);
    for (at, round) in log.rounds().iter().enumerate().filter(|(_, round)| trains(round.unit)) {
        let reward = round.reward - explained(at);
        let (rewards, count) = &mut sums[round.action as usize];
        *rewards += reward;
        *count += 1.0;
        total += reward;
        squares += reward * reward;
        rounds += 1.0;
    }
    let mean = if rounds > 0.0 { total / rounds } else { 0.0 };
    let (rewards, strength) = match prior {
        Prior::Given { rewards, rounds } => (rewards, rounds),
        Prior::Estimated => {
            let strength = prior_rounds(&sums, mean, squares, rounds);
            (strength * mean, strength)
        }
    };
    sums.iter().map(|(sum, count)| (sum + rewards) / (count + strength)).collect()
}

/// Variance within actions over variance between them (the one-way random-effects
/// estimator; Searle et al. 1992, 3.6), from 1 to a million.
fn prior_rounds(sums: &[(f64, f64)], mean: f64, squares: f64, rounds: f64) -> f64 {
    let seen: Vec<_> = sums.iter().filter(|(_, count)| *count > 0.0).collect();
    let groups = seen.len() as f64;
    let off = |(sum, count): &&(f64, f64)| count * (sum / count - mean) * (sum / count - mean);
    let between: f64 = seen.iter().map(off).sum();
    let explained: f64 = seen.iter().map(|(sum, count)| sum * sum / count).sum();
    let within = (squares - explained).max(0.0) / (rounds - groups).max(1.0);
    let counts: f64 = seen.iter().map(|(_, count)| count * count).sum();
    let effective = rounds - counts / rounds.max(1.0);
    let variance = (between - (groups - 1.0) * within) / effective;
    if variance.is_finite() && variance > within / PRIOR_ROUNDS_MAX {
        (within / variance).clamp(1.0, PRIOR_ROUNDS_MAX)
    } else {
        PRIOR_ROUNDS_MAX
    }
}

/// Sums of one ridge.
struct Normal {
    /// The lower triangle by columns, as `cholesky_f64` has it.
    gram: Vec<f64>,
    response: Vec<f64>,
    rounds: f64,
}

impl Normal {
    fn new(width: usize) -> Self {
        Self { gram: vec![0.0; width * width], response: vec![0.0; width], rounds: 0.0 }
    }

    fn add(&mut self, row: &[f64], residual: f64) {
        let width = row.len();
        for (column, &left) in row.iter().enumerate() {
            let cells = &mut self.gram[column * width + column..(column + 1) * width];
            for (cell, &right) in cells.iter_mut().zip(&row[column..]) {
                *cell += left * right;
            }
            self.response[column] += left * residual;
        }
        self.rounds += 1.0;
    }

    /// Zero without rounds, or where the features leave nothing to solve.
    fn solve(mut self, penalty: f64) -> Vec<f64> {
        let width = self.response.len();
        for column in 0..width {
            let square = &mut self.gram[column * width + column];
            let mean = *square / self.rounds.max(1.0);
            *square += penalty * if mean > 0.0 { mean } else { 1.0 };
        }
        match cholesky_f64::solve_f64(&mut self.gram, &mut self.response) {
            Ok(()) => self.response,
            Err(_) => vec![0.0; width],
        }
    }
}

/// Solutions of `count` ridges. `of` gives, of a round, which of them it is part of, and
/// what is explained of its reward already.
fn ridge(
    log: &Log,
    penalty: f64,
    count: usize,
    trains: &impl Fn(u32) -> bool,
    of: impl Fn(usize) -> (usize, f64),
) -> Vec<Vec<f64>> {
    let own = log.features_width();
    let width = 1 + own + log.context_width();
    let mut sums: Vec<Normal> = Vec::new();
    sums.resize_with(count, || Normal::new(width));
    let mut row = Vec::with_capacity(width);
    for (at, round) in log.rounds().iter().enumerate().filter(|(_, round)| trains(round.unit)) {
        let view = log.view(at);
        let chosen = round.chosen as usize;
        row.clear();
        row.push(1.0);
        let features = view.features.get(chosen * own..(chosen + 1) * own).unwrap_or_default();
        row.extend(features.iter().chain(view.context).map(|x| f64::from(*x)));
        let (position, explained) = of(at);
        sums[position].add(&row, round.reward - explained);
    }
    sums.into_iter().map(|normal| normal.solve(penalty)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::off_policy::Candidate;
    use crate::evaluation::off_policy::LogBuilder;
    use crate::evaluation::off_policy::NewRound;

    fn predictions(model: &FittedModel, log: &Log, at: usize) -> Vec<f64> {
        let view = log.view(at);
        let mut out = vec![0.0; view.candidates];
        model.predict(&view, &mut out);
        out
    }

    /// Two actions; the first earns `x`, the second `1 - x`, of one feature of the request context.
    fn contextual(rounds: u32) -> Log {
        let mut builder = LogBuilder::default();
        for at in 0..rounds {
            let (action, x) = (at % 2, (at / 2 % 11) as f32 / 10.0);
            let reward = f64::from(if action == 0 { x } else { 1.0 - x });
            let context = [x];
            let new = NewRound { action, reward, propensity: 0.5, unit: at, ..NewRound::default() };
            builder.push(&NewRound { context: &context, ..new }).unwrap();
        }
        builder.build()
    }

    #[test]
    fn rates_are_shrunk_to_the_given_prior() {
        let mut builder = LogBuilder::default();
        for (action, reward) in [(0, 1.0), (0, 0.0), (0, 1.0), (1, 0.0)] {
            let new = NewRound { action, reward, propensity: 0.5, ..NewRound::default() };
            builder.push(&new).unwrap();
        }
        let log = builder.build();
        let prior = Prior::Given { rewards: 1.0, rounds: 2.0 };
        let model = FittedModel::fit(&log, RewardModel::Rates(prior), false).unwrap();
        assert_eq!(predictions(&model, &log, 0), [3.0 / 5.0, 1.0 / 3.0]);
    }

    #[test]
    fn the_estimated_prior_is_weak_where_actions_differ_and_strong_where_they_do_not() {
        // 100 rounds of each of ten actions with the same rate.
        let alike: Vec<_> = (0..10).map(|_| (50.0, 100.0)).collect();
        assert_eq!(prior_rounds(&alike, 0.5, 500.0, 1_000.0), PRIOR_ROUNDS_MAX);
        // Rates 0 and 1: nothing varies within.
        let apart: Vec<_> = (0..10).map(|action| (100.0 * f64::from(action % 2), 100.0)).collect();
        assert_eq!(prior_rounds(&apart, 0.5, 500.0, 1_000.0), 1.0);
    }

    #[test]
    fn a_ridge_by_action_learns_what_depends_on_the_context() {
        let log = contextual(4_000);
        let model = FittedModel::fit(&log, RewardModel::Ridge { penalty: 1.0 }, true).unwrap();
        for at in [0, 7, 14, 20] {
            let x = f64::from(log.view(at).context[0]);
            for (found, golden) in predictions(&model, &log, at).iter().zip([x, 1.0 - x]) {
                assert!((found - golden).abs() < 0.02, "{found} is not {golden}");
            }
        }
    }

    #[test]
    fn a_shared_ridge_generalises_to_an_action_that_was_never_shown() {
        let mut builder = LogBuilder::default();
        for at in 0..600_u32 {
            let features: Vec<[f32; 1]> = (0..4).map(|a| [a as f32 + (at % 5) as f32]).collect();
            let candidates: Vec<Candidate<'_>> = (0..4)
                .map(|action| Candidate {
                    action,
                    features: &features[action as usize],
                    ..Candidate::default()
                })
                .collect();
            let action = at % 3;
            let reward = f64::from(features[action as usize][0]) / 10.0;
            let new = NewRound { action, reward, propensity: 0.5, unit: at, ..NewRound::default() };
            builder.push(&NewRound { candidates: &candidates, ..new }).unwrap();
        }
        let log = builder.build();
        let model = FittedModel::fit(&log, RewardModel::Ridge { penalty: 0.1 }, true).unwrap();
        // At the first request context the actions have features 0 to 3, and earn a tenth of them.
        for (found, golden) in predictions(&model, &log, 0).iter().zip([0.0, 0.1, 0.2, 0.3]) {
            assert!((found - golden).abs() < 0.01, "{found} is not {golden}");
        }
    }

    #[test]
    fn no_unit_is_judged_by_a_model_that_saw_it() {
        // One unit of two earns 1, the other 0: the model that judges saw only the other.
        let units: Vec<u32> = (0..40).collect();
        let mut builder = LogBuilder::default();
        for &unit in &units {
            let reward = fold_of(unit) as f64;
            let new = NewRound { reward, propensity: 1.0, unit, ..NewRound::default() };
            builder.push(&new).unwrap();
        }
        let log = builder.build();
        assert!(units.iter().any(|unit| fold_of(*unit) == 0));
        let rates = RewardModel::Rates(Prior::Estimated);
        let model = FittedModel::fit(&log, rates, true).unwrap();
        for at in 0..units.len() {
            assert_eq!(predictions(&model, &log, at)[0], 1.0 - log.rounds()[at].reward);
        }
    }

    #[test]
    fn a_ridge_without_or_with_too_many_features_is_refused() {
        let new = NewRound { propensity: 1.0, ..NewRound::default() };
        let fit = |context: &[f32]| {
            let mut builder = LogBuilder::default();
            builder.push(&NewRound { context, ..new }).unwrap();
            FittedModel::fit(&builder.build(), RewardModel::Ridge { penalty: 1.0 }, true).err()
        };
        assert_eq!(fit(&[]), Some(Unfit::NoFeatures));
        assert_eq!(fit(&[0.5; 600]), Some(Unfit::TooManyFeatures { found: 600 }));
        assert_eq!(fit(&[0.5; 6]), None);
    }
}
