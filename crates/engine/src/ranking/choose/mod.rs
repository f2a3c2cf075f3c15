//! From scored candidates to a list: relevance, diversity, exploration, pins.
//!
//! The list is filled position by position. At each position the greedy choice is the candidate
//! with the greatest gain for the current list ([`variety`]). Strategies that explore give others
//! a chance ([`policy`]). Diversity and caps are inside the sampling step, so the propensity of
//! a position is exactly the probability of its choice, given the positions above it. New items
//! ([`crate::ranking::exploration`]) are drawn in the same step. A pinned item takes its position
//! with certainty. Exploring costs rewards and may have an allowance ([`allowance`]). If the
//! caller sends its own order, the list may be that order ([`origin`]). On a later page of a list,
//! the items of the pages before are positions above: for variety, shares and caps.
//!
//! Cost: pool x positions similarity updates; the pool is bounded. Nothing is allocated per
//! position. 20 positions of 500 candidates: 50 to 150 us.

mod allowance;
mod caps;
mod draft;
mod followed;
mod gathering;
mod origin;
mod plan;
mod policy;
mod pool;
mod ranker;
mod similarity;
#[cfg(test)]
mod tests;
mod variety;

use rand_chacha::ChaCha8Rng;

pub use self::allowance::Costs;
pub use self::caps::Cap;
pub use self::draft::Side;
pub use self::draft::choose_in_turns;
pub use self::followed::Placed;
pub use self::followed::follow;
pub use self::origin::Orders;
use self::origin::Origins;
use self::ranker::RankerList;
pub use self::similarity::mean_similarity;
use crate::domain::DiversityMethod;
use crate::domain::RankerSettings;
use crate::domain::Settings;
use crate::domain::Strategy;
use crate::features::Candidate;
use crate::ranking::exploration::Exploration;

/// How to choose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    pub strategy: Strategy,
    /// Probability per position of an exploring choice.
    pub epsilon: f64,
    pub exploring: Exploring,
    pub method: DiversityMethod,
    /// Weight of the list's variety against relevance, 0 to 1.
    pub diversity_weight: f64,
    /// How much of an item's relevance depends on being unlike the user's items, 0 to 1.
    pub serendipity_weight: f64,
    /// Weight of being little known against relevance, 0 to 1.
    pub novelty_weight: f64,
    /// The most frequent topic takes at most 1 - this share of the positions, as long as other
    /// candidates are left.
    pub topic_threshold: f64,
    /// The same for sources.
    pub source_threshold: f64,
    /// Most items of one topic, even if the list gets shorter; 0: any number.
    pub max_per_topic: u32,
    /// The same for sources.
    pub max_per_source: u32,
    pub positions: usize,
}

impl Choice {
    /// How a list is chosen where a request says nothing.
    pub fn served(settings: &Settings, positions: usize) -> Self {
        Self {
            strategy: settings.strategy,
            epsilon: f64::from(settings.epsilon),
            exploring: Exploring::of(&settings.ranker),
            method: settings.diversity_method,
            diversity_weight: f64::from(settings.diversity_weight),
            serendipity_weight: f64::from(settings.serendipity_weight),
            novelty_weight: f64::from(settings.novelty_weight),
            topic_threshold: f64::from(settings.topic_diversity_threshold),
            source_threshold: 0.0,
            max_per_topic: settings.max_per_topic,
            max_per_source: settings.max_per_source,
            positions,
        }
    }
}

/// Parameters of the strategies that explore by the ranker's beliefs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploring {
    /// Factor of the standard deviations under Thompson sampling and LinUCB.
    pub scale: f64,
    /// Of SquareCB, per square root of the learnt impressions.
    pub gamma: f64,
    /// Probability at a position that is spread evenly over the admissible.
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

/// An item that the caller requests at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Index in the candidates.
    pub candidate: usize,
    /// Position in the list, from 0.
    pub position: usize,
}

/// The candidates to choose from, with all data for the choice.
#[derive(Debug, Clone)]
pub struct Slate<'a> {
    pub candidates: &'a [Candidate<'a>],
    /// One for each candidate.
    pub scores: &'a [f64],
    /// Standard deviations of their expected rewards; empty when they are not needed.
    pub deviations: &'a [f64],
    /// The user's latest positives; empty without a serendipity weight.
    pub recent: Vec<Candidate<'a>>,
    /// How little known each candidate is, 0 to 1; empty without a novelty weight.
    pub novelty: Vec<f64>,
    /// Shares of topics in the user's preferences, with sum 1; used only by calibration.
    pub topic_mix: Vec<(&'a str, f64)>,
    /// Bonus and share of new items.
    pub exploration: &'a Exploration,
    /// The items above the first position, on earlier pages of the list, in their order.
    pub above: &'a [Candidate<'a>],
    /// At most one for each position and candidate.
    pub pins: &'a [Pin],
    /// Candidates that the ranker must not choose, in rising order.
    pub excluded: &'a [usize],
    /// Candidates that another ranking may put into the same list, in rising order: they are
    /// looked at here, too, however low their scores are.
    pub also: &'a [usize],
    /// The costs of choices; `None` when nothing explores.
    pub costs: Option<&'a Costs<'a>>,
}

impl Slate<'_> {
    /// Whether the ranker may choose a candidate: it is neither pinned nor excluded.
    pub fn is_free(&self, candidate: usize) -> bool {
        self.pins.iter().all(|pin| pin.candidate != candidate)
            && self.excluded.binary_search(&candidate).is_err()
    }
}

/// A position of the list: its candidate and the probability of this choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    pub candidate: usize,
    pub propensity: f64,
    pub pinned: bool,
    /// Which of two rankings chose it, 0 or 1; 0 where there is one.
    pub by: usize,
}

impl Chosen {
    fn drawn(candidate: usize, propensity: f64) -> Self {
        Self { candidate, propensity, pinned: false, by: 0 }
    }
}

/// A list that is filled position by position.
trait List {
    /// Notes that a pinned candidate took the next position.
    fn take_pinned(&mut self, candidate: usize);

    /// Draws the next position; `None` when no candidate may take it.
    fn draw(&mut self, rng: &mut ChaCha8Rng) -> Option<Chosen>;
}

/// A list and its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenList {
    pub chosen: Vec<Chosen>,
    /// Upper bound of the expected cost of exploring; 0 if the list is not the ranker's.
    pub cost: f64,
}

/// Fills up to so many positions of a list, with the pins where they belong.
fn fill(list: &mut impl List, pins: &[Pin], positions: usize, rng: &mut ChaCha8Rng) -> Vec<Chosen> {
    let mut pins: Vec<Pin> = pins.to_vec();
    pins.sort_unstable_by_key(|pin| pin.position);
    let mut pins = pins.into_iter().peekable();
    let mut chosen = Vec::with_capacity(positions);
    while chosen.len() < positions {
        let pinned = |pin: &Pin| Chosen { pinned: true, ..Chosen::drawn(pin.candidate, 1.0) };
        if let Some(pin) = pins.next_if(|pin| pin.position <= chosen.len()) {
            list.take_pinned(pin.candidate);
            chosen.push(pinned(&pin));
            continue;
        }
        match list.draw(rng).or_else(|| pins.next().as_ref().map(pinned)) {
            Some(position) => chosen.push(position),
            // The list is too short for the remaining pins, so they are at its end.
            None => break,
        }
    }
    chosen
}

/// Fills up to `choice.positions` positions, as many as there are candidates that the absolute
/// caps allow. Shares of topics and sources are ignored when no other candidate is left. With
/// `orders` the list may be another than the ranker's.
pub fn choose(
    slate: &Slate<'_>,
    choice: &Choice,
    orders: Option<&Orders<'_>>,
    rng: &mut ChaCha8Rng,
) -> ChosenList {
    let mut ranker = RankerList::new(slate, choice);
    let Some(orders) = orders else {
        let chosen = fill(&mut ranker, slate.pins, choice.positions, rng);
        return ChosenList { chosen, cost: ranker.cost() };
    };
    let mut list = Origins::new(orders, ranker);
    let chosen = fill(&mut list, slate.pins, choice.positions, rng);
    ChosenList { chosen, cost: list.cost() }
}
