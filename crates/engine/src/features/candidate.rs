//! What may be recommended: an item with what describing it needs.

use crate::models::content::SparseVector;
use crate::state::Entry;
use crate::state::View;

/// Something that may be recommended: a catalogue item or one of the request's own.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'v> {
    /// Its index, when it was ever seen or is in the catalogue.
    pub index: Option<u32>,
    pub entry: &'v Entry,
    pub terms: &'v SparseVector,
}

impl<'v> Candidate<'v> {
    /// An item the view knows.
    pub fn known(view: &'v View, index: u32) -> Self {
        let entry = &view.items.entries[index as usize];
        Self { index: Some(index), entry, terms: &view.items.terms[index as usize] }
    }
}
