//! Do arms have the users that the split promises? If not, the data are wrong, not the effect.
//!
//! Invariants: an alarm is false with a probability of at most the level, at any time and for ever;
//! once raised it stays, since [`Watch`] keeps the greatest evidence seen.
//! Source: Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022). The
//! chi-square test next to it holds for one look only.

use serde::{Deserialize, Serialize};

use crate::level::{Level, ParameterError, positive};
use crate::mixture;
use crate::sequential::anytime_p;
use crate::special::gamma;

/// How many users the prior is worth: most sensitive to deviations of about one percent.
const CONCENTRATION: f64 = 1_000.0;

/// Expected shares and the level of the alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRatio {
    shares: Vec<f64>,
    level: Level,
}

/// The greatest evidence so far, a logarithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    greatest: f64,
}

/// What a look at the counts says.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub alarm: bool,
    /// Valid at any time; never rises.
    pub p_value: f64,
    /// Of the chi-square test, valid for one look.
    pub p_value_of_one_look: f64,
    /// Observed less expected share of each arm: the size of what the p-value is about.
    pub deviations: Vec<f64>,
}

impl SampleRatio {
    /// `weights` of the arms, which need not sum to 1.
    pub fn new(weights: &[f64], level: Level) -> Result<Self, ParameterError> {
        for weight in weights {
            positive("the weight of an arm", *weight)?;
        }
        let sum = positive("the sum of the weights", weights.iter().sum())?;
        let shares = weights.iter().map(|weight| weight / sum).collect();
        Ok(Self { shares, level })
    }

    /// For one of so many segments watched together (Bonferroni).
    #[must_use]
    pub fn of_segments(&self, segments: usize) -> Self {
        Self { shares: self.shares.clone(), level: self.level.divided(segments) }
    }

    /// Looks at the users of each arm, in the order of the weights; an arm not given has none.
    pub fn look(&self, counts: &[u64], watch: &mut Watch) -> Finding {
        let count = |arm: usize| counts.get(arm).copied().unwrap_or(0);
        let counts: Vec<_> = (0..self.shares.len()).map(count).collect();
        let evidence = mixture::ln_e_value(&counts, &self.shares, CONCENTRATION);
        watch.greatest = watch.greatest.max(evidence);
        let total = counts.iter().fold(0.0, |sum, count| sum + *count as f64);
        let arms = counts.iter().zip(&self.shares);
        let deviation = |(count, share): (&u64, &f64)| *count as f64 / f64::max(total, 1.0) - share;
        let deviations =
            if total > 0.0 { arms.map(deviation).collect() } else { vec![0.0; self.shares.len()] };
        Finding {
            alarm: watch.greatest >= self.level.evidence(),
            p_value: anytime_p(watch.greatest),
            p_value_of_one_look: self.chi_square(&counts, total),
            deviations,
        }
    }

    fn chi_square(&self, counts: &[u64], total: f64) -> f64 {
        if total == 0.0 || counts.len() < 2 {
            return 1.0;
        }
        let distance = counts.iter().zip(&self.shares).fold(0.0, |sum, (count, share)| {
            let off = *count as f64 - total * share;
            sum + off * off / (total * share)
        });
        gamma::chi_square_tail(distance, counts.len() as f64 - 1.0)
    }
}
