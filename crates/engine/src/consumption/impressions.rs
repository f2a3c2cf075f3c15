//! Recent impressions of a user, for frequency rules.
//!
//! - They are kept apart from the interactions. So an impression changes nothing that is derived
//!   from interactions, and copies no history.
//! - Items are named by keys, hashes of their ids: an item need not be in the catalogue.
//! - An impression is a position of a logged decision, or an impression event that names no
//!   decision. An event that names a decision is about a position that was counted already.
//! - Bounded: the last [`IMPRESSIONS_MAX`] impressions of two days. Counts are exact as long
//!   as no user has more than that in 24 hours. 16 bytes each.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;

/// Fifty pages of twenty items a day.
pub const IMPRESSIONS_MAX: usize = 1_000;
/// Requests may be up to a day ahead of the log's clock, so two days are kept for rules
/// on 24 hours.
const KEPT_SECONDS: u32 = 2 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Impression {
    /// Key of its id.
    item: u64,
    /// Seconds since 1970.
    at: u32,
    /// Lower half of the hash of the decision; 0 for an impression without one.
    decision: u32,
}

/// The impressions of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impressions {
    /// The oldest first, in the order of the log.
    newest: Vec<Impression>,
    /// Impression events, saturating.
    events: u32,
    /// Of the first and the last of them.
    between: Option<(Timestamp, Timestamp)>,
}

impl Impressions {
    /// Counts an impression event.
    pub fn count(&mut self, at: Timestamp) {
        self.events = self.events.saturating_add(1);
        let (first, last) = self.between.unwrap_or((at, at));
        self.between = Some((first.min(at), last.max(at)));
    }

    /// Impression events, saturating.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// Times of the first and the last impression.
    pub fn between(&self) -> Option<(Timestamp, Timestamp)> {
        self.between
    }

    /// Adds items that were shown together. `decision`: the hash of its id.
    pub fn note(&mut self, items: impl Iterator<Item = u64>, at: Timestamp, decision: u128) {
        let at = seconds(at);
        self.newest.retain(|impression| impression.at.saturating_add(KEPT_SECONDS) > at);
        self.newest.extend(items.map(|item| Impression { item, at, decision: decision as u32 }));
        let surplus = self.newest.len().saturating_sub(IMPRESSIONS_MAX);
        self.newest.drain(..surplus);
    }

    /// The impressions of both, of two users who turn out to be one.
    #[must_use]
    pub fn merged_with(&self, other: &Self) -> Self {
        let mut newest = [&other.newest[..], &self.newest[..]].concat();
        newest.sort_by_key(|impression| impression.at);
        let last = newest.last().map_or(0, |impression| impression.at);
        newest.retain(|impression| impression.at.saturating_add(KEPT_SECONDS) > last);
        newest.drain(..newest.len().saturating_sub(IMPRESSIONS_MAX));
        let between = [self.between, other.between].into_iter().flatten();
        Self {
            newest,
            events: self.events.saturating_add(other.events),
            between: between.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
        }
    }

    /// Whether a decision, by the hash of its id, is among them.
    pub fn has_decision(&self, decision: u128) -> bool {
        self.newest.iter().any(|impression| impression.decision == decision as u32)
    }

    /// Items shown in the 24 hours before `now`, once for each impression.
    pub fn in_a_day(&self, now: Timestamp) -> impl Iterator<Item = u64> {
        let now = seconds(now);
        let recent = self.newest.iter().filter(move |impression| is_recent(impression.at, now));
        recent.map(|impression| impression.item)
    }
}

/// Whether an impression at that time counts for rules on the last 24 hours.
pub fn is_within_a_day(at: Timestamp, now: Timestamp) -> bool {
    is_recent(seconds(at), seconds(now))
}

fn is_recent(at: u32, now: u32) -> bool {
    at.saturating_add(86_400) > now
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_millis().max(0) / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn shown(impressions: &Impressions, now: i64) -> Vec<u64> {
        impressions.in_a_day(at(now)).collect()
    }

    #[test]
    fn an_impression_counts_for_24_hours() {
        let mut impressions = Impressions::default();
        impressions.note([1, 2].into_iter(), at(1_000), 7);
        impressions.note([1].into_iter(), at(1_000 + 3_600), 0);
        assert_eq!(shown(&impressions, 1_000 + 86_399), [1, 2, 1]);
        assert_eq!(shown(&impressions, 1_000 + 86_400), [1]);
        assert_eq!(shown(&impressions, 1_000 + 90_000), [] as [u64; 0]);
        assert!(impressions.has_decision(7) && !impressions.has_decision(8));
    }

    #[test]
    fn impressions_of_two_ids_count_together_and_the_newest_of_both_are_kept() {
        let (mut one, mut other) = (Impressions::default(), Impressions::default());
        one.note([1, 2].into_iter(), at(1_000), 7);
        one.count(at(1_000));
        other.note([2].into_iter(), at(900), 8);
        other.note([2, 3].into_iter(), at(2_000), 9);
        other.count(at(2_000));
        let both = one.merged_with(&other);
        assert_eq!(shown(&both, 2_000), [2, 1, 2, 2, 3]);
        assert!([7, 8, 9].into_iter().all(|decision| both.has_decision(decision)));
        assert_eq!((both.events(), both.between()), (2, Some((at(1_000), at(2_000)))));
        other.note((0..IMPRESSIONS_MAX as u64).map(|item| item + 10), at(2_000), 10);
        assert_eq!(one.merged_with(&other).newest, other.newest, "the bound is kept");
        one.note([5].into_iter(), at(2_000 + 2 * 86_400), 0);
        assert_eq!(one.merged_with(&other).newest.len(), 1);
    }

    #[test]
    fn the_oldest_impressions_are_evicted() {
        let mut impressions = Impressions::default();
        impressions.note(0..IMPRESSIONS_MAX as u64 + 5, at(10), 1);
        assert_eq!(shown(&impressions, 10).len(), IMPRESSIONS_MAX);
        assert_eq!(shown(&impressions, 10)[0], 5);
        impressions.note([9].into_iter(), at(10 + 2 * 86_400), 2);
        assert_eq!(impressions.newest.len(), 1);
    }
}
