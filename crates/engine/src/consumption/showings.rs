//! What a person was shown of late, for rules on how often.
//!
//! - Items are named by keys, hashes of their ids, so that what is shown need not be known.
//! - A showing is a place of a logged decision, or an impression event that names no
//!   decision: one that names a decision is of a place that was counted already.
//! - Bounded: the last [`SHOWINGS_MAX`] showings of two days. Counts are exact as long
//!   as nobody is shown more than that in 24 hours. 16 bytes each.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;

/// Fifty pages of twenty items a day.
pub const SHOWINGS_MAX: usize = 1_000;
/// Requests may lie up to a day ahead of the log's clock: what is older than a day
/// for one is needed by another.
const KEPT_SECONDS: u32 = 2 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Showing {
    /// Key of its id.
    item: u64,
    /// Seconds since 1970.
    at: u32,
    /// Lower half of the hash of the decision; 0 for an impression without one.
    decision: u32,
}

/// The oldest first, in the order of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Showings(Vec<Showing>);

impl Showings {
    /// Notes items that were shown together. `decision`: the hash of its id.
    pub fn note(&mut self, items: impl Iterator<Item = u64>, at: Timestamp, decision: u128) {
        let at = seconds(at);
        self.0.retain(|showing| showing.at.saturating_add(KEPT_SECONDS) > at);
        self.0.extend(items.map(|item| Showing { item, at, decision: decision as u32 }));
        let surplus = self.0.len().saturating_sub(SHOWINGS_MAX);
        self.0.drain(..surplus);
    }

    /// Whether a decision, by the hash of its id, is among them.
    pub fn has_decision(&self, decision: u128) -> bool {
        self.0.iter().any(|showing| showing.decision == decision as u32)
    }

    /// Items shown in the 24 hours before `now`, once for each showing.
    pub fn in_a_day(&self, now: Timestamp) -> impl Iterator<Item = u64> {
        let now = seconds(now);
        self.0.iter().filter(move |showing| is_recent(showing.at, now)).map(|showing| showing.item)
    }
}

/// Whether what was shown at that moment counts for rules on the last 24 hours.
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

    fn shown(showings: &Showings, now: i64) -> Vec<u64> {
        showings.in_a_day(at(now)).collect()
    }

    #[test]
    fn a_showing_counts_for_24_hours() {
        let mut showings = Showings::default();
        showings.note([1, 2].into_iter(), at(1_000), 7);
        showings.note([1].into_iter(), at(1_000 + 3_600), 0);
        assert_eq!(shown(&showings, 1_000 + 86_399), [1, 2, 1]);
        assert_eq!(shown(&showings, 1_000 + 86_400), [1]);
        assert_eq!(shown(&showings, 1_000 + 90_000), [] as [u64; 0]);
        assert!(showings.has_decision(7) && !showings.has_decision(8));
    }

    #[test]
    fn the_oldest_showings_make_room() {
        let mut showings = Showings::default();
        showings.note(0..SHOWINGS_MAX as u64 + 5, at(10), 1);
        assert_eq!(shown(&showings, 10).len(), SHOWINGS_MAX);
        assert_eq!(shown(&showings, 10)[0], 5);
        showings.note([9].into_iter(), at(10 + 2 * 86_400), 2);
        assert_eq!(showings.0.len(), 1);
    }
}
