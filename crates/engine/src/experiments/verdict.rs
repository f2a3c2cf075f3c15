//! What an experiment says, in plain words: what was seen, how sure that is, what to do, what is
//! still missing. The same text wherever it is read.

use statistics::Comparison;
use statistics::guardrail::State;
use statistics::words;

use crate::domain::Experiment;
use crate::domain::ExperimentState;
use crate::domain::Good;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::MetricTest;
use crate::domain::Role;
use crate::domain::Split;
use crate::experiments::entry::Entry;
use crate::experiments::entry::StopCause;
use crate::experiments::figures::MetricResult;
use crate::experiments::figures::TreatmentResult;
use crate::experiments::sample_ratio::RatioFinding;
use crate::experiments::sums;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// It has not begun.
    Start,
    /// Nothing can be believed before the counts are explained.
    CheckData,
    /// Not enough is known.
    GoOn,
    /// This variant is better, and no guardrail speaks against it.
    Ship(usize),
    /// No variant is better than the control.
    KeepControl,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub advice: Advice,
    pub text: String,
}

/// Which way a comparison points, where better is positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Better,
    Worse,
    Open,
    TooEarly,
}

fn side(comparison: &Comparison, good: Good) -> Side {
    match (comparison.verdict(), good) {
        (statistics::Verdict::Higher, Good::Higher) | (statistics::Verdict::Lower, Good::Lower) => {
            Side::Better
        }
        (statistics::Verdict::Higher | statistics::Verdict::Lower, _) => Side::Worse,
        (statistics::Verdict::NoDifferenceShown, _) => Side::Open,
        (statistics::Verdict::NotEnoughYet, _) => Side::TooEarly,
    }
}

/// What the results of an entry say.
pub fn verdict(entry: &Entry, metrics: &[MetricResult], ratios: &[RatioFinding]) -> Verdict {
    let experiment = &*entry.experiment;
    let primary =
        experiment.primary().and_then(|at| Some((&experiment.metrics[at], metrics.get(at)?)));
    let Some((metric, result)) = primary else {
        let text = "It has not started: nothing is measured yet.".to_owned();
        return Verdict { advice: Advice::Start, text };
    };
    let mut sentences = Vec::new();
    sentences.extend(stop_sentence(entry));
    if let Some(warning) = ratio_warning(experiment, ratios) {
        sentences.push(warning);
        return Verdict { advice: Advice::CheckData, text: sentences.join(" ") };
    }
    if let Some((found, needed)) = result.learning_cap {
        sentences.push(format!(
            "The cap of {} is being learnt: {found} of {needed} users with a value other than 0 are \
             complete.",
            metric.name
        ));
        return Verdict { advice: Advice::GoOn, text: sentences.join(" ") };
    }
    if result.arms.iter().all(|arm| arm.units == 0) {
        sentences.push(nothing_complete(entry));
        return Verdict { advice: Advice::GoOn, text: sentences.join(" ") };
    }
    for treatment in &result.treatments {
        sentences.push(seen(experiment, metric, result, treatment));
    }
    sentences.push(how_sure(experiment, metric));
    let guards = guard_sentences(experiment, metrics);
    sentences.extend(guards.iter().map(|(_, _, sentence)| sentence.clone()));
    sentences.extend(lacking_sentences(experiment, metrics));
    let advice = advise(entry, metric, result, &guards);
    sentences.push(to_do(entry, metric, result, &guards, advice));
    Verdict { advice, text: sentences.join(" ") }
}

fn nothing_complete(entry: &Entry) -> String {
    let exposed = entry.exposed_units();
    format!(
        "{} are exposed, and the window of none is over yet. A window ends at the first record after it.",
        count(&entry.experiment, exposed)
    )
}

/// Units whose window is over.
fn complete(experiment: &Experiment, result: &MetricResult) -> u64 {
    sums::units(experiment.split, result.arms.iter().map(|arm| arm.units))
}

/// A number of units by their name.
fn count(experiment: &Experiment, units: u64) -> String {
    let name = match experiment.split {
        Split::Users | Split::Interleaved => "users",
        Split::TimeSlices { .. } => "slices of time",
        Split::Learnt { .. } => "lists",
    };
    format!("{} {name}", words::grouped(units as f64))
}

fn stop_sentence(entry: &Entry) -> Option<String> {
    let experiment = &entry.experiment;
    if let Some(shipped) = experiment.shipped {
        let name = &experiment.variants[usize::from(shipped)].name;
        return Some(format!("{name} was shipped; what follows is what was known then."));
    }
    Some(match entry.stop_cause.as_ref()? {
        StopCause::Guardrail { metric, variant } => {
            format!("It stopped by itself: {variant} harms the guardrail {metric}.")
        }
        StopCause::Ended => "It has ended as planned.".to_owned(),
    })
}

/// That the variants do not have the units that they should have.
fn ratio_warning(experiment: &Experiment, ratios: &[RatioFinding]) -> Option<String> {
    let found = ratios.iter().find(|it| it.finding.alarm)?;
    let deviations = found.finding.deviations.iter().zip(&experiment.variants);
    let (deviation, variant) = deviations.max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))?;
    let of = if found.segment.is_some() { "In a segment of the users, " } else { "" };
    Some(format!(
        "{of}{} has {} of the users and should have {} (p {:.1e}). Something gives out or counts the \
         variants wrongly. Find it first: the figures cannot be trusted.",
        variant.name,
        words::percent(variant.weight + deviation),
        words::percent(variant.weight),
        found.finding.p_value
    ))
}

fn number(metric: &Metric, value: f64) -> String {
    match metric.kind {
        MetricKind::Rate | MetricKind::Preference => words::percent(value),
        MetricKind::Mean | MetricKind::Ratio(_) => format!("{value:.4}"),
    }
}

fn seen(
    experiment: &Experiment,
    metric: &Metric,
    result: &MetricResult,
    treatment: &TreatmentResult,
) -> String {
    let name = |variant: usize| &experiment.variants[variant].name;
    let mean = |variant: usize| number(metric, result.arms[variant].mean);
    let variant = treatment.variant;
    let comparison = &treatment.comparison;
    let figures = match metric.kind {
        MetricKind::Preference => preference(experiment, metric, result, variant),
        MetricKind::Rate | MetricKind::Mean | MetricKind::Ratio(_) => format!(
            "{} is {} with {} and {} with {}",
            metric.name,
            mean(variant),
            name(variant),
            mean(0),
            name(0)
        ),
    };
    let effect = match (&comparison.lift, &comparison.difference) {
        (Some(lift), _) => format!(", a lift of {}", words::effect(lift, words::signed_percent)),
        (None, Some(difference)) => {
            format!(", a difference of {}", words::effect(difference, |it| format!("{it:+.4}")))
        }
        (None, None) => String::new(),
    };
    let meaning = match side(comparison, metric.good) {
        Side::Better => format!(": {} is better.", name(variant)),
        Side::Worse => format!(": {} is worse.", name(variant)),
        Side::Open => ": no difference is shown.".to_owned(),
        Side::TooEarly => {
            let missing: Vec<String> = comparison.missing.iter().map(words::missing).collect();
            return format!(
                "{figures}. Not enough yet for {}: {}.",
                name(variant),
                missing.join("; ")
            );
        }
    };
    format!("{figures}{effect}{meaning}")
}

/// How many users have a preference, and for which variant.
fn preference(
    experiment: &Experiment,
    metric: &Metric,
    result: &MetricResult,
    variant: usize,
) -> String {
    let [control, treatment] = [0, variant].map(|of: usize| result.arms[of].nonzero);
    let votes = control + treatment;
    let users = count(experiment, result.arms[variant].units);
    let share = |of: u64| words::percent(of as f64 / votes.max(1) as f64);
    let name = |variant: usize| &experiment.variants[variant].name;
    let of_them = format!(
        ": {} of them for {} and {} for {}",
        share(treatment),
        name(variant),
        share(control),
        name(0)
    );
    format!(
        "{} of {users} have a preference by {}{}",
        words::grouped(votes as f64),
        metric.name,
        if votes > 0 { of_them } else { String::new() }
    )
}

fn how_sure(experiment: &Experiment, metric: &Metric) -> String {
    let risk = words::percent(experiment.plan.alpha);
    match metric.test {
        MetricTest::Conversions => format!(
            "It may be looked at any time: the risk of a wrong verdict is {risk} in all. The lift is that of \
             conversions against the planned split."
        ),
        MetricTest::FixedHorizon => format!(
            "This holds for one look at the planned end, with a risk of {risk} of seeing a difference \
             where there is none."
        ),
        MetricTest::Sequential => {
            format!("It may be looked at any time: the risk of a wrong verdict is {risk} in all.")
        }
    }
}

/// Of each guardrail and variant: variant, state, in words.
fn guard_sentences(
    experiment: &Experiment,
    metrics: &[MetricResult],
) -> Vec<(usize, State, String)> {
    let results = experiment.metrics.iter().zip(metrics);
    let guards = results.flat_map(|(metric, result)| {
        result.treatments.iter().filter_map(move |treatment| {
            let guard = treatment.guardrail.as_ref()?;
            let variant = &experiment.variants[treatment.variant].name;
            let words = match guard.state {
                State::Safe => "is safe",
                State::Harmed => "is harmed",
                State::Open => "is not decided yet",
                State::NotEnoughYet => "has not enough data yet",
            };
            let missing = match result.lacks(experiment.state) {
                Some(lacks) => vec![lacks],
                None => guard.missing.iter().map(words::missing).collect(),
            };
            let missing = if missing.is_empty() {
                String::new()
            } else {
                format!(" ({})", missing.join("; "))
            };
            let sentence = format!("Guardrail {} {words} with {variant}{missing}.", metric.name);
            Some((treatment.variant, guard.state, sentence))
        })
    });
    guards.collect()
}

/// Of each metric but guardrails that was added later and lacks values.
fn lacking_sentences(
    experiment: &Experiment,
    metrics: &[MetricResult],
) -> impl Iterator<Item = String> {
    let results = experiment.metrics.iter().zip(metrics);
    let others = results.filter(|(metric, _)| !matches!(metric.role, Role::Guardrail { .. }));
    others.filter_map(|(metric, result)| {
        let lacks = result.lacks(experiment.state)?;
        Some(format!("{} was added later: {lacks}.", metric.name))
    })
}

impl MetricResult {
    /// What a metric that was added later lacks, as a part of a sentence.
    pub fn lacks(&self, state: ExperimentState) -> Option<String> {
        let share = words::percent(self.backfilled?);
        Some(if state.is_live() {
            format!("what was before is being computed from the log, {share} of it is done")
        } else {
            format!(
                "the experiment ended when {share} of what was before was computed from the log"
            )
        })
    }
}

/// The better variants, the one with the largest lift first.
fn better<'a>(metric: &Metric, result: &'a MetricResult) -> Vec<&'a TreatmentResult> {
    let is_better = |it: &&TreatmentResult| side(&it.comparison, metric.good) == Side::Better;
    let mut better: Vec<_> = result.treatments.iter().filter(is_better).collect();
    let effect = |it: &TreatmentResult| it.comparison.difference.map_or(0.0, |it| it.value.abs());
    better.sort_by(|a, b| effect(b).total_cmp(&effect(a)));
    better
}

fn advise(
    entry: &Entry,
    metric: &Metric,
    result: &MetricResult,
    guards: &[(usize, State, String)],
) -> Advice {
    let of = |variant: usize| guards.iter().filter(move |(of, ..)| *of == variant);
    let is_safe = |variant| of(variant).all(|(_, state, _)| *state == State::Safe);
    let is_harmed = |variant| of(variant).any(|(_, state, _)| *state == State::Harmed);
    let better = better(metric, result);
    if let Some(best) = better.iter().find(|it| is_safe(it.variant)) {
        return Advice::Ship(best.variant);
    }
    let is_lost = |it: &TreatmentResult| {
        is_harmed(it.variant) || side(&it.comparison, metric.good) == Side::Worse
    };
    if result.treatments.iter().all(is_lost) {
        return Advice::KeepControl;
    }
    let experiment = &*entry.experiment;
    let units = complete(experiment, result);
    let is_over = experiment.state == ExperimentState::Stopped || units >= experiment.plan.units;
    let is_open = better.iter().any(|it| !is_harmed(it.variant));
    if is_over && !is_open { Advice::KeepControl } else { Advice::GoOn }
}

fn to_do(
    entry: &Entry,
    metric: &Metric,
    result: &MetricResult,
    guards: &[(usize, State, String)],
    advice: Advice,
) -> String {
    let experiment = &*entry.experiment;
    let units = complete(experiment, result);
    let progress = format!(
        "{} of {} planned are complete",
        count(experiment, units),
        words::grouped(experiment.plan.units as f64)
    );
    match advice {
        Advice::Ship(variant) => format!("Ship {}.", experiment.variants[variant].name),
        Advice::KeepControl => {
            let control = &experiment.variants[0].name;
            match entry.stop_cause {
                Some(StopCause::Guardrail { .. }) => format!("Keep {control}."),
                _ => {
                    format!("Keep {control} unless something else speaks for a change: {progress}.")
                }
            }
        }
        Advice::GoOn if !better(metric, result).is_empty() && !guards.is_empty() => {
            format!("Go on until the guardrails are decided: {progress}.")
        }
        Advice::GoOn => {
            let detectable = result.treatments.iter().find_map(|it| it.detectable?.lift);
            let detectable = detectable.map_or_else(String::new, |lift| {
                format!("; by then a lift of {} would probably be seen", words::percent(lift))
            });
            format!("Go on: {progress}{detectable}.")
        }
        Advice::Start | Advice::CheckData => progress,
    }
}
