//! What a rehearsal says, in a few sentences.

use crate::evaluation::bootstrap::Estimate;
use crate::evaluation::rehearsal::estimate::RewardEstimate;
use crate::evaluation::rehearsal::exposure::LabelShare;
use crate::evaluation::rehearsal::figures::Change;
use crate::evaluation::rehearsal::figures::Figures;
use statistics::words::grouped;
use statistics::words::percent;

/// Share of the positions that a label gains or loses before it is told.
const EXPOSURE_MIN: f64 = 0.01;
/// Share of positions without a choice from which on it is told why the log cannot answer.
const CERTAIN_MIN: f64 = 0.9;

/// What would change, what the ranker expects of it, and what the log says of it.
pub fn verdict(figures: &Figures, estimate: Option<&RewardEstimate>) -> String {
    let changes = figures.changed_lists.point > 0.0;
    let mut sentences = vec![changed(figures, changes)];
    if changes {
        sentences.push(expected(&figures.expected_reward));
        sentences.extend(moved(figures));
    }
    sentences.push(earned(estimate));
    sentences.join(" ")
}

fn changed(figures: &Figures, changes: bool) -> String {
    let lists = grouped(figures.lists as f64);
    if !changes {
        return format!("None of {lists} lists would change.");
    }
    let (positions, share) =
        (share(&figures.changed_positions), percent(figures.changed_lists.point));
    format!(
        "Of {lists} lists {share} would change: {positions} of the positions show another item."
    )
}

fn expected(reward: &Change) -> String {
    let Change { now, proposed, difference } = reward;
    if !now.is_finite() || !proposed.is_finite() {
        return "One of the two shows nothing, so the ranker compares nothing.".to_owned();
    }
    let (now, proposed) = (number(*now), number(*proposed));
    let difference = interval(difference, signed);
    format!("The ranker expects {proposed} rewards of a position instead of {now} ({difference}).")
}

/// Who gains or loses most.
fn moved(figures: &Figures) -> Option<String> {
    let first = |what: &'static str, labels: &[LabelShare]| Some((what, labels.first()?.clone()));
    // Of equal changes that of the topic.
    let labels =
        [first("source", &figures.by_source.labels), first("topic", &figures.by_topic.labels)];
    let largest = labels.into_iter().flatten();
    let largest = largest.max_by(|a, b| a.1.change().abs().total_cmp(&b.1.change().abs()));
    let (what, label) = largest.filter(|(_, label)| label.change().abs() >= EXPOSURE_MIN)?;
    let name = match &label.name {
        Some(name) => format!("The {what} {name:?}"),
        None => format!("What has no {what}"),
    };
    let (now, proposed) = (percent(label.now), percent(label.proposed));
    Some(format!("{name} would have {proposed} of the positions instead of {now}."))
}

fn earned(estimate: Option<&RewardEstimate>) -> String {
    let Some(estimate) = estimate else {
        return "No logged position can be weighed: the log does not say what the proposal would earn."
            .to_owned();
    };
    if !estimate.is_supported() {
        let why = match estimate.warnings.first() {
            _ if estimate.certain >= CERTAIN_MIN => format!(
                "{} of the logged positions were shown with certainty, and only a strategy that explores \
                 gives others a chance",
                percent(estimate.certain)
            ),
            Some(warning) => warning.to_string(),
            None => "nothing that it would show was shown".to_owned(),
        };
        return format!("The log cannot say what the proposal would earn: {why}.");
    }
    let difference = &estimate.difference;
    let says = if difference.low > 0.0 {
        "it would earn more"
    } else if difference.high < 0.0 {
        "it would earn less"
    } else {
        "no difference in rewards is shown"
    };
    let now = estimate.now.value;
    let (now, proposed) = (number(now), number(now + difference.point));
    let difference = interval(difference, signed);
    format!("By the log {says}: {proposed} of a position instead of {now} ({difference}).")
}

fn share(estimate: &Estimate) -> String {
    match estimate.low.is_finite() {
        true => format!("{} ({})", percent(estimate.point), bounds(estimate, percent)),
        false => percent(estimate.point),
    }
}

/// A difference with its bounds.
fn interval(estimate: &Estimate, told: fn(f64) -> String) -> String {
    match estimate.low.is_finite() {
        true => format!("{}, {}", told(estimate.point), bounds(estimate, told)),
        false => told(estimate.point),
    }
}

fn bounds(estimate: &Estimate, told: fn(f64) -> String) -> String {
    format!("{} to {}", told(estimate.low), told(estimate.high))
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

fn signed(value: f64) -> String {
    format!("{value:+.4}")
}
