//! What a ranking is asked for, and what it comes to.

use std::collections::BTreeMap;

use crate::consumption::User;
use crate::features::UserContext;
use crate::give_up::GiveUp;
use crate::models::contexts::RequestContext;
use crate::ranking::choose::Choice;
use crate::ranking::choose::Pin;
use crate::ranking::explain::Reason;
use crate::ranking::trial::Baseline;
use crate::ranking::trial::Trial;
use crate::retrieval::Boost;

/// What to rank, for whom and how.
#[derive(Debug)]
pub struct RankRequest<'a> {
    pub user: Option<&'a User>,
    pub context: &'a UserContext,
    pub request_context: RequestContext,
    pub choice: Choice,
    pub boosts: &'a [Boost],
    /// At most one for each position and candidate.
    pub pins: &'a [Pin],
    /// The order of the caller, if it sent one that may be shown.
    pub baseline: Option<&'a Baseline>,
    /// What exploring cost in decisions that the view does not know yet.
    pub unlearnt_cost: f64,
    pub explain: bool,
    /// Whether standard deviations are asked for of all candidates, whatever the strategy.
    pub deviations: bool,
    /// Keys the random stream of the choice.
    pub decision_id: &'a str,
    pub give_up: &'a GiveUp<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RankedItem {
    /// Position in the candidates of the request.
    pub candidate: usize,
    /// The estimate with what boosts and the bonus of a new item add to it.
    pub score: f64,
    /// Posterior mean of the reward.
    pub estimate: f64,
    pub propensity: f64,
    pub pinned: bool,
    /// Parts of the score by name; they add up to it.
    pub components: BTreeMap<&'static str, f64>,
    pub reasons: Vec<Reason>,
    /// The ranker's vector, for the decision record.
    pub features: Vec<f32>,
}

/// What a ranking comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Whose ranker this was.
    pub segment: u8,
    /// The list, the best first.
    pub items: Vec<RankedItem>,
    /// What the choice went by, of every candidate of the request.
    pub scores: Vec<f64>,
    /// Standard deviations of their expected rewards; empty where neither the request nor
    /// the strategy asks.
    pub deviations: Vec<f64>,
    /// What exploring is expected to have cost against greedy choices, at most.
    pub exploration_cost: f64,
    /// Where the request has a baseline.
    pub trial: Option<Trial>,
}
