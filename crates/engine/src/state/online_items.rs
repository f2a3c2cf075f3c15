//! Evidence about items that the serving model was not trained on.
//!
//! - One set of sums per item, in slots that are used again. At most [`OnlineItems::capacity`]
//!   are alive: 32 MiB of sums, whatever k is. When all are taken, the eighth with the least
//!   evidence is evicted, of equals those whose evidence is oldest. An evicted item keeps the
//!   row that was solved from its evidence.
//! - The index by item is derived: snapshots and digests hold the slots only.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::domain::Sequence;
use crate::models::collaborative::ItemAccumulator;
use crate::numeric::packed_len;

/// Bytes of all sums together.
const BUDGET_BYTES: usize = 32 << 20;
/// Most items, where k is small.
const ITEMS_MAX: usize = 16_384;
/// Each eviction drops this part of the items: one in this many.
const EVICTED_ONE_IN: usize = 8;

/// The sums of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnlineItem {
    item: ItemIndex,
    /// The record of its latest evidence.
    touched: Sequence,
    sums: ItemAccumulator,
}

/// Sums by item; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OnlineItems {
    pub slots: Column<Option<Arc<OnlineItem>>>,
    /// Items with their slots, by item.
    index: Arc<Vec<(ItemIndex, u32)>>,
    /// Slots without an item, the lowest last.
    free: Arc<Vec<u32>>,
}

impl OnlineItems {
    /// Items that have sums of k factors at most.
    pub const fn capacity(k: usize) -> usize {
        let bytes = size_of::<OnlineItem>() + size_of::<f32>() * (packed_len(k) + k);
        let items = BUDGET_BYTES / bytes;
        if items < ITEMS_MAX { items } else { ITEMS_MAX }
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// The sums of an item.
    pub fn sums(&self, item: ItemIndex) -> Option<&ItemAccumulator> {
        let slot = self.index[self.position(item).ok()?].1;
        self.slots[slot as usize].as_ref().map(|known| &known.sums)
    }

    /// Adds one user's positive from the record `at`.
    pub fn add(&mut self, item: ItemIndex, user_factors: &[f32], confidence: f32, at: Sequence) {
        let slot = match self.position(item) {
            Ok(position) => self.index[position].1,
            Err(_) => self.insert(item, user_factors.len()),
        };
        let known = self.slots.get_mut(slot as usize).as_mut();
        let known = Arc::make_mut(known.expect("an indexed slot has an item"));
        known.touched = at;
        known.sums.add(user_factors, confidence);
    }

    /// Forgets an item, so that its index may be given to another one.
    pub fn forget(&mut self, item: ItemIndex) {
        if let Ok(position) = self.position(item) {
            let (_, slot) = Arc::make_mut(&mut self.index).remove(position);
            *self.slots.get_mut(slot as usize) = None;
            let free = Arc::make_mut(&mut self.free);
            let position = free.partition_point(|&other| other > slot);
            free.insert(position, slot);
        }
    }

    /// Derives the index from the slots.
    pub fn make_index(&mut self) {
        let (mut index, mut free) = (Vec::new(), Vec::new());
        for (slot, known) in (0..).zip(self.slots.iter()) {
            match known {
                Some(known) => index.push((known.item, slot)),
                None => free.push(slot),
            }
        }
        index.sort_unstable();
        free.reverse();
        (self.index, self.free) = (Arc::new(index), Arc::new(free));
    }

    /// Whether slots from a snapshot are of distinct items below `items`, with sums of k.
    pub fn is_whole(&self, k: usize, items: usize) -> bool {
        let mut known: Vec<ItemIndex> =
            self.slots.iter().flatten().map(|known| known.item).collect();
        let slots = known.len();
        known.sort_unstable();
        known.dedup();
        known.len() == slots
            && known.last().is_none_or(|&item| item.as_usize() < items)
            && self.slots.iter().flatten().all(|known| known.sums.is_of(k))
    }

    fn position(&self, item: ItemIndex) -> Result<usize, usize> {
        self.index.binary_search_by_key(&item, |entry| entry.0)
    }

    /// Gives an item a slot.
    fn insert(&mut self, item: ItemIndex, k: usize) -> u32 {
        let capacity = Self::capacity(k);
        if self.len() >= capacity {
            self.evict((capacity / EVICTED_ONE_IN).max(1));
        }
        let known = Arc::new(OnlineItem { item, touched: 0, sums: ItemAccumulator::new(k) });
        let slot = match Arc::make_mut(&mut self.free).pop() {
            Some(slot) => {
                *self.slots.get_mut(slot as usize) = Some(known);
                slot
            }
            None => {
                self.slots.push(Some(known));
                (self.slots.len() - 1) as u32
            }
        };
        let position = self.index.partition_point(|entry| entry.0 < item);
        Arc::make_mut(&mut self.index).insert(position, (item, slot));
        slot
    }

    fn evict(&mut self, count: usize) {
        let known = self.slots.iter().flatten();
        let mut by_evidence: Vec<(u32, Sequence, ItemIndex)> =
            known.map(|known| (known.sums.count(), known.touched, known.item)).collect();
        by_evidence.sort_unstable();
        for &(_, _, item) in by_evidence.iter().take(count) {
            self.forget(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_items_takes_bounded_memory_and_the_best_known_stay() {
        const K: usize = 128;
        let capacity = OnlineItems::capacity(K);
        let mut online = OnlineItems::default();
        let row = [0.1; K];
        let [known, oldest] = [7, 100].map(ItemIndex::new);
        let newest = ItemIndex::new(100 + 3 * capacity as u32 - 1);
        for sequence in 0..3 * capacity as u64 {
            online.add(known, &row, 1.0, sequence);
            online.add(ItemIndex::new(100 + sequence as u32), &row, 1.0, sequence);
        }
        assert!(online.len() <= capacity && online.slots.len() <= capacity);
        assert_eq!(online.sums(known).map(ItemAccumulator::count), Some(3 * capacity as u32));
        assert!(online.sums(oldest).is_none(), "the oldest was evicted");
        assert!(online.sums(newest).is_some(), "the newest is there");
        let mut again = OnlineItems { slots: online.slots.clone(), ..OnlineItems::default() };
        again.make_index();
        assert_eq!((&again.index, &again.free), (&online.index, &online.free));
        assert!(again.is_whole(K, usize::MAX) && !again.is_whole(64, usize::MAX));
    }

    #[test]
    fn the_budget_holds_for_every_number_of_factors() {
        for k in [1, 16, 64, 128, 512] {
            let capacity = OnlineItems::capacity(k);
            assert!(capacity >= 32 && capacity * 4 * packed_len(k) <= BUDGET_BYTES, "{k}");
        }
    }

    #[test]
    fn a_forgotten_item_is_unknown_and_its_slot_is_used_again() {
        let mut online = OnlineItems::default();
        let [three, four, five, eight, nine] = [3, 4, 5, 8, 9].map(ItemIndex::new);
        for item in [five, three, nine] {
            online.add(item, &[1.0, 0.0], 1.0, 1);
        }
        online.forget(three);
        online.forget(four);
        assert!(online.sums(three).is_none() && online.sums(nine).is_some());
        online.add(eight, &[1.0, 0.0], 1.0, 2);
        assert_eq!((online.slots.len(), online.len()), (3, 3));
    }
}
