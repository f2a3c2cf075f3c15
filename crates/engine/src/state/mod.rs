//! The learnt state at a watermark: columns in copy-on-write pages, names with their indices,
//! and the list of all parts, which digests and snapshots are made of.

mod beliefs;
pub mod column;
mod entry;
pub mod factors;
mod free_slots;
pub mod interner;
mod items;
pub mod key_index;
pub mod labels;
pub mod model_factors;
pub mod online_items;
pub mod parts;
mod popularity;
pub mod quarantine;
mod snapshot;
mod snapshot_parts;
mod users;
mod view;
pub mod window;

pub use entry::Entry;

pub use snapshot::{ENGINE_REVISION, Unrestorable};

pub use view::{Counts, View, document};
