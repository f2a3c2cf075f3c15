//! Every figure as JSON, for machines. What is not a number is null.

use serde::Serialize;

use super::Args;
use super::Evaluated;
use super::bandit::Learner;
use super::load::Loaded;
use super::policy::PolicyName;
use engine::evaluation::bootstrap;
use engine::evaluation::off_policy::Bounds;
use engine::evaluation::off_policy::Interval;
use engine::evaluation::off_policy::Options;
use engine::evaluation::off_policy::PolicyEstimate;
use engine::evaluation::off_policy::Reliability;
use engine::evaluation::off_policy::Support;
use engine::evaluation::off_policy::Value;

/// Everything that was estimated. Values are rewards per round.
#[derive(Serialize)]
pub struct Document<'a> {
    rounds: usize,
    decisions: usize,
    actions: usize,
    /// Lines and rounds that were left out.
    unreadable: usize,
    /// What was left out or assumed.
    notes: &'a [String],
    confidence: f64,
    resamples: usize,
    seed: u64,
    bounds: Bounds,
    reward_range: Option<(f64, f64)>,
    /// Of the logged scores; null where not every round has one.
    reliability: Option<&'a Reliability>,
    policies: Vec<PolicyDocument<'a>>,
    bandits: &'a [Learner],
}

#[derive(Serialize)]
struct PolicyDocument<'a> {
    /// As it was asked for.
    policy: String,
    /// With what it goes by.
    name: &'a str,
    units: usize,
    logged: Value,
    estimates: &'a [PolicyEstimate],
    /// Bounds that hold at every moment of the log.
    anytime: Option<Interval>,
    support: &'a Support,
    warnings: Vec<String>,
}

impl<'a> Document<'a> {
    pub fn new(
        args: &'a Args,
        loaded: &'a Loaded,
        options: &Options,
        reliability: Option<&'a Reliability>,
        (evaluated, bandits): (&'a [Evaluated], &'a [Learner]),
    ) -> Self {
        let policy = |(asked, policy): (&'a PolicyName, &'a Evaluated)| PolicyDocument {
            policy: asked.to_string(),
            name: &policy.name,
            units: policy.report.units,
            logged: policy.report.logged,
            estimates: &policy.report.estimates,
            anytime: policy.report.anytime,
            support: &policy.report.support,
            warnings: policy.report.warnings.iter().map(ToString::to_string).collect(),
        };
        Self {
            rounds: loaded.log.rounds().len(),
            decisions: loaded.decisions,
            actions: loaded.log.actions(),
            unreadable: loaded.unreadable,
            notes: &loaded.notes,
            confidence: bootstrap::CONFIDENCE,
            resamples: options.resamples,
            seed: options.seed,
            bounds: options.bounds,
            reward_range: options.reward_range,
            reliability,
            bandits,
            policies: args.policy.iter().zip(evaluated).map(policy).collect(),
        }
    }
}
