//! Many metrics at once: which effects can be believed, given that so many were looked at?
//!
//! Invariants: of the effects that are called, the expected share of false ones is at most the
//! level. Benjamini and Hochberg need p-values that are independent or positively dependent;
//! e-values may depend in any way.
//! Sources: Benjamini and Hochberg, "Controlling the false discovery rate" (1995); Wang and Ramdas,
//! "False discovery rate control with e-values" (2022).

use crate::level::Level;
use crate::special::math;

/// Adjusted p-values, in the order given: an effect is called where its own is at most the level. No
/// number counts as 1.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let p = |at: usize| if p_values[at] >= 0.0 { p_values[at].min(1.0) } else { 1.0 };
    let mut order: Vec<_> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p(*a).total_cmp(&p(*b)));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    for (rank, at) in order.into_iter().enumerate().rev() {
        least = least.min(p(at) * (p_values.len() as f64 / (rank + 1) as f64));
        adjusted[at] = least;
    }
    adjusted
}

/// Which effects are called, in the order given, from logarithms of e-values (e-BH).
#[must_use]
pub fn e_benjamini_hochberg(ln_e_values: &[f64], level: Level) -> Vec<bool> {
    let e = |at: usize| if ln_e_values[at].is_nan() { f64::NEG_INFINITY } else { ln_e_values[at] };
    let mut order: Vec<_> = (0..ln_e_values.len()).collect();
    order.sort_by(|a, b| e(*b).total_cmp(&e(*a)));
    let needed = |rank: usize| math::ln(ln_e_values.len() as f64 / rank as f64) + level.evidence();
    let enough = (1..=order.len()).rev().find(|rank| e(order[rank - 1]) >= needed(*rank));
    let mut called = vec![false; ln_e_values.len()];
    for at in &order[..enough.unwrap_or(0)] {
        called[*at] = true;
    }
    called
}
