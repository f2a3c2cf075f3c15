//! From scored candidates to a list: relevance, diversity, exploration, pins.
//!
//! The list is filled place by place. At each place the candidate that does most for
//! the list as it stands ([`variety`]) is the greedy choice; strategies that explore give
//! others a chance ([`policy`]). Diversity and
//! caps are thus inside the sampling step, and the propensity noted for a place is
//! exactly the probability of what was done there, given the places above it. Places for
//! new items ([`crate::ranking::exploration`]) are drawn in the same step. A pinned item is at its
//! place with certainty. Exploring costs rewards and may have an allowance
//! ([`allowance`]); where the caller sends an order of its own, the list may be that
//! ([`origin`]).
//!
//! Cost: pool x places similarity updates; the pool is bounded. Nothing is allocated
//! per place. 20 places of 500 candidates: 50 to 150 us.

mod allowance;
mod caps;
mod origin;
mod policy;
mod pool;
mod ranker;
mod similarity;
#[cfg(test)]
mod tests;
mod variety;

use rand_chacha::ChaCha8Rng;

pub use self::allowance::Costs;
pub use self::origin::Orders;
use self::origin::Origins;
use self::ranker::RankerList;
use crate::domain::DiversityMethod;
use crate::domain::ListOrigin;
use crate::domain::RankerSettings;
use crate::domain::Strategy;
use crate::features::Candidate;
use crate::ranking::exploration::Exploration;

/// How to choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    pub strategy: Strategy,
    /// Probability per place of an exploring choice.
    pub epsilon: f64,
    pub exploring: Exploring,
    pub method: DiversityMethod,
    /// Weight of the list's variety against relevance, 0 to 1.
    pub diversity_weight: f64,
    /// How much of an item's relevance depends on being unlike what the person had,
    /// 0 to 1.
    pub serendipity_weight: f64,
    /// Weight of being little known against relevance, 0 to 1.
    pub novelty_weight: f64,
    /// The most frequent topic takes at most 1 - this share of the places, as long as
    /// something else is left.
    pub topic_threshold: f64,
    /// The same for sources.
    pub source_threshold: f64,
    /// Most items of one topic, even if the list gets shorter; 0: any number.
    pub max_per_topic: u32,
    /// The same for sources.
    pub max_per_source: u32,
    pub positions: usize,
}

/// Parameters of the strategies that know how sure the ranker is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploring {
    /// Factor of the standard deviations under Thompson sampling and LinUCB.
    pub scale: f64,
    /// Of SquareCB, per square root of the impressions learnt from.
    pub gamma: f64,
    /// Share of a place that is spread evenly over the admissible.
    pub floor: f64,
}

impl Exploring {
    pub fn of(settings: &RankerSettings) -> Self {
        Self {
            scale: f64::from(settings.exploration_scale),
            gamma: f64::from(settings.square_cb_gamma),
            floor: f64::from(settings.propensity_floor),
        }
    }
}

/// An item that the caller wants at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Place in the candidates.
    pub candidate: usize,
    /// Place in the list, from 0.
    pub position: usize,
}

/// What stands to choose from, and for whom.
#[derive(Debug)]
pub struct Slate<'a> {
    pub candidates: &'a [Candidate<'a>],
    /// One for each candidate.
    pub scores: &'a [f64],
    /// Standard deviations of their expected rewards; empty where the strategy does not ask.
    pub deviations: &'a [f64],
    /// Items the person wanted last; looked at with a serendipity weight only.
    pub recent: Vec<Candidate<'a>>,
    /// How little known each candidate is, 0 to 1; empty without a novelty weight.
    pub novelty: Vec<f64>,
    /// Shares of topics in what the person wants, adding up to 1; looked at by
    /// calibration only.
    pub topic_mix: Vec<(&'a str, f64)>,
    /// What new items get.
    pub exploration: &'a Exploration,
    /// At most one for each place and candidate.
    pub pins: &'a [Pin],
    /// Candidates that the ranker must not choose, in rising order.
    pub excluded: &'a [usize],
    /// What choices cost; `None` where nothing explores.
    pub costs: Option<&'a Costs<'a>>,
}

impl Slate<'_> {
    /// Whether the ranker may choose a candidate, as far as the caller lets it.
    pub fn is_free(&self, candidate: usize) -> bool {
        self.pins.iter().all(|pin| pin.candidate != candidate)
            && self.excluded.binary_search(&candidate).is_err()
    }
}

/// A place of the list: which candidate, with which probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub candidate: usize,
    pub propensity: f64,
    pub pinned: bool,
}

/// A list and what it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenList {
    pub chosen: Vec<Chosen>,
    /// What exploring is expected to cost at most, if the list is the ranker's.
    pub cost: f64,
}

/// Fills up to `choice.places` places. Fills as many as there are candidates that the
/// absolute caps allow: shares of topics and sources yield when nothing else is left. With
/// `orders` the list may be another than the ranker's.
pub fn choose(
    slate: &Slate<'_>,
    choice: &Choice,
    orders: Option<&Orders<'_>>,
    rng: &mut ChaCha8Rng,
) -> ChosenList {
    let mut pins: Vec<Pin> = slate.pins.to_vec();
    pins.sort_unstable_by_key(|pin| pin.position);
    let mut pins = pins.into_iter().peekable();
    let mut ranker = RankerList::new(slate, choice);
    let mut origins = orders.map(Origins::new);
    let mut chosen = Vec::with_capacity(choice.positions);
    while chosen.len() < choice.positions {
        let pinned = |pin: &Pin| Chosen { candidate: pin.candidate, propensity: 1.0, pinned: true };
        if let Some(pin) = pins.next_if(|pin| pin.position <= chosen.len()) {
            ranker.take_pinned(pin.candidate);
            chosen.push(pinned(&pin));
            continue;
        }
        let next = match &mut origins {
            None => ranker.draw(rng),
            Some(origins) => origins.fill(&mut ranker, rng),
        };
        match next.or_else(|| pins.next().as_ref().map(pinned)) {
            Some(position) => chosen.push(position),
            // The list is too short for the places of the pins that were left: the end was
            // as near as they got.
            None => break,
        }
    }
    let is_rankers = orders.is_none_or(|orders| orders.drawn == ListOrigin::Ranker);
    let cost = if is_rankers { ranker.cost() } else { 0.0 };
    ChosenList { chosen, cost }
}
