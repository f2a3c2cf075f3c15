//! The figures of each policy as aligned text, and warnings.

use super::Evaluated;
use super::bandit::Learner;
use super::load::Loaded;
use crate::cli::output::align;
use engine::evaluation::off_policy::Interval;
use engine::evaluation::off_policy::PolicyEstimate;
use engine::evaluation::off_policy::Reliability;
use engine::evaluation::off_policy::ReliabilityBin;
use engine::evaluation::off_policy::ReplayPoint;

/// Everything as text.
pub fn render(
    loaded: &Loaded,
    reliability: Option<&Reliability>,
    evaluated: &[Evaluated],
) -> String {
    let log = &loaded.log;
    let mut text = format!(
        "{} rounds of {} decisions, {} actions\n",
        log.rounds().len(),
        loaded.decisions,
        log.actions()
    );
    if let Some(first) = evaluated.first() {
        let logged = &first.report.logged;
        text += &format!(
            "the logged policy earned {} a round, 95 % interval {}, over {} units\n",
            decimal(logged.value),
            between(&logged.bootstrap),
            first.report.units
        );
    }
    if let Some(curve) = reliability {
        append_reliability(&mut text, curve);
    }
    for policy in evaluated {
        append(&mut text, policy);
    }
    text
}

/// The reliability curve: whether the logged scores are expected rewards.
fn append_reliability(text: &mut String, curve: &Reliability) {
    let header = ["reliability of scores", "rounds", "mean score", "mean reward", "standard error"];
    let row = |(number, bin): (usize, &ReliabilityBin)| {
        let numbers = [bin.predicted, bin.observed, bin.standard_error].map(decimal);
        let first = [format!("bin {number}"), bin.rounds.to_string()];
        first.into_iter().chain(numbers).collect()
    };
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend((1..).zip(&curve.bins).map(row));
    align(text, &rows);
    *text += &format!("expected calibration error {}", decimal(curve.calibration_error));
    if curve.by_chance.is_finite() {
        let by_chance = decimal(curve.by_chance);
        *text += &format!("; scores that are the expected reward would have about {by_chance}");
    }
    text.push('\n');
}

fn append(text: &mut String, policy: &Evaluated) {
    let report = &policy.report;
    let names = [
        "value",
        "standard error",
        "normal 95 %",
        "bootstrap 95 %",
        "above logged",
        "its 95 %",
        "effective rounds",
        "largest weight",
    ];
    let header = std::iter::once(policy.name.clone()).chain(names.map(str::to_owned));
    let mut rows: Vec<Vec<String>> = vec![header.collect()];
    rows.extend(report.estimates.iter().map(row));
    align(text, &rows);
    if let Some(bounds) = &report.anytime {
        *text += &format!("at any time, whatever the logging policy learnt: {}\n", between(bounds));
    }
    for warning in &report.warnings {
        *text += &format!("warning: {warning}\n");
    }
}

/// The progressive reward of a bandit that learnt from the log.
pub fn append_learner(text: &mut String, learner: &Learner) {
    let replayed = &learner.replayed;
    let header = [learner.name.as_str(), "mean reward so far", "since the row above"];
    let row = |point: &ReplayPoint| {
        vec![point.kept.to_string(), decimal(point.so_far), decimal(point.since)]
    };
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(replayed.curve.iter().map(row));
    align(text, &rows);
    *text += &format!(
        "kept {} of {} rounds, which earned {} each, standard error {}\n",
        replayed.kept,
        replayed.rounds,
        decimal(replayed.reward),
        decimal(replayed.standard_error)
    );
}

fn row(estimate: &PolicyEstimate) -> Vec<String> {
    let value = &estimate.value;
    let optional = |number: Option<f64>| number.map_or_else(String::new, decimal);
    vec![
        estimate.estimator.label().to_owned(),
        decimal(value.value),
        decimal(value.standard_error),
        between(&value.normal),
        between(&value.bootstrap),
        decimal(estimate.lift),
        between(&estimate.lift_bootstrap),
        optional(estimate.effective_sample_size),
        optional(estimate.largest_weight),
    ]
}

/// Such as `.0035 to .0049`.
fn between(interval: &Interval) -> String {
    format!("{} to {}", decimal(interval.low), decimal(interval.high))
}

/// Four digits of small numbers, without the zero before the point; `-` for no number.
fn decimal(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let positions = match value.abs() {
        size if size >= 1_000.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 || size == 0.0 => 4,
        size if size >= 0.01 => 5,
        _ => 6,
    };
    let text = format!("{value:.positions$}");
    match text.strip_prefix("-0.") {
        Some(rest) => format!("-.{rest}"),
        None => text.strip_prefix("0.").map_or_else(|| text.clone(), |rest| format!(".{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reliability_curve_is_a_row_for_each_bin_and_one_figure() {
        let bin = |rounds, predicted, observed, standard_error| ReliabilityBin {
            rounds,
            predicted,
            observed,
            standard_error,
        };
        let bins = vec![bin(300, 0.05, 0.0625, 0.014), bin(100, 0.25, 0.2, f64::NAN)];
        let curve = Reliability { bins, calibration_error: 0.021_875, by_chance: f64::NAN };
        let mut text = String::new();
        append_reliability(&mut text, &curve);
        let golden = "
reliability of scores  rounds  mean score  mean reward  standard error
bin 1                     300      .05000       .06250          .01400
bin 2                     100       .2500        .2000               -
expected calibration error .02187
";
        assert_eq!(text, golden);
    }

    #[test]
    fn numbers_have_the_digits_that_their_size_asks_for() {
        let shown = [0.0, 0.0038, -0.012_345, 0.5, 3.25, 12.34, 12_345.6, f64::NAN].map(decimal);
        let golden = [".0000", ".003800", "-.01235", ".5000", "3.2500", "12.3", "12346", "-"];
        assert_eq!(shown, golden);
    }
}
