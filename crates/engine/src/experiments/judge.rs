//! From the sums of a metric to what may be said of a variant against the control.
//!
//! With several treatments each is compared at its part of the level (Bonferroni).

use statistics::Comparison;
use statistics::Counts;
use statistics::Estimate;
use statistics::Level;
use statistics::Pairs;
use statistics::adjustment;
use statistics::fixed;
use statistics::guardrail;
use statistics::guardrail::Guardrail;
use statistics::guardrail::Margin;
use statistics::sequential;
use statistics::sequential::ConversionPlan;
use statistics::sequential::Plan;

use crate::domain::Experiment;
use crate::domain::Good;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::MetricTest;
use crate::domain::Role;

/// The level of one comparison with the control.
pub fn level(experiment: &Experiment) -> Level {
    let treatments = experiment.variants.len().saturating_sub(1);
    Level::new(experiment.plan.alpha_of(treatments)).unwrap_or(Level::FIVE_PERCENT)
}

/// The sequential test, tuned for the planned units.
fn plan(experiment: &Experiment) -> Plan {
    let level = level(experiment);
    let tuned = Plan::new(level, experiment.plan.units);
    tuned.unwrap_or_else(|_zero| {
        Plan::new(level, sequential::UNITS_UNPLANNED).expect("a number above 0")
    })
}

pub fn counts(arm: &Pairs) -> Counts {
    Counts { units: arm.metric.units, conversions: arm.metric.nonzero }
}

/// The control and a treatment; means are adjusted by what users did before.
pub fn estimates(metric: &Metric, control: &Pairs, treatment: &Pairs) -> (Estimate, Estimate) {
    match metric.kind {
        MetricKind::Rate => (counts(control).estimate(), counts(treatment).estimate()),
        MetricKind::Mean => adjustment::cuped(control, treatment),
        MetricKind::Ratio(_) => (control.ratio(), treatment.ratio()),
    }
}

/// The test that decides.
pub fn compare(
    experiment: &Experiment,
    metric: &Metric,
    arms: &[Pairs],
    variant: usize,
) -> Comparison {
    let (control, treatment) = (&arms[0], &arms[variant]);
    let (a, b) = estimates(metric, control, treatment);
    match metric.test {
        MetricTest::Sequential => sequential::means(&a, &b, &plan(experiment)),
        MetricTest::FixedHorizon => at_one_look(experiment, metric, arms, variant),
        MetricTest::Conversions => {
            let weight = |variant: usize| experiment.variants[variant].weight;
            let share = weight(variant) / (weight(0) + weight(variant));
            let expected = metric.expected_rate * experiment.plan.units as f64;
            match ConversionPlan::new(level(experiment), share, expected.max(1.0) as u64) {
                Ok(plan) => sequential::conversions(&counts(control), &counts(treatment), &plan),
                Err(_no_share) => sequential::means(&a, &b, &plan(experiment)),
            }
        }
    }
}

/// One look at a time that was planned.
pub fn at_one_look(
    experiment: &Experiment,
    metric: &Metric,
    arms: &[Pairs],
    variant: usize,
) -> Comparison {
    let (control, treatment) = (&arms[0], &arms[variant]);
    let level = level(experiment);
    if metric.kind == MetricKind::Rate {
        return fixed::rates(&counts(control), &counts(treatment), level);
    }
    let (a, b) = estimates(metric, control, treatment);
    fixed::means(&a, &b, level)
}

/// What a guardrail says of a variant; none of a metric that is no guardrail.
pub fn guardrail(
    experiment: &Experiment,
    metric: &Metric,
    arms: &[Pairs],
    variant: usize,
) -> Option<Guardrail> {
    let Role::Guardrail { margin, .. } = metric.role else {
        return None;
    };
    let good = match metric.good {
        Good::Higher => guardrail::Good::Higher,
        Good::Lower => guardrail::Good::Lower,
    };
    let margin = Margin::new(good, margin).ok()?;
    let (a, b) = estimates(metric, &arms[0], &arms[variant]);
    Some(match metric.test {
        MetricTest::FixedHorizon => guardrail::fixed(&a, &b, &margin, level(experiment)),
        MetricTest::Conversions | MetricTest::Sequential => {
            guardrail::sequential(&a, &b, &margin, &plan(experiment))
        }
    })
}

/// The first variant that harms a guardrail for sure. A test for one look stops nothing.
pub fn harmed_variant(experiment: &Experiment, metric: usize, arms: &[Pairs]) -> Option<usize> {
    let metric = &experiment.metrics[metric];
    if metric.test == MetricTest::FixedHorizon {
        return None;
    }
    (1..experiment.variants.len()).find(|&variant| {
        let found = guardrail(experiment, metric, arms, variant);
        found.is_some_and(|found| found.state == guardrail::State::Harmed)
    })
}
