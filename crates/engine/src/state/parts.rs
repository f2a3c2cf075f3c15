//! The parts of the state, each with its digest and as sections of a snapshot.
//!
//! There is one list of them, [`parts_of`]: what is not in it is neither stored nor hashed
//! nor restored, so all three always agree.

use crate::state::column::Digest;
use crate::state::view::View;

/// Encoded sections, made one at a time.
pub type Sections<'a> = Box<dyn Iterator<Item = Vec<u8>> + 'a>;

/// A part of the state.
pub trait Part {
    /// How many values it has.
    fn len(&self) -> usize;

    fn digest(&self) -> Digest;

    /// In the order in which they are read back; none where there is nothing.
    fn sections(&self) -> Sections<'_>;

    /// Takes in the next section of a part that was empty at first.
    ///
    /// # Errors
    /// When it is no section of such a part.
    fn read(&mut self, section: &[u8]) -> Result<(), postcard::Error>;
}

/// Names and parts of a view, borrowed as is said.
macro_rules! parts_of {
    ($view:expr, $part:ty, $($borrow:tt)+) => {{
        let view = $view;
        let parts: Vec<(&'static str, $part)> = vec![
            ("user_ids", $($borrow)+ view.users.ids),
            ("users", $($borrow)+ view.users.states),
            ("showings", $($borrow)+ view.users.impressions),
            ("item_ids", $($borrow)+ view.items.ids),
            ("entries", $($borrow)+ view.items.entries),
            ("statistics", $($borrow)+ view.items.popularity.items),
            ("cooccurrence", $($borrow)+ view.items.cooccurrence),
            ("successors", $($borrow)+ view.items.successors),
            ("item_item", $($borrow)+ view.item_item),
            ("factors", $($borrow)+ view.items.factors),
            ("topics", $($borrow)+ view.topics),
            ("sources", $($borrow)+ view.sources),
            ("devices", $($borrow)+ view.devices),
            ("terms", $($borrow)+ view.vocabulary.terms),
            ("term_frequencies", $($borrow)+ view.vocabulary.frequencies),
            ("term_weights", $($borrow)+ view.vocabulary.weights),
            ("context_cells", $($borrow)+ view.contexts.cells.topics),
            ("context_months", $($borrow)+ view.contexts.months.topics),
            ("context_devices", $($borrow)+ view.contexts.devices.topics),
            ("context_locations", $($borrow)+ view.contexts.locations.topics),
            ("ages", $($borrow)+ view.aging.topics),
            ("cohort_names", $($borrow)+ view.cohorts.names),
            ("cohort_rows", $($borrow)+ view.cohorts.rows),
            ("location_names", $($borrow)+ view.locations.names),
            ("location_rows", $($borrow)+ view.locations.rows),
            ("accumulators", $($borrow)+ view.items.accumulators),
            ("item_effects", $($borrow)+ view.item_effects.rows),
            ("decisions", $($borrow)+ view.decisions),
            ("arm_set_names", $($borrow)+ view.arms.names),
            ("arm_sets", $($borrow)+ view.arms.sets),
            ("pending_selections", $($borrow)+ view.arms.pending),
        ];
        parts
    }};
}

impl View {
    pub(crate) fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        parts_of!(self, &dyn Part, &)
    }

    pub(crate) fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        parts_of!(self, &mut dyn Part, &mut)
    }
}
