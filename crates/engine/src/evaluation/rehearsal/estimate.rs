//! What the proposal would have earned, by logged positions with their rewards.
//!
//! The weight of a position is its item's probability there under a configuration, given the positions
//! above, over the logged propensity. The configuration of now is estimated as the proposed one is: where it is
//! no longer that of the log, their difference is still the proposal's.

use std::collections::BTreeMap;

use crate::evaluation::bootstrap::Bootstrap;
use crate::evaluation::bootstrap::Column;
use crate::evaluation::bootstrap::Estimate;
use crate::evaluation::off_policy::Estimator;
use crate::evaluation::off_policy::FittedModel;
use crate::evaluation::off_policy::Log;
use crate::evaluation::off_policy::LogBuilder;
use crate::evaluation::off_policy::NewRound;
use crate::evaluation::off_policy::Options;
use crate::evaluation::off_policy::PolicyEstimate;
use crate::evaluation::off_policy::Prior;
use crate::evaluation::off_policy::Report;
use crate::evaluation::off_policy::RewardModel;
use crate::evaluation::off_policy::Target;
use crate::evaluation::off_policy::Value;
use crate::evaluation::off_policy::Warning;
use crate::evaluation::off_policy::evaluate;
use crate::evaluation::rehearsal::RESAMPLES;
use crate::evaluation::rehearsal::SEED;
use crate::evaluation::rehearsal::figures::bounded;

/// The estimators that are told.
const TOLD: [Estimator; 2] = [Estimator::Snips, Estimator::ClippedIps];
/// A propensity that leaves no chance to others.
const CERTAIN: f64 = 1.0 - 1e-6;

/// Logged positions that were choices of the ranker.
#[derive(Debug, Default)]
pub struct Rounds {
    builder: LogBuilder,
    /// Numbers of items.
    actions: BTreeMap<u64, u32>,
    /// Probabilities of what was shown: by the configuration of now, and by the proposed one.
    targets: [Vec<f64>; 2],
}

/// A logged position.
#[derive(Debug, Clone, Copy)]
pub struct LoggedPosition {
    /// The key of its item.
    pub item: u64,
    pub position: u32,
    pub user: u32,
    pub reward: f64,
    pub propensity: f64,
    /// Its probability by the configuration of now, and by the proposed one.
    pub targets: [f64; 2],
}

/// What was earned, and what would have been. Values are rewards of a position.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardEstimate {
    pub positions: u64,
    pub users: u64,
    /// Share of the positions where nothing else could have been shown.
    pub certain: f64,
    pub logged: Value,
    /// By SNIPS.
    pub now: Value,
    pub proposed: Vec<PolicyEstimate>,
    /// Proposed less now, by SNIPS, paired by user.
    pub difference: Estimate,
    /// Of the proposal's weights.
    pub effective_sample_size: f64,
    /// What is wrong with the proposal's estimate, the worst first.
    pub warnings: Vec<Warning>,
}

impl RewardEstimate {
    /// Whether the log can answer.
    pub fn is_supported(&self) -> bool {
        let is_fatal = |warning: &Warning| {
            matches!(
                warning,
                Warning::SeemsUnsupported { .. } | Warning::FewEffective { .. } | Warning::NoReward
            )
        };
        self.difference.point.is_finite() && !self.warnings.iter().any(is_fatal)
    }
}

impl Rounds {
    /// Positions of one list come in its order. One that says something impossible, such as a
    /// propensity of 0, is left out.
    pub fn add(&mut self, logged: &LoggedPosition) {
        let next = self.actions.len() as u32;
        let action = *self.actions.entry(logged.item).or_insert(next);
        let round = NewRound {
            action,
            reward: logged.reward,
            propensity: logged.propensity,
            position: logged.position,
            unit: logged.user,
            ..NewRound::default()
        };
        if self.builder.push(&round).is_ok() {
            for (column, target) in self.targets.iter_mut().zip(logged.targets) {
                column.push(target);
            }
        }
    }

    /// `None` without any position.
    pub fn estimate(self) -> Option<RewardEstimate> {
        if self.builder.is_empty() {
            return None;
        }
        let log = self.builder.build();
        let model = FittedModel::fit(&log, RewardModel::Rates(Prior::Estimated), true)
            .expect("mean rewards of actions can always be fitted");
        let options = Options { resamples: RESAMPLES, seed: SEED, ..Options::default() };
        let report = |target| evaluate(&log, Target::OfShown(target), &model, &options);
        let [now, proposed] = self.targets.each_ref().map(|target| report(target));
        let snips = |report: &Report| report.find(Estimator::Snips).map(|it| it.value);
        let columns = self.targets.each_ref().map(|target| weighed(&log, target));
        let resampled = Bootstrap::new(&columns.each_ref(), RESAMPLES, SEED);
        let certain = log.rounds().iter().filter(|round| round.propensity > CERTAIN).count();
        let is_about_it = |warning: &Warning| {
            !matches!(warning, Warning::NotUniform | Warning::UnlikeLists { .. })
        };
        let told = TOLD.into_iter().filter_map(|estimator| proposed.find(estimator).copied());
        Some(RewardEstimate {
            positions: log.rounds().len() as u64,
            users: proposed.units as u64,
            certain: certain as f64 / log.rounds().len() as f64,
            logged: proposed.logged,
            now: snips(&now).expect("every log has this estimate"),
            proposed: told.collect(),
            difference: bounded(resampled.difference(1, 0), proposed.units),
            effective_sample_size: proposed.support.effective_sample_size,
            warnings: proposed.warnings.into_iter().filter(is_about_it).collect(),
        })
    }
}

/// By user: the weighed rewards and the weights.
fn weighed(log: &Log, targets: &[f64]) -> Column {
    let users = log.units();
    let mut column = Column { sums: vec![0.0; users], counts: vec![0.0; users] };
    for (round, target) in log.rounds().iter().zip(targets) {
        let (weight, user) = (target / round.propensity, round.unit as usize);
        column.sums[user] += weight * round.reward;
        column.counts[user] += weight;
    }
    column
}
