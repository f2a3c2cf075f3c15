//! From sums by user to means with intervals.

use crate::evaluation::bootstrap::Bootstrap;
use crate::evaluation::bootstrap::Column;
use crate::evaluation::bootstrap::Estimate;
use crate::evaluation::rehearsal::RESAMPLES;
use crate::evaluation::rehearsal::SEED;
use crate::evaluation::rehearsal::exposure::Exposure;
use crate::evaluation::rehearsal::facts::Facts;
use crate::evaluation::rehearsal::facts::NONE;
use crate::evaluation::rehearsal::lists::Differing;
use crate::evaluation::rehearsal::lists::Lists;
use crate::evaluation::rehearsal::lists::Property;

/// A mean now and proposed. NaN where nothing has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    pub now: f64,
    pub proposed: f64,
    /// Proposed less now, paired by user.
    pub difference: Estimate,
}

/// How lists would change. Bounds are NaN with fewer than two users.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub lists: u64,
    pub users: u64,
    /// Share of the positions that show another item, or none.
    pub changed_positions: Estimate,
    /// Share of the lists with such a position.
    pub changed_lists: Estimate,
    /// Items that both lists have, over the items of the longer.
    pub overlap: Estimate,
    /// How many positions an item moves that both lists have.
    pub rank_change: Estimate,
    /// What the ranker expects of a position.
    pub expected_reward: Change,
    /// Items of a list.
    pub length: Change,
    /// Topics of a list, each once, for each position.
    pub topics: Change,
    /// Mean similarity of two items of a list.
    pub similarity: Change,
    /// Share of positions with an item that the catalogue has had for less than a week.
    pub new_items: Change,
    /// Share of positions with one of the most popular tenth of the catalogue.
    pub popular_items: Change,
    /// Different items that were shown.
    pub distinct_items: [u64; 2],
    /// Those of the catalogue, as a part of it.
    pub coverage: [f64; 2],
    pub by_topic: Exposure,
    pub by_source: Exposure,
}

impl Lists {
    /// `facts`: those of all the lists.
    pub fn figures(&self, facts: &Facts<'_>) -> Figures {
        let columns = self.differing.iter().chain(self.properties.iter().flatten());
        let columns: Vec<Column> = columns.map(|column| self.whole(column)).collect();
        let columns: Vec<&Column> = columns.iter().collect();
        let resampled = Bootstrap::new(&columns, RESAMPLES, SEED);
        let bounded = |estimate: Estimate| bounded(estimate, self.users);
        let mean = |of: Differing| bounded(resampled.estimate(of as usize));
        let change = |of: Property| {
            let now = Differing::ALL + 2 * of as usize;
            Change {
                now: resampled.estimate(now).point,
                proposed: resampled.estimate(now + 1).point,
                difference: bounded(resampled.difference(now + 1, now)),
            }
        };
        let catalogue = facts.catalogue().max(1) as f64;
        Figures {
            lists: self.lists,
            users: self.users as u64,
            changed_positions: mean(Differing::Positions),
            changed_lists: mean(Differing::Lists),
            overlap: mean(Differing::Overlap),
            rank_change: mean(Differing::Rank),
            expected_reward: change(Property::Reward),
            length: change(Property::Length),
            topics: change(Property::Topics),
            similarity: change(Property::Similarity),
            new_items: change(Property::NewItems),
            popular_items: change(Property::PopularItems),
            distinct_items: [0, 1].map(|side| self.shown[side].len() as u64),
            coverage: [0, 1].map(|side| self.of_catalogue[side].len() as f64 / catalogue),
            by_topic: self.by_topic.shares(&facts.topics, NONE),
            by_source: self.by_source.shares(&facts.sources, NONE),
        }
    }

    /// With a row for every user.
    fn whole(&self, column: &Column) -> Column {
        let mut column = column.clone();
        column.sums.resize(self.users, 0.0);
        column.counts.resize(self.users, 0.0);
        column
    }
}

/// One user says nothing of what others would see.
pub fn bounded(estimate: Estimate, users: usize) -> Estimate {
    match users {
        0 | 1 => Estimate { low: f64::NAN, high: f64::NAN, ..estimate },
        _ => estimate,
    }
}
