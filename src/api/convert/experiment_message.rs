//! Experiments and their results as messages.

use super::durations::seconds_message;
use super::experiment_metric::metric_message;
use super::experiment_metric::role_message;
use super::overrides::overrides;
use super::scalars::timestamp_message;
use crate::proto;
use engine::Advice;
use engine::ArmResult;
use engine::ExperimentEntry;
use engine::ExperimentResults;
use engine::MetricResult;
use engine::RatioFinding;
use engine::StopCause;
use engine::TreatmentResult;
use engine::View;
use engine::domain::BUCKETS;
use engine::domain::Experiment;
use engine::domain::ExperimentState;
use engine::domain::Metric;
use engine::domain::Split;
use statistics::guardrail;

/// What is said in a message of an experiment, without what the server knows in addition.
pub fn experiment_fields(experiment: &Experiment) -> proto::Experiment {
    let variants = experiment.variants.iter().map(|variant| proto::ExperimentVariant {
        name: variant.name.to_string(),
        weight: variant.weight,
        overrides: (!variant.overrides.is_empty()).then(|| overrides(variant)),
    });
    let name = |variant: u8| experiment.variants[usize::from(variant)].name.to_string();
    let testers = experiment.testers.iter().map(|tester| proto::ExperimentTester {
        user_id: tester.user_id.to_string(),
        variant: name(tester.variant),
    });
    let buckets = experiment.buckets.iter();
    proto::Experiment {
        key: experiment.key.to_string(),
        state: state_message(experiment.state).into(),
        hypothesis: experiment.hypothesis.to_string(),
        layer: experiment.layer.to_string(),
        salt: experiment.salt.to_string(),
        allocation: f64::from(experiment.allocation) / f64::from(BUCKETS),
        variants: variants.collect(),
        eligibility: experiment.eligibility.to_string(),
        metrics: experiment.metrics.iter().map(metric_message).collect(),
        plan: Some(proto::ExperimentPlan {
            alpha: experiment.plan.alpha,
            users: experiment.plan.units,
            ..proto::ExperimentPlan::default()
        }),
        starts_at: experiment.starts_at.map(timestamp_message),
        ends_at: experiment.ends_at.map(timestamp_message),
        testers: testers.collect(),
        holdback: experiment.holdback,
        split: split_message(experiment.split),
        late_events: Some(seconds_message(experiment.late_events_seconds)),
        buckets: buckets.map(|&(first, end)| proto::BucketRange { first, end }).collect(),
        shipped_variant: experiment.shipped.map_or_else(String::new, name),
        ..proto::Experiment::default()
    }
}

fn split_message(split: Split) -> Option<proto::experiment::Split> {
    use proto::experiment::Split as Message;
    Some(match split {
        Split::Users => return None,
        Split::TimeSlices { slice_seconds, washout_seconds } => {
            Message::TimeSlices(proto::TimeSlices {
                slice: Some(seconds_message(slice_seconds)),
                washout: Some(seconds_message(washout_seconds)),
            })
        }
        Split::Interleaved => Message::Interleaving(proto::Interleaving {}),
        Split::Learnt { floor } => Message::LearningAllocation(proto::LearningAllocation { floor }),
    })
}

/// An experiment as it stands; with its history or without.
pub fn experiment_message(
    entry: &ExperimentEntry,
    etag: String,
    with_history: bool,
) -> proto::Experiment {
    let history = entry.history.iter().filter(|_| with_history);
    let history = history.map(|line| proto::ExperimentChange {
        sequence: line.sequence,
        at: Some(timestamp_message(line.at)),
        by: line.by.to_string(),
        what: line.what.to_string(),
    });
    proto::Experiment {
        etag,
        created_at: Some(timestamp_message(entry.created_at)),
        started_at: entry.started_at.map(timestamp_message),
        stopped_at: entry.stopped_at.map(timestamp_message),
        stop_reason: entry.stop_cause.as_ref().map_or_else(String::new, StopCause::to_string),
        history: history.collect(),
        ..experiment_fields(&entry.experiment)
    }
}

pub fn state_message(state: ExperimentState) -> proto::ExperimentState {
    match state {
        ExperimentState::Draft => proto::ExperimentState::Draft,
        ExperimentState::Running => proto::ExperimentState::Running,
        ExperimentState::Paused => proto::ExperimentState::Paused,
        ExperimentState::Stopped => proto::ExperimentState::Stopped,
        ExperimentState::Archived => proto::ExperimentState::Archived,
    }
}

/// What an experiment has come to, at the watermark of the view.
pub fn results_message(
    view: &View,
    entry: &ExperimentEntry,
    with_series: bool,
) -> proto::ExperimentResults {
    let experiment = &*entry.experiment;
    let results = entry.results();
    let name = |variant: usize| experiment.variants[variant].name.to_string();
    let exposures = results.exposed.iter().enumerate();
    let metrics = experiment.metrics.iter().zip(&results.metrics);
    proto::ExperimentResults {
        key: experiment.key.to_string(),
        state: state_message(experiment.state).into(),
        exposures: exposures
            .map(|(variant, &exposed)| proto::VariantExposures {
                variant: name(variant),
                exposed,
                chance: results.chances.get(variant).copied(),
                distinct_items: results.covered[variant],
            })
            .collect(),
        sample_ratios: results.sample_ratio.iter().map(|it| ratio_message(view, it)).collect(),
        metrics: metrics.map(|(metric, it)| metric_result(experiment, metric, it)).collect(),
        verdict: Some(verdict_message(experiment, &results)),
        series: if with_series { series(experiment, &results) } else { Vec::new() },
        refused: entry.refused,
        cut_short: entry.cut_short,
        watermark: view.watermark(),
    }
}

fn ratio_message(view: &View, found: &RatioFinding) -> proto::SampleRatio {
    let segment = found.segment.and_then(|segment| {
        let (_, device, is_known) = view.segments().find(|(number, ..)| *number == segment)?;
        let users = if is_known { "known users" } else { "new users" };
        Some(format!("{}, {users}", device.unwrap_or("any other device")))
    });
    proto::SampleRatio {
        segment: segment.unwrap_or_default(),
        alarm: found.finding.alarm,
        p_value: found.finding.p_value,
        deviations: found.finding.deviations.clone(),
    }
}

fn metric_result(
    experiment: &Experiment,
    metric: &Metric,
    result: &MetricResult,
) -> proto::MetricResult {
    let name = |variant: usize| experiment.variants[variant].name.to_string();
    let figures = |(variant, arm): (usize, &ArmResult)| proto::VariantFigures {
        variant: name(variant),
        users: arm.units,
        nonzero: arm.nonzero,
        mean: arm.mean,
        standard_error: arm.standard_error,
    };
    let lacks = result.lacks(experiment.state);
    let comparison = |treatment: &TreatmentResult| proto::MetricComparison {
        variant: name(treatment.variant),
        comparison: Some(comparison_message(&treatment.comparison, lacks.as_ref())),
        at_one_look: Some(comparison_message(&treatment.at_one_look, lacks.as_ref())),
        called: treatment.is_called,
        guardrail: treatment.guardrail.as_ref().map(|guard| proto::GuardrailResult {
            state: guardrail_state(guard.state).into(),
            lift: guard.lift.zip(guard.bounds).map(|(value, (low, high))| proto::EffectEstimate {
                value,
                low,
                high,
            }),
        }),
        detectable_lift: treatment.detectable.and_then(|detectable| detectable.lift),
    };
    proto::MetricResult {
        name: metric.name.to_string(),
        role: role_message(metric.role).into(),
        variants: result.arms.iter().enumerate().map(figures).collect(),
        comparisons: result.treatments.iter().map(comparison).collect(),
        cap: result.cap,
        cap_learnt_from: result.learning_cap.map(|(found, _)| found),
        backfilled: result.backfilled,
    }
}

fn guardrail_state(state: guardrail::State) -> proto::GuardrailState {
    match state {
        guardrail::State::NotEnoughYet => proto::GuardrailState::NotEnoughYet,
        guardrail::State::Open => proto::GuardrailState::Open,
        guardrail::State::Safe => proto::GuardrailState::Safe,
        guardrail::State::Harmed => proto::GuardrailState::Harmed,
    }
}

/// `lacks`: what the metric lacks before any user counts.
fn comparison_message(
    comparison: &statistics::Comparison,
    lacks: Option<&String>,
) -> proto::Comparison {
    let verdict = match comparison.verdict() {
        statistics::Verdict::NotEnoughYet => proto::ComparisonVerdict::NotEnoughYet,
        statistics::Verdict::NoDifferenceShown => proto::ComparisonVerdict::NoDifferenceShown,
        statistics::Verdict::Higher => proto::ComparisonVerdict::Higher,
        statistics::Verdict::Lower => proto::ComparisonVerdict::Lower,
    };
    proto::Comparison {
        difference: comparison.difference.as_ref().map(effect_message),
        lift: comparison.lift.as_ref().map(effect_message),
        p_value: comparison.p_value,
        verdict: verdict.into(),
        missing: match lacks {
            Some(lacks) => vec![lacks.clone()],
            None => comparison.missing.iter().map(statistics::words::missing).collect(),
        },
    }
}

fn effect_message(effect: &statistics::Effect) -> proto::EffectEstimate {
    let statistics::Effect { value, interval } = *effect;
    proto::EffectEstimate { value, low: interval.low, high: interval.high }
}

fn verdict_message(
    experiment: &Experiment,
    results: &ExperimentResults,
) -> proto::ExperimentVerdict {
    let (advice, variant) = match results.verdict.advice {
        Advice::Start => (proto::ExperimentAdvice::Start, None),
        Advice::CheckData => (proto::ExperimentAdvice::CheckData, None),
        Advice::GoOn => (proto::ExperimentAdvice::GoOn, None),
        Advice::Ship(variant) => (proto::ExperimentAdvice::Ship, Some(variant)),
        Advice::KeepControl => (proto::ExperimentAdvice::KeepControl, None),
    };
    let name = |variant: usize| experiment.variants[variant].name.to_string();
    proto::ExperimentVerdict {
        advice: advice.into(),
        variant: variant.map_or_else(String::new, name),
        text: results.verdict.text.clone(),
    }
}

fn series(experiment: &Experiment, results: &ExperimentResults) -> Vec<proto::SeriesPoint> {
    let treatments = || experiment.variants.iter().skip(1);
    let points = results.series.iter().map(|point| proto::SeriesPoint {
        at: Some(timestamp_message(point.at)),
        users: point.units,
        effects: treatments()
            .zip(&point.effects)
            .map(|(variant, effect)| proto::SeriesEffect {
                variant: variant.name.to_string(),
                effect: effect.as_ref().map(effect_message),
            })
            .collect(),
    });
    points.collect()
}
