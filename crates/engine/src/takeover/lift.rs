//! What the ranker's lists earn beyond those of another origin, with bounds that hold at
//! all times simultaneously.
//!
//! A comparison uses the decisions that one of the two answered. The ranker was drawn
//! with a known probability, whatever the share of the takeover at the time: see
//! [`WeightedDifference`].
//!
//! Evidence is gathered in stages of a fixed number of decisions, so that a ranker that was
//! good for long and then turns bad is noticed. Stage `k` (from 1) may be
//! wrong with probability `alpha / (k (k + 1))`: these add up to alpha.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::numeric::WeightedDifference;
use crate::numeric::math;

/// Decisions of a stage.
pub const STAGE_DECISIONS: u64 = 50_000;

/// The ranker against one other origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The probability that any bound of any stage is ever wrong.
    alpha: f64,
    /// From 1.
    stage: u32,
    current: Stage,
    /// The result of the stage before.
    last: Option<Lift>,
}

/// How much more the ranker's lists earned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// When the first of its decisions was recorded.
    pub since: Timestamp,
    pub decisions: u64,
    /// Weighted mean reward of the ranker's lists less that of the others'; 0 without any.
    pub value: f64,
    /// Minus infinity without any decision.
    pub low: f64,
    pub high: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Stage {
    since: Timestamp,
    difference: WeightedDifference,
}

impl Comparison {
    pub fn new(alpha: f64) -> Self {
        Self { alpha, stage: 1, current: Stage::default(), last: None }
    }

    /// The error probability of one bound.
    fn evidence(&self) -> f64 {
        let stage = f64::from(self.stage);
        math::ln(2.0 * stage * (stage + 1.0) / self.alpha)
    }

    /// Adds a decision of one of the two. `chance` is that of the ranker against the other,
    /// in (0, 1); `reward` lies within -1 and 1.
    pub fn observe(&mut self, at: Timestamp, chance: f64, is_rankers: bool, reward: f64) {
        if self.current.difference.rounds() >= STAGE_DECISIONS {
            self.last = Some(self.lift());
            self.stage += 1;
            self.current = Stage::default();
        }
        let evidence = self.evidence();
        let Stage { since, difference } = &mut self.current;
        if difference.rounds() == 0 {
            *since = at;
        }
        difference.observe(chance, is_rankers, reward, evidence);
    }

    /// Of the current stage.
    pub fn lift(&self) -> Lift {
        let Stage { since, difference } = &self.current;
        let (low, high) = difference.bounds(self.evidence());
        let (decisions, value) = (difference.rounds(), difference.value());
        Lift { since: *since, decisions, value, low, high }
    }

    pub fn last(&self) -> Option<Lift> {
        self.last
    }

    /// Whether the ranker is known to earn less.
    pub fn is_worse(&self) -> bool {
        self.lift().high < 0.0
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::seed;
    use crate::seed::Purpose;

    const ALPHA: f64 = 0.05;

    fn random(number: u64) -> ChaCha8Rng {
        seed::stream(number, Purpose::Choose, b"lift")
    }

    /// Rounds in which the ranker answers with the given chance; whether it tripped, and at
    /// which round.
    fn trips(number: u64, rounds: usize, of: impl Fn(usize) -> (f64, f64, f64)) -> Option<usize> {
        let mut rng = random(number);
        let mut comparison = Comparison::new(ALPHA);
        for round in 0..rounds {
            let (chance, pays, other) = of(round);
            let is_rankers = seed::unit(&mut rng) < chance;
            let pays = if is_rankers { pays } else { other };
            let reward = f64::from(u8::from(seed::unit(&mut rng) < pays));
            comparison.observe(Timestamp::default(), chance, is_rankers, reward);
            if comparison.is_worse() {
                return Some(round);
            }
        }
        None
    }

    #[test]
    fn a_ranker_that_is_as_good_hardly_ever_trips_however_often_it_is_checked() {
        for (chance, pays) in [(0.95, 0.3), (0.5, 0.05), (0.8, 0.9)] {
            let tripped =
                (0..300).filter(|&seed| trips(seed, 3_000, |_| (chance, pays, pays)).is_some());
            // 2.5 % of 300, and the 99.9 % quantile of that.
            let tripped = tripped.count();
            assert!(tripped <= 17, "{tripped} of 300 at {chance}");
        }
    }

    #[test]
    fn a_ranker_that_loses_trips_soon() {
        for seed in 0..20 {
            let even = trips(seed, 3_000, |_| (0.5, 0.2, 0.4));
            assert!(even.is_some_and(|round| round < 1_500), "{even:?}");
            let rare = trips(seed, 20_000, |_| (0.95, 0.15, 0.35));
            assert!(rare.is_some_and(|round| round < 12_000), "{rare:?}");
        }
    }

    #[test]
    fn a_share_that_rises_in_bad_times_does_not_count_against_the_ranker() {
        // The ranker is always better, but it answers most when rewards are low.
        let of = |round: usize| if round < 2_000 { (0.1, 0.9, 0.8) } else { (0.9, 0.2, 0.1) };
        let mut naive = 0;
        for seed in 0..20 {
            assert_eq!(trips(seed, 4_000, of), None);
            let mut rng = random(seed);
            let mut sums = [(0.0, 0.0); 2];
            for round in 0..4_000 {
                let (chance, pays, other) = of(round);
                let is_rankers = seed::unit(&mut rng) < chance;
                let pays = if is_rankers { pays } else { other };
                let sum = &mut sums[usize::from(!is_rankers)];
                sum.0 += f64::from(u8::from(seed::unit(&mut rng) < pays));
                sum.1 += 1.0;
            }
            naive += usize::from(sums[0].0 / sums[0].1 < sums[1].0 / sums[1].1);
        }
        // The estimate of plain means.
        assert_eq!(naive, 20);
    }

    #[test]
    fn a_ranker_that_turns_bad_late_is_noticed_in_the_next_stage() {
        let good = 2 * STAGE_DECISIONS as usize;
        let of = |round: usize| if round < good { (0.5, 0.5, 0.3) } else { (0.5, 0.1, 0.4) };
        let noticed = trips(1, good + 5_000, of);
        assert!(noticed.is_some_and(|round| (good..good + 2_000).contains(&round)), "{noticed:?}");
    }

    #[test]
    fn bounds_hold_the_lift_and_tighten() {
        let mut rng = random(3);
        let mut comparison = Comparison::new(ALPHA);
        assert_eq!(comparison.lift().low, f64::NEG_INFINITY);
        let mut width = f64::INFINITY;
        for round in 1..=20_000 {
            let is_rankers = seed::unit(&mut rng) < 0.7;
            let pays = if is_rankers { 0.5 } else { 0.3 };
            let reward = f64::from(u8::from(seed::unit(&mut rng) < pays));
            comparison.observe(Timestamp::default(), 0.7, is_rankers, reward);
            if round % 5_000 == 0 {
                let lift = comparison.lift();
                assert!(lift.low < 0.2 && 0.2 < lift.high, "{lift:?}");
                assert!(lift.high - lift.low < width);
                width = lift.high - lift.low;
            }
        }
        let lift = comparison.lift();
        assert!(lift.low > 0.1 && (lift.value - 0.2).abs() < 0.03, "{lift:?}");
    }
}
