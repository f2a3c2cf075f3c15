//! Slots that are free to be used again, the lowest first.
//!
//! Derived: a free slot is one without a name that nothing refers to. One bit for each slot, in
//! copy-on-write pages; a search begins where the last one ended, so it costs little on average.

use crate::columns::column::Column;

const BITS: usize = 64;

/// A set of slots.
#[derive(Debug, Clone, Default)]
pub struct FreeSlots {
    words: Column<u64>,
    /// No word before this one has a bit.
    first: usize,
    len: usize,
}

impl FreeSlots {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a slot that is not among them.
    pub fn insert(&mut self, slot: usize) {
        let (word, bit) = (slot / BITS, slot % BITS);
        self.words.grow(word + 1, &0);
        debug_assert!(self.words[word] >> bit & 1 == 0, "a slot is freed once");
        *self.words.get_mut(word) |= 1 << bit;
        self.first = self.first.min(word);
        self.len += 1;
    }

    /// Takes the lowest.
    pub fn take(&mut self) -> Option<usize> {
        if self.len == 0 {
            return None;
        }
        while self.words[self.first] == 0 {
            self.first += 1;
        }
        let word = self.words.get_mut(self.first);
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        self.len -= 1;
        Some(self.first * BITS + bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_used_first_and_each_once() {
        let mut free = FreeSlots::default();
        [700, 3, 64, 63].into_iter().for_each(|slot| free.insert(slot));
        assert_eq!(free.take(), Some(3));
        free.insert(1);
        let rest: Vec<usize> = std::iter::from_fn(|| free.take()).collect();
        assert_eq!((rest, free.len()), (vec![1, 63, 64, 700], 0));
    }
}
