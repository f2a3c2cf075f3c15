//! New items under strategies that explore: a bonus on their score and a share of the positions.
//!
//! At each position, with the probability of the share, a new item is drawn evenly from the
//! admissible new ones. Otherwise the position is filled as usual. So the propensity of an item
//! is `(1 - share) p + share / new` if it is new and `(1 - share) p` if not, with `p` its
//! probability without this rule. Without any new item it is `p`. Low scores do not exclude a
//! new item.

use rand_chacha::ChaCha8Rng;

use crate::domain::Strategy;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::models::cold_start::Newcomers;
use crate::seed;
use crate::state::View;

/// The new items among the candidates of a request.
#[derive(Debug, Default)]
pub struct Exploration {
    share: f64,
    /// Bonus of each candidate that is new; empty when there are none.
    bonuses: Vec<Option<f64>>,
}

impl Exploration {
    pub fn new(
        view: &View,
        candidates: &[Candidate<'_>],
        strategy: Strategy,
        now: Timestamp,
    ) -> Self {
        let settings = view.settings();
        let off = settings.new_item_share <= 0.0 && settings.exploration_bonus <= 0.0;
        if off || strategy == Strategy::Greedy {
            return Self::default();
        }
        let newcomers = Newcomers::new(settings, view.items.popularity.totals(), now);
        let bonus = |candidate: &Candidate<'_>| {
            let statistics = candidate.index.map(|index| &view.items.popularity.items[index]);
            let is_new = newcomers.is_new(candidate.entry.born(), statistics);
            is_new.then(|| newcomers.bonus(statistics))
        };
        let mut bonuses: Vec<Option<f64>> = candidates.iter().map(bonus).collect();
        if bonuses.iter().all(Option::is_none) {
            bonuses.clear();
        }
        Self { share: f64::from(settings.new_item_share), bonuses }
    }

    /// The bonus of a candidate; 0 for one that is not new.
    pub fn bonus(&self, candidate: usize) -> f64 {
        self.bonuses.get(candidate).copied().flatten().unwrap_or(0.0)
    }

    /// Whether any candidate has a bonus.
    pub fn has_bonuses(&self) -> bool {
        !self.bonuses.is_empty()
    }

    /// Whether a candidate may take a position by the share of new items.
    pub fn has_share(&self, candidate: usize) -> bool {
        self.share > 0.0 && self.bonuses.get(candidate).is_some_and(Option::is_some)
    }

    /// The rule at one position, for `admissible` choices with their candidates.
    pub fn at_position(&self, admissible: impl Iterator<Item = (usize, usize)>) -> PlaceForNew {
        if self.share <= 0.0 || self.bonuses.is_empty() {
            return PlaceForNew { share: self.share, new: Vec::new() };
        }
        // Capacity for all: growing costs more than the rule.
        let mut new = Vec::with_capacity(admissible.size_hint().1.unwrap_or(0));
        let is_new = |&(_, candidate): &(usize, usize)| self.has_share(candidate);
        new.extend(admissible.filter(is_new).map(|(choice, _)| choice));
        PlaceForNew { share: self.share, new }
    }
}

/// The rule at one position of a list.
#[derive(Debug)]
pub struct PlaceForNew {
    share: f64,
    /// The choices that are new.
    new: Vec<usize>,
}

impl PlaceForNew {
    /// The new item that gets the position; `None` when the usual rules fill it.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<usize> {
        let reserved = !self.new.is_empty() && seed::unit(rng) < self.share;
        reserved.then(|| self.new[seed::below(rng, self.new.len())])
    }

    /// The probability of a choice that the other rules make with probability `otherwise`.
    pub fn propensity(&self, choice: usize, otherwise: f64) -> f64 {
        if self.new.is_empty() {
            return otherwise;
        }
        let drawn = if self.new.contains(&choice) { 1.0 / self.new.len() as f64 } else { 0.0 };
        (1.0 - self.share) * otherwise + self.share * drawn
    }
}

#[cfg(test)]
impl Exploration {
    /// Marks candidates as new, without a bonus.
    pub fn marking(share: f64, is_new: &[bool]) -> Self {
        Self { share, bonuses: is_new.iter().map(|new| new.then_some(0.0)).collect() }
    }
}
