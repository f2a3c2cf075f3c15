//! `experiments`: how many users an experiment needs, and what the counts of one say. Works on
//! numbers alone, without a server.

mod compare;
mod plan;
#[cfg(test)]
mod tests;
mod words;

use std::str::FromStr;

use super::Failure;
use statistics::Counts;

/// Options of `experiments`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// How many users it takes to see a change, or which change so many users show.
    Plan(plan::Args),
    /// What the users and conversions of two variants say: effect, certainty, verdict.
    Compare(compare::Args),
}

/// Prints what the command is asked.
///
/// # Errors
/// A parameter that is out of range.
pub fn run(args: &Args) -> Result<(), Failure> {
    let text = match &args.command {
        Command::Plan(args) => plan::text(args)?,
        Command::Compare(args) => compare::text(args)?,
    };
    super::output::print(&text, false).map_err(Into::into)
}

/// The users of a variant, and how many of them converted: `10000:512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Variant(Counts);

impl FromStr for Variant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || "must be users and conversions, such as 10000:512".to_owned();
        let (users, conversions) = text.split_once(':').ok_or_else(shape)?;
        let number = |text: &str| text.parse::<u64>().map_err(|_not_a_number| shape());
        let (units, conversions) = (number(users)?, number(conversions)?);
        if conversions > units {
            return Err("a user converts once at most: more conversions than users".to_owned());
        }
        Ok(Self(Counts { units, conversions }))
    }
}
