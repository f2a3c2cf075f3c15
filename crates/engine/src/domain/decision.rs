//! What Personalize answered, with all that is needed to learn from it and to
//! audit it.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::decision_detail::DecisionDetail;
use crate::domain::decision_detail::text_bytes;
use crate::domain::experiment::Assignment;
use crate::domain::experiment::Division;
use crate::domain::ids::DecisionId;
use crate::domain::ids::ItemId;
use crate::domain::ids::UserId;
use crate::domain::layout::FeatureLayout;
use crate::domain::takeover::ListOrigin;
use crate::domain::takeover::TakeoverTrial;
use crate::domain::timestamp::Timestamp;

/// How the ranker chooses. The discriminants are stored: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Strategy {
    /// Always the best by posterior mean.
    Greedy = 1,
    /// The best, but at each position with probability epsilon any other.
    EpsilonGreedy = 2,
    /// Each candidate as often as it is probably the best: linear Thompson sampling, each
    /// score drawn on its own.
    Thompson = 3,
    /// Optimism: the best by mean plus standard deviations.
    LinUcb = 4,
    /// Inverse-gap weighting.
    SquareCb = 5,
}

impl Strategy {
    pub const ALL: [Self; 5] =
        [Self::Greedy, Self::EpsilonGreedy, Self::Thompson, Self::LinUcb, Self::SquareCb];

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::EpsilonGreedy => "epsilon_greedy",
            Self::Thompson => "thompson",
            Self::LinUcb => "lin_ucb",
            Self::SquareCb => "square_cb",
        }
    }
}

/// How a list is varied: which candidate does most for the list as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiversityMethod {
    /// By relevance alone.
    None,
    /// Greedy determinantal point process: relevance times the volume that the items
    /// span together.
    Dpp,
    /// Calibrated to the user's mix of topics.
    Calibrated,
}

/// One position of a shown list.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownItem {
    pub item_id: ItemId,
    /// Posterior mean of the reward at decision time, without boosts and bonuses.
    pub score: f32,
    /// Probability that this item came to this position, given the positions above it.
    pub propensity: f32,
    /// The ranker's feature vector at decision time, in the order of the decision's layout.
    /// Empty for an item that the caller pinned: the ranker learns nothing from it.
    pub features: Vec<f32>,
}

/// The list of which a decision is a later page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continues {
    /// The page before.
    pub decision_id: DecisionId,
    /// Whose order the list is in, where its first page was a trial. It was drawn then: later
    /// pages take it as given.
    pub origin: Option<ListOrigin>,
}

/// One answer of Personalize. The random stream that chose is keyed by
/// `decision_id`, so a decision can be derived again.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub decision_id: DecisionId,
    pub user_id: UserId,
    pub decided_at: Timestamp,
    pub strategy: Strategy,
    pub epsilon: f32,
    /// 0 when no model had been trained.
    pub model_version: u64,
    /// Sequence of the last record the view had learnt from.
    pub watermark: u64,
    /// How many candidates there were.
    pub candidates: u32,
    /// Which segment's deviation of the ranker was in force: see the engine's segments.
    pub segment: u8,
    /// What the vectors of features hold. An engine with other features learns of common ones.
    pub layout: FeatureLayout,
    /// In the order shown.
    pub shown: Vec<ShownItem>,
    /// What exploring is expected to have cost against the greedy choices, in rewards; an
    /// upper bound, 0 or more.
    pub exploration_cost: f32,
    /// Where the caller sent an order of its own.
    pub trial: Option<Box<TakeoverTrial>>,
    /// The variants of experiments that acted on it.
    pub assignments: Vec<Assignment>,
    /// Where an experiment divides lists.
    pub division: Option<Box<Division>>,
    /// Where it is a later page of a list.
    pub continues: Option<Box<Continues>>,
    /// How it came about, where that is recorded.
    pub detail: Option<Box<DecisionDetail>>,
}

impl Decision {
    /// The most that its record takes; little more than it does take.
    pub fn record_bytes(&self) -> usize {
        const NUMBERS: usize = 64;
        const TRIAL_NUMBERS: usize = 64;
        let floats = |values: &[f32]| 3 + size_of_val(values);
        let position = |one: &ShownItem| {
            text_bytes(one.item_id.as_str()) + 2 * size_of::<f32>() + floats(&one.features)
        };
        let ids = text_bytes(self.decision_id.as_str()) + text_bytes(self.user_id.as_str());
        let shown: usize = self.shown.iter().map(position).sum();
        let trial = self.trial.as_ref();
        let trial = trial.map_or(0, |trial| TRIAL_NUMBERS + floats(&trial.difference));
        let page_before = self.continues.as_ref();
        let page_before = page_before.map_or(0, |page| 4 + text_bytes(page.decision_id.as_str()));
        let detail = self.detail.as_ref().map_or(0, |detail| detail.record_bytes());
        let layout = 3 + 3 * self.layout.len();
        let assignments = 1 + 7 * self.assignments.len();
        let division = self.division.as_ref().map_or(0, |division| match &**division {
            Division::InTurns { chosen_by, .. } => 10 + chosen_by.len(),
            Division::Drawn { chances, .. } => 8 + floats(chances),
        });
        NUMBERS + ids + layout + assignments + division + shown + trial + page_before + detail
    }
}
