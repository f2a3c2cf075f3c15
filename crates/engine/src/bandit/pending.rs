//! Decisions that may still earn a reward.
//!
//! Which of the shown items were looked at is rarely known, so evidence is taken
//! where there is some: an impression event says that its item was seen; a
//! reward at place `p` says that everything down to place `p` was (Joachims et al.
//! 2005, "skip above"). Each shown item is counted as an impression once and
//! rewarded up to its best interaction, whatever is sent and in whatever order.
//!
//! Where examination is modelled (a setting), a shown item counts from the start as far
//! as its place is probably looked at. The rest is added when it is known to have been
//! seen; what was presumed is taken back when the caller reports impressions of the
//! decision, and this item is not among them.
//!
//! All evidence of a decision counts as much as what is left of the time it was made at.
//!
//! Users and items are named by keys, hashes of their ids: a decision makes nobody and
//! nothing known, whoever it is for and whatever it shows.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::posterior::Weight;
use crate::bandit::ranker::Ranker;
use crate::domain::ListOrigin;
use crate::domain::TakeoverTrial;
use crate::domain::Timestamp;
use crate::domain::outweighs;

/// Decisions remembered for credit; an older one can no longer be rewarded.
pub const PENDING_DECISIONS_MAX: usize = 16_384;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingItem {
    /// Key of its id.
    pub item: u64,
    /// Whether it was known when it was shown: then its showing is counted with it.
    pub counted: bool,
    pub features: Vec<f32>,
    pub propensity: f32,
    /// Counted as an impression in full.
    seen: bool,
    /// As far as it is counted without being known to have been seen.
    presumed: Weight,
    /// Reward given so far, -1 to 1.
    reward: f32,
}

impl PendingItem {
    pub fn new(item: u64, counted: bool, features: Vec<f32>, propensity: f32) -> Self {
        let (seen, presumed, reward) = (false, Weight::NONE, 0.0);
        Self { item, counted, features, propensity, seen, presumed, reward }
    }
}

/// What a pending decision still needs of its trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PendingTrial {
    pub round: u32,
    pub origin: ListOrigin,
    /// In the order of [`ListOrigin::ALL`].
    pub chances: [f64; 3],
    pub recorded_at: Timestamp,
}

impl PendingTrial {
    pub fn new(trial: &TakeoverTrial, recorded_at: Timestamp) -> Self {
        let TakeoverTrial { round, origin, chances, .. } = *trial;
        Self { round, origin, chances, recorded_at }
    }

    /// Until when rewards are waited for.
    pub fn due(&self, reward_window_seconds: u32) -> Timestamp {
        self.recorded_at.plus_millis(1_000 * i64::from(reward_window_seconds))
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingDecision {
    /// 128-bit hash of the decision id.
    pub key: u128,
    /// Key of the user's id.
    pub user: u64,
    pub segment: u8,
    /// How many decisions were learnt before this one.
    pub number: u64,
    /// The number of the user's decision before it, if that was remembered.
    pub previous: Option<u64>,
    pub decided_at: Timestamp,
    /// How much evidence of its user counts: see [`crate::bandit::influence`].
    pub weight: Weight,
    /// Whether an impression of it was reported.
    reported: bool,
    /// In the order shown.
    pub items: Vec<PendingItem>,
    /// Where the request has a baseline.
    pub trial: Option<PendingTrial>,
}

impl PendingDecision {
    pub fn new(key: u128, user: u64, segment: u8, number: u64, items: Vec<PendingItem>) -> Self {
        let decided_at = Timestamp::default();
        let (previous, trial, reported, weight) = (None, None, false, Weight::FULL);
        Self { key, user, segment, number, previous, decided_at, weight, reported, items, trial }
    }

    /// What the list earned, -1 to 1.
    pub fn reward(&self) -> f64 {
        let sum: f64 = self.items.iter().map(|shown| f64::from(shown.reward)).sum();
        sum.clamp(-1.0, 1.0)
    }

    /// What a shown item earned that the ranker chose; 0 for others.
    pub fn earned(&self, item: u64) -> f64 {
        let is_rankers = self.trial.is_none_or(|trial| trial.origin == ListOrigin::Ranker);
        let shown = self.place_of(item).map(|place| &self.items[place]);
        let chosen = shown.filter(|shown| is_rankers && !shown.features.is_empty());
        chosen.map_or(0.0, |shown| f64::from(shown.reward))
    }

    fn place_of(&self, item: u64) -> Option<usize> {
        self.items.iter().position(|shown| shown.item == item)
    }

    /// Whether something good came of showing the item.
    pub fn is_rewarded(&self, item: u64) -> bool {
        self.place_of(item).is_some_and(|place| self.items[place].reward > 0.0)
    }

    /// Whether the showing of the item is counted with it.
    pub fn is_counted(&self, item: u64) -> bool {
        self.place_of(item).is_some_and(|place| self.items[place].counted)
    }

    /// To be called once, when the decision is learnt. `examination` is the probability
    /// that each place is looked at; empty where that is not modelled.
    pub fn begin(&mut self, examination: &[f64], ranker: &mut Ranker) {
        for (place, shown) in self.items.iter_mut().enumerate() {
            // What was pinned has no features. In a trial chance decides on whole lists.
            if !shown.features.is_empty() && self.trial.is_none() {
                ranker.examination.note_shown(place, shown.propensity);
            }
            if let Some(&seen) = examination.get(place) {
                shown.presumed = Weight::new(seen);
                let presumed = shown.presumed.times(self.weight);
                ranker.add_impression(self.segment, &shown.features, presumed);
            }
        }
    }

    /// Credits what a person did with a shown item. `reward` is 0 for a mere
    /// impression; `left` is how much evidence of this decision still counts. Returns
    /// whether the decision had shown the item.
    pub fn credit(&mut self, item: u64, reward: f32, left: Weight, ranker: &mut Ranker) -> bool {
        let Some(place) = self.place_of(item) else {
            return false;
        };
        let left = left.times(self.weight);
        if reward == 0.0 {
            self.see(place, left, ranker);
            self.take_back_presumed(left, ranker);
            return true;
        }
        for above in 0..=place {
            self.see(above, left, ranker);
        }
        let (segment, shown) = (self.segment, &mut self.items[place]);
        if outweighs(reward, shown.reward) {
            let is_drawn = !shown.features.is_empty() && self.trial.is_none();
            if reward > 0.0 && shown.reward <= 0.0 && is_drawn {
                ranker.examination.note_rewarded(place, shown.propensity);
            }
            ranker.change_reward(segment, &shown.features, (shown.reward, reward), left);
            shown.reward = reward;
        }
        true
    }

    fn see(&mut self, place: usize, left: Weight, ranker: &mut Ranker) {
        let shown = &mut self.items[place];
        if !shown.seen {
            shown.seen = true;
            let rest = shown.presumed.rest().times(left);
            ranker.add_impression(self.segment, &shown.features, rest);
            ranker.count_impression(self.segment, &shown.features);
        }
    }

    /// The caller says what was seen: nothing has to be presumed.
    fn take_back_presumed(&mut self, left: Weight, ranker: &mut Ranker) {
        if self.reported {
            return;
        }
        self.reported = true;
        for shown in self.items.iter_mut().filter(|shown| !shown.seen) {
            let presumed = shown.presumed.times(left);
            ranker.remove_impression(self.segment, &shown.features, presumed);
            shown.presumed = Weight::NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> (PendingDecision, Ranker) {
        let item = |item| PendingItem::new(item, true, vec![1.0], 0.5);
        let items = vec![item(10), item(11), item(12)];
        (PendingDecision::new(1, 0, 3, 0, items), Ranker::new(1))
    }

    #[test]
    fn a_click_examines_the_places_above_it_and_none_below() {
        let (mut decision, mut ranker) = decision();
        assert!(decision.credit(11, 1.0, Weight::FULL, &mut ranker));
        for posterior in [ranker.shared(), ranker.segment(3).unwrap()] {
            assert_eq!((posterior.impressions, posterior.rewards), (2, 1));
            assert_eq!(posterior.mass(), 2.0);
        }
        assert!(!decision.items[2].seen);
        assert_eq!(ranker.segment(2).unwrap().impressions, 0);
    }

    #[test]
    fn repeated_evidence_counts_once_and_the_best_reward_stays() {
        let (mut decision, mut ranker) = decision();
        for reward in [0.0, 0.5, 1.0, 0.5, 0.0] {
            decision.credit(10, reward, Weight::FULL, &mut ranker);
        }
        let (mut other, mut once) = self::decision();
        for reward in [0.5, 1.0] {
            other.credit(10, reward, Weight::FULL, &mut once);
        }
        assert_eq!(ranker.shared(), once.shared());
    }

    #[test]
    fn an_item_the_decision_did_not_show_earns_nothing() {
        let (mut decision, mut ranker) = decision();
        assert!(!decision.credit(99, 1.0, Weight::FULL, &mut ranker));
        assert_eq!(ranker, Ranker::new(1));
    }

    #[test]
    fn unseen_places_count_as_far_as_they_are_looked_at_until_impressions_are_reported() {
        let (mut decision, mut ranker) = decision();
        decision.begin(&[1.0, 0.5, 0.25], &mut ranker);
        assert_eq!(ranker.shared().mass(), 1.75);
        // Seen down to the second place; the third is presumed as before.
        decision.credit(11, 1.0, Weight::FULL, &mut ranker);
        assert_eq!(ranker.shared().mass(), 2.25);
        // What is reported is all that was seen.
        decision.credit(10, 0.0, Weight::FULL, &mut ranker);
        assert_eq!(ranker.shared().mass(), 2.0);
        assert_eq!(ranker.shared().impressions, 2);
    }

    #[test]
    fn late_evidence_counts_by_what_is_left_of_the_decision() {
        let (mut decision, mut ranker) = decision();
        decision.credit(10, 1.0, Weight::new(0.25), &mut ranker);
        assert_eq!(ranker.shared().mass(), 0.25);
        let (rate, prior) = (ranker.solve().mean[0], 50.0);
        assert!((rate - 0.25 / (prior + 0.25)).abs() < 1e-9, "{rate}");
    }
}
