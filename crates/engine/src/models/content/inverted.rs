//! The items of each term, the heaviest first: candidates similar to a vector without a look
//! at every item.
//!
//! - Every item is listed under the [`ITEM_TERMS`] heaviest terms of each of its languages: two texts
//!   are similar when they share heavy terms.
//! - A list is in order of the weight (impact-ordered postings), so its head has the items in
//!   which the term weighs most. Source: Anh, de Kretser, Moffat,
//!   "Vector-space ranking with effective early termination" (SIGIR 2001).
//! - A search reads at most [`READS`] entries of each of [`QUERY_TERMS`] lists, adds up their
//!   weights, and returns the best. The caller computes exact scores of these.
//! - Derived from the term vectors and a function of them alone. Bound: 8 bytes for each of the
//!   16 terms of an item in a language, and about 100 for each term of the vocabulary.

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::models::content::vector::SparseVector;
use crate::models::content::vectors::TermVectors;
use crate::models::sorted_chunks::SortedChunks;
use crate::numeric::TopK;

/// Terms under which an item is listed in a language, the heaviest ones.
const ITEM_TERMS: usize = 16;
/// Terms of a query that are looked up, the heaviest ones.
const QUERY_TERMS: usize = 32;
/// Entries of a list that are read at most.
const READS: usize = 4_096;
/// Entries of a list that count at most: those allowed.
const HITS: usize = 400;
/// Items given at most.
pub const CANDIDATES: usize = 400;

/// An item in the list of a term: rising order is falling weight, and of equals the lower index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The bits of the weight, which is above 0, inverted.
    lightness: u32,
    item: ItemIndex,
}

impl Entry {
    fn new(weight: f32, item: ItemIndex) -> Self {
        Self { lightness: !weight.to_bits(), item }
    }

    fn weight(self) -> f32 {
        f32::from_bits(!self.lightness)
    }
}

/// Lists of items by term; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Inverted {
    terms: Column<SortedChunks<Entry>>,
}

impl Inverted {
    /// Of the vectors of all items, in the order of their indices.
    pub fn new<'a>(vectors: impl Iterator<Item = &'a TermVectors>) -> Self {
        let mut lists: Vec<Vec<Entry>> = Vec::new();
        for (item, vectors) in (0..).map(ItemIndex::new).zip(vectors) {
            for (term, weight) in listed(vectors) {
                let term = term as usize;
                if lists.len() <= term {
                    lists.resize_with(term + 1, Vec::new);
                }
                lists[term].push(Entry::new(weight, item));
            }
        }
        let sorted = |mut list: Vec<Entry>| {
            list.sort_unstable();
            SortedChunks::from_sorted(&list)
        };
        // Each list is sorted by itself, so the number of threads changes no bit.
        let lists: Vec<_> = lists.into_par_iter().map(sorted).collect();
        Self { terms: lists.into_iter().collect() }
    }

    /// Lists an item that is not listed.
    pub fn insert(&mut self, item: ItemIndex, vectors: &TermVectors) {
        for (term, weight) in listed(vectors) {
            self.terms.grow(term as usize + 1, &SortedChunks::default());
            self.terms.get_mut(term as usize).insert(Entry::new(weight, item));
        }
    }

    /// Takes an item off that is listed with these vectors.
    pub fn remove(&mut self, item: ItemIndex, vectors: &TermVectors) {
        for (term, weight) in listed(vectors) {
            if (term as usize) < self.terms.len() {
                self.terms.get_mut(term as usize).remove(&Entry::new(weight, item));
            }
        }
    }

    /// Allowed items that are most similar to a vector of these terms, by the heads of the
    /// lists; at most [`CANDIDATES`].
    pub fn candidates(
        &self,
        query: impl Iterator<Item = (u32, f32)>,
        allowed: impl Fn(ItemIndex) -> bool,
    ) -> Vec<ItemIndex> {
        let mut parts: Vec<(ItemIndex, f32)> = Vec::new();
        for (term, weight) in heaviest(query, QUERY_TERMS) {
            let list = self.terms.get(term as usize).into_iter().flat_map(SortedChunks::iter);
            let hits = list.take(READS).filter(|entry| allowed(entry.item)).take(HITS);
            parts.extend(hits.map(|entry| (entry.item, weight * entry.weight())));
        }
        // Stable: the contributions to an item add up in the order of the terms.
        parts.sort_by_key(|part| part.0);
        let mut top = TopK::new(CANDIDATES);
        for parts in parts.chunk_by(|left, right| left.0 == right.0) {
            top.push(parts.iter().map(|part| part.1).sum(), parts[0].0);
        }
        top.into_sorted_vec().into_iter().map(|(item, _)| item).collect()
    }
}

/// The terms under which an item is listed, each once, with the greatest of its weights.
fn listed(vectors: &TermVectors) -> Vec<(u32, f32)> {
    let terms = |vector: &SparseVector| heaviest(vector.terms().iter().copied(), ITEM_TERMS);
    let mut all: Vec<(u32, f32)> = vectors.languages().iter().flat_map(terms).collect();
    if vectors.languages().len() > 1 {
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        all.dedup_by_key(|one| one.0);
    }
    all
}

/// The `n` heaviest of the terms with a weight above 0, the heaviest first, of equals the lower
/// term.
fn heaviest(terms: impl Iterator<Item = (u32, f32)>, n: usize) -> Vec<(u32, f32)> {
    let mut all: Vec<(u32, f32)> = terms.filter(|term| term.1 > 0.0).collect();
    let by_weight =
        |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0));
    if all.len() > n {
        all.select_nth_unstable_by(n, by_weight);
        all.truncate(n);
    }
    all.sort_unstable_by(by_weight);
    all
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector() -> impl Strategy<Value = SparseVector> {
        let term = (0..300_u32, 1..1_000_u32).prop_map(|(term, weight)| (term, weight as f32));
        prop::collection::vec(term, 0..40).prop_map(SparseVector::new)
    }

    fn several() -> impl Strategy<Value = TermVectors> {
        prop::collection::vec(vector(), 1..4).prop_map(TermVectors::new)
    }

    fn of_one_language(vectors: &[SparseVector]) -> Inverted {
        let vectors: Vec<TermVectors> = vectors.iter().cloned().map(TermVectors::from).collect();
        Inverted::new(vectors.iter())
    }

    fn lists(index: &Inverted) -> Vec<Vec<Entry>> {
        let mut lists: Vec<Vec<Entry>> =
            index.terms.iter().map(|list| list.iter().copied().collect()).collect();
        while lists.last().is_some_and(Vec::is_empty) {
            lists.pop();
        }
        lists
    }

    proptest! {
        #[test]
        fn it_is_a_function_of_the_vectors_however_they_came(
            vectors in prop::collection::vec((several(), several()), 1..60),
        ) {
            let mut index = Inverted::default();
            for (item, (before, now)) in (0..).map(ItemIndex::new).zip(&vectors) {
                index.insert(item, before);
                index.remove(item, before);
                index.insert(item, now);
            }
            let built = Inverted::new(vectors.iter().map(|pair| &pair.1));
            prop_assert_eq!(lists(&index), lists(&built));
        }

        #[test]
        fn what_is_given_is_allowed_and_in_order_of_what_the_lists_say(
            vectors in prop::collection::vec(vector(), 1..60),
            query in vector(),
        ) {
            let index = of_one_language(&vectors);
            let is_even = |item: &ItemIndex| item.get().is_multiple_of(2);
            let found = index.candidates(query.terms().iter().copied(), |item| is_even(&item));
            prop_assert!(found.iter().all(is_even));
            // Short texts are listed whole, so nothing that shares a term is missed.
            let shares = |item: &ItemIndex| {
                let vector = &vectors[item.as_usize()];
                vector.len() <= ITEM_TERMS && query.len() <= QUERY_TERMS && vector.dot(&query) > 0.0
            };
            let all = (0..vectors.len() as u32).map(ItemIndex::new).filter(is_even);
            prop_assert!(all.filter(shares).all(|item| found.contains(&item)));
        }
    }

    #[test]
    fn the_hundred_most_similar_of_long_texts_are_nearly_all_among_the_candidates() {
        // Texts of 40 words, some of them about one of 50 subjects; common words occur often.
        let drawn = |text: u64, nth: u64, most: u64| {
            (text * 40 + nth).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31) % most
        };
        let text = |number: u64| {
            let word = |nth: u64| match nth {
                0..15 => (drawn(number, nth, 60) + 60 * (number % 50), 3.0),
                _ => (3_000 + drawn(number, nth, 40) * drawn(number, nth + 7, 40), 1.0),
            };
            let words = (0..40).map(word);
            SparseVector::new(words.map(|(term, weight)| (term as u32, weight)).collect())
        };
        let vectors: Vec<SparseVector> = (0..20_000).map(text).collect();
        let index = of_one_language(&vectors);
        let mut shared = 0;
        for query in (0..20).map(|nth| &vectors[nth * 997]) {
            let mut exact = TopK::new(100);
            for (item, vector) in (0..).map(ItemIndex::new).zip(&vectors) {
                exact.push(query.dot(vector), item);
            }
            let found = index.candidates(query.terms().iter().copied(), |_| true);
            let exact = exact.into_sorted_vec();
            shared += exact.iter().filter(|one| found.contains(&one.0)).count();
        }
        assert!(shared >= 1_800, "{shared} of 2,000");
    }
}
