//! `experiments`: plans A/B tests and reads their counts by itself; writes, runs and reads those of a
//! running server.

mod change;
mod compare;
mod file;
mod list;
mod plan;
mod plot;
mod rehearse;
mod results;
mod server;
#[cfg(test)]
mod tests;

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
    /// How many users it takes to see a change, or which change so many users show. Without a server.
    Plan(plan::Args),
    /// What the users and conversions of two variants say: effect, certainty, verdict. Without a server.
    Compare(compare::Args),
    /// The experiments of a namespace.
    List(list::Args),
    /// Create an experiment from a YAML file: a draft, until it is started.
    Create(change::CreateArgs),
    /// What a variant would change, on recent requests and without serving it.
    Rehearse(rehearse::Args),
    /// Start an experiment, or go on after a pause.
    Start(change::ActArgs),
    /// Give no one a variant; those who had one are measured on.
    Pause(change::ActArgs),
    /// End an experiment for good.
    Stop(change::ActArgs),
    /// Take a draft or a stopped experiment out of sight.
    Archive(change::ActArgs),
    /// Give more of the users to a running experiment.
    Ramp(change::RampArgs),
    /// Make what a variant overrides settings of the namespace, and stop.
    Ship(change::ShipArgs),
    /// What an experiment has come to, with a verdict and a plot.
    Results(results::Args),
}

/// Prints what the command is asked.
///
/// # Errors
/// A parameter that is out of range; what the server says.
pub async fn run(args: Args) -> Result<(), Failure> {
    let text = match args.command {
        Command::Plan(args) => plan::text(&args)?,
        Command::Compare(args) => compare::text(&args)?,
        Command::List(args) => list::text(args).await?,
        Command::Create(args) => change::create(args).await?,
        Command::Rehearse(args) => rehearse::text(args).await?,
        Command::Start(args) => change::start(args).await?,
        Command::Pause(args) => change::pause(args).await?,
        Command::Stop(args) => change::stop(args).await?,
        Command::Archive(args) => change::archive(args).await?,
        Command::Ramp(args) => change::ramp(args).await?,
        Command::Ship(args) => change::ship(args).await?,
        Command::Results(args) => results::text(args).await?,
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
