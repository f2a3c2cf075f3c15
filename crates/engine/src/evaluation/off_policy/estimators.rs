//! The estimators as sums of ratios: each is a ratio of sums over rounds, or two of them.
//!
//! So one rule gives the value, the standard error (the delta method over units, with
//! U/(U-1) for their number) and the resamples of every estimator:
//! `value = sum over parts of (sum of numerators) / (sum of denominators)`.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::evaluation::bootstrap::Column;
use crate::evaluation::off_policy::log::Log;
use crate::evaluation::off_policy::terms::Modelled;
use crate::evaluation::off_policy::terms::Terms;

/// Beyond every weight that says something: sums of squares stay finite.
const WEIGHT_MAX: f64 = 1e100;

/// How a value is estimated; formulas in the parent module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    Ips,
    ClippedIps,
    Snips,
    Direct,
    DoublyRobust,
    ClippedDoublyRobust,
    SelfNormalizedDoublyRobust,
    SwitchDoublyRobust,
    ShrunkDoublyRobust,
    Replay,
    Rejection,
    RewardInteraction,
}

impl Estimator {
    pub const ALL: [Self; 12] = [
        Self::Ips,
        Self::ClippedIps,
        Self::Snips,
        Self::Direct,
        Self::DoublyRobust,
        Self::ClippedDoublyRobust,
        Self::SelfNormalizedDoublyRobust,
        Self::SwitchDoublyRobust,
        Self::ShrunkDoublyRobust,
        Self::Replay,
        Self::Rejection,
        Self::RewardInteraction,
    ];

    /// For a reader.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ips => "IPS",
            Self::ClippedIps => "IPS, clipped",
            Self::Snips => "SNIPS",
            Self::Direct => "direct method",
            Self::DoublyRobust => "DR",
            Self::ClippedDoublyRobust => "DR, clipped",
            Self::SelfNormalizedDoublyRobust => "SNDR",
            Self::SwitchDoublyRobust => "switch-DR",
            Self::ShrunkDoublyRobust => "DRos",
            Self::Replay => "replay",
            Self::Rejection => "rejection",
            Self::RewardInteraction => "RIPS",
        }
    }
}

/// Where large weights are cut, each above 0; infinite is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bounds {
    /// Greatest weight of clipped IPS and DR.
    pub clip: f64,
    /// Greatest weight that switch-DR corrects by.
    pub switch: f64,
    /// `l` of DRos.
    pub shrinkage: f64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { clip: 10.0, switch: 10.0, shrinkage: 100.0 }
    }
}

/// Sums of an estimator, by unit, and how its weights are spread.
#[derive(Debug, Default)]
pub struct Sums {
    /// One or two ratios that add up to the value.
    pub parts: Vec<Column>,
    /// (sum of w)^2 over sum of w^2; `None` for the direct method.
    pub effective_sample_size: Option<f64>,
    /// Greatest weight after clipping.
    pub largest_weight: Option<f64>,
}

/// What estimators look at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub log: &'a Log,
    pub terms: &'a Terms,
    pub bounds: Bounds,
    /// Of the draws of replay and rejection.
    pub seed: u64,
}

impl Sums {
    /// `None` where the target's probability of every candidate is needed and not known, or
    /// lists are needed and all have one position.
    pub fn of(evidence: &Evidence<'_>, estimator: Estimator) -> Option<Self> {
        let modelled = evidence.terms.modelled.as_ref();
        Some(match estimator {
            Estimator::Ips | Estimator::ClippedIps => {
                let weights = evidence.weights(estimator);
                evidence.sums(&weights, |at, w| (w * evidence.reward(at), 1.0))
            }
            Estimator::Snips => {
                let weights = evidence.weights(estimator);
                evidence.sums(&weights, |at, w| (w * evidence.reward(at), w))
            }
            Estimator::Direct => {
                let direct = &modelled?.direct;
                let parts = vec![evidence.by_unit(|at| (direct[at], 1.0))];
                Self { parts, effective_sample_size: None, largest_weight: None }
            }
            Estimator::SelfNormalizedDoublyRobust => {
                let Modelled { direct, predicted, .. } = modelled?;
                let weights = evidence.weights(estimator);
                let correction = |at, w: f64| (w * (evidence.reward(at) - predicted[at]), w);
                let mut sums = evidence.sums(&weights, correction);
                sums.parts.push(evidence.by_unit(|at| (direct[at], 1.0)));
                sums
            }
            Estimator::DoublyRobust
            | Estimator::ClippedDoublyRobust
            | Estimator::SwitchDoublyRobust
            | Estimator::ShrunkDoublyRobust => {
                let Modelled { direct, predicted, .. } = modelled?;
                let weights = evidence.weights(estimator);
                let value =
                    |at, w: f64| (direct[at] + w * (evidence.reward(at) - predicted[at]), 1.0);
                evidence.sums(&weights, value)
            }
            Estimator::Replay | Estimator::Rejection => {
                let kept = evidence.kept(estimator);
                evidence.sums(&kept, |at, kept| (kept * evidence.reward(at), kept))
            }
            Estimator::RewardInteraction => {
                let weights = evidence.weights_with_those_above()?;
                evidence.sums(&weights, |at, w| (w * evidence.reward(at), 1.0))
            }
        })
    }

    /// The estimate; NaN where nothing weighs anything.
    pub fn value(&self) -> f64 {
        self.parts.iter().map(Column::mean).sum()
    }

    /// Standard error over units; not finite with fewer than two.
    pub fn standard_error(&self) -> f64 {
        let ratios: Vec<(f64, f64)> =
            self.parts.iter().map(|part| (part.mean(), part.counts.iter().sum())).collect();
        let mut squares = 0.0;
        for unit in 0..self.parts[0].sums.len() {
            let influence = |(part, (ratio, total)): (&Column, &(f64, f64))| {
                (part.sums[unit] - ratio * part.counts[unit]) / total
            };
            let of_unit: f64 = self.parts.iter().zip(&ratios).map(influence).sum();
            squares += of_unit * of_unit;
        }
        let is_present = |unit: &usize| self.parts.iter().any(|part| part.counts[*unit] > 0.0);
        let units = (0..self.parts[0].sums.len()).filter(is_present).count() as f64;
        (squares * units / (units - 1.0)).sqrt()
    }
}

impl Evidence<'_> {
    fn reward(&self, at: usize) -> f64 {
        self.log.rounds()[at].reward
    }

    /// The weights as an estimator of the IPS or DR family uses them.
    fn weights(&self, estimator: Estimator) -> Vec<f64> {
        let Bounds { clip, switch, shrinkage } = self.bounds;
        let weights = self.terms.weight.iter();
        match estimator {
            Estimator::ClippedIps | Estimator::ClippedDoublyRobust => {
                weights.map(|w| w.min(clip)).collect()
            }
            Estimator::SwitchDoublyRobust => {
                weights.map(|w| if *w <= switch { *w } else { 0.0 }).collect()
            }
            // Nothing is shrunk at an infinite bound, and infinity over infinity is no number.
            Estimator::ShrunkDoublyRobust if shrinkage.is_finite() => {
                weights.map(|w| shrinkage * w / (w * w + shrinkage)).collect()
            }
            _ => self.terms.weight.clone(),
        }
    }

    /// The product of the weights of a list's positions down to each round; `None` where all
    /// lists have one position.
    pub fn weights_with_those_above(&self) -> Option<Vec<f64>> {
        let mut product = 1.0;
        let weights = self.log.rounds().iter().zip(&self.terms.weight).map(|(round, weight)| {
            let above = if round.is_below { product } else { 1.0 };
            product = f64::min(above * weight, WEIGHT_MAX);
            product
        });
        self.log.has_lists().then(|| weights.collect())
    }

    /// 1 for a round that replay or rejection keeps, 0 for any other.
    fn kept(&self, estimator: Estimator) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let (chances, scale) = match estimator {
            Estimator::Rejection => {
                random.set_stream(1);
                let weights = &self.terms.weight;
                (weights, weights.iter().copied().fold(0.0, f64::max))
            }
            _ => (&self.terms.target, 1.0),
        };
        let mut draw = |chance: &f64| {
            // In [0, 1): a chance of 1 is always kept, one of 0 never.
            let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            f64::from(u8::from(uniform < chance / scale))
        };
        chances.iter().map(&mut draw).collect()
    }

    /// Of the sums over `part`, by round and its weight.
    pub fn sums(&self, weights: &[f64], part: impl Fn(usize, f64) -> (f64, f64)) -> Sums {
        let (mut sum, mut squares, mut largest) = (0.0, 0.0, 0.0_f64);
        for &weight in weights {
            sum += weight;
            squares += weight * weight;
            largest = largest.max(weight);
        }
        Sums {
            parts: vec![self.by_unit(|at| part(at, weights[at]))],
            effective_sample_size: Some(if squares > 0.0 { sum * sum / squares } else { 0.0 }),
            largest_weight: Some(largest),
        }
    }

    /// Sums of numerators and denominators, by unit.
    pub fn by_unit(&self, ratio: impl Fn(usize) -> (f64, f64)) -> Column {
        let units = self.log.units();
        let mut column = Column { sums: vec![0.0; units], counts: vec![0.0; units] };
        for (at, round) in self.log.rounds().iter().enumerate() {
            let (numerator, denominator) = ratio(at);
            column.sums[round.unit as usize] += numerator;
            column.counts[round.unit as usize] += denominator;
        }
        column
    }
}
