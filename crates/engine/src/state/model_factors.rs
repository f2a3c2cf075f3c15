//! The item factors in use: rows of the model, and rows of items it was not trained on.
//!
//! - A trained row stays as published until the next model or until its item is forgotten. Other
//!   rows are predicted from content or solved from the item's own evidence.
//! - The Gram matrix is always that of the current rows: every write changes both. It is stored
//!   apart, so a write copies at most k x k of its numbers, and only while a view holds them.
//! - Memory: `4 k` bytes and one bit per item, `4 k^2` once.

use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::columns::part::Part;
use crate::models::collaborative::gram;
use crate::models::collaborative::is_usable;
use crate::models::collaborative::update_gram;
use crate::models::factors::ItemFactors;

const BITS: usize = u64::BITS as usize;

/// Rows of k factors by item index; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct ModelFactors {
    pub rows: ItemFactors,
    /// Bit `i % 64` of word `i / 64`: the model was trained on item `i`.
    pub trained: Column<u64>,
    /// k x k, `numeric` dense storage.
    pub gram: Arc<Vec<f32>>,
}

impl ModelFactors {
    /// The rows of a model, each at the index of its item; all other rows are unknown.
    ///
    /// # Panics
    /// When a row is not `k` wide.
    pub fn published<'a>(k: usize, rows: impl Iterator<Item = (ItemIndex, &'a [f32])>) -> Self {
        let (mut values, mut trained) = (Vec::new(), Vec::new());
        for (item, row) in rows {
            let item = item.as_usize();
            values.resize(values.len().max((item + 1) * k), 0.0);
            values[item * k..][..k].copy_from_slice(row);
            trained.resize(trained.len().max(item / BITS + 1), 0);
            trained[item / BITS] |= 1 << (item % BITS);
        }
        Self {
            gram: Arc::new(gram(&values, k)),
            rows: ItemFactors::new(k, &values),
            trained: trained.into_iter().collect(),
        }
    }

    /// Length of a row; 0 without a model.
    pub fn k(&self) -> usize {
        self.rows.k()
    }

    /// The factors of an item; `None` when they are not known.
    pub fn row(&self, item: ItemIndex) -> Option<&[f32]> {
        self.rows.row(item)
    }

    /// Whether the model was trained on the item that has this index now.
    pub fn is_trained(&self, item: ItemIndex) -> bool {
        let (word, bit) = place(item);
        self.trained.get(word).is_some_and(|word| word >> bit & 1 == 1)
    }

    /// Replaces the row of an item that the model was not trained on. A row that is not
    /// usable counts as unknown.
    pub fn set_row(&mut self, item: ItemIndex, row: &[f32]) {
        let nothing = vec![0.0; self.k()];
        let row = if is_usable(row) { row } else { &nothing };
        let old = self.rows.row(item).unwrap_or(&nothing);
        if old == row {
            return;
        }
        update_gram(Arc::make_mut(&mut self.gram).as_mut_slice(), old, row);
        self.rows.set_row(item, row);
    }

    /// Replaces the rows of many items and computes the Gram matrix once.
    pub fn set_rows(&mut self, rows: impl Iterator<Item = (ItemIndex, Vec<f32>)>) {
        let mut any = false;
        for (item, row) in rows.filter(|(_, row)| is_usable(row)) {
            self.rows.set_row(item, &row);
            any = true;
        }
        if any {
            self.gram = Arc::new(gram(&self.rows.to_vec(), self.k()));
        }
    }

    /// Forgets an item, so that another one may get its index: its row is unknown and not
    /// trained.
    pub fn forget(&mut self, item: ItemIndex) {
        if self.rows.row(item).is_some() {
            self.set_row(item, &vec![0.0; self.k()]);
        }
        if self.is_trained(item) {
            let (word, bit) = place(item);
            *self.trained.get_mut(word) &= !(1 << bit);
        }
    }

    /// Whether what a snapshot holds is consistent, with rows of `k` and `items` items.
    pub fn is_whole(&self, k: usize, items: usize) -> bool {
        let squares = k.checked_mul(k);
        (self.rows.k() == k || self.rows.k() == 0)
            && squares == Some(self.gram.len())
            && self.gram.iter().all(|value| value.is_finite())
            && self.rows.len() <= items
            && self.trained.len() <= items.div_ceil(BITS)
    }
}

/// The word and the bit of an item.
fn place(item: ItemIndex) -> (usize, usize) {
    (item.as_usize() / BITS, item.as_usize() % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: ItemIndex = ItemIndex::new(3);
    const SEVENTY: ItemIndex = ItemIndex::new(70);

    fn factors() -> ModelFactors {
        let rows = [[1.0, 2.0], [3.0, -1.0]];
        ModelFactors::published(2, [(SEVENTY, &rows[0][..]), (THREE, &rows[1][..])].into_iter())
    }

    fn gram_is_of_the_rows(factors: &ModelFactors) -> bool {
        let expected = gram(&factors.rows.to_vec(), 2);
        factors.gram.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5)
    }

    #[test]
    fn published_rows_are_trained_and_others_are_not() {
        let mut factors = factors();
        let [known, unknown] = [64, 9_999].map(ItemIndex::new);
        factors.set_row(known, &[0.5, 0.5]);
        assert!(factors.is_trained(SEVENTY) && factors.is_trained(THREE));
        assert!(!factors.is_trained(known) && !factors.is_trained(unknown));
        assert_eq!(factors.row(known), Some(&[0.5, 0.5][..]));
        assert!(gram_is_of_the_rows(&factors));
    }

    #[test]
    fn a_row_that_is_not_usable_is_unknown() {
        let mut factors = factors();
        let [eight, nine] = [8, 9].map(ItemIndex::new);
        for row in [[f32::MAX, 0.0], [f32::NAN, 1.0], [0.0, f32::NEG_INFINITY]] {
            factors.set_row(eight, &row);
            factors.set_rows(std::iter::once((nine, row.to_vec())));
        }
        assert!(factors.row(eight).is_none() && factors.row(nine).is_none());
        assert!(gram_is_of_the_rows(&factors) && factors.is_whole(2, 71));
    }

    #[test]
    fn a_forgotten_item_leaves_no_row_no_bit_and_no_part_of_the_gram_matrix() {
        let mut factors = factors();
        let view = factors.clone();
        factors.forget(SEVENTY);
        factors.forget(ItemIndex::new(5_000));
        assert_eq!(factors.row(SEVENTY), None);
        assert!(!factors.is_trained(SEVENTY) && factors.is_trained(THREE));
        assert!(gram_is_of_the_rows(&factors));
        assert!(view.is_trained(SEVENTY) && view.row(SEVENTY).is_some());
    }
}
