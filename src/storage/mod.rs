//! What the service keeps, behind small traits named for their use.
//!
//! - The interaction log is the truth; snapshots are a shortcut to its end.
//! - Storage knows no engine: a snapshot is a header and opaque sections.
//! - A backend is reached through its one `open` function only.

mod batch;
mod codec;
mod dedup;
mod error;
mod log;
mod namespaces;
mod snapshots;
mod sqlite;

pub use error::Error;
pub use log::{AppendOutcome, Appended, InteractionLog, LogAppend};
pub use namespaces::{NamespaceEntry, NamespaceStore};
pub use snapshots::{Snapshot, SnapshotHeader, SnapshotStore};
pub use sqlite::{SqliteOptions, SqliteStore, open as open_sqlite};
