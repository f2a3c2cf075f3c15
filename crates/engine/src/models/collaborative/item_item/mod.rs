//! What items say of other items: sparse rows of weights, and three ways to fit them.
//!
//! | | fitted by | what a weight means |
//! |---|---|---|
//! | [`ConsumedTogether`] | closed form (EASE) | who has the one has the other, all other items given |
//! | [`sequence`] | closed form over histories in order | the other one comes next |
//! | [`overlap`] | counts, normalised by degree | users have both; works where data are sparse |
//!
//! A user's score of an item is the sum of the weights from the user's items to it. Weights may
//! be below 0.

mod consumed_together;
pub mod overlap;
mod rows;
pub mod sequence;
mod solve;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

pub use consumed_together::ConsumedTogether;
pub use rows::ItemItem;
pub use rows::ItemItemScores;

use crate::columns::index::Index;
use crate::columns::index::ItemIndex;
use crate::columns::part::Part;

/// The weights of a model. `K` is what items are numbered by: in a training its columns, in the
/// state their indices.
#[derive(Debug, Serialize, Deserialize)]
pub struct Associations<K = u32> {
    pub together: Arc<ItemItem<K>>,
    pub sequence: Arc<ItemItem<K>>,
    pub overlap: Arc<ItemItem<K>>,
}

impl<K> Default for Associations<K> {
    fn default() -> Self {
        Self { together: Arc::default(), sequence: Arc::default(), overlap: Arc::default() }
    }
}

impl<K> Clone for Associations<K> {
    fn clone(&self) -> Self {
        let Self { together, sequence, overlap } = self;
        Self { together: together.clone(), sequence: sequence.clone(), overlap: overlap.clone() }
    }
}

impl<K: Index> Associations<K> {
    fn all(&self) -> [&ItemItem<K>; 3] {
        [&self.together, &self.sequence, &self.overlap]
    }

    /// See [`ItemItem::is_sound`].
    pub fn is_sound(&self, n_items: usize) -> bool {
        self.all().iter().all(|rows| rows.is_sound(n_items))
    }

    pub fn weights(&self) -> impl Iterator<Item = &f32> {
        self.all().into_iter().flat_map(ItemItem::weights)
    }

    /// See [`ItemItem::renamed`].
    #[must_use]
    pub fn renamed<N: Index>(&self, names: &[Option<N>]) -> Associations<N> {
        let [together, sequence, overlap] = self.all().map(|rows| Arc::new(rows.renamed(names)));
        Associations { together, sequence, overlap }
    }

    /// Takes an item out, so that its index may be given to another one.
    pub fn forget(&mut self, item: K) {
        let Self { together, sequence, overlap } = self;
        for rows in [together, sequence, overlap] {
            ItemItem::forget(rows, item);
        }
    }
}

impl Associations<ItemIndex> {
    pub fn parts(&self) -> [(&'static str, &dyn Part); 3] {
        let Self { together, sequence, overlap } = self;
        [("together", together), ("sequence", sequence), ("overlap", overlap)]
    }

    pub fn parts_mut(&mut self) -> [(&'static str, &mut dyn Part); 3] {
        let Self { together, sequence, overlap } = self;
        [("together", together), ("sequence", sequence), ("overlap", overlap)]
    }
}
