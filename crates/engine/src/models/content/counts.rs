//! How often each term occurs in a document: what is kept of an item's text.
//!
//! - Sorted by term, each term once, counts of at least 1.
//! - Four bytes per term: 24 bits of id above 8 bits of count. Counts stop at 255;
//!   sublinear weighting makes 255 and 500 nearly the same anyway.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

const COUNT_BITS: u32 = 8;
const COUNT_MAX: u32 = (1 << COUNT_BITS) - 1;
/// Number of distinct ids of terms.
pub(crate) const TERMS_MAX: usize = 1 << (u32::BITS - COUNT_BITS);

/// The text of an item in one language, stored or inline.
#[derive(Debug, Clone, Copy, Default)]
pub struct Document<'a> {
    pub title: &'a str,
    pub content: &'a str,
    pub topics: &'a [Box<str>],
    /// Primary subtag of BCP 47; `None`: detected from the text.
    pub language: Option<&'a str>,
}

/// Terms of a document with their counts; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermCounts {
    packed: Arc<[u32]>,
}

impl TermCounts {
    /// Counts occurrences; `terms` in any order, all below [`TERMS_MAX`].
    pub(crate) fn count(mut terms: Vec<u32>) -> Self {
        terms.sort_unstable();
        let packed: Vec<u32> = terms
            .chunk_by(|left, right| left == right)
            .map(|run| {
                debug_assert!((run[0] as usize) < TERMS_MAX, "ids fit in 24 bits");
                let count = u32::try_from(run.len()).map_or(COUNT_MAX, |len| len.min(COUNT_MAX));
                (run[0] << COUNT_BITS) | count
            })
            .collect();
        Self { packed: packed.into() }
    }

    /// The terms of several documents, with their counts added up.
    pub(crate) fn union(all: &[Self]) -> Self {
        if let [one] = all {
            return one.clone();
        }
        let terms = all.iter().flat_map(Self::iter);
        Self::count(terms.flat_map(|(term, n)| std::iter::repeat_n(term, n.into())).collect())
    }

    /// Terms in rising order with their counts.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u16)> {
        self.packed.iter().map(|entry| (entry >> COUNT_BITS, (entry & COUNT_MAX) as u16))
    }

    /// The counts without some terms, which are sorted; `None` when it has none of them.
    pub(crate) fn without(&self, terms: &[u32]) -> Option<Self> {
        let is_kept = |entry: &&u32| terms.binary_search(&(**entry >> COUNT_BITS)).is_err();
        let kept: Vec<u32> = self.packed.iter().filter(is_kept).copied().collect();
        (kept.len() < self.packed.len()).then(|| Self { packed: kept.into() })
    }

    /// Number of distinct terms.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_counted_in_order_of_terms() {
        let counts = TermCounts::count(vec![9, 3, 9, 0, 9]);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(0, 1), (3, 1), (9, 3)]);
        assert_eq!((counts.len(), counts.is_empty()), (3, false));
    }

    #[test]
    fn counts_stop_at_their_largest_value_and_the_largest_id_fits() {
        let last = TERMS_MAX as u32 - 1;
        let counts = TermCounts::count(vec![last; 1000]);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(last, 255)]);
    }

    #[test]
    fn counts_of_several_documents_add_up() {
        let documents = [vec![1, 1, 4], vec![4, 0]].map(TermCounts::count);
        let union = TermCounts::union(&documents);
        assert_eq!(union.iter().collect::<Vec<_>>(), [(0, 1), (1, 2), (4, 2)]);
        assert!(TermCounts::union(&[]).is_empty());
    }

    #[test]
    fn counts_survive_their_encoding() {
        let counts = TermCounts::count(vec![1, 1, 70_000]);
        let bytes = postcard::to_stdvec(&counts).unwrap();
        assert_eq!(postcard::from_bytes::<TermCounts>(&bytes).unwrap(), counts);
    }
}
