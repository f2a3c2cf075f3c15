//! Names to dense indices, in the order they were first seen.
//!
//! - Indices never change and are never used again, so they may stand in models.
//! - Copy-on-write like every column: a view resolves names without a lock while
//!   the engine adds new ones.
//! - The lookup table is derived: digests and snapshots hold the names only.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::state::column::Column;
use crate::state::column::Digest;
use crate::state::parts::Part;
use crate::state::parts::Sections;

/// Slots per name at least, so that probe sequences stay short.
const SLOTS_PER_NAME: usize = 2;
const SLOTS_MIN: usize = 64;

/// What stands for a name where it gets no index: 64 bits of its hash.
pub fn name_key(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// A set of names with their indices.
#[derive(Debug, Clone, Default)]
pub struct Interner {
    names: Column<Arc<str>>,
    /// Open addressing with linear probing; 0 is free, else the upper half of the
    /// name's hash above its index + 1.
    slots: Column<u64>,
}

impl Interner {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, index: u32) -> Option<&Arc<str>> {
        self.names.get(index as usize)
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = name_key(name);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if slot >> 32 == hash >> 32 {
                let index = slot as u32 - 1;
                if &*self.names[index as usize] == name {
                    return Some(index);
                }
            }
            at = (at + 1) & mask;
        }
    }

    /// The index of `name`, given now if it is new.
    pub fn intern(&mut self, name: &str) -> u32 {
        if let Some(index) = self.find(name) {
            return index;
        }
        self.push(Arc::from(name))
    }

    /// The same, but never more than `most` names; `None` for one that came too late.
    pub fn intern_within(&mut self, most: usize, name: &str) -> Option<u32> {
        self.find(name).or_else(|| (self.len() < most).then(|| self.push(Arc::from(name))))
    }

    /// Gives a name that is new the next index.
    fn push(&mut self, name: Arc<str>) -> u32 {
        let index = u32::try_from(self.names.len()).expect("fewer than 2^32 names fit in memory");
        self.names.push(name.clone());
        if self.names.len() * SLOTS_PER_NAME > self.slots.len() {
            self.rebuild();
        } else {
            place(&mut self.slots, &name, index);
        }
        index
    }

    fn rebuild(&mut self) {
        let wanted = (self.names.len() * SLOTS_PER_NAME * 2).next_power_of_two().max(SLOTS_MIN);
        let mut slots: Column<u64> = std::iter::repeat_n(0, wanted).collect();
        for (index, name) in self.names.iter().enumerate() {
            place(&mut slots, name, index as u32);
        }
        self.slots = slots;
    }
}

impl Part for Interner {
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
        let names: Vec<Arc<str>> = postcard::from_bytes(section)?;
        for name in names {
            if self.find(&name).is_some() {
                return Err(postcard::Error::DeserializeBadEncoding);
            }
            self.push(name);
        }
        Ok(())
    }
}

fn place(slots: &mut Column<u64>, name: &str, index: u32) {
    let hash = name_key(name);
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while slots[at] != 0 {
        at = (at + 1) & mask;
    }
    *slots.get_mut(at) = (hash >> 32 << 32) | u64::from(index + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_index_while_the_table_grows() {
        let mut interner = Interner::default();
        for round in 0..2 {
            for number in 0..10_000_u32 {
                assert_eq!(interner.intern(&format!("user-{number}")), number, "round {round}");
            }
        }
        assert_eq!(interner.len(), 10_000);
        assert_eq!(interner.find("user-10000"), None);
    }

    #[test]
    fn a_view_does_not_see_names_added_after_it_was_taken() {
        let mut interner = Interner::default();
        interner.intern("a");
        let view = interner.clone();
        interner.intern("b");
        assert_eq!(view.find("b"), None);
        assert_eq!(interner.find("b"), Some(1));
    }

    #[test]
    fn an_interner_read_from_its_sections_finds_all_names_and_refuses_one_twice() {
        let mut interner = Interner::default();
        for number in 0..500 {
            interner.intern(&format!("n{number}"));
        }
        let mut rebuilt = Interner::default();
        for section in interner.sections() {
            rebuilt.read(&section).unwrap();
        }
        assert!((0..500).all(|number| rebuilt.find(&format!("n{number}")) == Some(number)));
        assert_eq!(rebuilt.digest(), interner.digest());
        assert!(rebuilt.read(&interner.sections().next().unwrap()).is_err());
    }
}
