//! Trains item factors by implicit alternating least squares (iALS).
//!
//! Loss (the paper's equation 2, with a confidence per observation):
//!   `sum_S c (1 - w'h)^2 + a0 sum_all (w'h)^2 + sum_u l_u |w_u|^2 + sum_i l_i |h_i|^2`, `l` from `Regularization`.
//! An epoch solves all users against the items, then all items against the users, each from where it was and by a few
//! steps of conjugate gradients (`half_step`): the loss never rises but for rounding, and comes free with the steps. At
//! equal epochs it is within 0.1 % of that of exact solves.
//!
//! Invariants: the result depends on the set, the hyperparameters and the warm start only, not on the number of threads;
//! items without observation have zero factors.
//! Cost: see `half_step`; measured with benches/kernels.rs.

use std::ops::ControlFlow;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::models::collaborative::fold_in::gram;
use crate::models::collaborative::half_step::HalfStep;
use crate::models::collaborative::hyperparameters::{Hyperparameters, Regularization};
use crate::models::collaborative::training_set::TrainingSet;
use crate::numeric;
use crate::numeric::conjugate_gradient::Effort;
use crate::numeric::math;

/// Steps of an epoch: rows start close to their minimum, and two or three steps usually suffice.
const EPOCH: Effort = Effort { steps: 4, tolerance: 1e-5 };

/// Steps of the first epoch, in which users start at zero: after a warm start it may be the only one.
const FIRST: Effort = Effort { steps: 16, tolerance: 1e-6 };

/// Steps of the last user pass, which replaces the exact fold-in.
const LAST: Effort = Effort { steps: 64, tolerance: 1e-8 };

/// What is known after an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochProgress {
    /// 1 after the first.
    pub epoch: usize,
    pub epochs: usize,
    /// The loss at the end of the epoch.
    pub loss: f64,
}

/// The result of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// k.
    pub factors: usize,
    /// `n_items` x k, row-major.
    pub item_factors: Vec<f32>,
    /// `W'W` over all trained users, folded in against `item_factors`: k x k, `numeric` dense storage. Online item
    /// updates need it.
    pub user_gram: Vec<f32>,
    /// The weights to fold users in and to solve new items with.
    pub regularization: Regularization,
    /// The loss after the last epoch.
    pub loss: f64,
}

/// Whether a training goes on after an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    /// This epoch was the last.
    Finish,
    /// There is no result.
    Cancel,
}

/// [`train_watched`] that looks at progress only.
pub fn train(
    set: &TrainingSet,
    hyperparameters: &Hyperparameters,
    warm_start: Option<&[f32]>,
    progress: &mut dyn FnMut(EpochProgress) -> ControlFlow<()>,
) -> Option<Trained> {
    train_watched(set, hyperparameters, warm_start, &mut |report, _, _| match progress(report) {
        ControlFlow::Continue(()) => Verdict::Continue,
        ControlFlow::Break(()) => Verdict::Cancel,
    })
}

/// Sees the item factors and the weights to fold users in with after each epoch.
pub type Watcher<'a> = &'a mut dyn FnMut(EpochProgress, &[f32], &Regularization) -> Verdict;

/// Trains from a random start, or from `warm_start` (item factors, row-major, k wide: rows beyond its end start at
/// zero, rows beyond `n_items` are ignored, a row with a value that is not finite starts at zero).
///
/// `watch` is called after each epoch and may end the training or cancel it, which then returns `None`. `None` too
/// when the hyperparameters are out of range (call `Hyperparameters::validate` first for the reason).
pub fn train_watched(
    set: &TrainingSet,
    hyperparameters: &Hyperparameters,
    warm_start: Option<&[f32]>,
    watch: Watcher<'_>,
) -> Option<Trained> {
    hyperparameters.validate().ok()?;
    let k = hyperparameters.factors;
    let regularization = Regularization::of(hyperparameters, set);
    let by_item = set.transposed();
    let mut items = match warm_start {
        Some(factors) => warm_factors(&by_item, k, factors),
        None => random_factors(&by_item, k, hyperparameters),
    };
    let mut users = vec![0.0_f32; set.n_users() * k];
    let mut loss = 0.0;
    for epoch in 1..=hyperparameters.epochs {
        let effort = if epoch == 1 { FIRST } else { EPOCH };
        solve_users(set, &items, k, &regularization, effort, &mut users);
        loss = solve_items(&by_item, &users, k, &regularization, effort, &mut items);
        loss += ridge_loss(set, &users, k, &|n| regularization.user(n));
        let report = EpochProgress { epoch, epochs: hyperparameters.epochs, loss };
        match watch(report, &items, &regularization) {
            Verdict::Continue => {}
            Verdict::Finish => break,
            Verdict::Cancel => return None,
        }
    }
    solve_users(set, &items, k, &regularization, LAST, &mut users);
    let user_gram = gram(&users, k);
    Some(Trained { factors: k, item_factors: items, user_gram, regularization, loss })
}

/// The user half of an epoch, from and to `users`; returns the loss but for the items' L2.
fn solve_users(
    set: &TrainingSet,
    items: &[f32],
    k: usize,
    weights: &Regularization,
    effort: Effort,
    users: &mut [f32],
) -> f64 {
    let (unobserved_weight, ridge) = (weights.unobserved_weight, &|n| weights.user(n));
    HalfStep { rows: set, fixed: items, k, unobserved_weight, ridge, effort }.run(users)
}

/// The item half of an epoch, from and to `items`; returns the loss but for the users' L2.
fn solve_items(
    by_item: &TrainingSet,
    users: &[f32],
    k: usize,
    weights: &Regularization,
    effort: Effort,
    items: &mut [f32],
) -> f64 {
    let (unobserved_weight, ridge) = (weights.unobserved_weight, &|n| weights.item(n));
    HalfStep { rows: by_item, fixed: users, k, unobserved_weight, ridge, effort }.run(items)
}

/// `sum l |w|^2` over the rows of one side.
fn ridge_loss(rows: &TrainingSet, factors: &[f32], k: usize, ridge: &dyn Fn(usize) -> f32) -> f64 {
    factors.chunks_exact(k).enumerate().fold(0.0, |sum, (row, w)| {
        sum + f64::from(ridge(rows.row_len(row))) * f64::from(numeric::sum_squares(w))
    })
}

fn warm_factors(by_item: &TrainingSet, k: usize, given: &[f32]) -> Vec<f32> {
    let mut factors = vec![0.0_f32; by_item.n_users() * k];
    for (target, row) in factors.chunks_exact_mut(k).zip(given.chunks_exact(k)) {
        if row.iter().all(|v| v.is_finite()) {
            target.copy_from_slice(row);
        }
    }
    factors
}

/// Normal draws of standard deviation `init_standard_deviation` (Box and Muller 1958) for the observed items.
fn random_factors(by_item: &TrainingSet, k: usize, hp: &Hyperparameters) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(hp.seed);
    let mut uniform = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
    let mut factors = vec![0.0_f32; by_item.n_users() * k];
    for (item, row) in factors.chunks_exact_mut(k).enumerate() {
        // Drawn for every item, so that one more observation elsewhere does not change an item's start.
        let observed = by_item.row_len(item) > 0;
        for pair in row.chunks_mut(2) {
            let radius = (-2.0 * math::ln(uniform())).sqrt();
            let angle = std::f64::consts::TAU * uniform();
            let draws = [radius * math::cos(angle), radius * math::sin(angle)];
            for (value, draw) in pair.iter_mut().zip(draws) {
                *value = if observed { draw as f32 * hp.init_standard_deviation } else { 0.0 };
            }
        }
    }
    factors
}

#[cfg(test)]
mod tests;
