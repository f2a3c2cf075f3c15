//! What exploring cost in this replica's last decisions, until it has learnt them from the
//! log.
//!
//! Between an answer and that lie some 25 ms, in which an allowance for exploring would be
//! spent again by every request. So where there is one, each decision's cost is kept here
//! when the answer is made, and counted until the view has the decision.
//!
//! Bounded: a decision that is not learnt within a minute is lost. When there are too many,
//! the oldest are counted together until the last of them is learnt or lost: an allowance
//! is then spent later, never twice. What another replica spends counts once it is learnt.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use engine::View;
use engine::decision_key;
use engine::domain::Decision;
use engine::domain::Timestamp;

const KEPT_MS: i64 = 60_000;
/// Decisions kept: 200 KB of them.
const KEPT_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Spent {
    decision: u128,
    at: Timestamp,
    cost: f64,
}

#[derive(Debug, Default)]
struct Spending {
    /// The oldest first.
    unlearnt: VecDeque<Spent>,
}

impl Spending {
    fn add(&mut self, spent: Spent) {
        if self.unlearnt.len() >= KEPT_MAX
            && let Some(oldest) = self.unlearnt.pop_front()
            && let Some(next) = self.unlearnt.front_mut()
        {
            next.cost += oldest.cost;
        }
        self.unlearnt.push_back(spent);
    }
}

/// By decision.
#[derive(Debug, Default)]
pub struct UnlearntCosts(Mutex<Spending>);

impl UnlearntCosts {
    /// Keeps the cost of a decision whose answer is about to go out.
    pub fn add(&self, decision: &Decision) {
        if decision.exploration_cost > 0.0 {
            let spent = Spent {
                decision: decision_key(decision.decision_id.as_str()),
                at: decision.decided_at,
                cost: decision.exploration_cost.into(),
            };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).add(spent);
        }
    }

    /// What was spent that the view does not know of.
    pub fn beyond(&self, view: &View, now: Timestamp) -> f64 {
        let mut spending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = now.plus_millis(-KEPT_MS);
        spending.unlearnt.retain(|spent| spent.at > oldest && !view.knows_decision(spent.decision));
        spending.unlearnt.iter().map(|spent| spent.cost).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_are_counted_together_and_none_is_forgotten() {
        let mut spending = Spending::default();
        for number in 0..3 * KEPT_MAX as u128 {
            let at = Timestamp::from_millis(number as i64);
            spending.add(Spent { decision: number, at, cost: 1.0 });
        }
        assert_eq!(spending.unlearnt.len(), KEPT_MAX);
        let total: f64 = spending.unlearnt.iter().map(|spent| spent.cost).sum();
        assert_eq!(total, 3.0 * KEPT_MAX as f64);
    }
}
