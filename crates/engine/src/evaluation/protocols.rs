//! The ways to test a recommender on recorded interactions.
//!
//! Common to all: rows in order of time, a row with value >= `positive` is a
//! positive, candidates are the whole catalogue, ties go to the lower item index,
//! a score that is not finite ranks last (a diverged model must not win).
//!
//! - **temporal** and **leave-last-out** learn one part and test on another: [`Split`].
//! - **prequential** tests each positive just before it is learnt: [`prequential`].
//! - **cold-start** reveals users that training never saw, event by event:
//!   [`ColdStart`].
//!
//! Repeats: unless [`Task::repeats`], what a user had before is no candidate and no
//! test. With repeats everything is a candidate, and a positive counts however often
//! the user had it.
//!
//! Work is bounded by [`Task::max_cases`]: where there are more, cases are drawn by
//! hash, the same for every recommender. Learning is never cut. Rankings of one state
//! run in parallel; the figures do not depend on it.

mod cold_start;
mod prequential;
mod split;

pub use cold_start::ColdStart;
pub use cold_start::Step;
pub use cold_start::StepCases;
pub use prequential::prequential;
pub use split::Split;
pub use split::Test;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::domain::Timestamp;
use crate::numeric::TopK;

use crate::evaluation::dataset::Dataset;
use crate::evaluation::dataset::Row;
use crate::evaluation::recommender::Recommender;

/// A protocol, by the name that `evaluate --protocol` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Temporal,
    LeaveLastOut,
    Prequential,
    ColdStart,
}

impl Protocol {
    pub const ALL: [Self; 4] =
        [Self::Temporal, Self::LeaveLastOut, Self::Prequential, Self::ColdStart];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Temporal => "temporal",
            Self::LeaveLastOut => "leave-last-out",
            Self::Prequential => "prequential",
            Self::ColdStart => "cold-start",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// What every protocol is told besides the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// A row with at least this value is a positive.
    pub positive: f32,
    /// Whether what a user had before may be recommended and counts as a test.
    pub repeats: bool,
    /// Length of the lists.
    pub k: usize,
    /// About how many cases are tested at most.
    pub max_cases: usize,
}

impl Task {
    /// Scores that one recommender may be asked for before cases are drawn: all of
    /// MovieLens' small data set (48,580 events x 9,742 items) and no more, which is
    /// minutes.
    const SCORES_MAX: u64 = 500_000_000;
    /// Enough for a standard error of .01 in a rate, whatever the catalogue.
    const CASES_MIN: u64 = 2_000;

    /// How many cases to test on a catalogue of so many items by default.
    pub fn cases_by_budget(items: usize) -> usize {
        (Self::SCORES_MAX / (items as u64).max(1)).max(Self::CASES_MIN) as usize
    }
}

/// Told (steps done, steps in all) now and then.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// One question to a recommender: what it listed, and what the user then took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub user: u32,
    /// Which of the user's positives, in order of time, were learnt before.
    pub had: Range<u32>,
    /// Best first, without excluded items and without scores that are not finite.
    pub list: Vec<u32>,
    /// What popularity alone would list.
    pub expected: Vec<u32>,
    /// Ascending, not empty.
    pub relevant: Vec<u32>,
    /// Rank from 1 of the one relevant item among all candidates, under the
    /// prequential protocol.
    pub rank: Option<u32>,
}

impl Case {
    /// How many of the user's positives were learnt before.
    pub fn history(&self) -> u32 {
        self.had.end - self.had.start
    }
}

/// Share of rows, by time, that temporal tests learn from.
fn learnt_share(rows: usize) -> usize {
    rows * 4 / 5
}

/// Hours after which the same item is used again; sooner, it is still in use. As the engine assumes
/// before it has learnt better.
const RETURN_HOURS: f64 = 4.0;

/// By row: whether it is a positive that begins a use of its item, and no further row of the use
/// before: [`RETURN_HOURS`] or less after it.
pub fn uses(dataset: &Dataset, positive: f32) -> Vec<bool> {
    let mut last: BTreeMap<(u32, u32), Timestamp> = BTreeMap::new();
    let begins = |row: &Row| {
        if row.value < positive {
            return false;
        }
        let before = last.insert((row.user, row.item), row.at);
        before.is_none_or(|before| row.at.hours_since(before) > RETURN_HOURS)
    };
    dataset.rows.iter().map(begins).collect()
}

/// Share of the uses among the first four fifths of all rows that return to an item. 0 without any.
pub fn repeat_share(dataset: &Dataset, positive: f32) -> f64 {
    let rows = dataset.rows.iter().zip(uses(dataset, positive));
    let learnt = rows.take(learnt_share(dataset.rows.len())).filter(|(_, begins)| *begins);
    let mut pairs: Vec<(u32, u32)> = learnt.map(|(row, _)| (row.user, row.item)).collect();
    let uses = pairs.len();
    pairs.sort_unstable();
    pairs.dedup();
    if uses == 0 { 0.0 } else { (uses - pairs.len()) as f64 / uses as f64 }
}

/// The cases of a recommender, then those of each of its parts, by name.
pub type Outcome = Vec<(String, Vec<Case>)>;

/// Of a recommender and of its parts.
fn names(recommender: &dyn Recommender) -> Vec<String> {
    let parts = recommender.parts();
    std::iter::once(recommender.name()).chain(parts).map(str::to_owned).collect()
}

/// Scores by one recommender and its parts, ready to be filled.
struct Scores {
    own: Vec<f32>,
    parts: Vec<Vec<f32>>,
}

impl Scores {
    fn new(items: usize, parts: usize) -> Self {
        Self { own: vec![f32::NAN; items], parts: vec![vec![f32::NAN; items]; parts] }
    }

    /// Those of `excluded` items are minus infinity, hence never ranked.
    fn fill(
        &mut self,
        recommender: &dyn Recommender,
        (user, now): (u32, Timestamp),
        excluded: &[u32],
    ) {
        let Self { own, parts } = self;
        own.fill(f32::NAN);
        parts.iter_mut().for_each(|part| part.fill(f32::NAN));
        recommender.score_with_parts(user, now, own, parts);
        for scores in std::iter::once(own).chain(parts) {
            excluded.iter().for_each(|item| scores[*item as usize] = f32::NEG_INFINITY);
        }
    }

    /// The recommender's own, then those of its parts.
    fn all(&self) -> impl Iterator<Item = &Vec<f32>> {
        std::iter::once(&self.own).chain(&self.parts)
    }
}

/// The `k` best items with finite scores, best first.
pub fn best(k: usize, scores: &[f32]) -> Vec<u32> {
    let mut top = TopK::new(k);
    for (item, score) in (0..).zip(scores) {
        if score.is_finite() {
            top.push(*score, item);
        }
    }
    top.into_sorted_vec().into_iter().map(|(item, _)| item).collect()
}

#[cfg(test)]
mod tests;
