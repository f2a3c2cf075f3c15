//! `experiments results`.

use std::fmt::Write;

use super::list::state;
use super::plot;
use super::server::Server;
use crate::cli::Failure;
use crate::cli::channel::told;
use crate::cli::output::align;
use crate::proto;
use statistics::words::grouped;
use statistics::words::percent;
use statistics::words::signed_percent;

/// Characters of a line of the verdict.
const LINE: usize = 100;

/// Options of `experiments results`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which experiment.
    key: String,
    #[command(flatten)]
    server: Server,
}

pub async fn text(args: Args) -> Result<String, Failure> {
    let request = proto::GetExperimentResultsRequest {
        namespace: args.server.namespace.clone(),
        key: args.key.clone(),
        series: true,
        min_watermark: 0,
    };
    let mut client = args.server.client().await?;
    let answer = client.get_experiment_results(request).await.map_err(told)?.into_inner();
    Ok(told_in_full(&answer.results.unwrap_or_default()))
}

/// Exposures, metrics, the verdict, and the primary metric over time.
pub fn told_in_full(results: &proto::ExperimentResults) -> String {
    let mut text = format!("{} is {}.\n", results.key, state(results.state()));
    exposures(&mut text, results);
    for metric in &results.metrics {
        figures(&mut text, metric);
    }
    if let Some(verdict) = &results.verdict {
        text.push('\n');
        wrapped(&mut text, &verdict.text);
    }
    let variants = results.exposures.iter().skip(1);
    for (number, variant) in variants.enumerate() {
        let point = |it: &proto::SeriesPoint| Some((it.users, it.effects.get(number)?.effect?));
        let points: Vec<plot::Point> = results.series.iter().filter_map(point).collect();
        if !points.is_empty() {
            writeln!(text, "\nEffect of {} over time:", variant.variant).expect("a string");
            plot::draw(&mut text, &points);
        }
    }
    text
}

fn exposures(text: &mut String, results: &proto::ExperimentResults) {
    let mut rows = vec![["variant", "exposed", "items", "chance now"].map(str::to_owned).to_vec()];
    rows.extend(results.exposures.iter().map(|variant| {
        let chance = variant.chance.map_or_else(String::new, percent);
        let items = grouped(variant.distinct_items as f64);
        vec![variant.variant.clone(), grouped(variant.exposed as f64), items, chance]
    }));
    if results.exposures.iter().all(|variant| variant.chance.is_none()) {
        rows.iter_mut().for_each(|row| row.truncate(3));
    }
    align(text, &rows);
    if results.refused > 0 {
        let refused = grouped(results.refused as f64);
        writeln!(text, "{refused} users found no memory left and are not in it.")
            .expect("a string");
    }
    if results.cut_short > 0 {
        let lists = grouped(results.cut_short as f64);
        writeln!(
            text,
            "{lists} lists were forgotten before their window was over: see CREDIT_MEGABYTES."
        )
        .expect("a string");
    }
}

fn figures(text: &mut String, metric: &proto::MetricResult) {
    let role = metric.role().as_str_name().trim_start_matches("METRIC_ROLE_").to_lowercase();
    let heading = format!("{} ({role})", metric.name);
    let mut rows = vec![
        [&heading, "complete", "not 0", "value", "lift", "if looked at once", "p"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for figures in &metric.variants {
        let of_variant = |it: &&proto::MetricComparison| it.variant == figures.variant;
        let comparison = metric.comparisons.iter().find(of_variant);
        let effect = |comparison: Option<&proto::Comparison>| {
            let Some(comparison) = comparison else {
                return String::new();
            };
            let told = |effect: proto::EffectEstimate, name: &str, words: fn(f64) -> String| {
                let proto::EffectEstimate { value, low, high } = effect;
                let [value, low, high] = [value, low, high].map(words);
                format!("{name}{value} ({low} to {high})")
            };
            let lift = comparison.lift.map(|lift| told(lift, "", signed_percent));
            let difference = comparison.difference;
            let difference =
                difference.map(|it| told(it, "difference ", |value| format!("{value:+.4}")));
            lift.or(difference).unwrap_or_default()
        };
        let deciding = comparison.and_then(|it| it.comparison.as_ref());
        let p_value = deciding.and_then(|it| it.p_value);
        rows.push(vec![
            figures.variant.clone(),
            grouped(figures.users as f64),
            grouped(figures.nonzero as f64),
            format!("{:.4}", figures.mean),
            effect(deciding),
            effect(comparison.and_then(|it| it.at_one_look.as_ref())),
            p_value.map_or_else(String::new, |p| format!("{p:.4}")),
        ]);
    }
    align(text, &rows);
    if let Some(share) = metric.backfilled {
        let share = percent(share);
        writeln!(text, "It was added later: {share} of what was before is computed from the log.")
            .expect("a string");
    }
    if let Some(cap) = metric.cap {
        writeln!(text, "Values are cut at {cap}.").expect("a string");
    }
    for comparison in &metric.comparisons {
        if let Some(guard) = &comparison.guardrail {
            let state = guard.state().as_str_name().trim_start_matches("GUARDRAIL_STATE_");
            let state = state.to_lowercase().replace('_', " ");
            writeln!(text, "Guardrail with {}: {state}.", comparison.variant).expect("a string");
        }
        if let Some(lift) = comparison.detectable_lift {
            let (variant, lift) = (&comparison.variant, percent(lift));
            writeln!(text, "Detectable with {variant} at the planned number of users: {lift}.")
                .expect("a string");
        }
    }
}

/// Words in lines that fit a terminal.
pub fn wrapped(text: &mut String, words: &str) {
    let mut length = 0;
    for word in words.split_whitespace() {
        if length > 0 && length + word.len() >= LINE {
            text.push('\n');
            length = 0;
        }
        if length > 0 {
            text.push(' ');
        }
        text.push_str(word);
        length += word.len() + 1;
    }
    text.push('\n');
}
