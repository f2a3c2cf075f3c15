//! The learnt state at a watermark: columns in copy-on-write pages, names with their indices,
//! and the list of all parts, which digests and snapshots are made of.

mod beliefs;
pub mod column;
mod entry;
pub mod factors;
pub mod interner;
mod items;
pub mod key_index;
pub mod parts;
pub mod postings;
mod snapshot;
pub mod top_lists;
mod users;
mod view;

pub use entry::Entry;

pub use snapshot::{ENGINE_REVISION, Unrestorable};

pub use view::{Counts, View, document};
