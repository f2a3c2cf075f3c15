//! Whether scores are what they say, expected rewards: the reliability curve.
//!
//! Rounds are sorted by the score of what was shown and cut into bins of equal size; in each,
//! the mean score is compared with the mean reward (Murphy and Winkler 1977; bins of equal mass,
//! Nixon et al. 2019). The expected calibration error is the mean distance of the two.

use crate::evaluation::off_policy::log::Log;

const BINS: usize = 10;

/// Rounds of about the same score.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReliabilityBin {
    pub rounds: usize,
    /// Mean score.
    pub predicted: f64,
    /// Mean reward.
    pub observed: f64,
}

/// The curve of a log.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Reliability {
    /// In rising order of the score.
    pub bins: Vec<ReliabilityBin>,
    /// Mean distance of predicted and observed, weighted by rounds; 0 is perfect.
    pub calibration_error: f64,
}

impl Reliability {
    /// Of the scores that a log has for what was shown; `None` without any. Scores that are not
    /// finite are left out.
    pub fn of(log: &Log) -> Option<Self> {
        let scored = (0..log.rounds().len()).filter_map(|at| {
            let round = log.view(at);
            let score = *round.scores?.get(round.round.chosen as usize)?;
            score.is_finite().then_some((score, round.round.reward))
        });
        let mut scored: Vec<(f64, f64)> = scored.collect();
        scored.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let size = scored.len().div_ceil(BINS).max(1);
        let bin = |rounds: &[(f64, f64)]| {
            let n = rounds.len() as f64;
            let predicted = rounds.iter().map(|round| round.0).sum::<f64>() / n;
            let observed = rounds.iter().map(|round| round.1).sum::<f64>() / n;
            ReliabilityBin { rounds: rounds.len(), predicted, observed }
        };
        let bins: Vec<ReliabilityBin> = scored.chunks(size).map(bin).collect();
        let off = |bin: &ReliabilityBin| bin.rounds as f64 * (bin.predicted - bin.observed).abs();
        let calibration_error = bins.iter().map(off).sum::<f64>() / scored.len() as f64;
        (!bins.is_empty()).then_some(Self { bins, calibration_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::off_policy::Candidate;
    use crate::evaluation::off_policy::LogBuilder;
    use crate::evaluation::off_policy::NewRound;

    /// Shown items with scores of .00 to .99 that earn twice what the score says.
    #[test]
    fn scores_that_say_half_of_what_is_earned_are_told_by_every_bin() {
        let mut log = LogBuilder::default();
        for number in 0..1_000_u32 {
            let score = f64::from(number % 100) / 200.0;
            let candidate = |action| Candidate {
                action,
                propensity: None,
                score: Some(if action == 0 { score } else { 5.0 }),
                deviation: None,
                target: None,
                features: &[],
            };
            let round = NewRound {
                action: 0,
                reward: 2.0 * score,
                propensity: 0.5,
                position: 0,
                is_below: false,
                unit: number,
                target: None,
                context: &[],
                candidates: &[candidate(0), candidate(1)],
            };
            log.push(&round).unwrap();
        }
        let curve = Reliability::of(&log.build()).unwrap();
        assert_eq!(curve.bins.len(), 10);
        for (index, bin) in curve.bins.iter().enumerate() {
            assert_eq!(bin.rounds, 100);
            assert!((bin.observed - 2.0 * bin.predicted).abs() < 1e-9, "{bin:?}");
            assert!((bin.predicted - (index as f64 * 10.0 + 4.5) / 200.0).abs() < 1e-9, "{bin:?}");
        }
        assert!((curve.calibration_error - 0.2475).abs() < 1e-9, "{curve:?}");
    }

    #[test]
    fn a_log_without_scores_has_no_curve() {
        assert_eq!(Reliability::of(&LogBuilder::default().build()), None);
    }
}
