//! The state by item, in columns of equal length.
//!
//! - An item has an index: its slot in every column.
//! - An item is in the catalogue, or only events name it. The catalogue has no budget here. Items
//!   that only events name have one: those with the least evidence are evicted first
//!   ([`ItemStore::least_known`]).
//! - [`ItemStore::forget`] empties a slot in every column. Until it is released, it is not used
//!   again: histories and rows of other items may still refer to it.

use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::columns::interner::Interner;
use crate::columns::part::Part;
use crate::models::cold_start::ItemStatistics;
use crate::models::cold_start::Popularity;
use crate::models::collaborative::ItemRows;
use crate::models::content::Embeddings;
use crate::models::content::TermVectors;
use crate::models::decay::DecayedRow;
use crate::state::entry::Entry;
use crate::state::model_factors::ModelFactors;
use crate::state::online_items::OnlineItems;

/// Each eviction frees this part of the budget, since it visits all items: one in this many.
const EVICTED_ONE_IN: usize = 8;

/// The items of a namespace.
#[derive(Debug, Clone)]
pub struct ItemStore {
    pub ids: Interner<ItemIndex>,
    pub entries: Column<Arc<Entry>, ItemIndex>,
    /// Derived from `entries` and the vocabulary.
    pub terms: Column<TermVectors, ItemIndex>,
    /// Derived from `entries`, `terms` and the model.
    pub embeddings: Embeddings,
    pub popularity: Popularity,
    pub cooccurrence: ItemRows,
    pub successors: ItemRows,
    /// Of the model, and of items with evidence since its training.
    pub factors: ModelFactors,
    /// Evidence about items the model was not trained on.
    pub online: OnlineItems,
    /// Sequence of the last record that named each.
    pub named_at: Column<u64, ItemIndex>,
    nothing: Nothing,
}

/// Values that all empty slots share, to save memory.
#[derive(Debug, Clone, Default)]
struct Nothing {
    entry: Arc<Entry>,
    row: Arc<DecayedRow<ItemIndex>>,
}

/// The parts of a store, borrowed as the store is. Every field is named, so a new field does not
/// compile until it is listed: as a part or as derived.
macro_rules! parts_of {
    ($store:expr, $part:ty) => {{
        let ItemStore {
            ids,
            entries,
            terms: _,
            embeddings: _,
            popularity,
            cooccurrence,
            successors,
            factors,
            online,
            named_at,
            nothing: _,
        } = $store;
        let Popularity { items: statistics, head: _ } = popularity;
        let ModelFactors { rows, trained, gram: _ } = factors;
        let OnlineItems { slots, .. } = online;
        let parts: Vec<(&'static str, $part)> = vec![
            ("item_ids", ids),
            ("entries", entries),
            ("statistics", statistics),
            ("cooccurrence", cooccurrence),
            ("successors", successors),
            ("factors", rows),
            ("trained", trained),
            ("online_items", slots),
            ("named_at", named_at),
        ];
        parts
    }};
}

impl ItemStore {
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        parts_of!(self, &dyn Part)
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        parts_of!(self, &mut dyn Part)
    }

    pub fn new(embedding_dimension: usize) -> Self {
        Self {
            ids: Interner::default(),
            entries: Column::default(),
            terms: Column::default(),
            embeddings: Embeddings::new(embedding_dimension, 0),
            popularity: Popularity::default(),
            cooccurrence: Column::default(),
            successors: Column::default(),
            factors: ModelFactors::default(),
            online: OnlineItems::default(),
            named_at: Column::default(),
            nothing: Nothing::default(),
        }
    }

    /// Slots, used or not: every index is below.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_live(&self, item: ItemIndex) -> bool {
        self.ids.is_live(item)
    }

    /// The index of an item that a record names; a new one if it has none.
    pub fn intern(&mut self, item_id: &str, sequence: u64) -> ItemIndex {
        let item = self.ids.intern(item_id);
        let items = item.as_usize() + 1;
        if items > self.entries.len() {
            let Nothing { entry, row } = &self.nothing;
            self.entries.grow(items, entry);
            self.terms.grow(items, &TermVectors::default());
            self.popularity.items.grow(items, &ItemStatistics::default());
            self.cooccurrence.grow(items, row);
            self.successors.grow(items, row);
            self.named_at.grow(items, &0);
        }
        *self.named_at.get_mut(item) = sequence;
        item
    }

    /// Items to forget when more than `budget` items are outside the `catalogue`: the least
    /// popular, of equals those named longest ago.
    pub fn least_known(&self, budget: usize, catalogue: u64) -> Vec<ItemIndex> {
        let unknown = self.ids.live() - catalogue as usize;
        if unknown <= budget {
            return Vec::new();
        }
        let is_unknown = |&item: &ItemIndex| self.entries[item].item.is_none();
        let mut evictable: Vec<(f32, u64, ItemIndex)> = self
            .ids
            .live_indices()
            .filter(is_unknown)
            .map(|item| (self.popularity.share(item), self.named_at[item], item))
            .collect();
        evictable.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        evictable.truncate(unknown - budget + budget / EVICTED_ONE_IN);
        evictable.into_iter().map(|(.., item)| item).collect()
    }

    /// Empties the slot of an item that is not in the catalogue. The caller removes its factors
    /// from the model.
    pub fn forget(&mut self, item: ItemIndex) {
        // Every column is named: a new one does not compile until it is listed here.
        let Self {
            ids,
            entries,
            terms,
            embeddings,
            popularity,
            cooccurrence,
            successors,
            factors: _,
            online,
            named_at,
            nothing,
        } = self;
        ids.forget(item);
        *entries.get_mut(item) = nothing.entry.clone();
        *terms.get_mut(item) = TermVectors::default();
        embeddings.set(item, None);
        *popularity.items.get_mut(item) = ItemStatistics::default();
        *cooccurrence.get_mut(item) = nothing.row.clone();
        *successors.get_mut(item) = nothing.row.clone();
        online.forget(item);
        *named_at.get_mut(item) = 0;
    }

    /// Drops forgotten items from an item's rows. Writes only if there are any.
    pub fn drop_dead(&mut self, item: ItemIndex) {
        let ids = &self.ids;
        for rows in [&mut self.cooccurrence, &mut self.successors] {
            if rows[item].entries().iter().any(|entry| !ids.is_live(entry.0)) {
                Arc::make_mut(rows.get_mut(item)).retain(|other| ids.is_live(other));
            }
        }
    }
}
