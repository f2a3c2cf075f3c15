//! The figures of each policy as aligned text, and warnings.

use super::Evaluated;
use super::load::Loaded;
use crate::cli::output::align;
use engine::evaluation::off_policy::Interval;
use engine::evaluation::off_policy::PolicyEstimate;

/// Everything as text.
pub fn render(loaded: &Loaded, evaluated: &[Evaluated]) -> String {
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
    for policy in evaluated {
        append(&mut text, policy);
    }
    text
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
    fn numbers_have_the_digits_that_their_size_asks_for() {
        let shown = [0.0, 0.0038, -0.012_345, 0.5, 3.25, 12.34, 12_345.6, f64::NAN].map(decimal);
        let golden = [".0000", ".003800", "-.01235", ".5000", "3.2500", "12.3", "12346", "-"];
        assert_eq!(shown, golden);
    }
}
