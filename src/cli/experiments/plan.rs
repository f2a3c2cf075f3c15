//! `experiments plan`.

use std::fmt::Write;

use crate::cli::Failure;
use crate::cli::output::align;
use statistics::Level;
use statistics::power::Design;
use statistics::power::Looks;
use statistics::words::grouped;
use statistics::words::percent;
use statistics::words::signed_percent;

/// Options of `experiments plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The rate of conversions today, such as 0.05. For a value per user, give --deviation.
    #[arg(long, required_unless_present = "deviation", conflicts_with = "deviation")]
    rate: Option<f64>,
    /// The relative change of the rate that is to be seen, such as 0.1 for 10 %.
    #[arg(long, requires = "rate")]
    lift: Option<f64>,
    /// The standard deviation of the value per user.
    #[arg(long)]
    deviation: Option<f64>,
    /// The difference between the means that is to be seen.
    #[arg(long, requires = "deviation", allow_negative_numbers = true)]
    difference: Option<f64>,
    /// Instead of a change: the users of both variants that there will be.
    #[arg(long, conflicts_with_all = ["lift", "difference"])]
    users: Option<f64>,
    /// The risk of seeing a difference where there is none.
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// The probability of seeing the change where it is there.
    #[arg(long, default_value_t = 0.8)]
    power: f64,
    /// The share of the users that get the treatment.
    #[arg(long, default_value_t = 0.5)]
    share: f64,
    /// New users a day, to say how long it takes.
    #[arg(long)]
    users_per_day: Option<f64>,
}

/// What the table says of one way to look at the data.
struct Row {
    way: &'static str,
    design: Design,
}

pub fn text(args: &Args) -> Result<String, Failure> {
    let level = Level::new(args.alpha)?;
    let row = |way, looks| -> Result<Row, Failure> {
        Ok(Row { way, design: Design::new(looks, level, args.power, args.share)? })
    };
    let rows = [
        row("once, at the end", Looks::Once)?,
        row("at any time, until it is decided", Looks::AnyTimeTunedForTheEnd)?,
    ];
    let mut text = question(args);
    let heading = if args.users.is_some() { "smallest change seen" } else { "users" };
    let mut table = vec![vec!["looked at".to_owned(), heading.to_owned()]];
    if args.users_per_day.is_some() && args.users.is_none() {
        table[0].push("days".to_owned());
    }
    for Row { way, design } in rows {
        let mut cells = vec![way.to_owned()];
        cells.extend(match args.users {
            Some(users) => vec![smallest_change(args, &design, users)?],
            None => needed(args, &design)?,
        });
        table.push(cells);
    }
    align(&mut text, &table);
    Ok(text)
}

fn question(args: &Args) -> String {
    let mut text = String::new();
    let of = match (args.rate, args.deviation) {
        (Some(rate), _) => format!("A rate of {}", percent(rate)),
        (None, deviation) => {
            format!("Values with a standard deviation of {}", deviation.unwrap_or_default())
        }
    };
    let change = match (args.lift, args.difference, args.users) {
        (Some(lift), ..) => format!(", a change of {}", signed_percent(lift)),
        (_, Some(difference), _) => format!(", a difference of {difference}"),
        (.., Some(users)) => format!(", {} users", grouped(users)),
        _ => String::new(),
    };
    let (alpha, power, share) = (percent(args.alpha), percent(args.power), percent(args.share));
    writeln!(text, "{of}{change}; {share} of the users in the treatment.").expect("a string");
    writeln!(text, "Risk of a wrong verdict {alpha}, probability to see the change {power}.")
        .expect("a string");
    text
}

/// Users of both variants, and days where it is known how many come.
fn needed(args: &Args, design: &Design) -> Result<Vec<String>, Failure> {
    let units = match (args.rate, args.lift, args.deviation, args.difference) {
        (Some(rate), Some(lift), ..) => design.units_for_rate(rate, lift)?,
        (None, _, Some(deviation), Some(difference)) => {
            design.units_for_mean(deviation, difference)?
        }
        _ => return Err("say which change is to be seen, or how many --users there will be".into()),
    };
    let Some(units) = units.map(f64::ceil) else {
        let days = args.users_per_day.map(|_| String::new());
        return Ok(std::iter::once("no number is enough".to_owned()).chain(days).collect());
    };
    let days = args.users_per_day.map(|a_day| -> Result<String, Failure> {
        if !(a_day.is_finite() && a_day > 0.0) {
            return Err("--users-per-day must be above 0".into());
        }
        Ok(grouped((units / a_day).ceil()))
    });
    std::iter::once(Ok(grouped(units))).chain(days).collect()
}

fn smallest_change(args: &Args, design: &Design, users: f64) -> Result<String, Failure> {
    Ok(match (args.rate, args.deviation) {
        (Some(rate), _) => {
            let lift = design.detectable_rate(rate, users)?;
            lift.map_or_else(|| "none".to_owned(), signed_percent)
        }
        (None, Some(deviation)) => format!("{:.4}", design.detectable_mean(deviation, users)?),
        (None, None) => unreachable!("clap asks for one of both"),
    })
}
