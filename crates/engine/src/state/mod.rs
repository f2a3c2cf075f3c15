//! The learnt state at a watermark: what is known by item and by user, what is known of all, and the
//! list of all parts, which digests and snapshots are made of.

mod beliefs;
mod entry;
mod items;
pub mod model_factors;
pub mod online_items;
mod popularity;
pub mod postings;
pub mod quarantine;
mod snapshot;
mod snapshot_parts;
pub mod top_lists;
mod users;
mod view;

pub use entry::Entry;
pub use snapshot::{ENGINE_REVISION, Unrestorable};
pub use view::{Counts, View, document};
