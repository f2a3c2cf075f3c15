//! The learnt state at a watermark: state by item, state by user, shared state, and the list of
//! all parts for digests and snapshots.

mod beliefs;
mod entry;
mod items;
mod leading;
pub mod model_factors;
pub mod online_items;
mod popularity;
pub mod postings;
pub mod quarantine;
mod settings_records;
pub mod showing;
mod snapshot;
mod snapshot_parts;
pub mod top_lists;
mod users;
mod view;

pub use entry::Entry;
pub use snapshot::{ENGINE_REVISION, Unrestorable};
pub use view::{Counts, View, documents};
