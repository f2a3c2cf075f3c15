//! An item that may be recommended, with the data for its features.

use crate::columns::index::ItemIndex;
use crate::models::content::TermVectors;
use crate::state::Entry;
use crate::state::View;

/// A catalogue item, or an item that the request describes.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'v> {
    /// Its index, if the state has the item.
    pub index: Option<ItemIndex>,
    pub entry: &'v Entry,
    pub terms: &'v TermVectors,
}

impl<'v> Candidate<'v> {
    /// An item the view knows.
    pub fn known(view: &'v View, index: ItemIndex) -> Self {
        let entry = &view.items.entries[index];
        Self { index: Some(index), entry, terms: &view.items.terms[index] }
    }
}
