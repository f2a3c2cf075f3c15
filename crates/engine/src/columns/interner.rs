//! Names to dense indices.
//!
//! - An index is a slot. A new name takes the lowest free slot, or a new one at the end.
//! - A forgotten name is not found any more. Its slot stays empty until it is released.
//!   The caller first makes sure that nothing refers to its index.
//! - Copy-on-write like every column: a view resolves names without a lock while the engine
//!   changes them.
//! - The lookup table and the free slots are derived: digests and snapshots hold the names only.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::columns::column::Column;
use crate::columns::free_slots::FreeSlots;
use crate::columns::index::Index;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;

/// Identifies a name that gets no index: 64 bits of its hash.
pub fn name_key(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// A set of names with their indices.
#[derive(Debug, Clone)]
pub struct Interner<K = u32> {
    /// By slot; `None` where a name was forgotten.
    names: Column<Option<Arc<str>>, K>,
    index: KeyIndex,
    free: FreeSlots,
    live: usize,
}

impl<K> Default for Interner<K> {
    fn default() -> Self {
        Self {
            names: Column::default(),
            index: KeyIndex::default(),
            free: FreeSlots::default(),
            live: 0,
        }
    }
}

impl<K: Index> Interner<K> {
    /// Slots, used or not: every index is below.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Number of names.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Slots that are not free.
    pub fn used(&self) -> usize {
        self.names.len() - self.free.len()
    }

    pub fn name(&self, index: K) -> Option<&Arc<str>> {
        self.names.get(index)?.as_ref()
    }

    pub fn is_live(&self, index: K) -> bool {
        self.name(index).is_some()
    }

    /// The indices that have a name.
    pub fn live_indices(&self) -> impl Iterator<Item = K> {
        self.names.indices().filter(|&index| self.is_live(index))
    }

    pub fn find(&self, name: &str) -> Option<K> {
        let is_it = |slot: usize| self.names[K::of_slot(slot)].as_deref() == Some(name);
        self.index.find(name_key(name), is_it).map(K::of_slot)
    }

    /// The index of the name with this key.
    pub fn find_key(&self, key: u64) -> Option<K> {
        let is_it = |slot: usize| {
            self.names[K::of_slot(slot)].as_deref().is_some_and(|name| name_key(name) == key)
        };
        self.index.find(key, is_it).map(K::of_slot)
    }

    /// The index of `name`, given now if it is new.
    pub fn intern(&mut self, name: &str) -> K {
        if let Some(index) = self.find(name) {
            return index;
        }
        let slot = self.free.take().unwrap_or_else(|| {
            self.names.push(None);
            self.names.len() - 1
        });
        let index = K::of_slot(slot);
        *self.names.get_mut(index) = Some(Arc::from(name));
        self.index.insert(name_key(name), slot, |_| false);
        self.live += 1;
        index
    }

    /// The same, with at most `most` names; `None` when there are as many already.
    pub fn intern_within(&mut self, most: usize, name: &str) -> Option<K> {
        self.find(name).or_else(|| (self.live < most).then(|| self.intern(name)))
    }

    /// Forgets the name of an index; its slot stays empty until it is released.
    pub fn forget(&mut self, index: K) {
        if let Some(name) = self.names.get_mut(index).take() {
            self.index.remove(name_key(&name), index.slot());
            self.live -= 1;
        }
    }

    /// Frees the slot of a forgotten name: nothing refers to it any more.
    pub fn release(&mut self, index: K) {
        debug_assert!(!self.is_live(index), "a name is forgotten before its slot is released");
        self.free.insert(index.slot());
    }

    /// Derives the free slots: those without a name that `is_held` does not hold back.
    pub fn derive_free(&mut self, is_held: impl Fn(K) -> bool) {
        self.free = FreeSlots::default();
        let empty = self.names.indices().filter(|&index| !self.is_live(index));
        let indices: Vec<K> = empty.filter(|&index| !is_held(index)).collect();
        indices.into_iter().for_each(|index| self.free.insert(index.slot()));
    }
}

impl<K: Index> Part for Interner<K> {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn digest(&self) -> Digest {
        self.names.digest()
    }

    fn sections(&self) -> Sections<'_> {
        self.names.sections()
    }

    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error> {
        let names: Vec<Option<Arc<str>>> = postcard::from_bytes(section)?;
        for name in names {
            let slot = self.names.len();
            if let Some(name) = &name {
                if self.find(name).is_some() {
                    return Err(postcard::Error::DeserializeBadEncoding);
                }
                self.index.insert(name_key(name), slot, |_| false);
                self.live += 1;
            }
            self.names.push(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_index_while_the_table_grows() {
        let mut interner: Interner = Interner::default();
        for round in 0..2 {
            for number in 0..10_000_u32 {
                assert_eq!(interner.intern(&format!("user-{number}")), number, "round {round}");
            }
        }
        assert_eq!(interner.len(), 10_000);
        assert_eq!(interner.find("user-10000"), None);
        assert_eq!(interner.find_key(name_key("user-77")), Some(77));
        assert_eq!(interner.find_key(name_key("user-10000")), None);
    }

    #[test]
    fn a_view_does_not_see_names_added_after_it_was_taken() {
        let mut interner: Interner = Interner::default();
        interner.intern("a");
        let view = interner.clone();
        interner.intern("b");
        assert_eq!(view.find("b"), None);
        assert_eq!(interner.find("b"), Some(1));
    }

    #[test]
    fn a_forgotten_name_is_not_found_and_its_slot_is_used_again_once_it_is_released() {
        let mut interner: Interner = Interner::default();
        ["a", "b", "c"].into_iter().for_each(|name| {
            interner.intern(name);
        });
        interner.forget(1);
        assert_eq!((interner.find("b"), interner.name(1), interner.live()), (None, None, 2));
        assert_eq!(interner.intern("d"), 3);
        interner.release(1);
        assert_eq!((interner.intern("b"), interner.find("b"), interner.len()), (1, Some(1), 4));
        assert_eq!(["a", "c", "d"].map(|name| interner.find(name)), [Some(0), Some(2), Some(3)]);
    }

    #[test]
    fn an_interner_read_from_its_sections_finds_all_names_and_rejects_duplicates() {
        let mut interner: Interner = Interner::default();
        for number in 0..500 {
            interner.intern(&format!("n{number}"));
        }
        interner.forget(7);
        interner.forget(8);
        interner.release(8);
        let mut rebuilt: Interner = Interner::default();
        for section in interner.sections() {
            rebuilt.read(&section).unwrap();
        }
        rebuilt.derive_free(|slot| slot == 7);
        let found = (0..500).filter(|number| rebuilt.find(&format!("n{number}")) == Some(*number));
        assert_eq!((found.count(), rebuilt.live()), (498, 498));
        assert_eq!(rebuilt.digest(), interner.digest());
        assert_eq!((interner.intern("new"), rebuilt.intern("new")), (8, 8));
        assert!(rebuilt.read(&interner.sections().next().unwrap()).is_err());
    }
}
