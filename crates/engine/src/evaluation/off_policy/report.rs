//! All estimators of one target policy on one log, with intervals and warnings.

use rayon::prelude::*;
use serde::Serialize;

use crate::evaluation::bootstrap;
use crate::evaluation::bootstrap::Bootstrap;
use crate::evaluation::bootstrap::Column;
use crate::evaluation::bootstrap::Estimate;
use crate::evaluation::off_policy::confidence_sequence::ConfidenceSequence;
use crate::evaluation::off_policy::estimators::Bounds;
use crate::evaluation::off_policy::estimators::Estimator;
use crate::evaluation::off_policy::estimators::Evidence;
use crate::evaluation::off_policy::estimators::Sums;
use crate::evaluation::off_policy::log::Log;
use crate::evaluation::off_policy::policy::Target;
use crate::evaluation::off_policy::reward_model::FittedModel;
use crate::evaluation::off_policy::support::Support;
use crate::evaluation::off_policy::support::Warning;
use crate::evaluation::off_policy::terms::Terms;

/// Half the width of a normal interval of [`bootstrap::CONFIDENCE`], in standard errors.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;
/// Above so many units the bootstrap resamples groups of them, dealt in turn: the width of
/// an interval is then known to 1 part in 100 (one over the root of twice as many).
const RESAMPLED_MAX: usize = 5_000;

/// How to evaluate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    pub bounds: Bounds,
    /// Greatest propensity that counts as no chance; 0 is exactly none.
    pub floor: f64,
    pub resamples: usize,
    pub seed: u64,
    /// Smallest and greatest reward there can be, known before the log was seen: the
    /// confidence sequence needs it.
    pub reward_range: Option<(f64, f64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bounds: Bounds::default(),
            floor: 0.0,
            resamples: bootstrap::RESAMPLES,
            seed: 1,
            reward_range: None,
        }
    }
}

/// Bounds of a value. NaN where they are not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl From<Estimate> for Interval {
    fn from(Estimate { low, high, .. }: Estimate) -> Self {
        Self { low, high }
    }
}

/// A mean reward per round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Value {
    /// NaN where no round weighs anything.
    pub value: f64,
    pub standard_error: f64,
    /// Asymptotic normal, 95 %.
    pub normal: Interval,
    /// Percentile bootstrap over units, 95 %.
    pub bootstrap: Interval,
}

/// One estimator's answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PolicyEstimate {
    pub estimator: Estimator,
    #[serde(flatten)]
    pub value: Value,
    /// The value less what the logging policy earned.
    pub lift: f64,
    /// Of the lift, paired.
    pub lift_bootstrap: Interval,
    /// Of the weights as this estimator uses them; `None`: it has none.
    pub effective_sample_size: Option<f64>,
    pub largest_weight: Option<f64>,
}

/// What is known of a target policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub rounds: usize,
    pub units: usize,
    /// What the logging policy earned.
    pub logged: Value,
    pub estimates: Vec<PolicyEstimate>,
    /// Bounds of the value that hold at every moment of the log together.
    pub anytime: Option<Interval>,
    pub support: Support,
    pub warnings: Vec<Warning>,
}

impl Report {
    /// The answer of one estimator, where the log allows it.
    pub fn find(&self, estimator: Estimator) -> Option<&PolicyEstimate> {
        self.estimates.iter().find(|estimate| estimate.estimator == estimator)
    }
}

/// Evaluates `target` by every estimator that the log allows.
///
/// Panics without rounds.
pub fn evaluate(log: &Log, target: Target<'_>, model: &FittedModel, options: &Options) -> Report {
    assert!(!log.rounds().is_empty(), "there is something to evaluate on");
    let terms = Terms::of(log, target, model, options.floor);
    let evidence = Evidence { log, terms: &terms, bounds: options.bounds, seed: options.seed };
    let rewards = evidence.by_unit(|at| (log.rounds()[at].reward, 1.0));
    let units = rewards.counts.iter().filter(|count| **count > 0.0).count();
    let logged = Estimated::of(&Sums { parts: vec![rewards], ..Sums::default() });
    let estimated: Vec<(Estimator, Estimated)> = Estimator::ALL
        .into_par_iter()
        .filter_map(|estimator| {
            let sums = Sums::of(&evidence, estimator)?;
            Some((estimator, Estimated::of(&sums)))
        })
        .collect();
    let columns: Vec<&Column> = std::iter::once(&logged)
        .chain(estimated.iter().map(|(_, one)| one))
        .flat_map(|one| &one.grouped)
        .collect();
    let resampled = Bootstrap::new(&columns, options.resamples, options.seed);
    let mut estimates = Vec::with_capacity(estimated.len());
    let mut position = 1;
    for (estimator, one) in &estimated {
        let mut parts: Vec<(usize, f64)> = one.positions(position).collect();
        position += parts.len();
        let value = one.value(&resampled, &parts);
        parts.push((0, -1.0));
        let lift = resampled.combination(&parts);
        estimates.push(PolicyEstimate {
            estimator: *estimator,
            value,
            lift: value.value - logged.value,
            lift_bootstrap: lift.into(),
            effective_sample_size: one.effective_sample_size,
            largest_weight: one.largest_weight,
        });
    }
    let support = Support::of(&evidence, options.floor);
    Report {
        rounds: log.rounds().len(),
        units,
        logged: logged.value(&resampled, &[(0, 1.0)]),
        estimates,
        anytime: options.reward_range.map(|range| anytime(&evidence, range)),
        warnings: support.warnings(),
        support,
    }
}

/// An estimate before its resamples.
struct Estimated {
    value: f64,
    standard_error: f64,
    effective_sample_size: Option<f64>,
    largest_weight: Option<f64>,
    /// The parts, by unit or group of units.
    grouped: Vec<Column>,
}

impl Estimated {
    fn of(sums: &Sums) -> Self {
        Self {
            value: sums.value(),
            standard_error: sums.standard_error(),
            effective_sample_size: sums.effective_sample_size,
            largest_weight: sums.largest_weight,
            grouped: sums.parts.iter().map(grouped).collect(),
        }
    }

    /// Its columns from `first` on, each counting once.
    fn positions(&self, first: usize) -> impl Iterator<Item = (usize, f64)> {
        (first..first + self.grouped.len()).map(|position| (position, 1.0))
    }

    fn value(&self, resampled: &Bootstrap, parts: &[(usize, f64)]) -> Value {
        let Self { value, standard_error, .. } = *self;
        let half = NORMAL_QUANTILE * standard_error;
        Value {
            value,
            standard_error,
            normal: Interval { low: value - half, high: value + half },
            bootstrap: resampled.combination(parts).into(),
        }
    }
}

/// Sums of the units, dealt into at most [`RESAMPLED_MAX`] groups.
fn grouped(column: &Column) -> Column {
    let groups = column.sums.len().min(RESAMPLED_MAX);
    let deal = |values: &[f64]| {
        let mut sums = vec![0.0; groups];
        for chunk in values.chunks(groups.max(1)) {
            sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
        }
        sums
    };
    Column { sums: deal(&column.sums), counts: deal(&column.counts) }
}

/// The confidence sequence at the end of the log; rewards outside the range count as its
/// bounds. Weights are clipped at the root of the number of rounds (Ionides 2008), where
/// what is lost and what varies are of one size.
fn anytime(evidence: &Evidence<'_>, (least, most): (f64, f64)) -> Interval {
    let rounds = evidence.log.rounds();
    let clip = (rounds.len() as f64).sqrt();
    let mut sequence =
        ConfidenceSequence::new(1.0 - bootstrap::CONFIDENCE, clip).tightest_after(rounds.len());
    for (round, weight) in rounds.iter().zip(&evidence.terms.weight) {
        sequence.observe(*weight, ((round.reward - least) / (most - least)).clamp(0.0, 1.0));
    }
    let (low, high) = sequence.interval();
    Interval { low: least + low * (most - least), high: least + high * (most - least) }
}
