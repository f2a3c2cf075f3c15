//! Taking over from a caller's own order: the share of its requests that the ranker answers,
//! the outcomes, and the guard that ends the takeover.
//!
//! A request may bring the order in which its caller would show items without this
//! service, the baseline. Each such decision is a trial: its list is the ranker's with
//! probability `share (1 - popular_share)`, the most popular items' with probability
//! `share popular_share`, else the baseline. At a share of 0 the ranker runs in shadow mode:
//! it learns from what the caller shows, and its own list is compared with the caller's.
//!
//! - The ranker falls back (its share becomes 0) as soon as it is known to earn
//!   less than the baseline or than the most popular items ([`lift`]). The probability that this
//!   ever happens to a ranker that is not worse is at most `alpha`, halved for the two.
//! - The reward of a list is the sum of its items' rewards, cut to -1 to 1. It is settled after
//!   the waiting time of the settings, or earlier when the decision is evicted: decisions
//!   have a budget of memory. Trials settled early are counted. A change that needs more memory than
//!   the present rate allows gets a warning ([`WindowNotHeld`]).
//! - Everything is a function of the log: all replicas fall back at the same record.

mod lift;

use serde::Deserialize;
use serde::Serialize;

pub use self::lift::Comparison;
pub use self::lift::Lift;
use crate::bandit::Belief;
use crate::bandit::PendingDecision;
use crate::bandit::PendingTrial;
use crate::domain::ListOrigin;
use crate::domain::TakeoverChange;
use crate::domain::TakeoverTrial;
use crate::domain::Timestamp;

/// Of a normal distribution, two-sided 95 %.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// State of a namespace's takeover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Takeover {
    pub share: f64,
    pub popular_share: f64,
    pub alpha: f64,
    pub reward_window_seconds: u32,
    /// How often measuring was restarted.
    pub round: u32,
    /// Trials of this round.
    pub trials: u64,
    pub agreement: Agreement,
    gain: Gain,
    /// In the order of [`ListOrigin::ALL`].
    pub outcomes: [Outcome; 3],
    /// Against the baseline and against what is popular.
    comparisons: [Comparison; 2],
    pub fallback: Option<Fallback>,
    /// Trials of this round that were settled before the waiting time ended: there was no memory
    /// to hold them.
    pub cut_short: u64,
}

/// How similar the ranker's lists are to those of the caller; sums over trials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// With the same first item.
    pub first: u64,
    /// Positions that were compared, and those of them with the same item in both.
    pub positions: u64,
    pub same_position: u64,
    /// Items in both.
    pub in_both: u64,
}

/// What lists of one origin earned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub shown: u64,
    /// Lists whose rewards have been waited for.
    pub settled: u64,
    /// Sum over these.
    pub reward: f64,
}

/// A fallback: the ranker's share became 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fallback {
    pub at: Timestamp,
    /// What it was worse than.
    pub against: ListOrigin,
    pub lift: Lift,
}

/// A warning: decisions are held for less time than their rewards should be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowNotHeld {
    pub held_seconds: u32,
    pub window_seconds: u32,
}

/// Differences between the ranker's lists and the caller's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Gain {
    difference: Vec<f64>,
    sum: f64,
    squares: f64,
}

/// The reward per list that the ranker expects of its lists beyond the caller's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EstimatedLift {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Default for Takeover {
    fn default() -> Self {
        Self::measuring(0.05, 0)
    }
}

impl Takeover {
    /// Nothing measured and nothing taken over yet.
    fn measuring(alpha: f64, round: u32) -> Self {
        Self {
            share: 0.0,
            popular_share: 0.05,
            alpha,
            reward_window_seconds: 1_800,
            round,
            trials: 0,
            agreement: Agreement::default(),
            gain: Gain::default(),
            outcomes: Default::default(),
            comparisons: [Comparison::new(alpha / 2.0), Comparison::new(alpha / 2.0)],
            fallback: None,
            cut_short: 0,
        }
    }

    /// The present share.
    pub fn share_in_force(&self) -> f64 {
        if self.fallback.is_some() { 0.0 } else { self.share }
    }

    /// The probability of each origin, in the order of [`ListOrigin::ALL`].
    pub fn chances(&self) -> [f64; 3] {
        let share = self.share_in_force();
        [share * (1.0 - self.popular_share), 1.0 - share, share * self.popular_share]
    }

    /// The ranker against the baseline, or against what is popular.
    pub fn comparison(&self, against: ListOrigin) -> &Comparison {
        &self.comparisons[usize::from(against == ListOrigin::Popular)]
    }

    pub(super) fn change(&mut self, change: &TakeoverChange) {
        let share = change.share.unwrap_or(self.share);
        let popular_share = change.popular_share.unwrap_or(self.popular_share);
        let window = change.reward_window_seconds.unwrap_or(self.reward_window_seconds);
        let alpha = change.alpha.unwrap_or(self.alpha);
        if change.restart || alpha != self.alpha {
            *self = Self::measuring(alpha, self.round + 1);
        }
        (self.share, self.popular_share) = (share, popular_share);
        self.reward_window_seconds = window;
    }

    /// The takeover after a change.
    pub(super) fn changed(&self, change: &TakeoverChange) -> Self {
        let mut changed = self.clone();
        changed.change(change);
        changed
    }

    /// Moves the sums of differences to the features of another layout.
    pub(crate) fn align(&mut self, positions: &[Option<usize>]) {
        let before = &self.gain.difference;
        if !before.is_empty() {
            let value = |at: &Option<usize>| at.map_or(0.0, |at| before[at]);
            self.gain.difference = positions.iter().map(value).collect();
        }
    }

    /// Counts a trial of this round.
    pub(super) fn begin(&mut self, trial: &TakeoverTrial) {
        if trial.round != self.round {
            return;
        }
        self.trials += 1;
        self.outcomes[trial.origin.index()].shown += 1;
        let agreement = &mut self.agreement;
        agreement.first += u64::from(trial.same_first);
        agreement.positions += u64::from(trial.positions);
        agreement.same_position += u64::from(trial.same_position);
        agreement.in_both += u64::from(trial.in_both);
        let (gain, expected) = (&mut self.gain, f64::from(trial.expected_gain));
        // There was none yet, or the decision is damaged.
        if gain.difference.len() != trial.difference.len() {
            *gain = Gain { difference: vec![0.0; trial.difference.len()], ..Gain::default() };
        }
        for (sum, value) in gain.difference.iter_mut().zip(&trial.difference) {
            *sum += f64::from(*value);
        }
        gain.sum += expected;
        gain.squares += expected * expected;
    }

    /// Adds the reward of a list. Returns the fallback that it causes, if any.
    pub(super) fn settle(
        &mut self,
        trial: &PendingTrial,
        decision: &PendingDecision,
        now: Timestamp,
    ) -> Option<ListOrigin> {
        if trial.round != self.round {
            return None;
        }
        self.cut_short += u64::from(now < trial.due(self.reward_window_seconds));
        let reward = decision.reward();
        let outcome = &mut self.outcomes[trial.origin.index()];
        outcome.settled += 1;
        outcome.reward += reward;
        let ranker = trial.chances[ListOrigin::Ranker.index()];
        let is_rankers = trial.origin == ListOrigin::Ranker;
        for (comparison, against) in
            self.comparisons.iter_mut().zip([ListOrigin::Baseline, ListOrigin::Popular])
        {
            let other = trial.chances[against.index()];
            let is_compared = is_rankers || trial.origin == against;
            if !is_compared || ranker <= 0.0 || other <= 0.0 {
                continue;
            }
            comparison.observe(trial.recorded_at, ranker / (ranker + other), is_rankers, reward);
            if self.fallback.is_none() && comparison.is_worse() {
                self.fallback = Some(Fallback { at: now, against, lift: comparison.lift() });
                return Some(against);
            }
        }
        None
    }

    /// What the ranker's lists would earn beyond the caller's, by its present weights: the
    /// mean difference of the lists' vectors times the weights. The 95 % interval covers
    /// the uncertainty of the weights and the variance between trials. `None` without trials.
    pub fn estimated_lift(&self, belief: &Belief) -> Option<EstimatedLift> {
        let d = belief.mean.len();
        if self.trials == 0 || self.gain.difference.len() != d {
            return None;
        }
        let n = self.trials as f64;
        let mean: Vec<f32> = self.gain.difference.iter().map(|sum| (sum / n) as f32).collect();
        let value: f64 = mean.iter().zip(&belief.mean).map(|(x, m)| f64::from(*x) * m).sum();
        let mut deviation = Vec::with_capacity(1);
        belief.deviations(std::iter::once(&mean[..]), &mut deviation);
        let spread = (self.gain.squares / n - (self.gain.sum / n) * (self.gain.sum / n)).max(0.0);
        let reach = QUANTILE * (deviation[0] * deviation[0] + spread / n).sqrt();
        Some(EstimatedLift { value, low: value - reach, high: value + reach })
    }
}

#[cfg(test)]
mod tests;
