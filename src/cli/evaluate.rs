//! `evaluate`: ranking quality of the engine on files, beside popularity, without a
//! server.
//!
//! - The recommenders run one after the other on the same cases; their time is
//!   measured here, since the evaluation itself reads no clock.
//! - The table goes to standard output, or to standard error when the figures take
//!   standard output with `--json -`; progress goes to standard error.

mod table;

use std::fs::File;
use std::io;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;

use crate::cli::Failure;
use crate::cli::dataset;
use crate::cli::dataset::Files;
use crate::cli::dataset::Rows;
use crate::domain::Timestamp;
use crate::evaluation::Comparison;
use crate::evaluation::Dataset;
use crate::evaluation::DatasetBuilder;
use crate::evaluation::EngineRecommender;
use crate::evaluation::ModelFigures;
use crate::evaluation::Outcome;
use crate::evaluation::Popularity;
use crate::evaluation::Recommender;
use crate::evaluation::RecommenderOptions;
use crate::evaluation::Report;
use crate::evaluation::Row;
use crate::evaluation::bootstrap;
use crate::evaluation::protocols;
use crate::evaluation::protocols::Protocol;
use crate::evaluation::summarize;

/// Events after which a positive counts half in the fading baseline.
const HALF_LIFE_EVENTS: u32 = 2_000;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Interactions: user_id, item_id, rating, timestamp, in CSV with a header; or a
    /// directory in MovieLens layout (ratings.csv and movies.csv). Without a column
    /// of ratings every row is a positive of value 1.
    #[arg(long, value_name = "FILE")]
    interactions: PathBuf,
    /// Items: item_id, title, topics (split at |), source. Ties in a ranking go to
    /// the item that comes first here.
    #[arg(long, value_name = "FILE")]
    items: Option<PathBuf>,
    /// Users: user_id and any attributes.
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Test on the last fifth of all rows, on each user's last positive, or on every
    /// positive just before it is learnt.
    #[arg(long, value_parser = PossibleValuesParser::new(Protocol::ALL.map(Protocol::name))
        .map(|name| Protocol::from_name(&name).expect("one of the possible values")))]
    protocol: Protocol,
    /// A row with at least this rating is a positive.
    #[arg(long, value_name = "RATING", default_value_t = 4.0)]
    positive: f32,
    /// How many places of a ranking to look at.
    #[arg(long, value_name = "K", value_delimiter = ',', default_value = "10,20")]
    k: Vec<NonZeroUsize>,
    /// Seed of the engine and of the resamples behind the intervals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write every figure to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
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
    let (dataset, positive) = load(&files, args.positive)?;
    let options = RecommenderOptions { protocol: args.protocol, positive, seed: args.seed };
    let mut ks: Vec<usize> = args.k.iter().map(|k| k.get()).collect();
    ks.sort_unstable();
    ks.dedup();

    let items = dataset.items.len();
    let recommenders: [Box<dyn Recommender>; 3] = [
        Box::new(EngineRecommender::new(&dataset, options)),
        Box::new(Popularity::new(items, positive)),
        Box::new(Popularity::with_half_life(items, positive, HALF_LIFE_EVENTS)),
    ];
    let (mut outcomes, mut costs) = (Vec::new(), Vec::new());
    for recommender in recommenders {
        let name = recommender.name().to_owned();
        let (outcome, cost) = observe(&dataset, options, &ks, recommender);
        if outcome.is_empty() {
            return Err(format!(
                "no user can be tested: {} has no user with enough ratings of at least {positive}",
                files.interactions.display()
            )
            .into());
        }
        outcomes.push((name, outcome));
        costs.push(cost);
    }
    let report = summarize(&outcomes, &ks, items, args.seed);

    let table = table::render(&dataset, options, &report, &costs);
    let is_json_on_stdout = args.json.as_deref() == Some(Path::new("-"));
    if is_json_on_stdout {
        io::stderr().write_all(table.as_bytes())?;
    } else {
        io::stdout().write_all(table.as_bytes())?;
    }
    if let Some(path) = &args.json {
        let document = Document::new(&dataset, options, &ks, &report, &costs);
        write_json(path, is_json_on_stdout, &document)?;
    }
    Ok(())
}

/// Reads the files; also the value from which a row is a positive: `positive`, or 1
/// where the file has no ratings. A row that lacks its rating is a positive.
fn load(files: &Files, positive: f32) -> Result<(Dataset, f32), dataset::Error> {
    const IMPLICIT: f32 = 1.0;
    let mut builder = DatasetBuilder::default();
    if let Some(path) = &files.items {
        let mut items = Rows::items(path)?;
        while let Some(item) = items.next() {
            builder.add_item(item?).map_err(|repeated| items.fault("item_id", repeated))?;
        }
    }
    if let Some(path) = &files.users {
        let mut users = Rows::users(path)?;
        while let Some(user) = users.next() {
            let user = user?;
            builder
                .add_user(&user.user_id, user.attributes)
                .map_err(|repeated| users.fault("user_id", repeated))?;
        }
    }
    let interactions = Rows::interactions(&files.interactions)?;
    let positive = if interactions.has_ratings() { positive } else { IMPLICIT };
    for row in interactions {
        let row = row?;
        let value = row.rating.unwrap_or(positive);
        builder.add_interaction(&row.user_id, &row.item_id, value, row.at);
    }
    Ok((builder.build(), positive))
}

/// Time that one recommender took.
#[derive(Debug, Default, Serialize)]
struct Cost {
    rows_learnt: u64,
    rankings: u64,
    learning_seconds: f64,
    scoring_seconds: f64,
    /// Wall time of the run, the protocol's own work included.
    seconds: f64,
    /// Rows learnt and, if prequential, ranked for, per second of the run.
    events_per_second: f64,
}

/// A recommender under a stopwatch.
struct Timed {
    inner: Box<dyn Recommender>,
    rows_learnt: u64,
    rankings: u64,
    learning: Duration,
    scoring: Duration,
}

impl Recommender for Timed {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn learn(&mut self, row: &Row) {
        let start = Instant::now();
        self.inner.learn(row);
        self.learning += start.elapsed();
        self.rows_learnt += 1;
    }

    fn train(&mut self) {
        let start = Instant::now();
        self.inner.train();
        self.learning += start.elapsed();
    }

    fn score(&mut self, user: u32, now: Timestamp, scores: &mut [f32]) {
        let start = Instant::now();
        self.inner.score(user, now, scores);
        self.scoring += start.elapsed();
        self.rankings += 1;
    }
}

/// Puts one recommender through the protocol.
fn observe(
    dataset: &Dataset,
    options: RecommenderOptions,
    ks: &[usize],
    inner: Box<dyn Recommender>,
) -> (Outcome, Cost) {
    let style =
        ProgressStyle::with_template("{msg:28} {wide_bar} {percent:>3} % {elapsed} + {eta}")
            .expect("the template is well-formed");
    let bar = ProgressBar::new(1).with_style(style).with_message(inner.name().to_owned());
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let zero = Duration::ZERO;
    let mut timed = Timed { inner, rows_learnt: 0, rankings: 0, learning: zero, scoring: zero };
    let k_max = ks.last().copied().unwrap_or(0);
    let (positive, start) = (options.positive, Instant::now());
    let outcome = match options.protocol {
        Protocol::Temporal => {
            Outcome::Lists(protocols::temporal(dataset, positive, k_max, &mut timed, &mut progress))
        }
        Protocol::LeaveLastOut => Outcome::Lists(protocols::leave_last_out(
            dataset,
            positive,
            k_max,
            &mut timed,
            &mut progress,
        )),
        Protocol::Prequential => {
            Outcome::Events(protocols::prequential(dataset, positive, &mut timed, &mut progress))
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let cost = Cost {
        rows_learnt: timed.rows_learnt,
        rankings: timed.rankings,
        learning_seconds: timed.learning.as_secs_f64(),
        scoring_seconds: timed.scoring.as_secs_f64(),
        seconds,
        events_per_second: timed.rows_learnt as f64 / seconds,
    };
    (outcome, cost)
}

/// Everything that was measured, for machines.
#[derive(Serialize)]
struct Document<'a> {
    protocol: Protocol,
    positive: f32,
    seed: u64,
    k: &'a [usize],
    confidence: f64,
    resamples: usize,
    dataset: DatasetSize,
    users_tested: u64,
    cases: u64,
    models: Vec<ModelDocument<'a>>,
    /// The first model minus each other one, paired by user.
    comparisons: &'a [Comparison],
}

#[derive(Serialize)]
struct DatasetSize {
    users: usize,
    items: usize,
    rows: usize,
    positives: usize,
}

#[derive(Serialize)]
struct ModelDocument<'a> {
    #[serde(flatten)]
    model: &'a ModelFigures,
    cost: &'a Cost,
}

impl<'a> Document<'a> {
    fn new(
        dataset: &Dataset,
        options: RecommenderOptions,
        k: &'a [usize],
        report: &'a Report,
        costs: &'a [Cost],
    ) -> Self {
        let models = report.models.iter().zip(costs);
        Self {
            protocol: options.protocol,
            positive: options.positive,
            seed: options.seed,
            k,
            confidence: bootstrap::CONFIDENCE,
            resamples: bootstrap::RESAMPLES,
            dataset: DatasetSize {
                users: dataset.users.len(),
                items: dataset.items.len(),
                rows: dataset.rows.len(),
                positives: dataset.positives(options.positive),
            },
            users_tested: report.users,
            cases: report.cases,
            models: models.map(|(model, cost)| ModelDocument { model, cost }).collect(),
            comparisons: &report.comparisons,
        }
    }
}

fn write_json(path: &Path, is_stdout: bool, document: &Document<'_>) -> Result<(), Failure> {
    let mut json = serde_json::to_vec_pretty(document)?;
    json.push(b'\n');
    if is_stdout {
        io::stdout().write_all(&json)?;
    } else {
        File::create(path)
            .and_then(|mut file| file.write_all(&json))
            .map_err(|cause| format!("failed to write {}: {cause}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        let words = ["evaluate", "--interactions", "rows.csv"].iter().chain(words);
        CommandLine::try_parse_from(words).map(|line| line.args)
    }

    fn loaded(interactions: &str) -> (Vec<f32>, f32) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.csv");
        fs::write(&path, interactions).unwrap();
        let files = Files { interactions: path, items: None, users: None };
        let (dataset, positive) = load(&files, 4.0).unwrap();
        (dataset.rows.iter().map(|row| row.value).collect(), positive)
    }

    #[test]
    fn protocols_and_cut_offs_are_read_from_the_command_line() {
        let args = parse(&["--protocol", "leave-last-out", "--k", "5,50"]).unwrap();
        assert_eq!(args.protocol, Protocol::LeaveLastOut);
        assert_eq!(args.k.iter().map(|k| k.get()).collect::<Vec<_>>(), [5, 50]);
        assert!(parse(&["--protocol", "random"]).is_err());
        assert!(parse(&["--protocol", "temporal", "--k", "0"]).is_err());
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn rows_without_ratings_are_positives() {
        assert_eq!(loaded("user_id,item_id,timestamp\nu,a,1\nu,b,2\n"), (vec![1.0, 1.0], 1.0));
        let rated = "user_id,item_id,rating,timestamp\nu,a,2.5,1\nu,b,,2\n";
        assert_eq!(loaded(rated), (vec![2.5, 4.0], 4.0));
    }

    #[test]
    fn an_item_listed_twice_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("items.csv");
        fs::write(&path, "item_id,title\na,A\na,B\n").unwrap();
        let files = Files { interactions: path.clone(), items: Some(path), users: None };
        let message = load(&files, 4.0).unwrap_err().to_string();
        assert!(message.ends_with("items.csv:3: column item_id: is described more than once"));
    }
}
