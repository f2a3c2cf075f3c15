//! The expected reward of each candidate beyond its features, as a part of its score.
//!
//! An effect is independent of the ranker's coefficients, so means and variances add.

use crate::bandit::ItemEffect;
use crate::features::Candidate;
use crate::state::View;

/// The effects of the candidates, in their order.
pub fn item_effects(view: &View, candidates: &[Candidate<'_>]) -> Vec<ItemEffect> {
    candidates.iter().map(|candidate| view.item_effect(candidate.index)).collect()
}

/// Adds effects to expected rewards, and to their standard deviations if there are any.
pub fn add_effects(effects: &[ItemEffect], estimates: &mut [f64], deviations: &mut [f64]) {
    for (estimate, effect) in estimates.iter_mut().zip(effects) {
        *estimate += effect.mean;
    }
    for (deviation, effect) in deviations.iter_mut().zip(effects) {
        *deviation = (*deviation * *deviation + effect.variance).sqrt();
    }
}
