//! `experiments rehearse`.

use std::fmt::Write;
use std::path::PathBuf;

use super::file;
use super::results::wrapped;
use super::server::Server;
use crate::cli::Failure;
use crate::cli::channel::told;
use crate::cli::output::align;
use crate::proto;
use crate::proto::rehearse_experiment_request::Proposal;
use statistics::words::grouped;
use statistics::words::percent;
use statistics::words::signed_percent;

/// Labels of a table.
const LABELS: usize = 10;

/// Options of `experiments rehearse`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which experiment, in any state.
    #[arg(required_unless_present = "file", conflicts_with = "file", requires = "variant")]
    key: Option<String>,
    /// Which variant of it.
    variant: Option<String>,
    /// Instead: what is proposed, in YAML by the names of `VariantOverrides`; see docs/experiments.md.
    #[arg(long)]
    file: Option<PathBuf>,
    /// How many recent requests, at most 1000.
    #[arg(long, default_value_t = 200)]
    requests: u32,
    /// From how many days ago on, at most 90.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
    days: u32,
    #[command(flatten)]
    server: Server,
}

pub async fn text(args: Args) -> Result<String, Failure> {
    let proposal = match (&args.file, args.key, args.variant) {
        (Some(path), _, _) => Proposal::Overrides(Box::new(file::read_overrides(path)?)),
        (None, Some(experiment), Some(variant)) => {
            Proposal::Variant(proto::RehearsedVariant { experiment, variant })
        }
        _ => return Err("name an experiment and its variant, or a --file".into()),
    };
    let period = prost_types::Duration { seconds: 86_400 * i64::from(args.days), nanos: 0 };
    let request = proto::RehearseExperimentRequest {
        namespace: args.server.namespace.clone(),
        proposal: Some(proposal),
        requests: args.requests,
        period: Some(period),
        min_watermark: 0,
    };
    let mut client = args.server.client().await?;
    let answer = client.rehearse_experiment(request).await.map_err(told)?.into_inner();
    Ok(told_in_full(&answer.rehearsal.unwrap_or_default()))
}

/// What was rehearsed, tables, and the verdict.
pub fn told_in_full(rehearsal: &proto::Rehearsal) -> String {
    let [rehearsed, decisions, users] =
        [rehearsal.rehearsed, rehearsal.decisions, rehearsal.users].map(|n| grouped(n as f64));
    let mut text =
        format!("{rehearsed} of {decisions} requests were rehearsed, of {users} users.\n");
    for omission in &rehearsal.left_out {
        let (count, why) = (grouped(omission.decisions as f64), omitted(omission.reason()));
        writeln!(text, "{count} were left out: {why}.").expect("a string");
    }
    lists(&mut text, rehearsal);
    properties(&mut text, rehearsal);
    exposure(&mut text, "topic", rehearsal.by_topic.as_ref());
    exposure(&mut text, "source", rehearsal.by_source.as_ref());
    if let Some(reward) = &rehearsal.reward {
        rewards(&mut text, reward);
    }
    text.push('\n');
    wrapped(&mut text, &rehearsal.verdict);
    text
}

fn omitted(reason: proto::RehearsalOmissionReason) -> &'static str {
    match reason {
        proto::RehearsalOmissionReason::Unspecified => "no reason is told",
        proto::RehearsalOmissionReason::NoRequest => "the record holds no request",
        proto::RehearsalOmissionReason::NotDescribed => {
            "the record holds only the ids of candidates that the request described"
        }
        proto::RehearsalOmissionReason::Unreadable => "the request is not accepted now",
        proto::RehearsalOmissionReason::NotEligible => "the proposal would not act on the user",
    }
}

fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn lists(text: &mut String, rehearsal: &proto::Rehearsal) {
    let mut rows = vec![cells(["the lists", "", "95 %"])];
    let mut row = |name: &str, mean: Option<proto::BoundedMean>, told: fn(f64) -> String| {
        if let Some(mean) = mean {
            rows.push(vec![name.to_owned(), told(mean.value), bounds(&mean, told)]);
        }
    };
    row("positions with another item", rehearsal.changed_positions, percent);
    row("lists that change", rehearsal.changed_lists, percent);
    row("items in both lists", rehearsal.overlap, percent);
    row("positions that an item in both moves", rehearsal.rank_change, two_digits);
    align(text, &rows);
}

fn properties(text: &mut String, rehearsal: &proto::Rehearsal) {
    let mut rows = vec![cells(["", "now", "proposed", "difference", "95 %"])];
    let mut row =
        |name: &str, mean: Option<&proto::RehearsedMean>, told: [fn(f64) -> String; 2]| {
            let Some(proto::RehearsedMean { now, proposed, difference }) = mean else { return };
            let [number, difference_told] = told;
            let number = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), number);
            let change = difference.map_or_else(String::new, |it| difference_told(it.value));
            let bounds = difference.map_or_else(String::new, |it| bounds(&it, difference_told));
            rows.push(vec![name.to_owned(), number(now), number(proposed), change, bounds]);
        };
    let shares = [percent as fn(f64) -> String, signed_percent];
    let numbers = [two_digits as fn(f64) -> String, signed];
    row(
        "expected reward of a position",
        rehearsal.expected_reward.as_ref(),
        [number, signed_number],
    );
    row("items of a list", rehearsal.length.as_ref(), numbers);
    row("topics per position", rehearsal.topics_per_position.as_ref(), numbers);
    row("similarity in a list", rehearsal.similarity.as_ref(), numbers);
    row("positions with new items", rehearsal.new_items.as_ref(), shares);
    row("positions with popular items", rehearsal.popular_items.as_ref(), shares);
    let mut pair = |name: &str, pair: Option<proto::RehearsedPair>, told: fn(f64) -> String| {
        if let Some(proto::RehearsedPair { now, proposed }) = pair {
            rows.push(vec![name.to_owned(), told(now), told(proposed)]);
        }
    };
    pair("different items", rehearsal.distinct_items, grouped);
    pair("part of the catalogue", rehearsal.coverage, percent);
    align(text, &rows);
}

fn exposure(text: &mut String, what: &str, exposure: Option<&proto::RehearsedExposure>) {
    // Without a single name there is nothing to tell.
    let is_told = |it: &&proto::RehearsedExposure| it.labels.iter().any(|one| !one.name.is_empty());
    let Some(exposure) = exposure.filter(is_told) else { return };
    let row = |name: String, now: f64, proposed: f64| {
        vec![name, percent(now), percent(proposed), signed_percent(proposed - now)]
    };
    let mut rows = vec![cells([&format!("positions by {what}"), "now", "proposed", "change"])];
    let mut rest = exposure.rest.unwrap_or_default();
    for (number, label) in exposure.labels.iter().enumerate() {
        if number >= LABELS {
            (rest.now, rest.proposed) = (rest.now + label.now, rest.proposed + label.proposed);
            continue;
        }
        let name = if label.name.is_empty() { "(none)" } else { &label.name };
        rows.push(row(name.to_owned(), label.now, label.proposed));
    }
    if rest.now > 0.0 || rest.proposed > 0.0 {
        rows.push(row("(all others)".to_owned(), rest.now, rest.proposed));
    }
    align(text, &rows);
}

fn rewards(text: &mut String, reward: &proto::RehearsedReward) {
    let mut rows = vec![cells(["reward of a logged position", "", "95 %"])];
    let mut row = |name: &str, reward: Option<&proto::EstimatedReward>| {
        let Some(reward) = reward else { return };
        let proto::EstimatedReward { value, low, high, .. } = *reward;
        let mean = proto::BoundedMean { value, low, high };
        rows.push(vec![name.to_owned(), number(value), bounds(&mean, number)]);
    };
    row("as it was logged", reward.logged.as_ref());
    row("now, by SNIPS", reward.now.as_ref());
    for estimate in &reward.proposed {
        let by = match estimate.estimator() {
            proto::Estimator::Snips => "proposed, by SNIPS",
            _ => "proposed, by clipped IPS",
        };
        row(by, estimate.reward.as_ref());
    }
    if let Some(mean) = &reward.difference {
        let (value, bounds) = (signed_number(mean.value), bounds(mean, signed_number));
        rows.push(vec!["proposed less now".to_owned(), value, bounds]);
    }
    align(text, &rows);
    let (positions, users) = (grouped(reward.positions as f64), grouped(reward.users as f64));
    let size = grouped(reward.effective_sample_size);
    writeln!(text, "{positions} positions of {users} users, worth {size} of the proposal's own.")
        .expect("a string");
    for warning in &reward.warnings {
        wrapped(text, &format!("Warning: {}.", warning.text));
    }
}

fn bounds(mean: &proto::BoundedMean, told: fn(f64) -> String) -> String {
    match (mean.low, mean.high) {
        (Some(low), Some(high)) => format!("{} to {}", told(low), told(high)),
        _ => String::new(),
    }
}

fn two_digits(value: f64) -> String {
    format!("{value:.2}")
}

fn signed(value: f64) -> String {
    format!("{value:+.2}")
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

fn signed_number(value: f64) -> String {
    format!("{value:+.4}")
}
