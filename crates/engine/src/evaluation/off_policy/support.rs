//! Whether the log can answer for a target policy at all.
//!
//! What the logging policy never shows cannot be judged by what it earned: the target's
//! mass on such candidates is missing support. Where the log has the propensity of every
//! candidate the mass is summed; where it has those of what was shown only, weights reveal
//! it, because they average to the target's mass on what had a chance.

use std::fmt;

use serde::Serialize;

use crate::evaluation::off_policy::estimators::Evidence;
use crate::evaluation::off_policy::estimators::Sums;

/// Below this effective sample size intervals are not to be trusted.
pub const EFFECTIVE_SAMPLE_MIN: f64 = 100.0;
/// Missing mass from which on it is told.
const MISSING_SHARE_MIN: f64 = 0.01;
/// Standard errors and distance from 1 at which an average weight is surprising.
const SURPRISING_ERRORS: f64 = 3.0;
const SURPRISING_EXCESS: f64 = 0.05;

/// How far the log covers the target policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Support {
    /// (sum of w)^2 over sum of w^2 of the plain weights.
    pub effective_sample_size: f64,
    pub largest_weight: f64,
    /// 1 where propensities are right and nothing is missing.
    pub mean_weight: f64,
    pub mean_weight_standard_error: f64,
    /// The same of the weights of positions together with those above them, which RIPS goes by;
    /// `None` where all lists have one position.
    pub mean_list_weight: Option<f64>,
    pub mean_list_weight_standard_error: Option<f64>,
    /// The target's mass on candidates with a propensity of at most `floor`; `None` where
    /// the log does not have their propensities.
    pub unsupported: Option<f64>,
    pub floor: f64,
    /// The target's mass on actions that the log never shows; `None` where the target is
    /// known for what was shown only.
    pub unseen: Option<f64>,
    /// Share of rounds where the target's probabilities do not add up to 1.
    pub uneven: Option<f64>,
    /// Whether every candidate was as likely as any other.
    pub logged_uniformly: bool,
    /// Whether any round that the target could have shown earned something.
    pub has_rewards: bool,
}

/// What a reader of the figures must know.
#[derive(Debug, Clone, PartialEq)]
pub enum Warning {
    /// The target's mass on what had no chance.
    Unsupported {
        share: f64,
        floor: f64,
    },
    /// The same, as weights reveal it.
    SeemsUnsupported {
        share: f64,
    },
    /// The target's mass on what was never shown.
    Unseen {
        share: f64,
    },
    /// Weights average more than 1.
    TooHeavy {
        mean: f64,
        standard_error: f64,
    },
    FewEffective {
        size: f64,
    },
    /// Weights of positions with those above them do not average 1.
    UnlikeLists {
        mean: f64,
        standard_error: f64,
    },
    /// Nothing that the target could have shown earned anything.
    NoReward,
    /// Probabilities of the target do not add up to 1 in this share of the rounds.
    Uneven {
        share: f64,
    },
    /// Replay needs uniform logging.
    NotUniform,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported { share, floor } => {
                let chance = if *floor > 0.0 {
                    format!("a propensity of at most {floor}")
                } else {
                    "no chance".to_owned()
                };
                write!(
                    f,
                    "support is missing: {:.1} % of what this policy shows had {chance} in the log; \
                     IPS counts it as reward 0, the model guesses it",
                    100.0 * share
                )
            }
            Self::SeemsUnsupported { share } => write!(
                f,
                "support seems to be missing: weights average {:.3} where they should average 1, so \
                 about {:.1} % of what this policy shows had no chance in the log",
                1.0 - share,
                100.0 * share
            ),
            Self::Unseen { share } => write!(
                f,
                "{:.1} % of what this policy shows is never shown in the log: nothing was observed \
                 of it",
                100.0 * share
            ),
            Self::TooHeavy { mean, standard_error } => write!(
                f,
                "weights average {mean:.3} (standard error {standard_error:.3}) where they should \
                 average 1: the logged propensities are too small"
            ),
            Self::FewEffective { size } => write!(
                f,
                "the effective sample size is {size:.1}, below {EFFECTIVE_SAMPLE_MIN}: the policies \
                 differ too much for this log, do not decide by these figures"
            ),
            Self::UnlikeLists { mean, standard_error } => write!(
                f,
                "weights of positions with those above them average {mean:.3} (standard error \
                 {standard_error:.3}) where they should average 1: the lists of this policy are too \
                 unlike those of the log for RIPS"
            ),
            Self::NoReward => write!(
                f,
                "no round that this policy could have shown earned anything: intervals from 0 to 0 \
                 say nothing"
            ),
            Self::Uneven { share } => write!(
                f,
                "the probabilities of this policy do not add up to 1 in {:.1} % of the rounds",
                100.0 * share
            ),
            Self::NotUniform => write!(
                f,
                "replay assumes that every candidate was equally likely, which this log was not: \
                 prefer the other estimators"
            ),
        }
    }
}

impl Support {
    pub fn of(evidence: &Evidence<'_>, floor: f64) -> Self {
        let mean = evidence.sums(&evidence.terms.weight, |_, weight| (weight, 1.0));
        let modelled = evidence.terms.modelled.as_ref();
        let of_lists = evidence.weights_with_those_above();
        let of_lists = of_lists.map(|weights| evidence.sums(&weights, |_, weight| (weight, 1.0)));
        Self {
            effective_sample_size: mean.effective_sample_size.unwrap_or(0.0),
            largest_weight: mean.largest_weight.unwrap_or(0.0),
            mean_weight: mean.value(),
            mean_weight_standard_error: mean.standard_error(),
            mean_list_weight: of_lists.as_ref().map(Sums::value),
            mean_list_weight_standard_error: of_lists.as_ref().map(Sums::standard_error),
            unsupported: modelled.and_then(|modelled| modelled.unsupported),
            floor,
            unseen: modelled.map(|modelled| modelled.unseen),
            uneven: modelled.map(|modelled| modelled.uneven),
            logged_uniformly: is_uniform(evidence),
            has_rewards: has_rewards(evidence),
        }
    }

    /// What is wrong, the worst first.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Some(share) = self.uneven.filter(|share| *share > 0.0) {
            warnings.push(Warning::Uneven { share });
        }
        let missing = 1.0 - self.mean_weight;
        let surprise = SURPRISING_ERRORS * self.mean_weight_standard_error;
        match self.unsupported {
            Some(share) if share >= MISSING_SHARE_MIN => {
                warnings.push(Warning::Unsupported { share, floor: self.floor });
            }
            None if missing > surprise.max(MISSING_SHARE_MIN) => {
                warnings.push(Warning::SeemsUnsupported { share: missing });
            }
            _ => {}
        }
        if let Some(share) = self.unseen.filter(|share| *share >= MISSING_SHARE_MIN) {
            warnings.push(Warning::Unseen { share });
        }
        if -missing > surprise.max(SURPRISING_EXCESS) {
            let standard_error = self.mean_weight_standard_error;
            warnings.push(Warning::TooHeavy { mean: self.mean_weight, standard_error });
        }
        if self.effective_sample_size < EFFECTIVE_SAMPLE_MIN {
            warnings.push(Warning::FewEffective { size: self.effective_sample_size });
        }
        if let (Some(mean), Some(standard_error)) =
            (self.mean_list_weight, self.mean_list_weight_standard_error)
            && (mean - 1.0).abs() > (SURPRISING_ERRORS * standard_error).max(SURPRISING_EXCESS)
        {
            warnings.push(Warning::UnlikeLists { mean, standard_error });
        }
        if !self.has_rewards {
            warnings.push(Warning::NoReward);
        }
        if !self.logged_uniformly {
            warnings.push(Warning::NotUniform);
        }
        warnings
    }
}

fn has_rewards(evidence: &Evidence<'_>) -> bool {
    let mut rounds = evidence.log.rounds().iter().zip(&evidence.terms.weight);
    rounds.any(|(round, weight)| *weight > 0.0 && round.reward != 0.0)
}

/// Whether every propensity is one over the number of candidates, as far as six digits
/// tell; without lists of candidates, whether all are the same.
fn is_uniform(evidence: &Evidence<'_>) -> bool {
    let log = evidence.log;
    let first = log.rounds().first().map_or(1.0, |round| round.propensity);
    let expected = |at: usize| {
        if log.lists_candidates() { 1.0 / log.view(at).candidates as f64 } else { first }
    };
    let is_as_expected =
        |(at, propensity): (usize, f64)| (propensity / expected(at) - 1.0).abs() < 1e-4;
    log.rounds().iter().map(|round| round.propensity).enumerate().all(is_as_expected)
}
