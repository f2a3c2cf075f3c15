//! Factors of items that no training has seen yet, from sums over the users with a positive for them.
//!
//! `h = (A_i + a0 Gu + l_i I)^-1 (b_i + l_i m)`, `A_i = sum c w w'`, `b_i = sum c w`: the item half-step of training for
//! one item, with the user-side Gram matrix Gu of the trained model (`Trained::user_gram`); m an optional prior mean,
//! such as the content map. eALS's incremental rule (He et al. 2016) with the exact block solve instead of coordinates.
//! Invariants: `numeric` only; the sums hold nothing unspecified, so they may enter the state digest. An observation can
//! be taken back by the same user factors (erasure), up to rounding.
//! Cost: 8.6 KB per item at k = 64; `add` k^2 / 2, `solve` as a fold-in without events.

use serde::{Deserialize, Serialize};

use crate::models::collaborative::fold_in::is_usable;
use crate::models::collaborative::hyperparameters::Regularization;
use crate::models::collaborative::normal_equations::NormalEquations;
use crate::numeric;

/// The sums of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemAccumulator {
    /// `sum c w w'`, `numeric` packed storage, k (k + 1) / 2.
    a: Vec<f32>,
    /// `sum c w`, k.
    b: Vec<f32>,
    /// Observations in the sums.
    n: u32,
}

impl ItemAccumulator {
    /// No observation yet, k factors.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { a: vec![0.0; numeric::packed_len(k)], b: vec![0.0; k], n: 0 }
    }

    /// The number of observations.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.n
    }

    /// Whether the sums are those of k factors, and finite.
    #[must_use]
    pub fn is_of(&self, k: usize) -> bool {
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        self.a.len() == numeric::packed_len(k)
            && self.b.len() == k
            && finite(&self.a)
            && finite(&self.b)
    }

    /// Adds one user's observation; left out when the confidence is not a finite number above zero, or a factor is
    /// larger than sums can be made of.
    pub fn add(&mut self, user_factors: &[f32], confidence: f32) {
        if confidence.is_finite() && confidence > 0.0 && is_usable(user_factors) {
            numeric::add_outer_packed(confidence, user_factors, &mut self.a);
            numeric::axpy(confidence, user_factors, &mut self.b);
            self.n = self.n.saturating_add(1);
        }
    }
}

/// Solves items one after the other; keep one per thread.
#[derive(Debug, Clone)]
pub struct ItemSolve {
    equations: NormalEquations,
}

impl ItemSolve {
    /// A solver for k factors.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { equations: NormalEquations::new(k) }
    }

    /// Writes the factors of the item to `out`. Panics when a slice is not of the solver's width.
    pub fn solve(
        &mut self,
        sums: &ItemAccumulator,
        user_gram: &[f32],
        regularization: &Regularization,
        prior_mean: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let ridge = regularization.item(sums.n as usize);
        self.equations.begin(user_gram, regularization.unobserved_weight, ridge);
        self.equations.observe_sums(&sums.a, &sums.b);
        if let Some(mean) = prior_mean {
            self.equations.shift(ridge, mean);
        }
        self.equations.solve(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_without_a_usable_confidence_is_left_out() {
        let mut sums = ItemAccumulator::new(3);
        for confidence in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
            sums.add(&[1.0, 1.0, 1.0], confidence);
        }
        sums.add(&[1e30, 1.0, 1.0], 1.0);
        assert_eq!(sums, ItemAccumulator::new(3));
    }

    #[test]
    fn an_item_without_observations_gets_its_prior_direction_or_zero() {
        let weights = Regularization {
            lambda: 0.1,
            frequency_exponent: 1.0,
            unobserved_weight: 0.1,
            n_users: 5,
            n_items: 5,
        };
        let (mut solver, sums) = (ItemSolve::new(2), ItemAccumulator::new(2));
        let mut h = [7.0; 2];
        solver.solve(&sums, &[0.0; 4], &weights, None, &mut h);
        assert_eq!(h, [0.0; 2]);
        solver.solve(&sums, &[0.0; 4], &weights, Some(&[0.5, -0.5]), &mut h);
        assert!((h[0] - 0.5).abs() < 1e-6 && (h[1] + 0.5).abs() < 1e-6);
    }
}
