//! Puts the engine and the plain models through the protocol, with each seed.
//!
//! Plain models that learn by themselves know no seed: they run once.

use super::analyses::Analyses;
use super::observe::Cost;
use super::observe::observe;
use super::observe::with_bar;
use super::question::Question;
use super::results::Results;
use crate::cli::Failure;
use engine::evaluation::EngineRecommender;
use engine::evaluation::Facts;
use engine::evaluation::Measured;
use engine::evaluation::Recommender;
use engine::evaluation::Summary;
use engine::evaluation::Walks;
use engine::evaluation::learning_curve;
use engine::evaluation::plain;
use engine::evaluation::protocols;
use engine::evaluation::protocols::ColdStart;
use engine::evaluation::protocols::Outcome;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Split;
use engine::evaluation::served;
use engine::evaluation::served::AsServed;

/// Cases by name, and what the first of them cost: the others are part of its pass.
type Asked = (Outcome, Cost);

/// Everything that is measured. With `deeply`, also what a report shows.
///
/// # Errors
/// When no user can be tested.
pub fn run(question: &Question, deeply: bool) -> Result<Results, Failure> {
    let mut results = match question.protocol {
        Protocol::ColdStart => cold_start(question)?,
        Protocol::Prequential => prequential(question)?,
        Protocol::Temporal | Protocol::LeaveLastOut => split(question, deeply)?,
    };
    if deeply {
        complete(question, &mut results.analyses);
    }
    Ok(results)
}

/// Why there is nothing to say.
fn untestable(question: &Question) -> Failure {
    format!(
        "no user can be tested: among {} rows of {} users no user has a positive (a value of at \
         least {}) to learn from and a later one to test; --positive and --repeats say what counts",
        question.dataset.rows.len(),
        question.dataset.users.len(),
        question.task.positive,
    )
    .into()
}

/// Runs of the engine, measured one after the other next to the same baselines.
struct Runs<'a> {
    question: &'a Question,
    facts: &'a Facts,
    baselines: Vec<Asked>,
    measured: Vec<Measured>,
    results: Results,
}

impl<'a> Runs<'a> {
    fn new(
        question: &'a Question,
        facts: &'a Facts,
        mut ask: impl FnMut(&mut dyn Recommender) -> Asked,
    ) -> Self {
        let baselines = plain::baselines(&question.dataset, &question.task);
        let baselines = baselines.into_iter().map(|mut plain| ask(&mut *plain)).collect();
        Self { question, facts, baselines, measured: Vec::new(), results: Results::default() }
    }

    /// Measures what the engine, its components and `other` lists of it came to.
    fn add(&mut self, engine: &EngineRecommender, (own, cost): Asked, other: Outcome) {
        print_trainings(engine);
        let mut own = own.into_iter();
        let mut outcome: Outcome = own.by_ref().take(1).chain(other).collect();
        let mut costs = vec![None; outcome.len()];
        costs[0] = Some(cost);
        for (cases, cost) in &self.baselines {
            outcome.extend(cases.iter().cloned());
            costs.push(Some(*cost));
        }
        outcome.extend(own);
        costs.resize(outcome.len(), None);
        if self.measured.is_empty() {
            self.results.costs = costs;
        }
        self.results.trainings.push(engine.trainings().to_vec());
        self.measured.push(Measured::of(&outcome, &self.question.ks, self.facts));
    }

    fn end(self) -> Results {
        let Self { question, measured, mut results, .. } = self;
        let seed = question.seeds[0];
        results.summary = Summary::of(&Measured::mean(&measured), seed);
        if measured.len() > 1 {
            results.by_seed = measured.iter().map(|one| Summary::of(one, seed)).collect();
        }
        results
    }
}

/// Temporal or leave-last-out.
fn split(question: &Question, deeply: bool) -> Result<Results, Failure> {
    let Question { dataset, protocol, task, .. } = question;
    let items = dataset.items.len();
    let mut split = Split::of(dataset, *protocol, task);
    if split.tests.is_empty() {
        return Err(untestable(question));
    }
    let ask = |recommender: &mut dyn Recommender| {
        observe(recommender, |asked, progress| {
            split.learn(dataset, asked, progress);
            split.test_with_parts(asked, items, task.k, progress)
        })
    };
    let mut runs = Runs::new(question, &split.facts, ask);
    let mut first = None;
    for &seed in &question.seeds {
        let engine = question.engine(*protocol, seed);
        let mut engine = engine.with_parts(&plain::components(dataset));
        let asked = ask(&mut engine);
        let lists = with_bar(served::SERVED, |progress| {
            served::served(&engine, &split, items, task.k, progress)
        });
        runs.add(&engine, asked, lists);
        first.get_or_insert(engine);
    }
    let mut results = runs.end();
    if let Some(engine) = first {
        let settings = engine.settings();
        results.served = AsServed::of(&results.summary, &question.headline(), settings);
        if deeply {
            results.analyses.look_inside(question, &engine, &mut split, *protocol);
        }
    }
    Ok(results)
}

fn prequential(question: &Question) -> Result<Results, Failure> {
    let Question { dataset, protocol, task, .. } = question;
    let facts = Facts::new(dataset, task.positive, |_| true);
    let ask = |recommender: &mut dyn Recommender| {
        observe(recommender, |asked, progress| {
            protocols::prequential(dataset, task, &facts, asked, progress)
        })
    };
    let mut runs = Runs::new(question, &facts, ask);
    if runs.baselines.iter().any(|(outcome, _)| outcome[0].1.is_empty()) {
        return Err(untestable(question));
    }
    for &seed in &question.seeds {
        let engine = question.engine(*protocol, seed);
        let mut engine = engine.with_parts(&plain::components(dataset));
        let asked = ask(&mut engine);
        runs.add(&engine, asked, Outcome::new());
    }
    Ok(runs.end())
}

/// The learning curve; its warm step is the summary.
fn cold_start(question: &Question) -> Result<Results, Failure> {
    let plan = ColdStart::of(&question.dataset, &question.task);
    if plan.users() == 0 {
        return Err(untestable(question));
    }
    let mut results = Results::default();
    let walks = walk(question, &plan, &question.seeds, &mut results);
    let curve =
        |walks: &[Walks]| learning_curve(walks, &question.ks, &plan.facts, question.seeds[0]);
    let warm = |walks: &[Walks]| curve(walks).pop().map(|point| point.summary);
    results.summary = warm(&walks).ok_or_else(|| untestable(question))?;
    if walks.len() > 1 {
        results.by_seed = walks.iter().filter_map(|one| warm(std::slice::from_ref(one))).collect();
    }
    results.analyses.curve = Some(curve(&walks));
    results.analyses.plan = Some(plan.describe());
    Ok(results)
}

/// The steps of all models, by seed.
fn walk(question: &Question, plan: &ColdStart, seeds: &[u64], results: &mut Results) -> Vec<Walks> {
    let Question { dataset, task, .. } = question;
    let ask = |recommender: &mut dyn Recommender| {
        let (steps, cost) = observe(&mut *recommender, |asked, progress| {
            plan.run(dataset, task.k, asked, progress)
        });
        ((recommender.name().to_owned(), steps), cost)
    };
    let baselines = plain::baselines(dataset, task).into_iter();
    let (baselines, costs): (Walks, Vec<Cost>) =
        baselines.map(|mut plain| ask(&mut *plain)).unzip();
    let mut walks = Vec::new();
    for &seed in seeds {
        let mut engine = question.engine(Protocol::ColdStart, seed);
        let (own, cost) = ask(&mut engine);
        print_trainings(&engine);
        if walks.is_empty() {
            results.costs = std::iter::once(cost).chain(costs.iter().copied()).map(Some).collect();
        }
        results.trainings.push(engine.trainings().to_vec());
        walks.push(std::iter::once(own).chain(baselines.iter().cloned()).collect());
    }
    walks
}

/// Adds what a report shows and the protocol did not measure by itself, of the first seed.
fn complete(question: &Question, analyses: &mut Analyses) {
    let (dataset, seed) = (&question.dataset, question.seeds[0]);
    if analyses.ablations.is_none() {
        let protocol = Protocol::LeaveLastOut;
        let mut split = Split::of(dataset, protocol, &question.task);
        if !split.tests.is_empty() {
            let mut engine = question.engine(protocol, seed);
            observe(&mut engine, |asked, progress| split.learn(dataset, asked, progress));
            analyses.look_inside(question, &engine, &mut split, protocol);
        }
    }
    if analyses.curve.is_none() {
        let plan = ColdStart::of(dataset, &question.task);
        if plan.users() > 0 {
            let walks = walk(question, &plan, &[seed], &mut Results::default());
            let curve = learning_curve(&walks, &question.ks, &plan.facts, seed);
            (analyses.curve, analyses.plan) = (Some(curve), Some(plan.describe()));
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
