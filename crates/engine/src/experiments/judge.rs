//! From the sums of a metric to what may be said of a variant against the control.
//!
//! With several treatments each is compared at its part of the level (Bonferroni).

use statistics::Arm;
use statistics::Comparison;
use statistics::Counts;
use statistics::Effect;
use statistics::Estimate;
use statistics::Interval;
use statistics::Level;
use statistics::Missing;
use statistics::Pairs;
use statistics::adjustment;
use statistics::fixed;
use statistics::guardrail;
use statistics::guardrail::Guardrail;
use statistics::guardrail::Margin;
use statistics::interleaving;
use statistics::interleaving::Preference;
use statistics::interleaving::Votes;
use statistics::sequential;
use statistics::sequential::ConversionPlan;
use statistics::sequential::Plan;

use crate::domain::Experiment;
use crate::domain::Good;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::MetricTest;
use crate::domain::Role;
use crate::domain::Split;
use crate::experiments::sums::Sums;
use crate::numeric::WeightedDifference;
use crate::numeric::math;

/// The level of one comparison with the control.
pub fn level(experiment: &Experiment) -> Level {
    let treatments = experiment.variants.len().saturating_sub(1);
    let comparisons = match experiment.split {
        Split::Users | Split::TimeSlices { .. } | Split::Interleaved => treatments,
        // Differences of drawn lists have no p-values that could be corrected together.
        Split::Learnt { .. } => treatments * experiment.metrics.len(),
    };
    Level::new(experiment.plan.alpha_of(comparisons)).unwrap_or(Level::FIVE_PERCENT)
}

/// The evidence of each bound of a difference between drawn lists.
pub fn evidence_of_bounds(experiment: &Experiment) -> f64 {
    math::ln(2.0 / level(experiment).alpha())
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
        MetricKind::Rate | MetricKind::Preference => {
            (counts(control).estimate(), counts(treatment).estimate())
        }
        MetricKind::Mean => adjustment::cuped(control, treatment),
        MetricKind::Ratio(_) => (control.ratio(), treatment.ratio()),
    }
}

/// The test that decides.
pub fn compare(
    experiment: &Experiment,
    metric: &Metric,
    sums: &Sums,
    variant: usize,
) -> Comparison {
    let (control, treatment) = (&sums.arms[0], &sums.arms[variant]);
    if let Split::Learnt { .. } = experiment.split {
        return of_drawn(&sums.differences[variant - 1], evidence_of_bounds(experiment));
    }
    if metric.kind == MetricKind::Preference && metric.test != MetricTest::FixedHorizon {
        let (level, planned) = (level(experiment), experiment.plan.units);
        let votes = votes(control, treatment);
        let ln_e_value = interleaving::ln_e_value(&votes, level, planned);
        let preference = interleaving::sequential(&votes, level, planned);
        return of_votes(&votes, &preference, Some(ln_e_value));
    }
    let (a, b) = estimates(metric, control, treatment);
    match metric.test {
        MetricTest::Sequential => sequential::means(&a, &b, &plan(experiment)),
        MetricTest::FixedHorizon => at_one_look(experiment, metric, sums, variant),
        MetricTest::Conversions => {
            let share = experiment.share_against_control(variant);
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
    sums: &Sums,
    variant: usize,
) -> Comparison {
    let (control, treatment) = (&sums.arms[0], &sums.arms[variant]);
    let level = level(experiment);
    if let Split::Learnt { .. } = experiment.split {
        // A plain test at any time would be biased by chances that follow the rewards.
        return compare(experiment, metric, sums, variant);
    }
    match metric.kind {
        MetricKind::Preference => {
            let votes = votes(control, treatment);
            of_votes(&votes, &interleaving::fixed(&votes, level), None)
        }
        MetricKind::Rate => fixed::rates(&counts(control), &counts(treatment), level),
        MetricKind::Mean | MetricKind::Ratio(_) => {
            let (a, b) = estimates(metric, control, treatment);
            fixed::means(&a, &b, level)
        }
    }
}

/// Of units that each saw both: A is the treatment.
fn votes(control: &Pairs, treatment: &Pairs) -> Votes {
    let (a, b) = (treatment.metric.nonzero, control.metric.nonzero);
    Votes { a, b, ties: treatment.metric.units.saturating_sub(a + b) }
}

/// The share of those with a preference that prefer the treatment, less that of the others.
fn of_votes(votes: &Votes, preference: &Preference, ln_e_value: Option<f64>) -> Comparison {
    let Some(share) = preference.share_of_a else {
        let lacks = |arm| match votes.ties {
            0 => Missing::Units { arm, has: 0, needs: 1 },
            _ => Missing::Conversions { arm, has: 0, needs: 1 },
        };
        return lacking([Arm::Control, Arm::Treatment].map(lacks));
    };
    let difference = |share: f64| 2.0 * share - 1.0;
    let interval = Interval {
        low: difference(preference.interval.low),
        high: difference(preference.interval.high),
    };
    Comparison {
        difference: Some(Effect { value: difference(share), interval }),
        p_value: Some(preference.p_value),
        ln_e_value,
        ..lacking([])
    }
}

/// The difference of the rates of drawn lists.
fn of_drawn(difference: &WeightedDifference, evidence: f64) -> Comparison {
    let (low, high) = difference.bounds(evidence);
    if !(low.is_finite() && high.is_finite()) {
        let lacks = |arm| Missing::Units { arm, has: 0, needs: 1 };
        return lacking([Arm::Control, Arm::Treatment].map(lacks));
    }
    // Rates are between 0 and 1.
    let interval = Interval { low: low.max(-1.0), high: high.min(1.0) };
    let value = difference.value();
    Comparison {
        difference: Some(Effect { value, interval: interval.extended_to(value) }),
        ..lacking([])
    }
}

/// Nothing but what is missing.
fn lacking<const N: usize>(missing: [Missing; N]) -> Comparison {
    Comparison {
        difference: None,
        lift: None,
        lift_by_fieller: None,
        p_value: None,
        ln_e_value: None,
        missing: missing.to_vec(),
    }
}

/// What a guardrail says of a variant; none of a metric that is no guardrail.
pub fn guardrail(
    experiment: &Experiment,
    metric: &Metric,
    sums: &Sums,
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
    let (a, b) = estimates(metric, &sums.arms[0], &sums.arms[variant]);
    Some(match metric.test {
        MetricTest::FixedHorizon => guardrail::fixed(&a, &b, &margin, level(experiment)),
        MetricTest::Conversions | MetricTest::Sequential => {
            guardrail::sequential(&a, &b, &margin, &plan(experiment))
        }
    })
}

/// The first variant that harms a guardrail for sure. A test for one look stops nothing.
pub fn harmed_variant(experiment: &Experiment, metric: usize, sums: &Sums) -> Option<usize> {
    let metric = &experiment.metrics[metric];
    if metric.test == MetricTest::FixedHorizon {
        return None;
    }
    (1..experiment.variants.len()).find(|&variant| {
        let found = guardrail(experiment, metric, sums, variant);
        found.is_some_and(|found| found.state == guardrail::State::Harmed)
    })
}
