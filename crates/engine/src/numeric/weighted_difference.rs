//! How much more the first of two sides earns than the second, where a known probability decided
//! whose turn it was.
//!
//! With `q` the probability of the first, `r` the reward and `m` a prediction of it from earlier
//! data,
//!
//! `d = (r - m) (1 / q if the first's, else -1 / (1 - q))`
//!
//! has the difference as its mean, given all earlier data. So probabilities that follow the rewards
//! add no bias. Bounds of the running mean are those of [`LowerBound`], on `c d` with
//! `c = min(q, 1 - q) / 4`, which is within -1/2 and 1/2 since rewards are within -1 and 1.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::Guess;
use crate::numeric::LowerBound;

/// Variance of `c d`, before any data.
const GUESS: Guess = Guess { mean: 0.0, variance: 1.0 / 64.0, mean_max: 0.5 };

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WeightedDifference {
    rounds: u64,
    reward: f64,
    /// Of the first and of the second: weighted rewards and weights.
    sums: [(f64, f64); 2],
    /// Of the difference, and of what the second has beyond the first.
    sides: [LowerBound; 2],
}

impl WeightedDifference {
    /// Adds the reward of one of the two, within -1 and 1. `chance` is that of the first, in (0, 1);
    /// `evidence` as in the bounds that are asked for.
    pub fn observe(&mut self, chance: f64, is_first: bool, reward: f64, evidence: f64) {
        let guess = self.reward / self.rounds.max(1) as f64;
        let weight = if is_first { 1.0 / chance } else { 1.0 / (1.0 - chance) };
        let signed = if is_first { weight } else { -weight };
        let scale = chance.min(1.0 - chance) / 4.0;
        let observed = scale * (reward - guess) * signed;
        self.sides[0].observe(observed, scale, &GUESS, evidence, None);
        self.sides[1].observe(-observed, scale, &GUESS, evidence, None);
        let sums = &mut self.sums[usize::from(!is_first)];
        sums.0 += weight * reward;
        sums.1 += weight;
        self.rounds += 1;
        self.reward += reward;
    }

    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Weighted mean reward of the first less that of the second; 0 until both have one.
    pub fn value(&self) -> f64 {
        let [first, second] = self.sums;
        let both = first.1 > 0.0 && second.1 > 0.0;
        if both { first.0 / first.1 - second.0 / second.1 } else { 0.0 }
    }

    /// The bounds, each wrong at any time with a probability of `exp(-evidence)`; infinite before the
    /// first round.
    pub fn bounds(&self, evidence: f64) -> (f64, f64) {
        (self.sides[0].low(evidence), -self.sides[1].low(evidence))
    }
}
