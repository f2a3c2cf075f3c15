//! Sparse rows of weights, and the scores of a user by them.
//!
//! - Rows keep their largest weights by absolute value, sorted by item.
//! - Fits are outside of replay, so the rows enter the state as data; scores are sums in one order.

use std::sync::Arc;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::encode;
use crate::columns::index::Index;
use crate::columns::index::ItemIndex;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;

/// Weights of a row, and of all rows together, at most: 32 MB.
pub const ROW_MAX: usize = 512;
pub const WEIGHTS_MAX: usize = 4 << 20;
const WORD: usize = u64::BITS as usize;
/// Newest items of a user that are scored from.
const PATH: usize = 500;
/// What an older item counts at least, or it and all before it are left out.
const RECENCY_MIN: f32 = 0.01;
/// Scores kept of a user.
const SCORES_MAX: usize = 1_024;

/// What one item says: items with weights, sorted by item.
pub type Row<K> = Vec<(K, f32)>;

/// See the header. `K` is what items are numbered by.
#[derive(Debug, Serialize, Deserialize)]
pub struct ItemItem<K = u32> {
    /// Rows that are not empty, sorted by item.
    rows: Vec<(K, Row<K>)>,
    #[serde(skip)]
    digest: OnceLock<Digest>,
    /// Bit `i % 64` of word `i / 64`: whether item `i` is named anywhere.
    #[serde(skip)]
    named: OnceLock<Vec<u64>>,
}

impl<K> Default for ItemItem<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), digest: OnceLock::new(), named: OnceLock::new() }
    }
}

impl<K: Index> Clone for ItemItem<K> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), ..Self::default() }
    }
}

/// Scores of one user, sorted by item; an item that is missing has 0.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemItemScores<K = u32>(Vec<(K, f32)>);

impl<K> Default for ItemItemScores<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Of weights in the order of their items the `most` that are largest by absolute value, in that order.
pub fn strongest<K: Index>(
    weights: impl Iterator<Item = (K, f32)>,
    most: usize,
    scratch: &mut Row<K>,
) -> Row<K> {
    scratch.clear();
    scratch.extend(weights.filter(|(_, weight)| weight.is_finite() && *weight != 0.0));
    if scratch.len() > most {
        scratch.select_nth_unstable_by(most - 1, |a, b| {
            b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0))
        });
        scratch.truncate(most);
    }
    scratch.sort_unstable_by_key(|entry| entry.0);
    scratch.as_slice().to_vec()
}

impl<K: Index> ItemItem<K> {
    /// Rows in the order of their items; empty ones are left out.
    pub fn of(mut rows: Vec<(K, Row<K>)>) -> Self {
        rows.retain(|(_, row)| !row.is_empty());
        Self { rows, ..Self::default() }
    }

    /// Items with a row.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether every weight is a finite number, every item below `n_items`, and rows are
    /// sorted, not empty, and no more and no longer than they can be.
    pub fn is_sound(&self, n_items: usize) -> bool {
        let is_row = |(_, row): &(K, Row<K>)| {
            (1..=ROW_MAX).contains(&row.len())
                && row.is_sorted_by(|left, right| left.0 < right.0)
                && row.last().is_none_or(|(item, _)| item.slot() < n_items)
                && row.iter().all(|(_, weight)| weight.is_finite())
        };
        self.weights().count() <= WEIGHTS_MAX
            && self.rows.is_sorted_by(|left, right| left.0 < right.0)
            && self.rows.last().is_none_or(|(item, _)| item.slot() < n_items)
            && self.rows.iter().all(is_row)
    }

    pub fn weights(&self) -> impl Iterator<Item = &f32> {
        self.rows.iter().flat_map(|(_, row)| row.iter().map(|(_, weight)| weight))
    }

    /// The same weights with item `i` renamed to `names[i]`; what has no name is left out.
    #[must_use]
    pub fn renamed<N: Index>(&self, names: &[Option<N>]) -> ItemItem<N> {
        let name = |item: K| names.get(item.slot()).copied().flatten();
        let renamed = |row: &Row<K>| {
            let entries = row.iter().filter_map(|&(item, weight)| Some((name(item)?, weight)));
            let mut entries: Row<N> = entries.collect();
            entries.sort_unstable_by_key(|entry| entry.0);
            entries
        };
        let rows = self.rows.iter().filter_map(|(item, row)| Some((name(*item)?, renamed(row))));
        let mut rows: Vec<(N, Row<N>)> = rows.collect();
        rows.sort_unstable_by_key(|row| row.0);
        ItemItem::of(rows)
    }

    /// Takes an item out, so that its index may be given to another one. Costs a copy of the
    /// weights where a view holds them and the item is named by any, else nothing.
    pub fn forget(this: &mut Arc<Self>, item: K) {
        let (word, bit) = (item.slot() / WORD, item.slot() % WORD);
        if this.named().get(word).is_none_or(|word| word >> bit & 1 == 0) {
            return;
        }
        let weights = Arc::make_mut(this);
        (weights.digest, weights.named) = Default::default();
        weights.rows.retain(|(own, _)| *own != item);
        for (_, row) in &mut weights.rows {
            row.retain(|entry| entry.0 != item);
        }
        weights.rows.retain(|(_, row)| !row.is_empty());
    }

    fn named(&self) -> &[u64] {
        self.named.get_or_init(|| {
            let mut words = Vec::new();
            let mut name = |item: K| {
                let word = item.slot() / WORD;
                words.resize(words.len().max(word + 1), 0_u64);
                words[word] |= 1 << (item.slot() % WORD);
            };
            for (own, row) in &self.rows {
                name(*own);
                row.iter().for_each(|entry| name(entry.0));
            }
            words
        })
    }

    /// The row of an item.
    fn row(&self, item: K) -> &[(K, f32)] {
        let found = self.rows.binary_search_by_key(&item, |row| row.0);
        found.map_or(&[], |position| &self.rows[position].1)
    }

    /// Scores of all items for a user with the positives `path`, the newest first: for each
    /// `recency`, what an item counts of the next newer one.
    pub fn scores<const N: usize>(
        &self,
        path: impl Iterator<Item = K>,
        recency: [f32; N],
    ) -> [ItemItemScores<K>; N] {
        let mut sums: Vec<[f32; N]> = vec![[0.0; N]; self.named().len() * WORD];
        let mut found: Vec<K> = Vec::new();
        let mut weights = [1.0; N];
        for item in path.take(PATH) {
            if weights.iter().all(|weight| *weight < RECENCY_MIN) {
                break;
            }
            for &(to, weight) in self.row(item) {
                let sums = &mut sums[to.slot()];
                if *sums == [0.0; N] {
                    found.push(to);
                }
                for (sum, own) in sums.iter_mut().zip(&weights) {
                    *sum += own * weight;
                }
            }
            weights.iter_mut().zip(&recency).for_each(|(weight, recency)| *weight *= recency);
        }
        found.sort_unstable();
        found.dedup();
        std::array::from_fn(|at| {
            let scored = found.iter().map(|&item| (item, sums[item.slot()][at]));
            ItemItemScores(highest(scored.collect()))
        })
    }

    /// The item of `path` that adds most to `candidate`; of equals the newest.
    pub fn cause(&self, path: impl Iterator<Item = K>, recency: f32, candidate: K) -> Option<K> {
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * recency));
        let mut best: Option<(f32, K)> = None;
        for (item, own) in path.take(PATH).zip(weights) {
            let row = self.row(item);
            if let Ok(position) = row.binary_search_by_key(&candidate, |entry| entry.0) {
                let part = own * row[position].1;
                if part > best.map_or(0.0, |best| best.0) {
                    best = Some((part, item));
                }
            }
        }
        best.map(|(_, item)| item)
    }
}

/// The highest scores, in the order of their items.
fn highest<K: Index>(mut scores: Vec<(K, f32)>) -> Vec<(K, f32)> {
    if scores.len() > SCORES_MAX {
        scores
            .select_nth_unstable_by(SCORES_MAX - 1, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        scores.truncate(SCORES_MAX);
        scores.sort_unstable_by_key(|score| score.0);
    }
    scores
}

impl Part for Arc<ItemItem<ItemIndex>> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    /// Made once.
    fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| *blake3::hash(&encode(&self.rows)).as_bytes())
    }

    fn sections(&self) -> Sections<'_> {
        Box::new(std::iter::once_with(|| encode(self.as_ref())))
    }

    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error> {
        *self = Self::new(postcard::from_bytes(section)?);
        Ok(())
    }
}

impl<K: Index> ItemItemScores<K> {
    pub fn of(&self, item: K) -> f32 {
        let found = self.0.binary_search_by_key(&item, |score| score.0);
        found.map_or(0.0, |position| self.0[position].1)
    }

    /// Items with their scores, by item.
    pub fn entries(&self) -> &[(K, f32)] {
        &self.0
    }
}
