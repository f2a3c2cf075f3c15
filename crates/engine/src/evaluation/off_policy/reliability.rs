//! Whether scores are what they say, expected rewards: the reliability curve.
//!
//! Rounds are sorted by the score of what was shown and cut into bins of about equal size; in
//! each, the mean score is compared with the mean reward (Murphy and Winkler 1977; bins of equal
//! mass, Nixon et al. 2019). The expected calibration error is the mean distance of the two.
//!
//! - Rounds of one score are in one bin: their order is nobody's, so a cut between them would
//!   sort them by chance or, worse, by their rewards.
//! - Standard errors are over units, as elsewhere: rounds of one unit are alike.
//! - A mean distance is never 0 on data. `by_chance` is what perfect scores would have.

use std::collections::BTreeMap;

use crate::evaluation::off_policy::log::Log;

const BINS: usize = 10;
/// Mean distance from 0 of a normal draw, in standard deviations: the root of 2 / pi.
const MEAN_DISTANCE: f64 = 0.797_884_560_802_865_4;

/// Rounds of about the same score.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReliabilityBin {
    pub rounds: usize,
    /// Mean score.
    pub predicted: f64,
    /// Mean reward.
    pub observed: f64,
    /// Of the mean reward, over units; NaN with one unit.
    pub standard_error: f64,
}

/// The curve of a log.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Reliability {
    /// In rising order of the score.
    pub bins: Vec<ReliabilityBin>,
    /// Mean distance of predicted and observed, weighted by rounds.
    pub calibration_error: f64,
    /// What that would be on average if every score were the expected reward; NaN where a bin
    /// has no standard error.
    pub by_chance: f64,
}

/// A round as the curve sees it.
#[derive(Clone, Copy)]
struct Scored {
    score: f64,
    reward: f64,
    unit: u32,
}

impl Reliability {
    /// Of the scores that a log has for what was shown; `None` where it has none.
    pub fn of(log: &Log) -> Option<Self> {
        let scores = log.chosen_scores()?.iter().zip(log.rounds());
        let scored = scores.map(|(&score, round)| {
            let (reward, unit) = (round.reward, round.unit);
            Scored { score, reward, unit }
        });
        let mut scored: Vec<Scored> = scored.collect();
        scored.sort_by(|a, b| a.score.total_cmp(&b.score));
        let bins: Vec<ReliabilityBin> = cut(&scored).map(ReliabilityBin::of).collect();
        let mean = |of: fn(&ReliabilityBin) -> f64| {
            let weighed = bins.iter().map(|bin| bin.rounds as f64 * of(bin));
            weighed.sum::<f64>() / scored.len() as f64
        };
        Some(Self {
            calibration_error: mean(|bin| (bin.predicted - bin.observed).abs()),
            by_chance: mean(|bin| MEAN_DISTANCE * bin.standard_error),
            bins,
        })
    }
}

/// Cuts sorted rounds into bins: each ends with the last round of the score at which its share
/// of the rounds is full.
fn cut(scored: &[Scored]) -> impl Iterator<Item = &[Scored]> {
    let size = scored.len().div_ceil(BINS).max(1);
    let mut rest = scored;
    std::iter::from_fn(move || {
        let last = rest.get(size.min(rest.len()).checked_sub(1)?)?.score;
        let (bin, above) = rest.split_at(rest.partition_point(|round| round.score <= last));
        rest = above;
        Some(bin)
    })
}

impl ReliabilityBin {
    fn of(rounds: &[Scored]) -> Self {
        let n = rounds.len() as f64;
        let mean = |of: fn(&Scored) -> f64| rounds.iter().map(of).sum::<f64>() / n;
        let (predicted, observed) = (mean(|round| round.score), mean(|round| round.reward));
        let mut residuals: BTreeMap<u32, f64> = BTreeMap::new();
        for round in rounds {
            *residuals.entry(round.unit).or_default() += round.reward - observed;
        }
        let squares: f64 = residuals.values().map(|sum| sum * sum).sum();
        let standard_error = match residuals.len() {
            0 | 1 => f64::NAN,
            units => (squares * units as f64 / (units - 1) as f64).sqrt() / n,
        };
        Self { rounds: rounds.len(), predicted, observed, standard_error }
    }
}

#[cfg(test)]
mod tests;
