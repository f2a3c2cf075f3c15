//! What other policies would have earned in the last days: off-policy evaluation of the running
//! service's own decisions.
//!
//! - Every position that was the ranker's choice is a round: its candidates are those of the
//!   decision that stand neither above it nor pinned, with the scores that the choice went
//!   by, but for what LinUCB added to them. A policy of scores knows nothing of variety and
//!   caps.
//! - Bounded: when the decisions have more candidates than fit, whole users are left out,
//!   by a hash of their ids, so that the rest is a fair sample of all the time.
//! - One at a time, on a thread of its own; it ends early when nobody waits for it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::Service;
use super::blocking::run_blocking;
use super::decision_log::Rewards;
use super::decision_log::each_record;
use super::decision_log::first_recorded_since;
use super::error::Error;
use super::namespace::Namespace;
use crate::config::decisions_kept_since;
use crate::storage::InteractionLog;
use engine::domain::Decision;
use engine::domain::Record;
use engine::domain::Timestamp;
use engine::evaluation::off_policy;
use engine::evaluation::off_policy::Candidate;
use engine::evaluation::off_policy::FittedModel;
use engine::evaluation::off_policy::Log;
use engine::evaluation::off_policy::LogBuilder;
use engine::evaluation::off_policy::NewRound;
use engine::evaluation::off_policy::Options;
use engine::evaluation::off_policy::Policy;
use engine::evaluation::off_policy::Prior;
use engine::evaluation::off_policy::RewardModel;
use engine::evaluation::off_policy::Scores;

pub use engine::evaluation::off_policy::Estimator;
pub use engine::evaluation::off_policy::Report as PolicyReport;
pub use engine::evaluation::off_policy::Value as EstimatedValue;
pub use engine::evaluation::off_policy::Warning as PolicyWarning;

/// Candidates of all rounds: 20 bytes each; two seconds for all policies.
const CELLS_MAX: usize = 4_000_000;
/// Resamples behind an interval: enough for two digits of its bounds.
const RESAMPLES: usize = 500;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationCall {
    /// Decisions recorded since.
    pub since: Timestamp,
    /// Of the epsilon-greedy policy.
    pub epsilon: f64,
    /// Of Thompson sampling and LinUCB: factor of the standard deviations, and share of a
    /// position that is spread evenly.
    pub exploration_scale: f64,
    pub propensity_floor: f64,
    /// Only decisions of this variant.
    pub variant: Option<Box<str>>,
}

impl EvaluationCall {
    fn is_about(&self, decision: &Decision) -> bool {
        let variant = decision.detail.as_ref().and_then(|detail| detail.variant.as_ref());
        self.variant.is_none() || self.variant.as_ref() == variant
    }

    fn policies(&self) -> [(EvaluatedPolicy, Policy); 5] {
        let (scores, epsilon) = (Scores::Logged, self.epsilon);
        let (scale, floor) = (self.exploration_scale, self.propensity_floor);
        [
            (EvaluatedPolicy::Greedy, Policy::Greedy(scores)),
            (EvaluatedPolicy::EpsilonGreedy, Policy::EpsilonGreedy { epsilon, scores }),
            (EvaluatedPolicy::Thompson, Policy::Thompson { scale, floor }),
            (EvaluatedPolicy::LinUcb, Policy::LinUcb { scale, floor }),
            (EvaluatedPolicy::Uniform, Policy::Uniform),
        ]
    }
}

/// The policies that are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluatedPolicy {
    Greedy,
    EpsilonGreedy,
    Thompson,
    LinUcb,
    Uniform,
}

/// What policies would have earned.
#[derive(Debug)]
pub struct Evaluation {
    pub since: Timestamp,
    pub until: Timestamp,
    /// Decisions of the time.
    pub decisions: u64,
    /// Those of them that do not say what they chose from.
    pub without_candidates: u64,
    /// Decisions evaluated on.
    pub evaluated: u64,
    /// Share of users that these are of.
    pub share_of_users: f64,
    /// At least one.
    pub policies: Vec<PolicyEvaluation>,
}

/// What one policy would have earned.
#[derive(Debug)]
pub struct PolicyEvaluation {
    pub policy: EvaluatedPolicy,
    pub report: PolicyReport,
}

impl Service {
    /// Evaluates policies on the decisions of a namespace.
    ///
    /// # Errors
    /// `NothingToEvaluate`; `Overloaded` while another evaluation runs; `ShuttingDown`
    /// when the service drains meanwhile; errors of the store.
    pub async fn evaluate_policies(
        &self,
        namespace: &Arc<Namespace>,
        call: EvaluationCall,
    ) -> Result<Evaluation, Error> {
        let permit = self.evaluations.clone().try_acquire_owned();
        let permit = permit.map_err(|_taken| Error::Overloaded("another evaluation is running"))?;
        let stop = self.draining.child_token();
        let _ends_with_this_call = stop.clone().drop_guard();
        let until = self.clock.now();
        let kept_since = decisions_kept_since(self.decision_retention_days, until);
        let call = EvaluationCall { since: call.since.max(kept_since), ..call };
        let (namespace, log) = (namespace.clone(), self.namespaces.stores().log.clone());
        let work = move || {
            let _permit = permit;
            let gathered = Gathered::read(&namespace, &*log, &call, &stop)?;
            gathered.evaluate(&call, until, &stop)
        };
        run_blocking(work).await?
    }
}

/// One decision that can be evaluated on.
#[derive(Debug)]
struct Kept {
    user_hash: u64,
    decision_id: Box<str>,
    user_id: Box<str>,
    shown: Vec<Shown>,
    candidates: Vec<Believed>,
}

/// What was believed of the reward of an action.
#[derive(Debug, Clone, Copy)]
struct Believed {
    action: u32,
    mean: f32,
    deviation: f32,
}

#[derive(Debug)]
struct Shown {
    action: u32,
    item_id: Box<str>,
    propensity: f32,
    pinned: bool,
}

impl Kept {
    fn cells(&self) -> usize {
        self.candidates.len() * self.shown.iter().filter(|shown| !shown.pinned).count()
    }
}

/// Decisions and rewards, as the log is read.
struct Gathered {
    rewards: Rewards,
    actions: HashMap<Box<str>, u32>,
    kept: Vec<Kept>,
    cells: usize,
    /// Users with a greater hash are left out.
    greatest_hash: u64,
    decisions: u64,
    without_candidates: u64,
}

impl Gathered {
    fn read(
        namespace: &Namespace,
        log: &dyn InteractionLog,
        call: &EvaluationCall,
        stop: &CancellationToken,
    ) -> Result<Self, Error> {
        let view = namespace.view();
        let rewards = Rewards::by(view.settings().clone(), view.aliases().clone());
        let mut gathered = Self {
            rewards,
            actions: HashMap::new(),
            kept: Vec::new(),
            cells: 0,
            greatest_hash: u64::MAX,
            decisions: 0,
            without_candidates: 0,
        };
        let partition = &namespace.tail.partition;
        let end = log.log_end(partition)?.sequence;
        let first = first_recorded_since(log, partition, end, call.since)?;
        each_record(log, partition, first - 1, end, |record| {
            match &record.record {
                _ if stop.is_cancelled() => return Err(Error::ShuttingDown),
                Record::Decision(decision) if call.is_about(decision) => gathered.keep(decision),
                Record::Interaction(interaction) => gathered.rewards.add(interaction),
                Record::UsersMerged { from, into } => {
                    gathered.rewards.merge(from, into, record.sequence);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(gathered)
    }

    fn keep(&mut self, decision: &Decision) {
        self.decisions += 1;
        let Some(detail) = &decision.detail else {
            self.without_candidates += 1;
            return;
        };
        let user_id = self.rewards.user(decision.user_id.as_str());
        let user_hash = xxh3_64(user_id.as_bytes());
        if user_hash > self.greatest_hash {
            return;
        }
        let beliefs = detail.beliefs();
        let candidates = beliefs.map(|belief| Believed {
            action: numbered(&mut self.actions, belief.item_id),
            mean: belief.mean,
            deviation: belief.deviation,
        });
        let candidates = candidates.collect();
        let shown = decision.shown.iter().map(|shown| Shown {
            action: numbered(&mut self.actions, shown.item_id.as_str()),
            item_id: shown.item_id.as_str().into(),
            propensity: shown.propensity,
            pinned: shown.features.is_empty(),
        });
        let shown = shown.collect();
        let (decision_id, user_id) = (decision.decision_id.as_str().into(), user_id.into());
        let kept = Kept { user_hash, decision_id, user_id, shown, candidates };
        self.cells += kept.cells();
        self.kept.push(kept);
        while self.cells > CELLS_MAX && self.greatest_hash > 0 {
            self.greatest_hash /= 2;
            self.kept.retain(|kept| kept.user_hash <= self.greatest_hash);
            self.cells = self.kept.iter().map(Kept::cells).sum();
        }
    }

    fn evaluate(
        self,
        call: &EvaluationCall,
        until: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Evaluation, Error> {
        let log = self.log();
        if log.rounds().is_empty() {
            return Err(Error::NothingToEvaluate { decisions: self.decisions });
        }
        let fitted = FittedModel::fit(&log, RewardModel::Rates(Prior::Estimated), true)
            .expect("mean rewards of actions can always be fitted");
        let options =
            Options { resamples: RESAMPLES, reward_range: Some((-1.0, 1.0)), ..Options::default() };
        let policies = call.policies();
        let mut evaluated = Vec::with_capacity(policies.len());
        for (kind, policy) in policies {
            if stop.is_cancelled() {
                return Err(Error::ShuttingDown);
            }
            let target = policy.on(&log).expect("every round has scores and deviations");
            let report = off_policy::evaluate(&log, target, &fitted, &options);
            evaluated.push(PolicyEvaluation { policy: kind, report });
        }
        Ok(Evaluation {
            since: call.since,
            until,
            decisions: self.decisions,
            without_candidates: self.without_candidates,
            evaluated: self.kept.len() as u64,
            share_of_users: self.greatest_hash as f64 / u64::MAX as f64,
            policies: evaluated,
        })
    }

    /// A round for each position that was a choice.
    fn log(&self) -> Log {
        let mut builder = LogBuilder::default();
        let mut units = HashMap::new();
        for kept in &self.kept {
            let unit = numbered(&mut units, self.rewards.user(&kept.user_id));
            let mut taken: Vec<u32> =
                kept.shown.iter().filter(|one| one.pinned).map(|one| one.action).collect();
            let mut is_below = false;
            for (position, shown) in kept.shown.iter().enumerate().filter(|(_, one)| !one.pinned) {
                let open = kept.candidates.iter().filter(|one| !taken.contains(&one.action));
                let candidates: Vec<Candidate<'_>> = open
                    .map(|one| Candidate {
                        action: one.action,
                        score: Some(f64::from(one.mean)),
                        deviation: Some(f64::from(one.deviation)),
                        ..Candidate::default()
                    })
                    .collect();
                let reward = self.rewards.find(&kept.decision_id, &kept.user_id, &shown.item_id);
                // A round that is refused says something impossible, such as a propensity
                // of 0; the others stand without it.
                let _refused = builder.push(&NewRound {
                    action: shown.action,
                    reward: f64::from(reward),
                    propensity: f64::from(shown.propensity),
                    position: position as u32,
                    is_below,
                    unit,
                    candidates: &candidates,
                    ..NewRound::default()
                });
                taken.push(shown.action);
                is_below = true;
            }
        }
        builder.build()
    }
}

/// The number of a name, the next one for a new name.
fn numbered(numbers: &mut HashMap<Box<str>, u32>, name: &str) -> u32 {
    if let Some(number) = numbers.get(name) {
        return *number;
    }
    let number = numbers.len() as u32;
    numbers.insert(name.into(), number);
    number
}
