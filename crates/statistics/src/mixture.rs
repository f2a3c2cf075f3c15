//! Counts against expected shares: how much better a mixture of all shares explains them.
//!
//! The logarithm of `M_n = integral of P(counts | q) / P(counts | shares) dDirichlet(q; k shares)`.
//! Under the shares `M` is a martingale that starts at 1, so it exceeds `1 / alpha` at any time with
//! a probability of at most alpha (Ville).
//! Invariants: exact for any counts, from the first one on; computed from deviances, so that counts
//! of 1e9 lose no digits.
//! Source: Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022).

use crate::outcome::Interval;
use crate::special::gamma::{deviance, stirling_error};
use crate::special::math;
use crate::special::root;

/// `ln M` of counts under shares that sum to 1, with a prior worth `concentration` counts.
pub fn ln_e_value(counts: &[u64], shares: &[f64], concentration: f64) -> f64 {
    let total = counts.iter().fold(0.0, |sum, count| sum + *count as f64);
    let all = total + concentration;
    let whole = stirling_error(concentration) - stirling_error(all);
    let sum = whole + 0.5 * math::ln(all / concentration);
    counts.iter().zip(shares).fold(sum, |sum, (count, share)| {
        let before = concentration * share;
        let after = before + *count as f64;
        let errors = stirling_error(after) - stirling_error(before);
        sum + deviance(after, all * share) + errors + 0.5 * math::ln(before / after)
    })
}

/// The shares of the first of two counts that are not excluded at any time: a confidence sequence.
/// `evidence` is `ln(1 / alpha)`.
pub fn share_interval(hits: u64, misses: u64, concentration: f64, evidence: f64) -> Interval {
    let excess = |share: f64| {
        if share <= 0.0 {
            return if hits == 0 { -evidence } else { f64::INFINITY };
        }
        if share >= 1.0 {
            return if misses == 0 { -evidence } else { f64::INFINITY };
        }
        ln_e_value(&[hits, misses], &[share, 1.0 - share], concentration) - evidence
    };
    let total = hits as f64 + misses as f64;
    if total == 0.0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let observed = hits as f64 / total;
    let low = if hits == 0 { 0.0 } else { root::between(0.0, observed, excess) };
    let high = if misses == 0 { 1.0 } else { root::between(observed, 1.0, excess) };
    Interval { low, high }
}

/// The concentration that makes the interval narrowest after so many counts.
///
/// Source: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
/// confidence sequences" (2021), as in their package confseq.
pub fn concentration_for(counts: f64, evidence: f64) -> f64 {
    (counts / (2.0 * evidence + math::log1p(2.0 * evidence)) - 1.0).max(1e-3)
}
