//! The items of the newest positives: what negatives are drawn from.
//!
//! Items of the catalogue only, which the caller ensures: others cannot be shown. Bounded: a ring of
//! 2,048 items, 24 KiB.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::index::ItemIndex;

/// Positives that are remembered.
const RECENT: usize = 2_048;

/// The items of the newest positives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentPositives {
    /// A ring.
    items: Arc<Vec<ItemIndex>>,
    /// Where the oldest of a full ring is.
    oldest: u32,
    /// How often each of them is there, by item.
    occurrences: Arc<Vec<(ItemIndex, u32)>>,
}

impl RecentPositives {
    /// Notes the item of a positive.
    pub fn note(&mut self, item: ItemIndex) {
        let items = Arc::make_mut(&mut self.items);
        let occurrences = Arc::make_mut(&mut self.occurrences);
        if items.len() < RECENT {
            items.push(item);
        } else {
            let oldest = &mut items[self.oldest as usize];
            self.oldest = (self.oldest + 1) % RECENT as u32;
            let found = occurrences.binary_search_by_key(oldest, |entry| entry.0);
            let position = found.expect("what is in the ring is counted");
            occurrences[position].1 -= 1;
            if occurrences[position].1 == 0 {
                occurrences.remove(position);
            }
            *oldest = item;
        }
        match occurrences.binary_search_by_key(&item, |entry| entry.0) {
            Ok(position) => occurrences[position].1 += 1,
            Err(position) => occurrences.insert(position, (item, 1)),
        }
    }

    pub fn items(&self) -> &[ItemIndex] {
        &self.items
    }

    /// Drops items that `is_live` denies.
    pub fn retain(&mut self, is_live: impl Fn(ItemIndex) -> bool) {
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
            && (self.oldest == 0 || sorted.len() == RECENT && (self.oldest as usize) < RECENT)
            && sorted.last().is_none_or(|&item| item.as_usize() < items)
            && counted.eq(self.occurrences.iter().copied())
    }

    /// How often an item is among them.
    pub fn occurrences(&self, item: ItemIndex) -> u32 {
        let found = self.occurrences.binary_search_by_key(&item, |entry| entry.0);
        found.map_or(0, |position| self.occurrences[position].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_positives_are_counted_and_the_oldest_is_evicted() {
        let mut recent = RecentPositives::default();
        let [zero, one, seven, nine] = [0, 1, 7, 9].map(ItemIndex::new);
        for number in 0..RECENT as u32 {
            recent.note(ItemIndex::new(number % 2));
        }
        let half = RECENT as u32 / 2;
        assert_eq!([zero, one].map(|item| recent.occurrences(item)), [half, half]);
        // The oldest is evicted first.
        recent.note(seven);
        assert_eq!([zero, one, seven].map(|item| recent.occurrences(item)), [half - 1, half, 1]);
        recent.note(seven);
        assert_eq!(
            [zero, one, seven].map(|item| recent.occurrences(item)),
            [half - 1, half - 1, 2]
        );
        for _ in 0..3 * RECENT {
            recent.note(nine);
        }
        assert_eq!([zero, seven, nine].map(|item| recent.occurrences(item)), [0, 0, RECENT as u32]);
        assert!(recent.is_whole(10) && !recent.is_whole(9));
    }
}
