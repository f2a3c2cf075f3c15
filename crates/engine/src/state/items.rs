//! Everything that is known by item, in columns of equal length.
//!
//! - An item has an index: its slot in every column. `free` is the one place that empties a slot.
//! - An item is in the catalogue, or only events know it.

use std::sync::Arc;

use crate::models::cold_start::Popularity;
use crate::models::content::Embeddings;
use crate::models::content::SparseVector;
use crate::models::decay::DecayedRow;
use crate::state::column::Column;
use crate::state::entry::Entry;
use crate::state::interner::Interner;
use crate::state::model_factors::ModelFactors;
use crate::state::online_items::OnlineItems;

/// The items of a namespace.
#[derive(Debug, Clone)]
pub struct ItemStore {
    pub ids: Interner,
    pub entries: Column<Arc<Entry>>,
    /// Derived of `entries` and the vocabulary.
    pub terms: Column<SparseVector>,
    /// Derived of `entries`, `terms` and the model.
    pub embeddings: Embeddings,
    pub popularity: Popularity,
    pub cooccurrence: Column<Arc<DecayedRow>>,
    pub successors: Column<Arc<DecayedRow>>,
    /// Of the model, and of items that gathered evidence since.
    pub factors: ModelFactors,
    /// Evidence about items the model was not trained on.
    pub online: OnlineItems,
}

impl ItemStore {
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
        }
    }

    /// Items known, in the catalogue or not.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The index of an item, which is given one if it has none.
    pub fn intern(&mut self, item_id: &str) -> u32 {
        let item = self.ids.intern(item_id);
        let items = item as usize + 1;
        if items > self.entries.len() {
            self.entries.grow(items, &Arc::default());
            self.terms.grow(items, &SparseVector::default());
            self.popularity.items.grow(items, &Default::default());
            self.cooccurrence.grow(items, &Arc::default());
            self.successors.grow(items, &Arc::default());
        }
        item
    }
}
