//! Bounds of a policy's value that hold at every moment at once (Waudby-Smith et al.
//! 2022, "Anytime-valid off-policy inference for contextual bandits", arXiv 2210.10768,
//! the predictable plug-in empirical Bernstein sequence, without a reward model).
//!
//! One may look after every round and stop when one likes: the chance that the value ever
//! leaves the bounds is at most `alpha`. The logging policy may learn meanwhile, and
//! nothing is assumed of the greatest weight.
//!
//! The lower bound is that of `x = min(w, clip) r` for rewards `r` in 0..=1 by
//! [`LowerBound`], with `alpha / 2`: `x` is never below 0, whatever the weights.
//!
//! - Upper bounds are 1 less the lower bound for `1 - r`.
//! - Clipping only lowers the mean of `x`, on both sides: bounds stay valid, and are
//!   tighter or wider. Weights of a policy without full support do the same to the lower
//!   bound; the upper one holds if the missing mass is counted as reward 1.
//! - What is bounded is the mean of the conditional means over the rounds; for positions of
//!   a slate, given the positions above.
//! - Bounds are the tightest so far: they never widen.

use crate::numeric::Guess;
use crate::numeric::LowerBound;
use crate::numeric::math;

/// Before any observation: as for a fair coin.
const COIN: Guess = Guess { mean: 0.5, variance: 0.25, mean_max: 1.0 };

/// Running bounds of one policy's value.
#[derive(Debug, Clone)]
pub struct ConfidenceSequence {
    alpha: f64,
    clip: f64,
    horizon: Option<f64>,
    /// Of the rewards, and of 1 less the rewards.
    sides: [Side; 2],
}

/// One lower bound, the tightest so far.
#[derive(Debug, Clone, Default)]
struct Side {
    bound: LowerBound,
    low: f64,
}

impl ConfidenceSequence {
    /// `alpha` in (0, 1): the chance to be wrong at any time. `clip` above 0, may be
    /// infinite: the greatest weight.
    pub fn new(alpha: f64, clip: f64) -> Self {
        Self { alpha, clip, horizon: None, sides: Default::default() }
    }

    /// Makes bounds tightest after so many rounds. They hold at every other moment as
    /// well, but are wider early on.
    #[must_use]
    pub fn tightest_after(mut self, rounds: usize) -> Self {
        self.horizon = Some(rounds as f64);
        self
    }

    /// Adds a round: the target's probability over the propensity, and the reward in
    /// 0..=1.
    pub fn observe(&mut self, weight: f64, reward: f64) {
        let weight = weight.min(self.clip);
        for (side, reward) in self.sides.iter_mut().zip([reward, 1.0 - reward]) {
            side.observe(weight * reward, self.alpha / 2.0, self.horizon);
        }
    }

    /// Lower and upper bound of the value, within 0..=1.
    pub fn interval(&self) -> (f64, f64) {
        let [rewarded, unrewarded] = &self.sides;
        (rewarded.low, 1.0 - unrewarded.low)
    }
}

impl Side {
    fn observe(&mut self, x: f64, alpha: f64, horizon: Option<f64>) {
        let evidence = -math::ln(alpha);
        self.bound.observe(x, 1.0, &COIN, evidence, horizon);
        self.low = self.bound.low(evidence).max(self.low).min(1.0);
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const ALPHA: f64 = 0.05;
    const ROUNDS: usize = 3_000;

    fn uniform(random: &mut ChaCha8Rng) -> f64 {
        f64::from(random.next_u32()) / 4_294_967_296.0
    }

    /// One stream of three actions that pay `pays`, by a logging policy that learns: it
    /// prefers what has paid, and explores ever less. The target's probabilities are
    /// `target`. Whether the value left the bounds at any round.
    fn stream(seed: u64, pays: [f64; 3], target: [f64; 3], horizon: Option<usize>) -> bool {
        let value: f64 = pays.iter().zip(target).map(|(pay, chance)| pay * chance).sum();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let clip = if horizon.is_some() { 10.0 } else { f64::INFINITY };
        let mut sequence = ConfidenceSequence::new(ALPHA, clip);
        if let Some(rounds) = horizon {
            sequence = sequence.tightest_after(rounds);
        }
        let mut seen = [(0.5_f64, 1.0); 3];
        let mut has_left = false;
        for round in 0..ROUNDS {
            let explored = (3.0 / (1.0 + round as f64).sqrt()).clamp(0.06, 1.0);
            let rates = seen.map(|(sum, count)| sum / count);
            let best = (0..3).max_by(|a, b| rates[*a].total_cmp(&rates[*b])).unwrap();
            let logging: Vec<f64> = (0..3)
                .map(|action| explored / 3.0 + if action == best { 1.0 - explored } else { 0.0 })
                .collect();
            let mut rest = uniform(&mut random);
            let mut action = 0;
            while action < 2 && rest >= logging[action] {
                rest -= logging[action];
                action += 1;
            }
            let reward = f64::from(u8::from(uniform(&mut random) < pays[action]));
            seen[action].0 += reward;
            seen[action].1 += 1.0;
            sequence.observe(target[action] / logging[action], reward);
            let (low, high) = sequence.interval();
            has_left |= value < low || value > high;
        }
        has_left
    }

    #[test]
    fn the_value_stays_within_the_bounds_at_every_round_of_nearly_every_stream() {
        // 2,000 streams that look after each of 3,000 rounds, while the logging policy
        // learns. At most 5 % may ever leave; the 99.9 % quantile of a binomial of 500 at
        // 5 % is 41. Weights reach 50, and are
        // clipped at 10 in the two cases with a horizon.
        let cases = [
            ([0.1, 0.5, 0.6], [1.0, 0.0, 0.0], None),
            ([0.9, 0.5, 0.2], [0.2, 0.3, 0.5], None),
            ([0.02, 0.01, 0.03], [0.0, 1.0, 0.0], Some(ROUNDS)),
            ([0.9, 0.5, 0.2], [0.2, 0.3, 0.5], Some(ROUNDS / 2)),
        ];
        for (pays, target, horizon) in cases {
            let left = (0..500).filter(|seed| stream(*seed, pays, target, horizon)).count();
            assert!(left <= 41, "{left} of 500 streams left the bounds of {target:?}");
        }
    }

    #[test]
    fn bounds_tighten_to_something_useful_and_never_widen() {
        let mut sequence = ConfidenceSequence::new(ALPHA, f64::INFINITY);
        let mut before = sequence.interval();
        assert_eq!(before, (0.0, 1.0));
        for round in 0..5_000 {
            // Uniform logging of two actions; the target shows the one that pays 0.7.
            let shown = round % 2 == 0;
            let reward = f64::from(u8::from(round / 2 % 10 < 7));
            sequence.observe(if shown { 2.0 } else { 0.0 }, reward);
            let now = sequence.interval();
            assert!(now.0 >= before.0 && now.1 <= before.1);
            before = now;
        }
        assert!(before.0 > 0.62 && before.1 < 0.78, "{before:?}");
    }

    #[test]
    fn a_horizon_makes_bounds_tighter_there() {
        let mut sequences = [
            ConfidenceSequence::new(ALPHA, 10.0),
            ConfidenceSequence::new(ALPHA, 10.0).tightest_after(ROUNDS),
        ];
        for round in 0..ROUNDS {
            let reward = f64::from(u8::from(round % 3 == 0));
            sequences.iter_mut().for_each(|one| one.observe((round % 5) as f64 / 2.0, reward));
        }
        let [any, tight] = sequences.map(|one| one.interval()).map(|(low, high)| high - low);
        assert!(tight < 0.8 * any, "{tight} against {any}");
    }

    #[test]
    fn bounds_do_not_exclude_the_value_once_the_data_are_few() {
        let mut sequence = ConfidenceSequence::new(ALPHA, 10.0);
        sequence.observe(10.0, 1.0);
        let (low, high) = sequence.interval();
        assert!(low < 0.5 && high == 1.0, "{low} to {high}");
    }

    #[test]
    fn huge_weights_leave_finite_bounds() {
        let mut sequence = ConfidenceSequence::new(ALPHA, f64::INFINITY);
        for round in 0..100 {
            sequence.observe(1e12, f64::from(round % 2));
            let (low, high) = sequence.interval();
            assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
        }
    }
}
