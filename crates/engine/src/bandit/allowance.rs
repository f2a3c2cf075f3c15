//! What exploration has cost, and what it may still cost.
//!
//! The cost of a position is an upper bound of what the greedy choice was expected to earn
//! beyond the choice that was made (the ranking computes it). An allowance is the share of the
//! earnings of the ranker's lists that may be spent on exploration, as in conservative
//! bandits (Wu et al. 2016; Kazerouni et al. 2017), where the earnings while exploring must
//! stay above a share of those without.
//!
//! - Earnings are received rewards, not expected ones: without earnings nothing may be
//!   spent.
//! - Both sums fade by half over [`HALF_LIFE`] decisions: a balance saved over years
//!   cannot be spent in an hour.
//! - Sums are integers in fixed point, as those of the posterior.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::fading::DECISIONS_PER_TICK;
use crate::bandit::fading::retention;

/// Decisions after which earnings and spending count half.
pub const HALF_LIFE: u32 = 10_000;
const UNIT: f64 = 1e6;

/// Sums over the ranker's decisions, in rewards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplorationAccount {
    earned: i64,
    cost: i64,
}

/// Bound of one decision: a list has some hundred positions at most, and a reward is at most 1.
const MOST: f64 = 1_000.0;

fn units(value: f64) -> i64 {
    // The cast turns NaN into 0.
    (value.clamp(-MOST, MOST) * UNIT).round_ties_even() as i64
}

impl ExplorationAccount {
    /// What the ranker's lists earned.
    pub fn earned(&self) -> f64 {
        self.earned as f64 / UNIT
    }

    /// What exploring was expected to cost at most.
    pub fn cost(&self) -> f64 {
        self.cost as f64 / UNIT
    }

    /// What may still be spent of this share of the earnings; below 0 when overdrawn.
    pub fn left(&self, allowance: f64) -> f64 {
        allowance * self.earned().max(0.0) - self.cost()
    }

    pub fn earn(&mut self, reward: f64) {
        self.earned = self.earned.saturating_add(units(reward));
    }

    pub fn spend(&mut self, cost: f64) {
        self.cost = self.cost.saturating_add(units(cost));
    }

    /// To be called with every decision, the `decisions`-th.
    pub fn tick(&mut self, decisions: u64) {
        if decisions.is_multiple_of(DECISIONS_PER_TICK) {
            let left = retention(HALF_LIFE, 1);
            for sum in [&mut self.earned, &mut self.cost] {
                *sum = (*sum as f64 * left).round_ties_even() as i64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_be_spent_before_a_reward() {
        let mut account = ExplorationAccount::default();
        assert_eq!(account.left(0.1), 0.0);
        account.earn(20.0);
        account.spend(0.5);
        assert!((account.left(0.1) - 1.5).abs() < 1e-9);
        account.earn(-20.0);
        assert_eq!(account.left(0.1), -0.5);
    }

    #[test]
    fn a_cost_without_bounds_is_bounded() {
        let mut account = ExplorationAccount::default();
        [f64::NAN, f64::INFINITY, 1e30].into_iter().for_each(|cost| account.spend(cost));
        assert_eq!(account.cost(), 2.0 * MOST);
    }

    #[test]
    fn what_was_saved_fades_by_half_over_the_half_life() {
        let mut account = ExplorationAccount::default();
        account.earn(100.0);
        (1..=u64::from(HALF_LIFE)).for_each(|decision| account.tick(decision));
        assert!((account.earned() - 50.0).abs() < 0.01, "{}", account.earned());
    }
}
