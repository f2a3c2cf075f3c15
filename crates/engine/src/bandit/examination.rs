//! The probability that a position of a list is looked at. Examination hypothesis: an item is
//! rewarded if it is looked at and is relevant (Craswell et al. 2008).
//!
//! Learnt from positions with a random choice, weighted by the inverse of its propensity.
//! Then every position shows the same mixture of candidates, so the reward rates of two positions
//! differ by examination only (Joachims, Swaminathan and Schnabel 2017, with our own
//! randomisation). The first position counts as always looked at.
//!
//! - Without evidence: `(k + 1)^-decay`. That prior counts as
//!   [`PRIOR_IMPRESSIONS`] at each position, against the effective number of weighted
//!   impressions (`(sum w)^2 / sum w^2`, Kish 1965).
//! - The curve never rises: isotonic regression by pooling neighbours (Barlow et al. 1972). So
//!   positions below correct a position that has a low rate by chance; it does not lower them.
//! - Sums are integers in fixed point, as those of the posterior.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::math;

/// Positions with an estimate of their own; lower ones use the last.
const POSITIONS: usize = 50;
/// A more probable choice is not random enough.
const PROPENSITY_MAX: f32 = 0.5;
/// Bounds the weight of one unlikely choice.
const INVERSE_MAX: f32 = 100.0;
const SCALE: f32 = 4_096.0;
/// Impressions that the prior curve counts as at each position.
const PRIOR_IMPRESSIONS: f64 = 200.0;
/// Prior rate of reward of what is looked at, and the impressions that it counts as.
const PRIOR_RATE: (f64, f64) = (0.05, 100.0);
/// Lower bound of every position.
const EXAMINATION_MIN: f64 = 0.01;
/// Weighted impressions of a position above which older ones count half.
const WEIGHT_MAX: i64 = 1 << 52;

/// Sums of one position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    /// Inverse propensities, and their squares.
    weight: i64,
    squares: i64,
    /// Inverse propensities of rewarded impressions.
    rewarded: i64,
}

/// Sums by position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examination {
    positions: Vec<Sums>,
}

/// The weight of an impression; 0 without a random choice.
fn inverse(propensity: f32) -> f32 {
    if propensity > 0.0 && propensity <= PROPENSITY_MAX {
        (1.0 / propensity).min(INVERSE_MAX)
    } else {
        0.0
    }
}

fn fixed(value: f32) -> i64 {
    (value * SCALE).round_ties_even() as i64
}

impl Sums {
    fn halve_when_full(&mut self) {
        if self.weight > WEIGHT_MAX || self.squares > WEIGHT_MAX {
            let Self { weight, squares, rewarded } = self;
            [weight, squares, rewarded].into_iter().for_each(|sum| *sum /= 2);
        }
    }

    /// The effective number of impressions, and of rewarded ones.
    fn effective(&self) -> (f64, f64) {
        if self.squares <= 0 || self.weight <= 0 {
            return (0.0, 0.0);
        }
        let [weight, squares, rewarded] =
            [self.weight, self.squares, self.rewarded].map(|sum| sum as f64 / f64::from(SCALE));
        let impressions = weight * weight / squares;
        (impressions, impressions * (rewarded / weight).clamp(0.0, 1.0))
    }
}

impl Examination {
    fn at(&mut self, position: usize) -> &mut Sums {
        let position = position.min(POSITIONS - 1);
        if self.positions.len() <= position {
            self.positions.resize(position + 1, Sums::default());
        }
        &mut self.positions[position]
    }

    pub fn note_shown(&mut self, position: usize, propensity: f32) {
        let weight = inverse(propensity);
        let sums = self.at(position);
        sums.weight = sums.weight.saturating_add(fixed(weight));
        sums.squares = sums.squares.saturating_add(fixed(weight * weight));
        sums.halve_when_full();
    }

    /// Counts the first reward of an impression.
    pub fn note_rewarded(&mut self, position: usize, propensity: f32) {
        let rewarded = &mut self.at(position).rewarded;
        *rewarded = rewarded.saturating_add(fixed(inverse(propensity)));
    }

    /// The probability that each position is looked at, never rising; 1 for the first.
    pub fn curve(&self, positions: usize, decay: f64) -> Vec<f64> {
        let told_apart = positions.min(POSITIONS);
        let prior: Vec<f64> =
            (0..told_apart).map(|position| math::pow((position + 1) as f64, -decay)).collect();
        let sums: Vec<(f64, f64)> = (0..told_apart)
            .map(|position| self.positions.get(position).map_or((0.0, 0.0), Sums::effective))
            .collect();
        // The rate of what is looked at, by the prior curve: it scales the prior only.
        let (rate, worth) = PRIOR_RATE;
        let looked_at: f64 = sums.iter().zip(&prior).map(|(sums, prior)| sums.0 * prior).sum();
        let rewards: f64 = sums.iter().map(|sums| sums.1).sum();
        let pooled = (rewards + rate * worth) / (looked_at + worth);
        let rates = sums.iter().zip(&prior).map(|(&(impressions, rewarded), prior)| {
            let weight = impressions + PRIOR_IMPRESSIONS;
            ((rewarded + PRIOR_IMPRESSIONS * pooled * prior) / weight, weight)
        });
        let falling = never_rising(rates);
        let first = falling.first().copied().unwrap_or(1.0);
        let seen = |position: usize| {
            let rate = falling[position.min(told_apart - 1)];
            (rate / first).clamp(EXAMINATION_MIN, 1.0)
        };
        (0..positions).map(seen).collect()
    }
}

/// The closest sequence that never rises, by these weights.
fn never_rising(values: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
    // Means, weights and lengths of the pools.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in values {
        let mut pool = (value, weight, 1);
        while let Some(above) = pools.pop_if(|above| above.0 < pool.0) {
            let weight = above.1 + pool.1;
            let mean = (above.0 * above.1 + pool.0 * pool.1) / weight;
            pool = (mean, weight, above.2 + pool.2);
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(mean, _, length)| std::iter::repeat_n(mean, length)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seed;
    use crate::seed::Purpose;

    const PRIOR: [f64; 4] = [1.0, 0.5, 1.0 / 3.0, 0.25];

    #[test]
    fn without_evidence_the_curve_is_the_prior() {
        let curve = Examination::default().curve(4, 1.0);
        for (found, expected) in curve.iter().zip(PRIOR) {
            assert!((found - expected).abs() < 1e-9, "{curve:?}");
        }
        assert_eq!(Examination::default().curve(3, 0.0), [1.0, 1.0, 1.0]);
        assert!(Examination::default().curve(0, 1.0).is_empty());
    }

    #[test]
    fn one_impression_without_reward_leaves_the_curve_nearly_as_it_was() {
        for (position, propensity) in [(0, 0.5), (0, 0.001), (3, 0.5), (3, 0.001)] {
            let mut examination = Examination::default();
            examination.note_shown(position, propensity);
            let curve = examination.curve(4, 1.0);
            assert_eq!(curve[0], 1.0);
            for (found, expected) in curve.iter().zip(PRIOR) {
                assert!((found / expected - 1.0).abs() < 0.02, "{curve:?}");
            }
        }
    }

    /// Random lists. A user looks at the first position, continues with probability
    /// .9 and stops after a click: a cascade (Craswell et al. 2008).
    fn cascade(lists: usize, relevance: f64) -> Examination {
        let mut examination = Examination::default();
        let mut rng = seed::stream(7, Purpose::Choose, b"cascade");
        for _ in 0..lists {
            let mut looks = true;
            for position in 0..5 {
                // Some candidates are drawn more often than others.
                let propensity = [0.05, 0.1, 0.4][seed::below(&mut rng, 3)];
                examination.note_shown(position, propensity);
                if looks && seed::unit(&mut rng) < relevance {
                    examination.note_rewarded(position, propensity);
                    looks = false;
                }
                looks = looks && seed::unit(&mut rng) < 0.9;
            }
        }
        examination
    }

    #[test]
    fn few_lists_leave_the_prior_and_many_give_the_true_curve() {
        for relevance in [0.05, 0.3] {
            let truth =
                |position: i32| (0..position).fold(1.0, |seen, _| seen * 0.9 * (1.0 - relevance));
            let off = |lists: usize| {
                let curve = cascade(lists, relevance).curve(5, 1.0);
                let errors = curve.iter().zip(0..).map(|(found, at)| (found - truth(at)).abs());
                (errors.fold(0.0, f64::max), curve)
            };
            let (prior, _) = off(0);
            for lists in [10, 100, 1_000] {
                let (error, curve) = off(lists);
                assert!(error < prior + 0.15, "{lists} lists: {curve:?}");
                assert!(curve[4] > 0.1, "{lists} lists: {curve:?}");
            }
            let (error, curve) = off(100_000);
            assert!(error < 0.04, "{curve:?} where {relevance} are relevant");
        }
    }

    #[test]
    fn random_choices_change_the_curve_and_those_of_the_ranking_do_not() {
        let mut examination = Examination::default();
        for round in 0..40_000 {
            for position in 0..3 {
                examination.note_shown(position, 0.05);
                examination.note_shown(position, 0.9);
                // One item in ten is relevant. Positions are looked at always, in four of five, in one of five.
                if round % 50 < [5, 4, 1][position] {
                    examination.note_rewarded(position, 0.05);
                }
                examination.note_rewarded(2, 0.9);
            }
        }
        let curve = examination.curve(3, 1.0);
        for (found, expected) in curve.iter().zip([1.0, 0.8, 0.2]) {
            assert!((found - expected).abs() < 0.02, "{curve:?}");
        }
    }

    #[test]
    fn neighbours_that_rise_are_pooled_by_their_weights() {
        let pooled = never_rising([(0.5, 1.0), (0.1, 3.0), (0.3, 1.0), (0.1, 1.0)].into_iter());
        let expected = [0.5, 0.15, 0.15, 0.1];
        assert!(pooled.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{pooled:?}");
    }

    proptest! {
        #[test]
        fn a_curve_begins_with_1_and_never_rises_whatever_was_noted(
            notes in prop::collection::vec((0..70_usize, any::<f32>(), any::<bool>()), 0..200),
            decay in 0.0..10.0_f64,
        ) {
            let mut examination = Examination::default();
            for (position, propensity, is_reward) in notes {
                if is_reward {
                    examination.note_rewarded(position, propensity);
                } else {
                    examination.note_shown(position, propensity);
                }
            }
            let curve = examination.curve(70, decay);
            prop_assert_eq!(curve[0], 1.0);
            prop_assert!(curve.windows(2).all(|pair| pair[1] <= pair[0]), "{:?}", curve);
            prop_assert!(curve.iter().all(|seen| *seen >= EXAMINATION_MIN));
        }
    }
}
