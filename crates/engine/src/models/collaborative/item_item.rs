//! Item-item weights in closed form (EASE): which items predict a positive for another one.
//!
//! With X the users x items matrix of positives, `P = (X'X + l I)^-1` and
//! `B[j,c] = -P[j,c] / P[c,c]`, `B[c,c] = 0`: the linear map that best reconstructs each
//! item from the others under an L2 weight l. The score of a candidate c is the sum of
//! `0.9^t B[j,c]` over the positives j of a user, the newest first (t = 0): the latest
//! items predict best.
//! Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (WWW 2019).
//!
//! - Only the items with the most positives take part: the inverse costs n^3 operations. The
//!   factors and co-occurrence serve all others.
//! - Rows keep their strongest positive weights, sorted by item.
//! - Fitted by faer, whose bits depend on the CPU: the rows enter the state as data.

use std::sync::Arc;
use std::sync::OnceLock;

use faer::Accum;
use faer::Mat;
use faer::Par;
use faer::dyn_stack::MemBuffer;
use faer::dyn_stack::MemStack;
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::triangular;
use faer::linalg::matmul::triangular::BlockStructure;
use faer::linalg::triangular_inverse::invert_lower_triangular;
use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;
use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::encode;
use crate::columns::index::Index;
use crate::columns::index::ItemIndex;
use crate::columns::part::Digest;
use crate::columns::part::Part;
use crate::columns::part::Sections;
use crate::models::collaborative::training_set::TrainingSet;

/// Items that take part at most: 4,096^3 operations are a few seconds on one core.
pub const ITEM_ITEM_MAX: usize = 4_096;
/// Users with a positive for an item before it takes part.
const SUPPORT_MIN: usize = 2;
/// Weights kept of a row.
const NEIGHBOURS_MAX: usize = 128;
/// Newest items of a user that are scored from.
const PATH: usize = 40;
const RECENCY_WEIGHT: f32 = 0.9;
/// Scores kept of a user.
const SCORES_MAX: usize = 1_024;

/// What one item predicts: items with weights, sorted by item.
type Row<K> = Vec<(K, f32)>;

/// Sparse rows of B. `K` is what items are numbered by: in a training its columns, in the
/// state their indices.
#[derive(Debug, Serialize, Deserialize)]
pub struct ItemItem<K = u32> {
    /// Rows that are not empty, sorted by item.
    rows: Vec<(K, Row<K>)>,
    #[serde(skip)]
    digest: OnceLock<Digest>,
}

impl<K> Default for ItemItem<K> {
    fn default() -> Self {
        Self { rows: Vec::new(), digest: OnceLock::new() }
    }
}

impl<K: Index> Clone for ItemItem<K> {
    fn clone(&self) -> Self {
        Self::of(self.rows.clone())
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

/// Counts of common users by pairs of items: the input of the fit, for every L2 weight.
#[derive(Debug)]
pub struct ConsumedTogether {
    /// The items that take part, by position in the matrix.
    chosen: Vec<u32>,
    /// `X'X` of the chosen: its lower triangle.
    gram: Mat<f32>,
}

impl ConsumedTogether {
    /// Only items that are `open` take part: those that can be recommended. `None` when
    /// fewer than two do.
    pub fn of(set: &TrainingSet, open: impl Fn(u32) -> bool) -> Option<Self> {
        let chosen = most_consumed(set, open);
        if chosen.len() < 2 {
            return None;
        }
        let mut position = vec![u32::MAX; set.n_items()];
        for (at, &item) in chosen.iter().enumerate() {
            position[item as usize] = at as u32;
        }
        let mut gram = Mat::<f32>::zeros(chosen.len(), chosen.len());
        let mut row = Vec::new();
        for user in 0..set.n_users() {
            let (items, confidences) = set.row(user);
            row.clear();
            let positives = items.iter().zip(confidences).filter(|entry| *entry.1 > 0.0);
            let positions = positives.map(|(&item, _)| position[item as usize]);
            row.extend(positions.filter(|&at| at != u32::MAX));
            row.sort_unstable();
            for (from, &column) in row.iter().enumerate() {
                for &line in &row[from..] {
                    gram[(line as usize, column as usize)] += 1.0;
                }
            }
        }
        Some(Self { chosen, gram })
    }

    /// Fits the weights; `l2` is above 0, in observations. `None` when the system cannot be
    /// solved.
    pub fn fit(&self, l2: f64) -> Option<ItemItem> {
        let n = self.chosen.len();
        let mut system = self.gram.clone();
        for at in 0..n {
            system[(at, at)] += l2 as f32;
        }
        let inverse = inverse(system)?;
        let diagonal: Vec<f32> = (0..n).map(|at| inverse[(at, at)]).collect();
        if diagonal.iter().any(|value| !(value.is_finite() && *value > 0.0)) {
            return None;
        }
        let fitted: Vec<Vec<(u32, f32)>> = (0..n)
            .into_par_iter()
            .map_init(Vec::new, |scratch, from| {
                strongest(&self.chosen, from, inverse.col_as_slice(from), &diagonal, scratch)
            })
            .collect();
        let rows = self.chosen.iter().copied().zip(fitted);
        Some(ItemItem::of(rows.filter(|(_, row)| !row.is_empty()).collect()))
    }
}

/// The row of the item at position `from`, whose column of P this is.
fn strongest(
    chosen: &[u32],
    from: usize,
    column: &[f32],
    diagonal: &[f32],
    scratch: &mut Vec<(u32, f32)>,
) -> Vec<(u32, f32)> {
    scratch.clear();
    let weights = column.iter().zip(diagonal).map(|(value, own)| -value / own);
    let entries = chosen.iter().copied().zip(weights).enumerate();
    scratch.extend(
        entries
            .filter(|(to, (_, weight))| *to != from && weight.is_finite() && *weight > 0.0)
            .map(|(_, entry)| entry),
    );
    if scratch.len() > NEIGHBOURS_MAX {
        scratch.select_nth_unstable_by(NEIGHBOURS_MAX - 1, |a, b| {
            b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
        });
        scratch.truncate(NEIGHBOURS_MAX);
    }
    scratch.sort_unstable_by_key(|entry| entry.0);
    scratch.as_slice().to_vec()
}

/// The inverse of a symmetric matrix given by its lower triangle, by Cholesky; `None` when
/// it is not positive definite. Takes the memory of two matrices: `L^-1` is the second, and
/// the product `L^-T L^-1` overwrites L.
fn inverse(mut matrix: Mat<f32>) -> Option<Mat<f32>> {
    let n = matrix.nrows();
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f32>(
        n,
        Par::Seq,
        Default::default(),
    ));
    llt::factor::cholesky_in_place(
        matrix.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    )
    .ok()?;
    let mut inverse_factor = Mat::<f32>::zeros(n, n);
    invert_lower_triangular(inverse_factor.as_mut(), matrix.as_ref(), Par::Seq);
    triangular::matmul(
        matrix.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        inverse_factor.transpose(),
        BlockStructure::TriangularUpper,
        inverse_factor.as_ref(),
        BlockStructure::TriangularLower,
        1.0,
        Par::Seq,
    );
    mirror(&mut matrix);
    Some(matrix)
}

/// Fills the upper triangle from the lower one, in tiles that stay in the cache.
fn mirror(matrix: &mut Mat<f32>) {
    const TILE: usize = 64;
    let n = matrix.nrows();
    for columns in (0..n).step_by(TILE) {
        for lines in (columns..n).step_by(TILE) {
            for column in columns..n.min(columns + TILE) {
                for line in lines.max(column + 1)..n.min(lines + TILE) {
                    matrix[(column, line)] = matrix[(line, column)];
                }
            }
        }
    }
}

impl<K: Index> ItemItem<K> {
    fn of(rows: Vec<(K, Row<K>)>) -> Self {
        Self { rows, digest: OnceLock::new() }
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
            (1..=NEIGHBOURS_MAX).contains(&row.len())
                && row.is_sorted_by(|left, right| left.0 < right.0)
                && row.last().is_none_or(|(item, _)| item.slot() < n_items)
                && row.iter().all(|(_, weight)| weight.is_finite() && *weight > 0.0)
        };
        self.rows.len() <= ITEM_ITEM_MAX
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
        let mut rows: Vec<(N, Row<N>)> = rows.filter(|(_, row)| !row.is_empty()).collect();
        rows.sort_unstable_by_key(|row| row.0);
        ItemItem::of(rows)
    }

    /// Takes an item out, so that its index may be given to another one. Costs a copy of the
    /// weights where a view holds them and the item has any, else nothing.
    pub fn forget(this: &mut Arc<Self>, item: K) {
        // Weights above 0 go both ways, so an item without a row is in no other row.
        let Ok(position) = this.rows.binary_search_by_key(&item, |row| row.0) else {
            return;
        };
        let weights = Arc::make_mut(this);
        weights.digest.take();
        weights.rows.remove(position);
        for (_, row) in &mut weights.rows {
            row.retain(|entry| entry.0 != item);
        }
        weights.rows.retain(|(_, row)| !row.is_empty());
    }

    /// The row of an item.
    fn row(&self, item: K) -> &[(K, f32)] {
        let found = self.rows.binary_search_by_key(&item, |row| row.0);
        found.map_or(&[], |position| &self.rows[position].1)
    }

    /// Scores of all items for a user with the positives `path`, the newest first.
    pub fn scores(&self, path: impl Iterator<Item = K>) -> ItemItemScores<K> {
        let mut parts: Vec<(K, f32)> = Vec::new();
        for (_, recency, row) in self.said(path) {
            parts.extend(row.iter().map(|&(to, weight)| (to, recency * weight)));
        }
        // Stable: equal items keep the order of the path, so sums have one order.
        parts.sort_by_key(|part| part.0);
        let mut scores: Vec<(K, f32)> = Vec::with_capacity(parts.len());
        for (item, part) in parts {
            match scores.last_mut() {
                Some(last) if last.0 == item => last.1 += part,
                _ => scores.push((item, part)),
            }
        }
        if scores.len() > SCORES_MAX {
            scores.select_nth_unstable_by(SCORES_MAX - 1, |a, b| {
                b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
            });
            scores.truncate(SCORES_MAX);
            scores.sort_unstable_by_key(|score| score.0);
        }
        ItemItemScores(scores)
    }

    /// The item of `path` that adds most to `candidate`; of equals the newest.
    pub fn cause(&self, path: impl Iterator<Item = K>, candidate: K) -> Option<K> {
        let mut best: Option<(f32, K)> = None;
        for (item, recency, row) in self.said(path) {
            if let Ok(position) = row.binary_search_by_key(&candidate, |entry| entry.0) {
                let part = recency * row[position].1;
                if best.is_none_or(|(strongest, _)| part > strongest) {
                    best = Some((part, item));
                }
            }
        }
        best.map(|(_, item)| item)
    }

    /// The items of a path that are scored from, each with what it weighs by its position
    /// and with its row.
    fn said(&self, path: impl Iterator<Item = K>) -> impl Iterator<Item = (K, f32, &[(K, f32)])> {
        let recency = std::iter::successors(Some(1.0), |weight| Some(weight * RECENCY_WEIGHT));
        path.take(PATH).zip(recency).map(|(item, recency)| (item, recency, self.row(item)))
    }
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

/// The items that take part, by index.
fn most_consumed(set: &TrainingSet, open: impl Fn(u32) -> bool) -> Vec<u32> {
    let mut counts = vec![0_usize; set.n_items()];
    for user in 0..set.n_users() {
        let (items, confidences) = set.row(user);
        for (&item, _) in items.iter().zip(confidences).filter(|entry| *entry.1 > 0.0) {
            counts[item as usize] += 1;
        }
    }
    let mut chosen: Vec<u32> = (0..set.n_items() as u32)
        .filter(|&item| counts[item as usize] >= SUPPORT_MIN && open(item))
        .collect();
    if chosen.len() > ITEM_ITEM_MAX {
        chosen.sort_by(|&a, &b| counts[b as usize].cmp(&counts[a as usize]).then(a.cmp(&b)));
        chosen.truncate(ITEM_ITEM_MAX);
        chosen.sort_unstable();
    }
    chosen
}

#[cfg(test)]
mod tests;
