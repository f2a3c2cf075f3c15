//! Policies around one best arm: greedy, epsilon-greedy, optimism.
//!
//! Arms that tie for the best share its probability evenly: without evidence all arms are
//! equal, whatever their order.

use crate::bandit::strategy::Beliefs;
use crate::bandit::strategy::Policy;
use crate::bandit::strategy::mix_evenly;

/// The arm of the highest mean.
#[derive(Debug, Clone, Copy)]
pub struct Greedy;

impl Policy for Greedy {
    fn propensities(&self, beliefs: Beliefs<'_>, propensities: &mut [f64]) {
        share_among_best(beliefs.means.iter().copied(), propensities);
    }
}

/// The arm of the highest mean; with probability `epsilon` any arm, that one included.
#[derive(Debug, Clone, Copy)]
pub struct EpsilonGreedy {
    /// 0 to 1.
    pub epsilon: f64,
}

impl Policy for EpsilonGreedy {
    fn propensities(&self, beliefs: Beliefs<'_>, propensities: &mut [f64]) {
        Greedy.propensities(beliefs, propensities);
        mix_evenly(propensities, self.epsilon);
    }
}

/// The arm of the highest mean plus `width` standard deviations: LinUCB where beliefs
/// are of a linear model; UCB1 where deviations are `sqrt(2 ln t / n)`.
#[derive(Debug, Clone, Copy)]
pub struct UpperConfidence {
    pub width: f64,
}

impl Policy for UpperConfidence {
    fn propensities(&self, beliefs: Beliefs<'_>, propensities: &mut [f64]) {
        let both = beliefs.means.iter().zip(beliefs.deviations);
        share_among_best(both.map(|(mean, deviation)| mean + self.width * deviation), propensities);
    }
}

fn share_among_best(scores: impl Iterator<Item = f64> + Clone, propensities: &mut [f64]) {
    // NaN ranks last.
    let scores = scores.map(|score| if score.is_nan() { f64::NEG_INFINITY } else { score });
    let best = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    let mut tied = 0.0;
    for (propensity, score) in propensities.iter_mut().zip(scores) {
        *propensity = if score >= best { 1.0 } else { 0.0 };
        tied += *propensity;
    }
    for propensity in propensities {
        *propensity /= tied;
    }
}
