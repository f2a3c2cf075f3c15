//! What an attack proves about a mechanism: a lower bound of its epsilon.
//!
//! An attacker tells two neighbouring inputs apart by what is released. Epsilon at delta bounds how well
//! that can go, so an attack that goes better shows that the claim is wrong. An attack that fails
//! shows nothing.
//!
//! Invariants: a mechanism that keeps its claim is contradicted with a probability of at most the level, if
//! runs are independent and the attack was chosen before them.
//!
//! Sources: Jagielski, Ullman and Oprea, "Auditing Differentially Private Machine Learning" (2020); Clopper
//! and Pearson (1934) for the limits of a share.

use statistics::Level;
use statistics::ParameterError;
use statistics::special::beta;
use statistics::special::math;

use crate::parameter;

/// The most runs with one input: limits are exact to 11 digits up to there.
const RUNS_MAX: u64 = 100_000_000;

/// Runs with one input, and in how many of them the attack said "the user is there".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    said: u64,
    runs: u64,
}

/// More said than run, or no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there must be from 1 to 1e8 runs, not {runs}, and no more than these of a kind, not {said}"
)]
pub struct RunsError {
    pub said: u64,
    pub runs: u64,
}

impl Runs {
    /// From 1 to 1e8 runs; `said` is at most that.
    pub fn new(said: u64, runs: u64) -> Result<Self, RunsError> {
        let fits = (1..=RUNS_MAX).contains(&runs) && said <= runs;
        fits.then_some(Self { said, runs }).ok_or(RunsError { said, runs })
    }

    /// The limits of the share said, from 0 to 1: the true share is below the first, or above the second,
    /// each with a probability of at most `alpha`.
    #[must_use]
    pub fn limits(self, alpha: Level) -> (f64, f64) {
        let unsaid = Self { said: self.runs - self.said, ..self };
        (self.least(alpha), 1.0 - unsaid.least(alpha))
    }

    /// Clopper and Pearson's lower limit.
    fn least(self, alpha: Level) -> f64 {
        let (said, runs) = (self.said as f64, self.runs as f64);
        if self.said == 0 { 0.0 } else { beta::quantile(said, runs - said + 1.0, alpha.alpha()) }
    }
}

/// The greatest epsilon that the attack contradicts at `delta`, 0 if none: a mechanism whose epsilon is
/// claimed to be less is broken, and this is wrong with a probability of at most `level`.
///
/// `with` are runs with the user, `without` are runs without; `delta` is 0, or from 1e-100 and below 1.
pub fn epsilon_at_least(
    with: Runs,
    without: Runs,
    delta: f64,
    level: Level,
) -> Result<f64, ParameterError> {
    let delta = if delta == 0.0 { delta } else { parameter::delta(delta)? };
    // Two limits have to hold: the least share with the user, and the greatest without.
    let each = level.divided(2);
    let (least_with, _) = with.limits(each);
    let (_, most_without) = without.limits(each);
    let ratio = |likely: f64, unlikely: f64| {
        let excess = likely - delta;
        if excess > 0.0 { math::ln(excess / unlikely) } else { 0.0 }
    };
    // "There" is said with the user, "not there" without.
    let there = ratio(least_with, most_without);
    Ok(there.max(ratio(1.0 - most_without, 1.0 - least_with)).max(0.0))
}
