//! `evaluate`: ranking quality of the engine on files, compared with baselines, without a
//! server.
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
mod table;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;

use self::analyses::Analyses;
use self::document::Document;
use self::load::Positive;
use self::load::Repeats;
use self::load::load;
use self::observe::Cost;
use self::observe::observe;
use crate::cli::Failure;
use crate::cli::dataset::Files;
use crate::cli::output;
use engine::evaluation::Dataset;
use engine::evaluation::EngineRecommender;
use engine::evaluation::Facts;
use engine::evaluation::OwnFrequency;
use engine::evaluation::Popularity;
use engine::evaluation::Recommender;
use engine::evaluation::RecommenderOptions;
use engine::evaluation::Summary;
use engine::evaluation::learning_curve;
use engine::evaluation::protocols;
use engine::evaluation::protocols::Case;
use engine::evaluation::protocols::ColdStart;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::protocols::StepCases;
use engine::evaluation::protocols::Task;
use engine::evaluation::report;
use engine::evaluation::summarize;

/// Events after which a positive counts half in the fading baseline.
const HALF_LIFE_EVENTS: u32 = 2_000;

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
    /// Also write every figure to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also measure what each component of the ranker is worth, accuracy against
    /// diversity, and the learning curve of new users, and write everything as one page
    /// with plots.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What is asked of every recommender of a run.
#[derive(Debug)]
pub struct Question {
    dataset: Dataset,
    task: Task,
    /// Ascending, not empty.
    ks: Vec<usize>,
    seed: u64,
    /// What was assumed about the data.
    notes: Vec<String>,
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
    let question = Question::new(args, &files)?;
    for note in &question.notes {
        eprintln!("{note}");
    }
    let (summary, costs, mut analyses) = match args.protocol {
        Protocol::ColdStart => question.cold_start()?,
        protocol => question.run(protocol, args.report.is_some())?,
    };
    if args.report.is_some() {
        question.complete(&mut analyses);
    }
    let table = table::render(&question, args.protocol, &summary, &costs, &analyses);
    output::print(&table, args.json.as_deref().is_some_and(output::is_stdout))?;
    if let Some(path) = &args.json {
        let document = Document::new(&question, args.protocol, &summary, &costs, &analyses);
        output::write_json(path, &document)?;
    }
    if let Some(path) = &args.report {
        let page = analyses::page(&question, args.protocol, &summary, &costs, &analyses);
        output::write_file(path, report::render(&page).as_bytes())?;
        eprintln!("the report is in {}", path.display());
    }
    Ok(())
}

impl Question {
    fn new(args: &Args, files: &Files) -> Result<Self, Failure> {
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
        Ok(Self { dataset: loaded.dataset, task, ks, seed: args.seed, notes: loaded.notes })
    }

    fn engine(&self, protocol: Protocol) -> EngineRecommender {
        let Task { positive, repeats, .. } = self.task;
        let options = RecommenderOptions { protocol, positive, repeats, seed: self.seed };
        EngineRecommender::new(&self.dataset, options)
    }

    fn baselines(&self) -> Vec<Box<dyn Recommender>> {
        let (users, items) = (self.dataset.users.len(), self.dataset.items.len());
        let positive = self.task.positive;
        let mut baselines: Vec<Box<dyn Recommender>> = vec![
            Box::new(Popularity::new(items, positive)),
            Box::new(Popularity::with_half_life(items, positive, HALF_LIFE_EVENTS)),
        ];
        if self.task.repeats {
            baselines.push(Box::new(OwnFrequency::new(users, items, positive)));
        }
        baselines
    }

    /// Why there is nothing to say.
    fn untestable(&self) -> Failure {
        format!(
            "no user can be tested: among {} rows of {} users no user has a positive (a value of at \
             least {}) to learn from and a later one to test; --positive and --repeats say what counts",
            self.dataset.rows.len(),
            self.dataset.users.len(),
            self.task.positive,
        )
        .into()
    }

    /// Temporal, leave-last-out or prequential. With `deeply`, also what needs the
    /// trained engine again.
    fn run(
        &self,
        protocol: Protocol,
        deeply: bool,
    ) -> Result<(Summary, Vec<Cost>, Analyses), Failure> {
        let (dataset, items) = (&self.dataset, self.dataset.items.len());
        let mut engine = self.engine(protocol);
        let mut analyses = Analyses::default();
        let mut outcomes = Outcomes::default();
        let facts = if protocol == Protocol::Prequential {
            let facts = Facts::new(dataset, self.task.positive, |_| true);
            let mut ask = |recommender: &mut dyn Recommender| {
                let (cases, cost) = observe(recommender, |asked, progress| {
                    protocols::prequential(dataset, &self.task, &facts, asked, progress)
                });
                outcomes.push(recommender.name(), cases, cost);
            };
            ask(&mut engine);
            print_trainings(&engine);
            self.baselines().iter_mut().for_each(|baseline| ask(&mut **baseline));
            facts
        } else {
            let mut split = Split::of(dataset, protocol, &self.task);
            let mut ask = |recommender: &mut dyn Recommender| {
                let (cases, cost) = observe(recommender, |asked, progress| {
                    split.learn(dataset, asked, progress);
                    split.test(asked, items, self.task.k, progress)
                });
                outcomes.push(recommender.name(), cases, cost);
            };
            ask(&mut engine);
            print_trainings(&engine);
            self.baselines().iter_mut().for_each(|baseline| ask(&mut **baseline));
            if deeply && !split.tests.is_empty() {
                analyses.look_inside(self, &engine, &mut split, protocol);
            }
            split.facts
        };
        if outcomes.cases.iter().any(|(_, cases)| cases.is_empty()) {
            return Err(self.untestable());
        }
        let summary = summarize(&outcomes.cases, &self.ks, &facts, self.seed);
        Ok((summary, outcomes.costs, analyses))
    }

    /// The learning curve; its warm step is the summary.
    fn cold_start(&self) -> Result<(Summary, Vec<Cost>, Analyses), Failure> {
        let plan = ColdStart::of(&self.dataset, &self.task);
        if plan.users() == 0 {
            return Err(self.untestable());
        }
        let (walks, costs) = self.walk(&plan);
        let curve = learning_curve(&walks, &self.ks, &plan.facts, self.seed);
        let warm = curve.last().ok_or_else(|| self.untestable())?.summary.clone();
        let plan = Some(plan.describe());
        Ok((warm, costs, Analyses { curve: Some(curve), plan, ..Analyses::default() }))
    }

    fn walk(&self, plan: &ColdStart) -> (Vec<(String, Vec<StepCases>)>, Vec<Cost>) {
        let ask = |recommender: &mut dyn Recommender| {
            let (steps, cost) = observe(&mut *recommender, |asked, progress| {
                plan.run(&self.dataset, self.task.k, asked, progress)
            });
            ((recommender.name().to_owned(), steps), cost)
        };
        let mut engine = self.engine(Protocol::ColdStart);
        let mut walks = vec![ask(&mut engine)];
        print_trainings(&engine);
        walks.extend(self.baselines().iter_mut().map(|baseline| ask(&mut **baseline)));
        walks.into_iter().unzip()
    }

    /// Adds what a report shows and the protocol did not measure by itself.
    fn complete(&self, analyses: &mut Analyses) {
        if analyses.ablations.is_none() {
            let protocol = Protocol::LeaveLastOut;
            let mut split = Split::of(&self.dataset, protocol, &self.task);
            if !split.tests.is_empty() {
                let mut engine = self.engine(protocol);
                observe(&mut engine, |asked, progress| split.learn(&self.dataset, asked, progress));
                analyses.look_inside(self, &engine, &mut split, protocol);
            }
        }
        if analyses.curve.is_none() {
            let plan = ColdStart::of(&self.dataset, &self.task);
            if plan.users() > 0 {
                let (walks, _) = self.walk(&plan);
                let curve = learning_curve(&walks, &self.ks, &plan.facts, self.seed);
                (analyses.curve, analyses.plan) = (Some(curve), Some(plan.describe()));
            }
        }
    }
}

/// Prints what trainings tried, chose and refused: those that searched, those that published
/// nothing, and the last one.
fn print_trainings(engine: &EngineRecommender) {
    let trainings = engine.trainings();
    for (number, report) in (1..).zip(trainings) {
        let is_refused = matches!(report.outcome, Some(Err(_)));
        if report.searched || is_refused || number == trainings.len() {
            eprintln!("{number} of {}: {report}", trainings.len());
        }
    }
}

/// What was observed of each recommender, in order.
#[derive(Default)]
struct Outcomes {
    cases: Vec<(String, Vec<Case>)>,
    costs: Vec<Cost>,
}

impl Outcomes {
    fn push(&mut self, name: &str, cases: Vec<Case>, cost: Cost) {
        self.cases.push((name.to_owned(), cases));
        self.costs.push(cost);
    }
}

#[cfg(test)]
mod tests;
