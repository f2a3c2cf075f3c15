//! The request for a ranking, and its result.

use std::collections::BTreeMap;

use crate::bandit::OwnRankerId;
use crate::consumption::User;
use crate::domain::ListOrigin;
use crate::features::Candidate;
use crate::features::FeatureMask;
use crate::features::UserContext;
use crate::give_up::GiveUp;
use crate::models::contexts::RequestContext;
use crate::ranking::choose::Choice;
use crate::ranking::choose::Pin;
use crate::ranking::explain::Reason;
use crate::ranking::trial::Baseline;
use crate::ranking::trial::Trial;
use crate::retrieval::Boost;

/// What a later page of a list continues.
#[derive(Debug, Clone, Copy, Default)]
pub struct Earlier<'a> {
    /// The items of the pages before, the first of the list first. One of which nothing is known
    /// has an empty entry.
    pub items: &'a [Candidate<'a>],
    /// The origin of the first page, where it competed with a baseline.
    pub origin: Option<ListOrigin>,
}

/// What ranks: the shared ranker with all features, unless a variant of an experiment changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankedBy {
    /// A ranker that learns by itself.
    pub own_ranker: Option<OwnRankerId>,
    pub mask: FeatureMask,
    /// By popularity alone, without the ranker.
    pub popular: bool,
}

impl Default for RankedBy {
    fn default() -> Self {
        Self { own_ranker: None, mask: FeatureMask::ALL, popular: false }
    }
}

/// The ranking that fills a list in turns with that of the request: see
/// [`crate::domain::Split::Interleaved`].
#[derive(Debug, Clone)]
pub struct Rival {
    pub choice: Choice,
    /// Without those that the user has set.
    pub boosts: Vec<Boost>,
    pub ranked_by: RankedBy,
}

/// What to rank, for whom and how.
#[derive(Debug, Clone)]
pub struct RankRequest<'a> {
    pub user: Option<&'a User>,
    pub context: &'a UserContext,
    pub request_context: RequestContext,
    pub choice: Choice,
    /// Those of the request, then those that the user has set.
    pub boosts: &'a [Boost],
    /// How many of them the user has set.
    pub own_boosts: usize,
    /// At most one for each position and candidate.
    pub pins: &'a [Pin],
    pub earlier: Earlier<'a>,
    /// The order that competes with the ranker's, if there is one.
    pub baseline: Option<&'a Baseline>,
    /// What a variant of an experiment changes of the ranker.
    pub ranked_by: RankedBy,
    /// Whether the list is filled in turns with another ranking. It has the boosts of the user in its own,
    /// as many as the request has. None with a baseline.
    pub rival: Option<&'a Rival>,
    /// The cost of exploring in decisions that the view has not learnt yet.
    pub unlearnt_cost: f64,
    pub explain: bool,
    /// Whether standard deviations of all candidates are requested, whatever the strategy.
    pub deviations: bool,
    /// Keys the random stream of the choice.
    pub decision_id: &'a str,
    pub give_up: &'a GiveUp<'a>,
}

impl<'a> RankRequest<'a> {
    /// The request as the other ranking has it.
    pub(super) fn of_rival(&self) -> Option<Self> {
        let Rival { choice, boosts, ranked_by } = self.rival?;
        let positions = self.choice.positions;
        Some(Self {
            choice: Choice { positions, ..*choice },
            boosts,
            ranked_by: *ranked_by,
            rival: None,
            ..self.clone()
        })
    }

    /// The boosts of the request, and those that the user has set.
    pub(super) fn boosts_by_owner(&self) -> (&'a [Boost], &'a [Boost]) {
        self.boosts.split_at(self.boosts.len() - self.own_boosts)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct RankedItem {
    /// Position in the candidates of the request.
    pub candidate: usize,
    /// The estimate with boosts, the bonus of a new item and LinUCB's width.
    pub score: f64,
    /// Posterior mean of the reward.
    pub estimate: f64,
    pub propensity: f64,
    pub pinned: bool,
    /// Which of two rankings chose it: 0 that of the request, 1 its rival.
    pub by: usize,
    /// Parts of the score by name; they add up to it.
    pub components: BTreeMap<&'static str, f64>,
    pub reasons: Vec<Reason>,
    /// The ranker's vector, for the decision record.
    pub features: Vec<f32>,
}

/// The result of a ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The segment whose ranker was used.
    pub segment: u8,
    /// The list, the best first.
    pub items: Vec<RankedItem>,
    /// Scores of all candidates of the request.
    pub scores: Vec<f64>,
    /// Standard deviations of their expected rewards; empty when neither the request, the strategy
    /// nor an allowance needs them.
    pub deviations: Vec<f64>,
    /// Upper bound of the expected cost of exploring, relative to greedy choices.
    pub exploration_cost: f64,
    /// Whose order it is; `None` without a baseline.
    pub origin: Option<ListOrigin>,
    /// Present for the first page of a list with a baseline.
    pub trial: Option<Trial>,
}
