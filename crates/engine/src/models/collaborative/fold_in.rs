//! Folds a user into a trained model exactly: the user half-step of training, for one user, from its own history.
//!
//! `w = (sum c h h' + a0 G + l_u I)^-1 (sum c h + l_u m)`, m a prior mean (zero without one: the plain iALS solve).
//! Invariants: `numeric` only, so the same bits on every CPU; the order of the events matters to rounding only.
//! Cost: 50 events at k = 64 measured with benches/kernels.rs; no allocation per call.

use crate::models::collaborative::hyperparameters::Regularization;
use crate::models::collaborative::normal_equations::NormalEquations;
use crate::numeric;

/// Largest absolute factor that is used. Trained factors are below 100. Sums of products of
/// such factors fit in an `f32`.
pub const FACTOR_MAX: f32 = 1e6;

/// Whether all factors are usable numbers. NaN is not.
#[must_use]
pub fn is_usable(factors: &[f32]) -> bool {
    factors.iter().all(|value| value.abs() <= FACTOR_MAX)
}

/// Solves users one after the other; keep one per thread.
#[derive(Debug, Clone)]
pub struct FoldIn {
    equations: NormalEquations,
}

impl FoldIn {
    /// A solver for k factors.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { equations: NormalEquations::new(k) }
    }

    /// Writes the factors of the user with `events` (item factors, confidence) to `out`.
    ///
    /// `gram` is `gram(item_factors, k)` of the model. A negative confidence is a negative example (target 0).
    /// Events whose confidence is zero or not finite are left out. Without events the result is the prior mean shrunk by the unobserved weight, zero without one.
    /// Panics when a slice is not of the solver's width.
    pub fn solve<'a>(
        &mut self,
        gram: &[f32],
        regularization: &Regularization,
        events: impl Iterator<Item = (&'a [f32], f32)> + Clone,
        prior_mean: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let usable = events.filter(|(_, confidence)| confidence.is_finite() && *confidence != 0.0);
        let ridge = regularization.user(usable.clone().count());
        self.equations.begin(gram, regularization.unobserved_weight, ridge);
        for (h, confidence) in usable {
            self.equations.observe(h, confidence);
        }
        if let Some(mean) = prior_mean {
            self.equations.shift(ridge, mean);
        }
        self.equations.solve(out);
    }
}

/// `G = sum h h'` over the row-major `factors` (n x k), `numeric` dense storage (k x k), rows in order.
#[must_use]
pub fn gram(factors: &[f32], k: usize) -> Vec<f32> {
    let mut g = vec![0.0; k * k];
    if k > 0 {
        // Tiles that fit the L1 cache; element sums are sequential, so the tiling does not change the bits.
        for tile in factors.chunks(64 * k) {
            numeric::add_gram(tile, k, &mut g);
        }
    }
    g
}

/// `G += new new' - old old'`: the Gram matrix after one row changed. Recompute it by `gram` now and then: rounding
/// errors add up.
pub fn update_gram(gram: &mut [f32], old: &[f32], new: &[f32]) {
    numeric::add_outer(1.0, new, gram);
    numeric::add_outer(-1.0, old, gram);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Regularization {
        Regularization {
            lambda: 0.02,
            frequency_exponent: 1.0,
            unobserved_weight: 0.1,
            n_users: 10,
            n_items: 6,
        }
    }

    fn items(k: usize) -> Vec<f32> {
        (0..6 * k).map(|i| ((i * 29 % 17) as f32 - 8.0) / 10.0).collect()
    }

    #[test]
    fn bad_confidences_are_left_out() {
        let (k, factors) = (4, items(4));
        let g = gram(&factors, k);
        let mut fold_in = FoldIn::new(k);
        let (mut w, mut v) = ([0.0; 4], [0.0; 4]);
        let good = [(&factors[..4], 1.0)];
        fold_in.solve(&g, &weights(), good.into_iter(), None, &mut w);
        let bad = [(&factors[4..8], f32::NAN), (&factors[..4], 1.0), (&factors[8..12], 0.0)];
        fold_in.solve(&g, &weights(), bad.into_iter(), None, &mut v);
        assert_eq!(w, v);
        assert!(w.iter().any(|x| *x != 0.0));
    }

    #[test]
    fn a_prior_mean_moves_a_user_without_history_and_yields_to_events() {
        let (k, factors) = (4, items(4));
        let g = gram(&factors, k);
        let mut fold_in = FoldIn::new(k);
        let mean = [1.0, -1.0, 0.5, 0.0];
        let mut w = [0.0; 4];
        fold_in.solve(&g, &weights(), std::iter::empty(), Some(&mean), &mut w);
        assert!(numeric::dot(&w, &mean) > 0.0);
        fold_in.solve(&g, &weights(), std::iter::empty(), None, &mut w);
        assert_eq!(w, [0.0; 4]);
    }

    #[test]
    fn updating_the_gram_equals_recomputing_it() {
        for k in [3, 16] {
            let mut factors = items(k);
            let mut g = gram(&factors, k);
            let old = factors[k..2 * k].to_vec();
            for value in &mut factors[k..2 * k] {
                *value = 0.3 - *value;
            }
            update_gram(&mut g, &old, &factors[k..2 * k]);
            let fresh = gram(&factors, k);
            for j in 0..k {
                for i in j..k {
                    assert!((g[j * k + i] - fresh[j * k + i]).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn no_factors_and_no_items_are_fine() {
        assert!(gram(&[], 0).is_empty());
        assert_eq!(gram(&[], 2), [0.0; 4]);
    }
}
