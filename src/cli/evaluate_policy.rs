//! `evaluate-policy`: what other policies would have earned on logged decisions.
//!
//! - One reward model, cross-fitted, serves all policies of a run; every estimator that
//!   the log allows is shown, with intervals and warnings.
//! - Where the log has the score of what was shown, so is how it compares with rewards.
//! - A bandit over arms (`--bandit`) is no fixed policy: it goes over the log and learns on its way.
//! - The table goes to standard output, or to standard error when the figures take
//!   standard output with `--json -`; lines that could not be read and what was assumed
//!   go to standard error.

mod bandit;
mod document;
mod load;
mod policy;
mod table;

use std::path::PathBuf;

use self::bandit::BanditName;
use self::document::Document;
use self::load::Loaded;
use self::load::Unit;
use self::policy::PolicyName;
use self::policy::ScoresFrom;
use crate::cli::Failure;
use crate::cli::decisions::Format;
use crate::cli::output;
use engine::evaluation::bootstrap;
use engine::evaluation::off_policy;
use engine::evaluation::off_policy::Bounds;
use engine::evaluation::off_policy::FittedModel;
use engine::evaluation::off_policy::Log;
use engine::evaluation::off_policy::Options;
use engine::evaluation::off_policy::Prior;
use engine::evaluation::off_policy::Reliability;
use engine::evaluation::off_policy::Report;
use engine::evaluation::off_policy::RewardModel;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Logged rounds: a table with at least action, reward and propensity, one JSON object
    /// a line with the same fields, or Vowpal Wabbit's dsjson. In the order of time.
    #[arg(value_name = "FILE")]
    log: PathBuf,
    /// How the file is written. By default its name says it: .jsonl, .dsjson or .json, else
    /// a table.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What to evaluate; may be given several times. uniform; greedy; epsilon-greedy or
    /// epsilon-greedy:0.05 (without a number 0.1); softmax or softmax:0.5 (the temperature,
    /// without a number 1); thompson or lin-ucb, thompson:0.5 or thompson:0.5:0.02 (the factor of
    /// the candidates' standard deviations in the log and the share of a position that is spread
    /// evenly; without numbers 0.3 and 0.01); constant:ACTION; file (the probabilities of the columns
    /// target_probability and candidate_target_probabilities).
    #[arg(long, value_name = "POLICY", required_unless_present = "bandit", value_parser = policy::parse)]
    policy: Vec<PolicyName>,
    /// A bandit over arms, as SelectArm has it, that starts from nothing and learns from the rounds in which the
    /// log shows what it would; may be given several times. thompson or upper-confidence, each with :SCALE or
    /// :SCALE:FLOOR as in --policy; square-cb; epsilon-greedy or epsilon-greedy:0.05; greedy. Rewards lie within
    /// --reward-range.
    #[arg(long, value_name = "STRATEGY", value_parser = bandit::parse)]
    bandit: Vec<BanditName>,
    /// What greedy, epsilon-greedy and softmax go by: the candidates' scores of the log, or
    /// the reward model fitted on the other half of the units. auto: scores where the log
    /// has them.
    #[arg(long, value_enum, default_value_t = ScoresFrom::Auto)]
    scores: ScoresFrom,
    /// What expects the reward of each candidate in the direct method and the doubly robust
    /// estimators: the shrunk mean reward of each action, or with it a ridge over features.
    /// auto: ridge where the log has features.
    #[arg(long, value_enum, default_value_t = ModelName::Auto)]
    reward_model: ModelName,
    /// Rounds that the prior of a ridge's coefficient is worth.
    #[arg(long, value_name = "ROUNDS", default_value_t = 10.0, value_parser = positive)]
    ridge_penalty: f64,
    /// Greatest weight of clipped IPS and DR.
    #[arg(long, value_name = "WEIGHT", default_value_t = 10.0, value_parser = positive)]
    clip: f64,
    /// Greatest weight that switch-DR corrects by.
    #[arg(long, value_name = "WEIGHT", default_value_t = 10.0, value_parser = positive)]
    switch: f64,
    /// How far DRos lets weights grow: l of l w / (w^2 + l).
    #[arg(long, value_name = "L", default_value_t = 100.0, value_parser = positive)]
    shrinkage: f64,
    /// Greatest propensity that counts as no chance.
    #[arg(long, value_name = "PROPENSITY", default_value_t = 0.0, value_parser = share)]
    floor: f64,
    /// The unit of resampling: intervals are over users, or over decisions. auto: users where
    /// the log has them.
    #[arg(long, value_enum, default_value_t = Unit::Auto)]
    unit: Unit,
    /// Only rounds of this variant of an experiment.
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// Smallest and greatest reward there can be, for the bounds that hold at any time. By
    /// default 0,1 where all rewards lie within; else there are no such bounds.
    #[arg(long, value_name = "LOW,HIGH", value_parser = range, allow_hyphen_values = true)]
    reward_range: Option<(f64, f64)>,
    /// Resamples behind a bootstrap interval.
    #[arg(long, default_value_t = bootstrap::RESAMPLES)]
    resamples: usize,
    /// Seed of the resamples and of the draws of replay and rejection.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write every figure to this file; - is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Which reward model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ModelName {
    Auto,
    Rates,
    Ridge,
}

/// A policy with what is known of it.
#[derive(Debug)]
pub struct Evaluated {
    /// As the caller named it, with what it goes by.
    pub name: String,
    pub report: Report,
}

/// Evaluates and prints; see [`Args`].
///
/// # Errors
/// When the file cannot be read, holds no round, or lacks what a policy goes by.
pub fn run(args: &Args) -> Result<(), Failure> {
    let format = args.format.unwrap_or_else(|| Format::of(&args.log));
    let mut loaded = load::load(&args.log, format, args.unit, args.variant.as_deref())?;
    let model = args.model(&loaded.log);
    loaded.notes.push(describe(model, &loaded.log));
    let reward_range = args.reward_range.or_else(|| assumed_range(&mut loaded));
    for note in &loaded.notes {
        eprintln!("{note}");
    }
    let bounds = Bounds { clip: args.clip, switch: args.switch, shrinkage: args.shrinkage };
    let options = Options {
        bounds,
        floor: args.floor,
        resamples: args.resamples,
        seed: args.seed,
        reward_range,
    };
    let fitted = FittedModel::fit(&loaded.log, model, true)?;
    let mut evaluated = Vec::with_capacity(args.policy.len());
    for name in &args.policy {
        let (policy, described) = name.on(&loaded, args.scores)?;
        let target = policy.on(&loaded.log).map_err(|cause| format!("{name}: {cause}"))?;
        let report = off_policy::evaluate(&loaded.log, target, &fitted, &options);
        evaluated.push(Evaluated { name: described, report });
    }
    let mut learners = Vec::with_capacity(args.bandit.len());
    for name in &args.bandit {
        learners.push(name.over(&loaded.log, args.seed, reward_range)?);
    }
    let reliability = Reliability::of(&loaded.log);
    let mut table = table::render(&loaded, reliability.as_ref(), &evaluated);
    learners.iter().for_each(|learner| table::append_learner(&mut table, learner));
    output::print(&table, args.json.as_deref().is_some_and(output::is_stdout))?;
    if let Some(path) = &args.json {
        let document =
            Document::new(args, &loaded, &options, reliability.as_ref(), (&evaluated, &learners));
        output::write_json(path, &document)?;
    }
    Ok(())
}

impl Args {
    fn model(&self, log: &Log) -> RewardModel {
        let has_features = log.features_width() + log.context_width() > 0;
        match self.reward_model {
            ModelName::Auto if has_features => RewardModel::Ridge { penalty: self.ridge_penalty },
            ModelName::Ridge => RewardModel::Ridge { penalty: self.ridge_penalty },
            ModelName::Auto | ModelName::Rates => RewardModel::Rates(Prior::Estimated),
        }
    }
}

fn describe(model: RewardModel, log: &Log) -> String {
    let what = match model {
        RewardModel::Rates(_) => "the shrunk mean reward of each action".to_owned(),
        RewardModel::Ridge { .. } => format!(
            "mean rewards and a ridge over {} features of the request context and {} of each candidate",
            log.context_width(),
            log.features_width()
        ),
    };
    format!("the reward model is {what}; no unit is judged by a model that was fitted on it")
}

/// Rewards that all lie in 0 to 1 are taken to be bounded by them.
fn assumed_range(loaded: &mut Loaded) -> Option<(f64, f64)> {
    let is_within = loaded.log.rounds().iter().all(|round| (0.0..=1.0).contains(&round.reward));
    if !is_within {
        loaded.notes.push(
            "rewards are not all from 0 to 1: --reward-range gives bounds that hold at any time"
                .to_owned(),
        );
    }
    is_within.then_some((0.0, 1.0))
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0);
    number.ok_or_else(|| "must be a number above 0, or inf".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| (0.0..1.0).contains(number));
    number.ok_or_else(|| "must be a number from 0 to below 1".to_owned())
}

fn range(text: &str) -> Result<(f64, f64), String> {
    let parsed = text.split_once(',').and_then(|(low, high)| {
        let (low, high) = (low.trim().parse::<f64>().ok()?, high.trim().parse::<f64>().ok()?);
        (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
    });
    parsed.ok_or_else(|| "must be two numbers, the smaller first, such as -1,1".to_owned())
}

#[cfg(test)]
mod tests;
