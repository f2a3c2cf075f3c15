//! The figures of each metric: variants, their comparison with the control, guardrails, what is
//! called.

use statistics::Comparison;
use statistics::Level;
use statistics::guardrail::Guardrail;
use statistics::multiplicity;
use statistics::power;
use statistics::power::Design;
use statistics::power::Detectable;
use statistics::power::Looks;

use crate::domain::Cap;
use crate::domain::Experiment;
use crate::domain::Metric;
use crate::domain::MetricTest;
use crate::domain::Role;
use crate::domain::Split;
use crate::experiments::entry::Entry;
use crate::experiments::judge;
use crate::experiments::tally::CAP_UNITS;
use crate::experiments::tally::Tally;

/// The power for which the detectable effect is told.
const POWER: f64 = 0.8;

#[derive(Debug, Clone, PartialEq)]
pub struct MetricResult {
    /// By variant.
    pub arms: Vec<ArmResult>,
    /// Of each variant but the control.
    pub treatments: Vec<TreatmentResult>,
    /// The cap in force.
    pub cap: Option<f64>,
    /// Units with a value other than 0, and how many of them a cap is learnt from, while it is.
    pub learning_cap: Option<(u32, u32)>,
    /// Of a metric that was added later: the share of what it lacks that is computed from the log.
    /// Before all of it is, no unit counts. None: it lacks nothing.
    pub backfilled: Option<f64>,
}

/// Of the units whose window is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmResult {
    pub units: u64,
    /// With a value other than 0; conversions of a rate.
    pub nonzero: u64,
    /// Mean per unit, rate or ratio; 0 of no units.
    pub mean: f64,
    pub standard_error: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TreatmentResult {
    pub variant: usize,
    /// By the test that decides.
    pub comparison: Comparison,
    /// By one look at a planned time.
    pub at_one_look: Comparison,
    pub guardrail: Option<Guardrail>,
    /// Whether the difference is called, with all metrics of its role together.
    pub is_called: bool,
    /// What could still be detected at the planned number of units.
    pub detectable: Option<Detectable>,
}

/// Of all metrics of an experiment, in their order.
pub fn figures(entry: &Entry) -> Vec<MetricResult> {
    let experiment = &*entry.experiment;
    let tallies = experiment.metrics.iter().zip(entry.tallies()).enumerate();
    let results = tallies.map(|(number, (metric, tally))| MetricResult {
        backfilled: entry.backfilled(number),
        ..metric_result(experiment, metric, tally)
    });
    let mut metrics: Vec<MetricResult> = results.collect();
    call(experiment, &mut metrics);
    metrics
}

fn metric_result(experiment: &Experiment, metric: &Metric, tally: &Tally) -> MetricResult {
    let sums = &tally.sums;
    let arms = sums.arms.iter().map(|arm| {
        let (_, estimate) = judge::estimates(metric, &sums.arms[0], arm);
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        ArmResult {
            units: estimate.units,
            nonzero: estimate.nonzero,
            mean: finite(estimate.mean),
            standard_error: finite(estimate.variance.sqrt()),
        }
    });
    let treatments = (1..sums.arms.len()).map(|variant| TreatmentResult {
        variant,
        comparison: judge::compare(experiment, metric, sums, variant),
        at_one_look: judge::at_one_look(experiment, metric, sums, variant),
        guardrail: judge::guardrail(experiment, metric, sums, variant),
        is_called: false,
        detectable: detectable(experiment, metric, tally, variant),
    });
    let is_learning = metric.cap == Cap::Learnt && tally.cap().is_none();
    MetricResult {
        arms: arms.collect(),
        treatments: treatments.collect(),
        cap: tally.cap().filter(|cap| cap.is_finite()),
        learning_cap: is_learning.then_some((tally.nonzero(), CAP_UNITS)),
        backfilled: None,
    }
}

fn detectable(
    experiment: &Experiment,
    metric: &Metric,
    tally: &Tally,
    variant: usize,
) -> Option<Detectable> {
    if experiment.split.divides_lists() {
        return None;
    }
    let planned = experiment.plan.units as f64;
    let looks = match metric.test {
        MetricTest::FixedHorizon => Looks::Once,
        MetricTest::Conversions | MetricTest::Sequential => Looks::AnyTime { tuned_for: planned },
    };
    let share = experiment.share_against_control(variant);
    let of_both = [0, variant].map(|of: usize| experiment.variants[of].weight).iter().sum::<f64>();
    let design = Design::new(looks, judge::level(experiment), POWER, share).ok()?;
    let (a, b) = judge::estimates(metric, &tally.sums.arms[0], &tally.sums.arms[variant]);
    power::still_detectable(&a, &b, &design, planned * of_both).ok()
}

/// Which differences are called: of the primary metric and of guardrails by their own tests, of
/// secondary metrics together, so that few of those called are chance.
fn call(experiment: &Experiment, metrics: &mut [MetricResult]) {
    let is_secondary: Vec<bool> =
        experiment.metrics.iter().map(|metric| metric.role == Role::Secondary).collect();
    let level = Level::new(experiment.plan.alpha).unwrap_or(Level::FIVE_PERCENT);
    // Their level is divided between all.
    let is_drawn = matches!(experiment.split, Split::Learnt { .. });
    let mut secondary: Vec<&mut TreatmentResult> = Vec::new();
    for (result, is_secondary) in metrics.iter_mut().zip(is_secondary) {
        for treatment in &mut result.treatments {
            use statistics::Verdict::{Higher, Lower};
            treatment.is_called = matches!(treatment.comparison.verdict(), Higher | Lower);
            if is_secondary && !is_drawn {
                secondary.push(treatment);
            }
        }
    }
    let fixed = |it: &&mut TreatmentResult| it.comparison.ln_e_value.is_none();
    let (once, often): (Vec<_>, Vec<_>) = secondary.into_iter().partition(fixed);
    let e_values: Vec<f64> =
        often.iter().map(|it| it.comparison.ln_e_value.unwrap_or(0.0)).collect();
    let called = multiplicity::e_benjamini_hochberg(&e_values, level);
    often.into_iter().zip(called).for_each(|(it, called)| it.is_called = called);
    let p_values: Vec<f64> = once.iter().map(|it| it.comparison.p_value.unwrap_or(1.0)).collect();
    let adjusted = multiplicity::benjamini_hochberg(&p_values);
    let alpha = level.alpha();
    once.into_iter().zip(adjusted).for_each(|(it, p_value)| it.is_called = p_value <= alpha);
}

/// Users of two variants that it takes to see a relative change of a rate at any time; `share` of
/// them are in the treatment.
///
/// # Errors
/// What is out of range, or that no experiment is large enough.
pub fn users_for_lift(
    rate: f64,
    lift: f64,
    alpha: f64,
    power: f64,
    share: f64,
) -> Result<f64, String> {
    let users = Level::new(alpha)
        .and_then(|level| Design::new(Looks::AnyTimeTunedForTheEnd, level, power, share))
        .and_then(|design| design.units_for_rate(rate, lift));
    let users = users.map_err(|error| error.to_string())?;
    users.ok_or_else(|| "is too small to be seen by any number of users".to_owned())
}
