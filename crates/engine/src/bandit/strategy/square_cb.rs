//! Inverse-gap weighting: an arm is chosen less often the further its mean is below the best.
//!
//! `p_a = 1 / (n + gamma (best - mean_a))` for all but the best arm, which gets the
//! rest. Uses means only. Source: Foster and Rakhlin, "Beyond UCB" (2020); gamma
//! grows with the square root of the number of choices.

use crate::bandit::strategy::Beliefs;
use crate::bandit::strategy::Policy;
use crate::bandit::strategy::sound;

/// SquareCB at one moment.
#[derive(Debug, Clone, Copy)]
pub struct SquareCb {
    /// How fast exploration falls with the gap; 0 is uniform.
    pub gamma: f64,
}

impl Policy for SquareCb {
    fn propensities(&self, beliefs: Beliefs<'_>, propensities: &mut [f64]) {
        let means = sound(beliefs).0;
        let best = (0..means.len()).rev().max_by(|&a, &b| means[a].total_cmp(&means[b]));
        let best = best.expect("there is an arm to choose");
        let arms = means.len() as f64;
        let mut others = 0.0;
        for (propensity, mean) in propensities.iter_mut().zip(&means) {
            *propensity = 1.0 / (arms + self.gamma * (means[best] - mean));
            others += *propensity;
        }
        others -= propensities[best];
        propensities[best] = 1.0 - others;
    }
}
