//! Where the values of a ring are, by key.
//!
//! - Derived: it is in neither digest nor snapshot, and is made again in the order of the log.
//! - Open addressing with linear probing in copy-on-write pages, so a view looks keys up
//!   without a lock and a clone costs a pointer for each page.
//! - A removal closes the gap it leaves, so runs stay short however often keys come and go.
//! - Bounded by what it holds: two to four slots of 8 bytes for each key.

use crate::columns::column::Column;

const SLOTS_MIN: usize = 64;
/// Slots for each key at least.
const SLOTS_PER_KEY: usize = 2;

/// Positions by key. The caller has the keys, hashed well, and compares them whole.
#[derive(Debug, Clone, Default)]
pub struct KeyIndex {
    /// 0 is free, else the lower half of the key's hash above its position + 1.
    slots: Column<u64>,
    len: usize,
}

impl KeyIndex {
    /// The position of a key; `is_it` says whether the value at a position has that key.
    pub fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        self.slot_of(hash, is_it).map(|slot| position(self.slots[slot]))
    }

    /// Sets the position of a key.
    pub fn insert(&mut self, hash: u64, at: usize, is_it: impl Fn(usize) -> bool) {
        if let Some(slot) = self.slot_of(hash, is_it) {
            *self.slots.get_mut(slot) = entry(hash, at);
            return;
        }
        self.len += 1;
        if self.len * SLOTS_PER_KEY > self.slots.len() {
            self.grow();
        }
        put(&mut self.slots, entry(hash, at));
    }

    /// Removes a key if it is still at this position; a later value may have replaced it.
    pub fn remove(&mut self, hash: u64, at: usize) {
        let Some(mut hole) = self.slot_of(hash, |position| position == at) else {
            return;
        };
        self.len -= 1;
        let mask = self.slots.len() - 1;
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let slot = self.slots[next];
            if slot == 0 {
                break;
            }
            // One that is as far from its home as from the hole, or further, may move there.
            let from_home = next.wrapping_sub(home(slot, mask)) & mask;
            if from_home >= next.wrapping_sub(hole) & mask {
                *self.slots.get_mut(hole) = slot;
                hole = next;
            }
        }
        *self.slots.get_mut(hole) = 0;
    }

    fn slot_of(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = hash as u32 as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash & u64::from(u32::MAX) && is_it(position(slot)) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let capacity = (self.slots.len() * 2).max(SLOTS_MIN);
        let mut slots: Column<u64> = std::iter::repeat_n(0, capacity).collect();
        for slot in self.slots.iter().filter(|&&slot| slot != 0) {
            put(&mut slots, *slot);
        }
        self.slots = slots;
    }
}

fn entry(hash: u64, at: usize) -> u64 {
    let at = u32::try_from(at + 1).expect("rings are far shorter than 2^32");
    hash << 32 | u64::from(at)
}

fn position(slot: u64) -> usize {
    slot as u32 as usize - 1
}

fn home(slot: u64, mask: usize) -> usize {
    (slot >> 32) as usize & mask
}

fn put(slots: &mut Column<u64>, slot: u64) {
    let mask = slots.len() - 1;
    let mut at = home(slot, mask);
    while slots[at] != 0 {
        at = (at + 1) & mask;
    }
    *slots.get_mut(at) = slot;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few hashes, so that runs collide and wrap around.
    fn hash(key: u8) -> u64 {
        [0, 62, 63, 127][usize::from(key % 4)]
    }

    proptest! {
        #[test]
        fn a_ring_finds_the_newest_position_of_each_key_and_nothing_else(
            keys in prop::collection::vec(0..40_u8, 0..400),
            size in 1..40_usize,
        ) {
            let (mut ring, mut index) = (Vec::<u8>::new(), KeyIndex::default());
            let mut naive: BTreeMap<u8, usize> = BTreeMap::new();
            for (number, key) in keys.into_iter().enumerate() {
                let at = number % size;
                if let Some(&old) = ring.get(at) {
                    index.remove(hash(old), at);
                    naive.retain(|_, position| *position != at);
                    ring[at] = key;
                } else {
                    ring.push(key);
                }
                index.insert(hash(key), at, |position| ring[position] == key);
                naive.insert(key, at);
                prop_assert_eq!(index.len, naive.len());
            }
            for key in 0..40 {
                let found = index.find(hash(key), |position| ring[position] == key);
                prop_assert_eq!(found, naive.get(&key).copied());
            }
            prop_assert!(index.slots.len() <= SLOTS_MIN.max(4 * size));
        }
    }
}
