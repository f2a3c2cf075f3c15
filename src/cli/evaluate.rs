//! `evaluate`: ranking quality of the engine on files, next to the plain models that it is made of or has to beat,
//! without a server.
//!
//! - The recommenders run one after the other on the same cases; their time is
//!   measured here, since the evaluation itself reads no clock.
//! - The table goes to standard output, or to standard error when the figures take
//!   standard output with `--json -`; progress and what was assumed about the data go
//!   to standard error.

mod analyses;
mod document;
mod load;
mod observe;
mod page;
mod question;
mod results;
mod run;
mod table;

use std::num::NonZeroU16;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;

use self::document::Document;
use self::load::Positive;
use self::load::Repeats;
use self::load::load;
use self::question::Question;
use crate::cli::Failure;
use crate::cli::dataset::Files;
use crate::cli::output;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Task;
use engine::evaluation::report;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Interactions: user_id, item_id, rating, timestamp, in a text file with a header;
    /// or a directory in MovieLens layout (ratings.csv and movies.csv). Spellings of
    /// well-known data sets are recognised; files may be packed by gzip. Without a column
    /// of ratings every row is a positive; without timestamps the order of the file stands
    /// for that of time.
    #[arg(long, value_name = "FILE")]
    interactions: PathBuf,
    /// Items: item_id, title, topics (split at |), source. Ties in a ranking go to
    /// the item that comes first here.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Users: user_id and any attributes.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Test on the last fifth of all rows, on each user's last positive, on every
    /// positive just before it is learnt, or on users held out of all learning, after
    /// 0, 1, 2, 5 and 10 of their events.
    #[arg(long, value_parser = PossibleValuesParser::new(Protocol::ALL.map(Protocol::name))
        .map(|name| Protocol::from_name(&name).expect("one of the possible values")))]
    protocol: Protocol,
    /// A row with at least this value is a positive. auto looks at the values: from 4 of
    /// 5, 8 of 10 or 80 of 100 for ratings, every row for counts.
    #[arg(long, value_name = "VALUE", default_value = "auto", value_parser = load::parse_positive)]
    positive: Positive,
    /// Whether what a user had before may be recommended and counts as a test. auto: when
    /// at least a tenth of the positives repeat an earlier one.
    #[arg(long, value_enum, default_value_t = Repeats::Auto)]
    repeats: Repeats,
    /// How many positions of a ranking to look at.
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "10,20")]
    k: Vec<NonZeroUsize>,
    /// Test about so many cases at most, drawn by hash; all rows are learnt. By default
    /// as many as there are while cases times items stay below 500 million.
    #[arg(long, value_name = "CASES")]
    max_cases: Option<NonZeroUsize>,
    /// Seed of the engine and of the resamples behind the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Train with so many seeds, from --seed on: figures are means over them, and how far they are apart is
    /// shown, too.
    #[arg(long, value_name = "N", default_value = "1")]
    seeds: NonZeroU16,
    /// Also write every figure to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also measure what each component of the ranker is worth, accuracy against
    /// diversity, and the learning curve of new users, and write everything as one page
    /// with plots.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Evaluates and prints; see [`Args`].
///
/// # Errors
/// When a file cannot be read or written, or no user can be tested.
pub async fn run(args: Args) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || evaluate(&args)).await?
}

fn evaluate(args: &Args) -> Result<(), Failure> {
    let files = Files::find(&args.interactions, args.items.as_deref(), args.users.as_deref())?;
    let question = question(args, &files)?;
    for note in &question.notes {
        eprintln!("{note}");
    }
    let results = run::run(&question, args.report.is_some())?;
    let table = table::render(&question, &results);
    output::print(&table, args.json.as_deref().is_some_and(output::is_stdout))?;
    if let Some(path) = &args.json {
        output::write_json(path, &Document::new(&question, &results))?;
    }
    if let Some(path) = &args.report {
        let page = page::page(&question, &results);
        output::write_file(path, report::render(&page).as_bytes())?;
        eprintln!("the report is in {}", path.display());
    }
    Ok(())
}

fn question(args: &Args, files: &Files) -> Result<Question, Failure> {
    let loaded = load(files, args.positive, args.repeats)?;
    let mut ks: Vec<usize> = args.k.iter().map(|k| k.get()).collect();
    ks.sort_unstable();
    ks.dedup();
    let items = loaded.dataset.items.len();
    let task = Task {
        positive: loaded.positive,
        repeats: loaded.repeats,
        k: ks.last().copied().unwrap_or(1),
        max_cases: args.max_cases.map_or(Task::cases_by_budget(items), NonZeroUsize::get),
    };
    let seeds = (args.seed..).take(usize::from(args.seeds.get())).collect();
    let (dataset, notes) = (loaded.dataset, loaded.notes);
    Ok(Question { dataset, protocol: args.protocol, task, ks, seeds, notes })
}

#[cfg(test)]
mod tests;
