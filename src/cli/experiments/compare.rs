//! `experiments compare`.

use std::fmt::Write;

use super::Variant;
use crate::cli::Failure;
use crate::cli::output::align;
use statistics::Comparison;
use statistics::Counts;
use statistics::Level;
use statistics::fixed;
use statistics::sample_ratio::Finding;
use statistics::sample_ratio::SampleRatio;
use statistics::sample_ratio::Watch;
use statistics::sequential;
use statistics::sequential::Plan;
use statistics::words;
use statistics::words::grouped;
use statistics::words::percent;
use statistics::words::signed_percent;

/// The level of the alarm about the numbers of users.
const SAMPLE_RATIO_ALPHA: f64 = 0.001;

/// Options of `experiments compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Users and conversions of the control, such as 10000:512. A user counts once.
    #[arg(long, value_name = "USERS:CONVERSIONS")]
    control: Variant,
    /// Users and conversions of the treatment.
    #[arg(long, value_name = "USERS:CONVERSIONS")]
    treatment: Variant,
    /// The share of the users that were to get the treatment.
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// The risk of seeing a difference where there is none.
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// The users of both variants that were planned before the start.
    #[arg(long, default_value_t = 5_000)]
    planned_users: u64,
    /// This is the one look that was planned: narrower intervals, and wrong if there were others.
    #[arg(long)]
    once: bool,
}

pub fn text(args: &Args) -> Result<String, Failure> {
    let (control, treatment) = (args.control.0, args.treatment.0);
    let level = Level::new(args.alpha)?;
    let plan = Plan::new(level, args.planned_users)?;
    let weights = [1.0 - args.share, args.share];
    let ratio = SampleRatio::new(&weights, Level::new(SAMPLE_RATIO_ALPHA)?)?;
    let comparison = if args.once {
        fixed::rates(&control, &treatment, level)
    } else {
        sequential::means(&control.estimate(), &treatment.estimate(), &plan)
    };
    let mut text = String::new();
    variants(&mut text, &control, &treatment);
    effects(&mut text, &comparison);
    writeln!(text, "\n{}", words::verdict(&comparison, args.alpha, !args.once)).expect("a string");
    let found = ratio.look(&[control.units, treatment.units], &mut Watch::default());
    if let Some(warning) = warning(&found, args.share) {
        writeln!(text, "\n{warning}").expect("a string");
    }
    Ok(text)
}

fn variants(text: &mut String, control: &Counts, treatment: &Counts) {
    let heading = ["", "users", "conversions", "rate"].map(str::to_owned).to_vec();
    let row = |name: &str, counts: &Counts| {
        let rate = if counts.units == 0 { "-".to_owned() } else { percent(counts.rate()) };
        let numbers = [counts.units, counts.conversions].map(|number| grouped(number as f64));
        [&[name.to_owned()], &numbers[..], &[rate]].concat()
    };
    align(text, &[heading, row("control", control), row("treatment", treatment)]);
}

fn effects(text: &mut String, comparison: &Comparison) {
    let mut rows = Vec::new();
    if let Some(difference) = &comparison.difference {
        rows.push(vec!["difference".to_owned(), words::effect(difference, signed_percent)]);
    }
    if let Some(lift) = &comparison.lift {
        rows.push(vec!["lift".to_owned(), words::effect(lift, signed_percent)]);
    }
    if let Some(p_value) = comparison.p_value.filter(|_| comparison.may_decide()) {
        rows.push(vec!["p-value".to_owned(), format!("{p_value:.4}")]);
    }
    if !rows.is_empty() {
        align(text, &rows);
    }
}

/// That the variants do not have the users that the split promises, if so.
fn warning(found: &Finding, share: f64) -> Option<String> {
    let deviation = found.deviations.get(1).filter(|_| found.alarm)?;
    Some(format!(
        "Warning: the treatment has {} of the users and should have {} (p {:.1e}). Something gives out \
         or counts the variants wrongly: find it first, the figures above cannot be trusted.",
        percent(share + deviation),
        percent(share),
        found.p_value
    ))
}
