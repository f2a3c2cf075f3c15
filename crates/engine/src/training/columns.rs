//! The items that take part in a training: the columns of its matrix.
//!
//! - An item of the catalogue takes part when a user consumed it. One outside the catalogue does
//!   when at least two users consumed it: it tells of their taste, and is never recommended.
//! - Only columns that are open are tested on, ranked against, and get item-item weights: those
//!   of the catalogue. A namespace without a catalogue describes its items with each request, so
//!   there all are open.
//! - Weights of regularization count columns and the users that have any of them, not indices.

use crate::columns::index::ItemIndex;
use crate::consumption::History;
use crate::models::weighing::Weighing;
use crate::state::View;

/// Users who consume an item outside the catalogue before it takes part.
const OUTSIDE_SUPPORT_MIN: u32 = 2;
const NONE: u32 = u32::MAX;

/// Examples of a user: columns with signed weights.
pub type Row = Vec<(u32, f32)>;

/// Columns with their items.
#[derive(Debug, Clone)]
pub struct Columns {
    items: Vec<ItemIndex>,
    by_item: Vec<u32>,
    open: Vec<bool>,
}

impl Columns {
    pub fn of(view: &View) -> Self {
        let weighing = Weighing { negatives: false, ..Weighing::default() };
        let mut counts = vec![0_u32; view.items_len()];
        for (_, user) in view.profiled_users() {
            for (item, _) in weighing.examples(&user.history) {
                counts[item.as_usize()] += 1;
            }
        }
        let is_in_catalogue = |item: ItemIndex| view.entry(item).item.is_some();
        let all_are_open = view.counts.catalogue == 0;
        let mut columns =
            Self { items: Vec::new(), by_item: vec![NONE; counts.len()], open: Vec::new() };
        for (item, &count) in view.item_indices().zip(&counts) {
            let is_open = all_are_open || is_in_catalogue(item);
            let least = if is_open { 1 } else { OUTSIDE_SUPPORT_MIN };
            // Histories may name forgotten items until they are swept.
            if count >= least && view.items.is_live(item) {
                columns.by_item[item.as_usize()] = columns.items.len() as u32;
                columns.items.push(item);
                columns.open.push(is_open);
            }
        }
        columns
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The item of each column.
    pub fn items(&self) -> &[ItemIndex] {
        &self.items
    }

    /// By column: whether it can be recommended.
    pub fn open(&self) -> &[bool] {
        &self.open
    }

    pub fn of_item(&self, item: ItemIndex) -> Option<u32> {
        Some(self.by_item[item.as_usize()]).filter(|&column| column != NONE)
    }

    /// Examples with columns instead of items; those without one are left out.
    pub fn row(&self, examples: Vec<(ItemIndex, f32)>) -> Row {
        let columns = examples.into_iter();
        columns.filter_map(|(item, weight)| Some((self.of_item(item)?, weight))).collect()
    }

    /// The examples of each history that has any.
    pub fn rows<'h>(
        &self,
        weighing: &Weighing,
        histories: impl Iterator<Item = &'h History>,
    ) -> Vec<Row> {
        let rows = histories.map(|history| self.row(weighing.examples(history)));
        rows.filter(|row| !row.is_empty()).collect()
    }
}
