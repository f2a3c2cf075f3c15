//! The learnt state at a watermark: columns in copy-on-write pages, names with their indices,
//! and the list of all parts, which digests and snapshots are made of.

mod beliefs;
pub mod column;
pub mod factors;
pub mod interner;
pub mod key_index;
pub mod parts;
mod snapshot;
mod view;

pub use snapshot::{ENGINE_REVISION, Unrestorable};
pub use view::{Counts, Entry, View, document};
