//! What a user does in the current session.
//!
//! - A session is named by its id where events carry one. Other events belong to it
//!   when they follow within half an hour.
//! - An event from before the last one changes nothing, whatever its session id.
//! - A session ends half an hour after its last event, whatever its id.
//! - Bounded: the newest [`SESSION_ITEMS`] items, 8 bytes each.

use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::columns::index::ItemIndex;
use crate::domain::Timestamp;

/// Items of a session that are remembered.
pub const SESSION_ITEMS: usize = 10;
/// A pause of this length ends a session.
const GAP_HOURS: f64 = 0.5;

/// The latest session of a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// Hash of the session's id, 0 without one.
    key: u64,
    last_at: Timestamp,
    /// Items with their net evidence, the newest last.
    items: Vec<(ItemIndex, f32)>,
}

impl Session {
    /// Whether an event belongs to the session. An event after its end begins a new one.
    pub fn enter(&mut self, id: Option<&str>, at: Timestamp) -> bool {
        if at < self.last_at {
            return false;
        }
        let key = id.map(|id| xxh3_64(id.as_bytes()).max(1));
        let belongs = key.map_or_else(|| self.is_near(at), |key| key == self.key);
        if !belongs {
            (self.key, self.items) = (key.unwrap_or(0), Vec::new());
        }
        self.last_at = at;
        true
    }

    /// Adds the net evidence for an item of an event that belongs to the session.
    pub fn note(&mut self, item: ItemIndex, net: f32) {
        if net == 0.0 {
            return;
        }
        self.items.retain(|&(known, _)| known != item);
        if self.items.len() == SESSION_ITEMS {
            self.items.remove(0);
        }
        self.items.push((item, net));
    }

    /// The later session of two, the own one of equals.
    #[must_use]
    pub fn or_later(&self, other: &Self) -> Self {
        if other.last_at > self.last_at { other.clone() } else { self.clone() }
    }

    /// The items of the session with signed confidences, the newest last; none when
    /// it is over.
    pub fn items_at(&self, now: Timestamp) -> &[(ItemIndex, f32)] {
        if self.is_near(now) { &self.items } else { &[] }
    }

    /// Whether any of its items is one of these.
    pub fn refers_to(&self, is_one: &dyn Fn(ItemIndex) -> bool) -> bool {
        self.items.iter().any(|entry| is_one(entry.0))
    }

    /// Drops the items that `keeps` denies.
    pub fn retain(&mut self, keeps: impl Fn(ItemIndex) -> bool) {
        self.items.retain(|entry| keeps(entry.0));
    }

    fn is_near(&self, at: Timestamp) -> bool {
        at.hours_since(self.last_at).abs() <= GAP_HOURS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn minutes(minutes: i64) -> Timestamp {
        START.plus_millis(minutes * 60_000)
    }

    fn session(events: &[(Option<&str>, i64, u32)]) -> Session {
        let mut session = Session::default();
        for &(id, at, item) in events {
            if session.enter(id, minutes(at)) {
                session.note(ItemIndex::new(item), 1.0);
            }
        }
        session
    }

    fn items(session: &Session, at: i64) -> Vec<u32> {
        session.items_at(minutes(at)).iter().map(|entry| entry.0.get()).collect()
    }

    #[test]
    fn half_an_hour_without_events_ends_a_session() {
        let session = session(&[(None, 0, 1), (None, 20, 2), (None, 51, 3), (None, 60, 4)]);
        assert_eq!(items(&session, 61), [3, 4]);
        assert_eq!(items(&session, 90), [3, 4]);
        assert!(items(&session, 91).is_empty());
    }

    #[test]
    fn a_named_session_continues_through_a_pause_and_ends_with_another_name() {
        let named = [(Some("a"), 0, 1), (Some("a"), 100, 2), (None, 110, 3)];
        assert_eq!(items(&session(&named), 111), [1, 2, 3]);
        let next = [(Some("a"), 0, 1), (Some("b"), 1, 2)];
        assert_eq!(items(&session(&next), 1), [2]);
    }

    #[test]
    fn an_event_of_the_past_changes_nothing() {
        let now = [(Some("a"), 100, 1), (Some("b"), 99, 2), (None, 90, 3), (Some("a"), 98, 4)];
        assert_eq!(items(&session(&now), 100), [1]);
    }

    #[test]
    fn the_newest_items_are_kept_each_once() {
        let mut events: Vec<_> = (0..20).map(|n| (None, i64::from(n), n)).collect();
        events.push((None, 20, 15));
        let kept = items(&session(&events), 20);
        assert_eq!(kept, [10, 11, 12, 13, 14, 16, 17, 18, 19, 15]);
    }
}
