//! An allocation that learns: the chance of each variant to answer a list.
//!
//! - Thompson sampling over Beta beliefs of the primary metric's rate, with exact chances
//!   ([`BetaThompson`]); each variant keeps its least share. The chances of a list are recorded with it,
//!   so the results weigh by them.
//! - Rates are learnt of the last [`MEMORY_LISTS`] lists, about: a variant that becomes better later is
//!   found by its least share.
//! - Chances change at fixed counts of settled lists, not before each variant has some.
//!
//! Source: Russo, Van Roy, Kazerouni, Osband and Wen, "A tutorial on Thompson sampling" (2018).

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::strategy::BetaThompson;
use crate::bandit::strategy::mix_evenly;
use crate::domain::Good;

/// Lists of each variant before the chances learn.
const LISTS_FIRST: f64 = 100.0;
/// Lists that are remembered, about.
const MEMORY_LISTS: f64 = 50_000.0;
/// Chances change after so many more lists at least, and this part more: one in so many.
const STEP_LISTS: u64 = 32;
const STEP_ONE_IN: u64 = 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearntAllocation {
    floor: f64,
    /// By variant; they sum to 1.
    chances: Vec<f64>,
    /// Lists with a success and without, of each variant, fading.
    outcomes: Vec<(f64, f64)>,
    settled: u64,
    /// Settled lists from which on chances change next.
    next: u64,
}

impl LearntAllocation {
    /// `weights`: the chances until something is learnt.
    pub fn new(floor: f64, weights: Vec<f64>) -> Self {
        let outcomes = vec![(0.0, 0.0); weights.len()];
        let mut chances = weights;
        let least = floor * chances.len() as f64;
        // None begins below its least share.
        mix_evenly(&mut chances, least);
        Self { floor, chances, outcomes, settled: 0, next: STEP_LISTS }
    }

    pub fn chances(&self) -> &[f64] {
        &self.chances
    }

    /// Whether what was read from a snapshot fits so many variants.
    pub fn is_whole(&self, variants: usize) -> bool {
        self.chances.len() == variants && self.outcomes.len() == variants
    }

    /// Learns what came of a list.
    pub fn learn(&mut self, variant: usize, is_success: bool, good: Good) {
        let left = 1.0 - 1.0 / MEMORY_LISTS;
        for (with, without) in &mut self.outcomes {
            *with *= left;
            *without *= left;
        }
        let (with, without) = &mut self.outcomes[variant];
        *(if is_success { with } else { without }) += 1.0;
        self.settled += 1;
        let is_known = self.outcomes.iter().all(|(with, without)| with + without >= LISTS_FIRST);
        if self.settled >= self.next && is_known {
            self.next = self.settled + STEP_LISTS.max(self.settled / STEP_ONE_IN);
            self.change(good);
        }
    }

    fn change(&mut self, good: Good) {
        let (with, without): (Vec<f64>, Vec<f64>) =
            self.outcomes.iter().map(|(with, without)| (1.0 + with, 1.0 + without)).unzip();
        let (alphas, betas) = match good {
            Good::Higher => (with, without),
            Good::Lower => (without, with),
        };
        BetaThompson { alphas: &alphas, betas: &betas }.propensities(&mut self.chances);
        mix_evenly(&mut self.chances, self.floor * alphas.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use crate::seed::Purpose;

    /// Lists of each variant, of so many with these rates.
    fn drawn(allocation: &mut LearntAllocation, rates: &[f64], lists: usize) -> Vec<usize> {
        let mut rng = seed::stream(1, Purpose::Experiment, b"lists");
        let mut of = vec![0; rates.len()];
        for _ in 0..lists {
            let variant = crate::bandit::strategy::draw(allocation.chances(), seed::unit(&mut rng));
            of[variant] += 1;
            allocation.learn(variant, seed::unit(&mut rng) < rates[variant], Good::Higher);
        }
        of
    }

    #[test]
    fn most_lists_go_to_the_better_variant_and_each_keeps_its_least_share() {
        let mut allocation = LearntAllocation::new(0.05, vec![0.5, 0.5]);
        let of = drawn(&mut allocation, &[0.10, 0.14], 20_000);
        assert!(of[1] > 16_000 && of[0] > 900, "{of:?}");
        let [a, b] = *allocation.chances() else { panic!("two variants") };
        assert!((0.05 - 1e-12..0.06).contains(&a) && (a + b - 1.0).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn a_variant_that_becomes_better_later_is_found() {
        let mut allocation = LearntAllocation::new(0.05, vec![0.5, 0.5]);
        drawn(&mut allocation, &[0.3, 0.1], 30_000);
        assert!(allocation.chances()[0] > 0.9);
        drawn(&mut allocation, &[0.1, 0.3], 150_000);
        assert!(allocation.chances()[1] > 0.9, "{:?}", allocation.chances());
    }

    #[test]
    fn chances_wait_for_some_lists_of_each_variant() {
        let mut allocation = LearntAllocation::new(0.01, vec![0.9, 0.1]);
        let before = allocation.chances().to_vec();
        (0..500).for_each(|_| allocation.learn(0, true, Good::Higher));
        assert_eq!(allocation.chances(), before);
    }
}
