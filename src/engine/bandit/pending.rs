//! Decisions that may still earn a reward.
//!
//! Which of the shown items were looked at is rarely known, so evidence is taken
//! only where there is some: an impression event says that its item was seen; a
//! reward at place `p` says that everything down to place `p` was (Joachims et al.
//! 2005, "skip above"). Each shown item is counted as an impression once and
//! rewarded up to its best interaction, whatever is sent and in whatever order.

use serde::Deserialize;
use serde::Serialize;

use super::posterior::Posterior;

/// Decisions remembered for credit; an older one can no longer be rewarded.
pub const PENDING_DECISIONS_MAX: usize = 16_384;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingItem {
    pub item: u32,
    pub features: Vec<f32>,
    /// Counted as an impression.
    pub examined: bool,
    /// Reward given so far, -1 to 1.
    pub reward: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingDecision {
    /// 128-bit hash of the decision id.
    pub key: u128,
    pub user: u32,
    /// In the order shown.
    pub items: Vec<PendingItem>,
}

impl PendingDecision {
    fn place_of(&self, item: u32) -> Option<usize> {
        self.items.iter().position(|shown| shown.item == item)
    }

    /// Whether something good came of showing the item.
    pub fn is_rewarded(&self, item: u32) -> bool {
        self.place_of(item).is_some_and(|place| self.items[place].reward > 0.0)
    }

    /// Credits what a person did with a shown item. `reward` is 0 for a mere
    /// impression. Returns whether the decision had shown the item.
    pub fn credit(&mut self, item: u32, reward: f32, posterior: &mut Posterior) -> bool {
        let Some(place) = self.place_of(item) else {
            return false;
        };
        let examined = if reward == 0.0 { place..place + 1 } else { 0..place + 1 };
        for shown in &mut self.items[examined] {
            if !shown.examined {
                shown.examined = true;
                posterior.add_impression(&shown.features);
            }
        }
        let shown = &mut self.items[place];
        let replaces = reward < 0.0 || reward > shown.reward;
        if reward != 0.0 && replaces {
            posterior.add_reward(&shown.features, reward - shown.reward);
            shown.reward = reward;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> PendingDecision {
        let item = |item| PendingItem { item, features: vec![1.0], examined: false, reward: 0.0 };
        PendingDecision { key: 1, user: 0, items: vec![item(10), item(11), item(12)] }
    }

    #[test]
    fn a_click_examines_the_places_above_it_and_none_below() {
        let (mut decision, mut posterior) = (decision(), Posterior::new(1));
        assert!(decision.credit(11, 1.0, &mut posterior));
        assert_eq!((posterior.impressions, posterior.rewards), (2, 1));
        assert!(!decision.items[2].examined);
    }

    #[test]
    fn repeated_evidence_counts_once_and_the_best_reward_stays() {
        let (mut decision, mut posterior) = (decision(), Posterior::new(1));
        for reward in [0.0, 0.5, 1.0, 0.5, 0.0] {
            decision.credit(10, reward, &mut posterior);
        }
        let mut once = Posterior::new(1);
        once.add_impression(&[1.0]);
        once.add_reward(&[1.0], 0.5);
        once.add_reward(&[1.0], 0.5);
        assert_eq!(posterior, once);
    }

    #[test]
    fn an_item_the_decision_did_not_show_earns_nothing() {
        let (mut decision, mut posterior) = (decision(), Posterior::new(1));
        assert!(!decision.credit(99, 1.0, &mut posterior));
        assert_eq!(posterior, Posterior::new(1));
    }
}
