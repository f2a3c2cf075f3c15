//! What the features of arms explain: one linear model for all arms of a set.
//!
//! The weights of an arm are what its features say plus what is its own:
//!
//! ```text
//! r = theta_a' x + noise,   theta_a = W f_a + delta_a,   delta_a ~ N(0, s^2 / ridge),   W ~ N(0, s^2)
//! ```
//!
//! with `x` the context and `f_a` the features of the arm, each with a constant. An arm without evidence is
//! judged by its features alone; with evidence, by how it differs from what they say. An arm without
//! features has the constant: it is at first like the average arm.
//!
//! - Exact Bayesian updates without the covariances of `W` with each arm. Of the arm's own `A = ridge I + sum x x'` and
//!   `b = sum r x`, `u = ridge A^-1 x` is the part of a context that the arm does not know by itself. The
//!   prediction is `x' A^-1 b + W.(u f')` with the variances of both added; a selection
//!   tells of `W` what an observation of `r - x' A^-1 b` at `u f'` with weight `1 / (1 + x' A^-1 x)` does; a reward that
//!   comes later adds `r u f'` with the `u` of then. (The sum over an arm is `ridge A^-1 b f'`, in any order.)
//!   Under fading, and while features change, that is an approximation.
//! - So an arm that is chosen a thousand times tells of `W` what one arm can tell, not a thousand.
//! - `x f'` has a position for each pair as long as there are few; pairs beyond the first [`EXACT`] share
//!   [`HASHED`] positions with a hashed sign. The first pairs are those of the features alone.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::bandit::arms::linear::Prediction;
use crate::bandit::arms::linear::RIDGE;
use crate::bandit::arms::pending::PendingSelection;
use crate::bandit::arms::scale::Scale;
use crate::domain::ArmFeatures;

/// Pairs with a position of their own where not all have one.
const EXACT: usize = 64;
/// Positions that the other pairs share.
const HASHED: usize = 64;
/// About how long vectors of features are.
const LENGTH: f64 = 1.5;
/// The prior of what is an arm's own: most of an arm is taken to be what its features say. With 1,
/// 10 and 25, in a plain reimplementation on worlds like those of `tests/features.rs`, three seeds each, of the
/// way from chance to the best: .57, .78 and .86 where features explain all of 300 arms, .63, .75 and .78
/// where they explain a part, .97, .94 and .94 of ten arms that are offered throughout.
pub const OWN_RIDGE: f64 = 10.0;

/// The shared model of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shared {
    /// Of the features of arms.
    pub scale: Scale,
    pairs: Pairs,
    model: Linear,
    /// Which selection of the namespace it began with.
    since: u64,
}

/// Where pairs of a context and features are in the vectors of the model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pairs {
    contexts: u32,
    features: u32,
}

impl Pairs {
    fn dimension(self) -> usize {
        ((self.contexts * self.features) as usize).min(EXACT + HASHED)
    }

    /// `x f'` as a vector.
    fn product(self, x: &[f64], features: &[f64]) -> Vec<f64> {
        let is_exact = (self.contexts * self.features) as usize <= EXACT + HASHED;
        let mut product = vec![0.0; self.dimension()];
        for (row, x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            for (column, feature) in features.iter().enumerate() {
                let pair = row * features.len() + column;
                if is_exact || pair < EXACT {
                    product[pair] += x * feature;
                } else {
                    let (position, sign) = hashed(pair);
                    product[position] += sign * x * feature;
                }
            }
        }
        product
    }
}

fn hashed(pair: usize) -> (usize, f64) {
    // The multiplier of Fibonacci hashing.
    let hash = (pair as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let position = EXACT + (hash >> 32) as usize % HASHED;
    (position, if hash >> 63 == 0 { 1.0 } else { -1.0 })
}

/// An arm: its own model and its scaled features.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    pub own: Option<&'a Linear>,
    pub features: &'a [f64],
}

impl Shared {
    /// Of contexts and features of these lengths.
    pub fn new(contexts: usize, features: usize, since: u64) -> Self {
        let pairs = Pairs { contexts: contexts as u32, features: features as u32 };
        Self { scale: Scale::default(), pairs, model: Linear::new(pairs.dimension(), RIDGE), since }
    }

    /// Its size in memory.
    pub fn bytes(&self) -> u64 {
        self.model.bytes() + self.scale.bytes()
    }

    /// The features of an arm on the scale of all; those of an arm without are the constant.
    pub fn features(&self, shape: Shape, features: &ArmFeatures) -> Vec<f64> {
        if shape.describes(features) {
            return self.scale.apply(&shape.vector(features), LENGTH);
        }
        let mut constant = vec![0.0; shape.dimension()];
        constant[0] = 1.0;
        constant
    }

    /// Whether it includes the selection.
    pub fn has_learnt(&self, pending: &PendingSelection) -> bool {
        !pending.features.is_empty() && pending.number >= self.since
    }

    pub(super) fn is_whole(&self, contexts: usize, features: usize) -> bool {
        let fits = (self.pairs.contexts as usize, self.pairs.features as usize);
        fits == (contexts, features) && self.model.dimension() == self.pairs.dimension()
    }

    pub fn predict(&self, x: &[f64], arm: Described<'_>) -> Prediction {
        let (own, mut pairs) = self.unknown_part(x, arm);
        let rest = self.model.predict(&mut pairs);
        Prediction { mean: own.mean + rest.mean, variance: own.variance + rest.variance }
    }

    /// What the arm knows by itself, and the pairs of what it does not.
    fn unknown_part(&self, x: &[f64], arm: Described<'_>) -> (Prediction, Vec<f64>) {
        let mut x = x.to_vec();
        let own = match arm.own {
            Some(own) => own.unknown_part(&mut x),
            None => Prediction::without_evidence(&x, OWN_RIDGE),
        };
        (own, self.pairs.product(&x, arm.features))
    }

    /// Learns of a selection, so far without reward, before the arm's own model does.
    pub fn select(&mut self, x: &[f64], arm: Described<'_>) {
        let (own, mut pairs) = self.unknown_part(x, arm);
        let share = 1.0 / (1.0 + own.variance);
        let mut root: Vec<f64> = pairs.iter().map(|pair| pair * share.sqrt()).collect();
        self.model.select(&mut root);
        self.model.reward(&mut pairs, -share * own.mean);
    }

    /// Takes back a selection of this weight whose reward is taken back already, after the
    /// arm's own model does.
    pub fn withdraw(&mut self, x: &[f64], arm: Described<'_>, weight: f64) {
        let (own, mut pairs) = self.unknown_part(x, arm);
        let share = weight / (1.0 + weight * own.variance);
        self.model.reward(&mut pairs.clone(), share * own.mean);
        pairs.iter_mut().for_each(|pair| *pair *= share.sqrt());
        self.model.withdraw(&mut pairs);
    }

    /// Learns of a reward, or of a change of one.
    pub fn reward(&mut self, x: &[f64], arm: Described<'_>, change: f64) {
        let (_, mut pairs) = self.unknown_part(x, arm);
        self.model.reward(&mut pairs, change);
    }

    /// Scales all evidence by this factor.
    pub fn fade(&mut self, keep: f64) {
        self.scale.fade(keep);
        self.model.fade(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARMS: usize = 3;
    const INPUTS: usize = 2;
    const PAIRS: usize = INPUTS * INPUTS;
    const ALL: usize = PAIRS + ARMS * INPUTS;

    /// One model of all weights at once: the shared ones, then those of each arm.
    fn joint(x: &[f64], arm: usize, features: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; ALL];
        for (row, x) in x.iter().enumerate() {
            for (column, feature) in features.iter().enumerate() {
                all[row * INPUTS + column] = x * feature;
            }
            all[PAIRS + arm * INPUTS + row] = x / OWN_RIDGE.sqrt();
        }
        all
    }

    fn case(round: usize) -> (usize, Vec<f64>, f64) {
        let x = vec![1.0, ((round * 5) % 7) as f64 - 3.0];
        (round * round % ARMS, x, (round % 4) as f64 / 3.0)
    }

    const FEATURES: [[f64; INPUTS]; ARMS] = [[1.0, 0.5], [1.0, -2.0], [1.0, 1.5]];

    fn assert_alike(shared: &Shared, own: &[Linear], all: &Linear) {
        for (arm, features) in FEATURES.iter().enumerate() {
            let x = [1.0, 0.7];
            let found = shared.predict(&x, Described { own: Some(&own[arm]), features });
            let expected = all.predict(&mut joint(&x, arm, features));
            assert!((found.mean - expected.mean).abs() < 1e-9, "{found:?} {expected:?}");
            assert!((found.variance - expected.variance).abs() < 1e-9, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn late_rewards_and_withdrawals_lead_to_the_beliefs_of_one_model_of_all_weights() {
        let mut shared = Shared::new(INPUTS, INPUTS, 0);
        let mut own = vec![Linear::new(INPUTS, OWN_RIDGE); ARMS];
        let mut all = Linear::new(ALL, RIDGE);
        for round in 0..40 {
            let (arm, x, _) = case(round);
            shared.select(&x, Described { own: Some(&own[arm]), features: &FEATURES[arm] });
            own[arm].select(&mut x.clone());
            // Every fifth is withdrawn later: the joint model never sees it.
            if round % 5 > 0 {
                all.select(&mut joint(&x, arm, &FEATURES[arm]));
            }
            // Rewards come ten rounds late.
            if let Some(rewarded) = round.checked_sub(10) {
                let (arm, x, reward) = case(rewarded);
                let described = Described { own: Some(&own[arm]), features: &FEATURES[arm] };
                shared.reward(&x, described, reward);
                own[arm].reward(&mut x.clone(), reward);
                if rewarded % 5 > 0 {
                    all.reward(&mut joint(&x, arm, &FEATURES[arm]), reward);
                }
            }
        }
        for round in (0..40).step_by(5) {
            let (arm, x, reward) = case(round);
            if round < 30 {
                let described = Described { own: Some(&own[arm]), features: &FEATURES[arm] };
                shared.reward(&x, described, -reward);
                own[arm].reward(&mut x.clone(), -reward);
            }
            own[arm].withdraw(&mut x.clone());
            shared.withdraw(&x, Described { own: Some(&own[arm]), features: &FEATURES[arm] }, 1.0);
        }
        assert_alike(&shared, &own, &all);
    }

    #[test]
    fn pairs_beyond_the_exact_ones_share_positions() {
        let pairs = Pairs { contexts: 100, features: 30 };
        let (x, features) = (vec![1.0; 100], vec![0.5; 30]);
        let product = pairs.product(&x, &features);
        assert_eq!(product.len(), EXACT + HASHED);
        assert!(product[..EXACT].iter().all(|value| *value == 0.5));
        let used = product[EXACT..].iter().filter(|value| **value != 0.0).count();
        assert!(used > HASHED / 2, "{used}");
    }
}
