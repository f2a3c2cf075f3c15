//! The command line: one file per command.
//!
//! `stores` is the one file that names storage backends, `serve` the composition root.
//! Commands that talk to a server are clients like any other; `evaluate` needs none.

mod channel;
mod dataset;
mod decisions;
mod demo;
mod evaluate;
mod evaluate_policy;
mod experiments;
mod export_decisions;
mod healthcheck;
mod import;
mod loadtest;
mod messages;
mod migrate;
mod output;
mod plot;
mod rebuild_projection;
mod replay_decision;
mod retry;
mod serve;
mod simulate;
mod stores;
mod training;
mod verify;

use clap::Parser;
use clap::Subcommand;

/// What a command ends with when it fails; `main` prints it with its sources.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ranks every feed, list and home page for the user who looks at it, and learns
/// from what that user does next, at once.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service.
    Serve(Box<serve::Args>),
    /// Stream files of items, users and interactions into a running server.
    Import(import::Args),
    /// Measure ranking quality of the engine on files, without a server.
    Evaluate(evaluate::Args),
    /// Estimate what another policy would have earned on logged decisions.
    EvaluatePolicy(evaluate_policy::Args),
    /// Plan A/B tests; write, run and read those of a running server.
    Experiments(experiments::Args),
    /// Write the decisions of a store, or of a file in another format, with their rewards.
    ExportDecisions(export_decisions::Args),
    /// Put an open-loop load on a running server and report latencies.
    Loadtest(loadtest::Args),
    /// Drive a running server with a simulated audience, and compare click rates.
    Simulate(Box<simulate::Args>),
    /// Replay a stopped server's log from the start and check what is stored.
    Verify(verify::Args),
    /// Work a past decision out again and compare it with its record, bit by bit.
    ReplayDecision(replay_decision::Args),
    /// Bring the schema of a PostgreSQL database up to this version.
    Migrate(migrate::Args),
    /// Fill the relational tables behind the log again.
    RebuildProjection(rebuild_projection::Args),
    /// Ask a running server for its health; the exit code is the answer.
    Healthcheck(healthcheck::Args),
}

/// Parses the arguments of the process and runs the command.
///
/// # Errors
/// Whatever made the command fail.
pub async fn run() -> Result<(), Failure> {
    match Arguments::parse().command {
        Command::Serve(args) => serve::run(*args).await,
        Command::Import(args) => import::run(args).await,
        Command::Evaluate(args) => evaluate::run(args).await,
        Command::EvaluatePolicy(args) => off_the_runtime(move || evaluate_policy::run(&args)).await,
        Command::Experiments(args) => experiments::run(args).await,
        Command::ExportDecisions(args) => {
            off_the_runtime(move || export_decisions::run(&args)).await
        }
        Command::Loadtest(args) => loadtest::run(args).await,
        Command::Simulate(args) => simulate::run(*args).await,
        Command::Verify(args) => off_the_runtime(move || verify::run(&args)).await,
        Command::ReplayDecision(args) => off_the_runtime(move || replay_decision::run(&args)).await,
        Command::Migrate(args) => off_the_runtime(move || migrate::run(&args)).await,
        Command::RebuildProjection(args) => {
            off_the_runtime(move || rebuild_projection::run(&args)).await
        }
        Command::Healthcheck(args) => healthcheck::run(args).await,
    }
}

/// Runs a command whose calls block.
async fn off_the_runtime(
    command: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    tokio::task::spawn_blocking(command).await?
}

/// Prints a failure and what caused it to standard error.
pub fn report(failure: &(dyn std::error::Error + 'static)) {
    let mut line = format!("error: {failure}");
    let mut source = failure.source();
    while let Some(cause) = source {
        line.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    eprintln!("{line}");
}
