//! The ranker's prior before any reward, and the strength of this prior.
//!
//! The ranker's vector is the constant 1, the hybrid's standard score, and the features. Its
//! prior is the hybrid alone: the order is the hybrid's at first, and rewards change it in
//! proportion to their number.
//!
//! With strengths `S` (impressions that the prior of a coefficient is worth), one impression
//! with vector `x` and a reward `e` above the expected one moves the score of another item `y`
//! by `y' S^-1 x e / (1 + x' S^-1 x)`, at most. On the scale of the features a vector has about
//! a dozen values of about 1, and `|e|` is at most about 1, so it moves the score:
//!
//! - by the features, which change the order: at most about `12 / FEATURE_STRENGTH` = .00012 of
//!   a reward. Scores have a spread of [`PRIOR_GAIN`] = .05, so this is .25 % of it. It holds
//!   for a HIDE or a like. An impression without a click has `|e|` of about .05: .0125 %.
//! - by the constant: all scores alike, which changes no order.
//! - by the gain: all differences of the hybrid in proportion, by `x_1 y_1 / GAIN_STRENGTH`,
//!   which changes no order. It is stronger than the constant: users without clicks lower all
//!   expected rewards and do not reverse the order.

use std::sync::Arc;

use crate::bandit::RankerPrior;
use crate::domain::FeatureLayout;
use crate::features::BIAS;
use crate::features::FEATURE_COUNT;
use crate::features::FEATURES;
use crate::features::HYBRID;
use crate::features::hybrid_prior;
use crate::state::View;

/// Values of the ranker's vector: a constant, the hybrid's score, and the features.
pub const RANKER_DIMENSION: usize = FEATURE_COUNT + 2;
/// Expected reward of the average candidate, and gain per spread of the hybrid.
const PRIOR_REWARD: f64 = 0.05;
pub const PRIOR_GAIN: f64 = 0.05;
/// Impressions that the priors of the constant, the gain and each feature are worth.
const BIAS_STRENGTH: f64 = 200.0;
const GAIN_STRENGTH: f64 = 2_000.0;
const FEATURE_STRENGTH: f64 = 100_000.0;

/// The prior of the ranker.
pub fn ranker_prior() -> RankerPrior {
    let ids = [BIAS, HYBRID].into_iter().chain(FEATURES.iter().map(|feature| feature.id));
    let mut mean = vec![0.0; RANKER_DIMENSION];
    let mut strength = vec![FEATURE_STRENGTH; RANKER_DIMENSION];
    (mean[0], mean[1]) = (PRIOR_REWARD, PRIOR_GAIN);
    (strength[0], strength[1]) = (BIAS_STRENGTH, GAIN_STRENGTH);
    RankerPrior { layout: FeatureLayout::new(ids), mean, strength }
}

/// Aligns a view with the features of this engine. What it learnt of common features is kept.
pub fn align_features(view: &mut View) {
    let prior = ranker_prior();
    view.hybrid = Arc::new(view.hybrid.aligned(&hybrid_prior()));
    let before = view.ranker.layout();
    if before != &prior.layout {
        let positions = prior.layout.positions_in(before);
        Arc::make_mut(&mut view.takeover).align(&positions);
        for number in view.decisions.first()..view.decisions.end() {
            if let Some(decision) = view.decisions.get_mut(number) {
                decision.align(&positions);
            }
        }
    }
    view.ranker = Arc::new(view.ranker.aligned(prior.clone()));
    if view.experiments.live().any(|entry| entry.has_own_rankers()) {
        Arc::make_mut(&mut view.experiments).align_own_rankers(&prior);
    }
    view.top_lists = Arc::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_ranker_begin_with_the_constant_and_the_hybrid() {
        let prior = ranker_prior();
        assert_eq!(prior.layout.ids()[..2], [BIAS, HYBRID]);
        assert_eq!(prior.layout.len(), RANKER_DIMENSION);
        assert!(prior.mean[2..].iter().all(|mean| *mean == 0.0));
    }
}
