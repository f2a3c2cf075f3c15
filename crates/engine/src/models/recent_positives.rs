//! The items of the newest positives: what negatives are drawn from.
//!
//! Bounded: a ring of 2,048 items.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// Positives that are remembered.
const RECENT: usize = 2_048;

/// The items of the newest positive interactions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentPositives {
    /// A ring.
    items: Arc<Vec<u32>>,
    /// How often each of them is there, by item.
    occurrences: Arc<Vec<(u32, u32)>>,
}

impl RecentPositives {
    /// Notes the `count`-th positive interaction, from 1.
    pub fn note(&mut self, item: u32, count: u64) {
        let items = Arc::make_mut(&mut self.items);
        let occurrences = Arc::make_mut(&mut self.occurrences);
        if items.len() < RECENT {
            items.push(item);
        } else {
            let oldest = &mut items[(count % RECENT as u64) as usize];
            let found = occurrences.binary_search_by_key(oldest, |entry| entry.0);
            let place = found.expect("what is in the ring is counted");
            occurrences[place].1 -= 1;
            if occurrences[place].1 == 0 {
                occurrences.remove(place);
            }
            *oldest = item;
        }
        match occurrences.binary_search_by_key(&item, |entry| entry.0) {
            Ok(place) => occurrences[place].1 += 1,
            Err(place) => occurrences.insert(place, (item, 1)),
        }
    }

    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// Drops items that `is_live` denies.
    pub fn retain(&mut self, is_live: impl Fn(u32) -> bool) {
        if self.occurrences.iter().any(|entry| !is_live(entry.0)) {
            Arc::make_mut(&mut self.items).retain(|&item| is_live(item));
            Arc::make_mut(&mut self.occurrences).retain(|entry| is_live(entry.0));
        }
    }

    /// Whether what was read of a snapshot is about these many items, and counts itself.
    pub fn is_whole(&self, items: usize) -> bool {
        let mut sorted = self.items.as_ref().clone();
        sorted.sort_unstable();
        let counted = sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u32));
        sorted.len() <= RECENT
            && sorted.last().is_none_or(|&item| (item as usize) < items)
            && counted.eq(self.occurrences.iter().copied())
    }

    /// How often an item is among them.
    pub fn occurrences(&self, item: u32) -> u32 {
        let found = self.occurrences.binary_search_by_key(&item, |entry| entry.0);
        found.map_or(0, |place| self.occurrences[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_wanted_last_is_counted_and_the_oldest_makes_room() {
        let mut wanted = RecentPositives::default();
        for count in 1..=RECENT as u64 {
            wanted.note(7, count);
        }
        let all = RECENT as u32;
        assert_eq!([3, 7].map(|item| wanted.occurrences(item)), [0, all]);
        for count in 1..=5 {
            wanted.note(3, RECENT as u64 + count);
        }
        assert_eq!([7, 9, 3].map(|item| wanted.occurrences(item)), [all - 5, 0, 5]);
    }
}
