//! A set of catalogue items, one bit for each, for the search of a retrieval.
//!
//! Dense, since the scans of factors read whole words: an eighth of a megabyte for a million
//! items, which a request reads and writes in microseconds.

use crate::columns::index::ItemIndex;
use crate::state::showing::WORD;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u64>,
    count: usize,
}

impl Mask {
    pub fn new(words: Vec<u64>) -> Self {
        let count = words.iter().map(|word| word.count_ones() as usize).sum();
        Self { words, count }
    }

    /// An empty mask of this many words.
    pub fn empty(words: usize) -> Self {
        Self { words: vec![0; words], count: 0 }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub fn has(&self, item: ItemIndex) -> bool {
        let word = self.words.get(item.as_usize() / WORD);
        word.is_some_and(|word| word >> (item.as_usize() % WORD) & 1 == 1)
    }

    /// Adds an item; one beyond its words is left out.
    pub fn add(&mut self, item: ItemIndex) {
        if let Some(word) = self.words.get_mut(item.as_usize() / WORD) {
            let bit = 1 << (item.as_usize() % WORD);
            self.count += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    pub fn clear(&mut self, item: ItemIndex) {
        if let Some(word) = self.words.get_mut(item.as_usize() / WORD) {
            let bit = 1 << (item.as_usize() % WORD);
            self.count -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// Keeps the items that the other has, too.
    pub fn keep(&mut self, other: &Self) {
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(at).copied().unwrap_or(0);
        }
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }

    /// Adds the items that the other has.
    pub fn join(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }

    /// Removes the items that the other has.
    pub fn remove(&mut self, other: &Self) {
        for (word, less) in self.words.iter_mut().zip(&other.words) {
            *word &= !less;
        }
        self.count = self.words.iter().map(|word| word.count_ones() as usize).sum();
    }

    /// In rising order.
    pub fn iter(&self) -> impl Iterator<Item = ItemIndex> {
        (0_u32..).zip(&self.words).flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(ItemIndex::new(at * WORD as u32 + bit))
            })
        })
    }

    /// The items at these positions of the rising order, in the order of the positions, which
    /// are below [`Self::count`].
    pub fn at(&self, positions: &[usize]) -> Vec<ItemIndex> {
        let mut order: Vec<usize> = (0..positions.len()).collect();
        order.sort_unstable_by_key(|&draw| positions[draw]);
        let mut found = vec![ItemIndex::new(0); positions.len()];
        let (mut word, mut before) = (0, 0);
        for draw in order {
            while before + self.words[word].count_ones() as usize <= positions[draw] {
                before += self.words[word].count_ones() as usize;
                word += 1;
            }
            let mut left = self.words[word];
            for _ in 0..positions[draw] - before {
                left &= left - 1;
            }
            found[draw] = ItemIndex::new((word * WORD) as u32 + left.trailing_zeros());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mask_is_a_set(
            items in prop::collection::btree_set(0..700_u32, 1..200),
            others in prop::collection::btree_set(0..700_u32, 0..200),
            draws in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mask = |items: &BTreeSet<u32>| {
                let mut mask = Mask::empty(11);
                items.iter().for_each(|&item| mask.add(ItemIndex::new(item)));
                mask
            };
            let (one, other) = (mask(&items), mask(&others));
            prop_assert!(one.iter().map(ItemIndex::get).eq(items.iter().copied()));
            prop_assert_eq!(one.count(), items.len());
            let positions: Vec<usize> = draws.iter().map(|draw| draw.index(items.len())).collect();
            let sorted: Vec<ItemIndex> = items.iter().copied().map(ItemIndex::new).collect();
            let expected: Vec<ItemIndex> = positions.iter().map(|&at| sorted[at]).collect();
            prop_assert_eq!(one.at(&positions), expected);
            let (mut both, mut less) = (one.clone(), one.clone());
            both.keep(&other);
            prop_assert!(both.iter().map(ItemIndex::get).eq(items.intersection(&others).copied()));
            others.iter().for_each(|&item| less.clear(ItemIndex::new(item)));
            prop_assert!(less.iter().map(ItemIndex::get).eq(items.difference(&others).copied()));
            prop_assert_eq!(both.count() + less.count(), items.len());
            let (mut joined, mut removed) = (one.clone(), one.clone());
            joined.join(&other);
            removed.remove(&other);
            prop_assert!(joined.iter().map(ItemIndex::get).eq(items.union(&others).copied()));
            prop_assert_eq!(joined.count(), items.union(&others).count());
            prop_assert_eq!(removed, less);
        }
    }
}
