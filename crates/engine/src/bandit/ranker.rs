//! What the ranker has learnt from decisions: one posterior of all requests, and a deviation
//! for each segment of requests.
//!
//! A segment is a kind of device with new users or with known users: 8 kinds
//! (the first seven of the namespace; all others and none are one), 16 segments. As
//! in the hybrid model of Li et al. 2010, section 3.2: `theta_s = theta + delta_s`,
//! `delta_s ~ N(0, sigma^2 S^-1)`.
//!
//! - `theta` has the posterior of all evidence ([`Posterior::solve`]).
//! - A segment's own sums then give `theta_s`: prior mean `theta`, of the strength `S` of the prior.
//!   With `C = (S + A_s)^-1` its mean is `C (b_s + S theta)`, its covariance
//!   `C + C S V S C`, `V` that of `theta`. With little evidence it is near `theta`.
//!   The segment's evidence is in `theta`, too, as in empirical Bayes.
//! - Forgetting applies to all sums alike, at fixed numbers of decisions.
//!
//! State: 17 posteriors of 8 (d (d + 1) / 2 + d + 3) bytes, and the table of influence.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::allowance::ExplorationAccount;
use crate::bandit::belief::Belief;
use crate::bandit::examination::Examination;
use crate::bandit::fading::DECISIONS_PER_TICK;
use crate::bandit::fading::retention;
use crate::bandit::influence::Influence;
use crate::bandit::posterior::Posterior;
use crate::bandit::posterior::RankerPrior;
use crate::bandit::posterior::Retention;
use crate::bandit::posterior::Weight;
use crate::bandit::posterior::product;
use crate::domain::FeatureLayout;

/// Kinds of devices; the first is "none or any other".
const DEVICES: u32 = 8;
/// Segments that learn a deviation.
pub const SEGMENTS: usize = 2 * DEVICES as usize;

/// The segment of a request. `device` is an index of the engine.
pub fn segment(device: Option<u32>, is_known: bool) -> u8 {
    let device = device.map_or(0, |device| device + 1);
    let device = if device < DEVICES { device } else { 0 };
    (2 * device + u32::from(is_known)) as u8
}

/// All segments with their meaning: an index of a device, whether users are known.
pub fn segments() -> impl Iterator<Item = (u8, Option<u32>, bool)> {
    (0..2 * DEVICES).map(|segment| (segment as u8, (segment / 2).checked_sub(1), segment % 2 == 1))
}

/// Names the ranker of a variant: the number of the experiment, the index of the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnRankerId {
    pub experiment: u32,
    pub variant: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranker {
    layout: FeatureLayout,
    /// Of the engine and not of the state: see [`Self::aligned`].
    #[serde(skip)]
    prior: RankerPrior,
    shared: Posterior,
    segments: Vec<Arc<Posterior>>,
    pub examination: Examination,
    pub account: ExplorationAccount,
    pub influence: Influence,
}

impl Ranker {
    /// The same with the features and the prior of this engine. Evidence of common
    /// features stays.
    #[must_use]
    pub fn aligned(&self, prior: RankerPrior) -> Self {
        let positions = prior.layout.positions_in(&self.layout);
        let aligned = |posterior: &Posterior| {
            if self.layout == prior.layout {
                posterior.clone()
            } else {
                posterior.aligned(&positions)
            }
        };
        let none = Arc::default();
        let segments = self.segments.iter().chain(std::iter::repeat(&none)).take(SEGMENTS);
        Self {
            layout: prior.layout.clone(),
            shared: aligned(&self.shared),
            segments: segments.map(|own| Arc::new(aligned(own))).collect(),
            prior,
            examination: self.examination.clone(),
            account: self.account,
            influence: self.influence.clone(),
        }
    }

    /// A copy that learns on by itself. What bounds all learning together stays with the first one.
    #[must_use]
    pub fn forked(&self) -> Self {
        Self {
            account: ExplorationAccount::default(),
            influence: Influence::default(),
            ..self.clone()
        }
    }

    /// The layout of its vectors.
    pub fn layout(&self) -> &FeatureLayout {
        &self.layout
    }

    /// The prior.
    pub fn prior(&self) -> &RankerPrior {
        &self.prior
    }

    /// The belief over all requests.
    pub fn solve(&self) -> Belief {
        self.shared.solve(&self.prior)
    }

    /// The posterior of all requests.
    pub fn shared(&self) -> &Posterior {
        &self.shared
    }

    /// The posterior of one segment; `None` for a segment unknown to this version.
    pub fn segment(&self, segment: u8) -> Option<&Posterior> {
        self.segments.get(usize::from(segment)).map(AsRef::as_ref)
    }

    fn learn(&mut self, segment: u8, teach: impl Fn(&mut Posterior)) {
        teach(&mut self.shared);
        if let Some(own) = self.segments.get_mut(usize::from(segment)) {
            teach(Arc::make_mut(own));
        }
    }

    /// Counts that an item was seen, or is presumed to have been, with this weight.
    pub fn add_impression(&mut self, segment: u8, features: &[f32], weight: Weight) {
        self.learn(segment, |posterior| posterior.add_impression(features, weight));
    }

    pub fn remove_impression(&mut self, segment: u8, features: &[f32], weight: Weight) {
        self.learn(segment, |posterior| posterior.remove_impression(features, weight));
    }

    /// Whether these features can be learnt from: not those of a pinned item, which has none,
    /// nor of a decision of another engine.
    fn is_learnt_from(&self, features: &[f32]) -> bool {
        features.len() == self.shared.dimension()
    }

    /// Counts an item that was certainly seen.
    pub fn count_impression(&mut self, segment: u8, features: &[f32]) {
        if self.is_learnt_from(features) {
            self.learn(segment, |posterior| posterior.impressions += 1);
        }
    }

    /// Changes the reward of a shown item from `from` to `to`.
    pub fn change_reward(
        &mut self,
        segment: u8,
        features: &[f32],
        (from, to): (f32, f32),
        weight: Weight,
    ) {
        if !self.is_learnt_from(features) {
            return;
        }
        self.learn(segment, |posterior| {
            posterior.change_reward(features, from, to, weight);
            posterior.rewards += 1;
        });
    }

    /// Whether evidence fades at the `decisions`-th decision.
    pub const fn is_tick(decisions: u64) -> bool {
        decisions.is_multiple_of(DECISIONS_PER_TICK)
    }

    /// To be called with every decision, the `decisions`-th: forgets when it is due.
    pub fn tick(&mut self, half_life: u32, decisions: u64) {
        self.account.tick(decisions);
        if half_life == 0 || !Self::is_tick(decisions) {
            return;
        }
        let left = Retention::new(retention(half_life, 1));
        self.shared.forget(left);
        for own in &mut self.segments {
            if own.mass() > 0.0 {
                Arc::make_mut(own).forget(left);
            }
        }
    }

    /// The belief of a segment; `shared` is the solved one of all requests.
    pub fn solve_segment(&self, segment: u8, shared: &Belief) -> Belief {
        let own = &self.segments[usize::from(segment)];
        let d = own.dimension();
        let strength = &self.prior.strength;
        let Some(c) = own.covariance(strength) else {
            return shared.clone();
        };
        let mean = product(&c, &own.response_with(&shared.mean, strength));
        // C S V S C, column by column: all of them are symmetric.
        let scaled = |values: Vec<f64>| -> Vec<f64> {
            values.iter().zip(strength).map(|(value, s)| value * s).collect()
        };
        let mut covariance = c.clone();
        for (column, out) in c.chunks_exact(d).zip(covariance.chunks_exact_mut(d)) {
            let through = product(shared.covariance(), &scaled(column.to_vec()));
            let through = product(&c, &scaled(through));
            for (out, value) in out.iter_mut().zip(through) {
                *out += value;
            }
        }
        Belief::new(mean, covariance, shared.variance)
    }
}

#[cfg(test)]
impl Ranker {
    pub fn new(dimension: usize) -> Self {
        Self::default().aligned(RankerPrior::even(dimension, 50.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of items of two kinds, rewarded at the given rates, deterministically.
    fn learn(ranker: &mut Ranker, segment: u8, rates: [f64; 2], rounds: u32, half_life: u32) {
        let mut due = [0.0; 2];
        for round in 0..rounds {
            for (kind, due) in due.iter_mut().enumerate() {
                let features = [1.0, kind as f32];
                ranker.add_impression(segment, &features, Weight::FULL);
                *due += rates[kind];
                if *due >= 1.0 {
                    *due -= 1.0;
                    ranker.change_reward(segment, &features, (0.0, 1.0), Weight::FULL);
                }
            }
            ranker.tick(half_life, u64::from(round));
        }
    }

    fn advantage(belief: &Belief) -> f64 {
        belief.mean[1]
    }

    #[test]
    fn drift_is_followed_with_a_half_life_and_not_without() {
        let after_drift = |half_life| {
            let mut ranker = Ranker::new(2);
            learn(&mut ranker, 0, [0.1, 0.4], 20_000, half_life);
            learn(&mut ranker, 0, [0.4, 0.1], 4_000, half_life);
            advantage(&ranker.solve())
        };
        assert!(after_drift(1_000) < -0.2, "{}", after_drift(1_000));
        assert!(after_drift(0) > 0.1, "{}", after_drift(0));
    }

    #[test]
    fn a_segment_with_another_taste_is_learnt_and_the_others_stay() {
        let mut ranker = Ranker::new(2);
        learn(&mut ranker, 0, [0.1, 0.4], 45_000, 0);
        learn(&mut ranker, 3, [0.9, 0.0], 2_500, 0);
        let shared = ranker.solve();
        assert!(advantage(&shared) > 0.1);
        assert!(advantage(&ranker.solve_segment(3, &shared)) < -0.5);
        let own = advantage(&ranker.solve_segment(0, &shared));
        assert!((own - 0.3).abs() < 0.15, "{own}");
        // Without own evidence: the shared one with more uncertainty.
        let empty = ranker.solve_segment(7, &shared);
        for (of_segment, of_all) in empty.mean.iter().zip(&shared.mean) {
            assert!((of_segment - of_all).abs() < 1e-9);
        }
        for (of_segment, of_all) in empty.standard_deviation.iter().zip(&shared.standard_deviation)
        {
            assert!(of_segment > of_all);
        }
    }

    #[test]
    fn little_evidence_of_its_own_moves_a_segment_little() {
        let mut ranker = Ranker::new(2);
        learn(&mut ranker, 0, [0.1, 0.4], 2_000, 0);
        let before = advantage(&ranker.solve());
        learn(&mut ranker, 3, [1.0, 0.0], 5, 0);
        let shared = ranker.solve();
        let own = advantage(&ranker.solve_segment(3, &shared));
        assert!((own - before).abs() < 0.05, "{own} after {before}");
    }

    #[test]
    fn segments_are_bounded_and_distinct() {
        let mut seen: Vec<u8> = Vec::new();
        for device in [None, Some(0), Some(3), Some(6), Some(7), Some(500)] {
            seen.extend([segment(device, false), segment(device, true)]);
        }
        assert_eq!(seen, [0, 1, 2, 3, 8, 9, 14, 15, 0, 1, 0, 1]);
        assert!(segments().all(|(number, device, known)| segment(device, known) == number));
        assert_eq!(segments().count(), SEGMENTS);
    }
}
