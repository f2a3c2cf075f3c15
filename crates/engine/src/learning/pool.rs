//! The items that a user could be shown for the first time: those that may be shown at the moment
//! and that the user has not had.
//!
//! One bit for each index and one count for each word, so the n-th item is found by a binary
//! search. Made again for each draw of a choice set, in one pass over the words.

use crate::columns::index::ItemIndex;
use crate::consumption::User;
use crate::domain::Timestamp;
use crate::state::View;
use crate::state::showing::WORD;

/// See the header of the module.
#[derive(Debug)]
pub struct Pool {
    /// Bit `i % 64` of word `i / 64` for item `i`.
    words: Vec<u64>,
    /// By word: items in the words before it.
    before: Vec<usize>,
    len: usize,
}

impl Pool {
    pub fn new(view: &View, user: &User, now: Timestamp) -> Self {
        let had = user.history.entries().iter().map(|entry| entry.item);
        Self::of(view.postings.showing.at(now), had)
    }

    fn of(mut words: Vec<u64>, without: impl Iterator<Item = ItemIndex>) -> Self {
        for item in without {
            let (word, bit) = (item.as_usize() / WORD, item.as_usize() % WORD);
            if let Some(word) = words.get_mut(word) {
                *word &= !(1 << bit);
            }
        }
        let mut len = 0;
        let mut before = Vec::with_capacity(words.len());
        for word in &words {
            before.push(len);
            len += word.count_ones() as usize;
        }
        Self { words, before, len }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The item of rank `n` from 0, in the order of indices.
    ///
    /// # Panics
    /// When `n` is not below the length.
    pub fn nth(&self, n: usize) -> ItemIndex {
        assert!(n < self.len, "a rank within the pool");
        let word = self.before.partition_point(|&before| before <= n) - 1;
        let mut left = self.words[word];
        for _ in self.before[word]..n {
            left &= left - 1;
        }
        ItemIndex::new((word * WORD) as u32 + left.trailing_zeros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_that_is_left_has_a_rank() {
        let members = [0, 3, 63, 200, 201, 255, 256, 300];
        let mut words = vec![0_u64; 6];
        members.iter().for_each(|&item| words[item / WORD] |= 1 << (item % WORD));
        let pool = Pool::of(words, [3, 201, 5, 9_999].into_iter().map(ItemIndex::new));
        let found: Vec<u32> = (0..pool.len()).map(|n| pool.nth(n).get()).collect();
        assert_eq!(found, [0, 63, 200, 255, 256, 300]);
    }
}
