//! The shared store: PostgreSQL 15 or newer, for any number of processes.
//!
//! - What a call has returned `Ok` for is committed on disk.
//! - Appends to a namespace are ordered by an advisory lock that is held from before
//!   a sequence is decided until after the commit: who reads up to a sequence has
//!   seen all before it.
//! - Nothing that was cut off stays in doubt longer than the append's time: see
//!   `append`.

mod append;
mod budgets;
mod column;
mod decided;
mod erasures;
mod event_hashes;
mod failure;
mod known;
mod leases;
mod log;
mod migrations;
mod namespaces;
mod options;
mod partition;
mod projection;
mod purge;
mod session;
mod snapshots;
mod store;
mod suppressed;
mod tls;
mod trainings;
mod transaction;

pub use migrations::Migrated;
pub use migrations::migrate;
pub use options::PostgresOptions;
pub use store::PostgresStore;
pub use store::open;
pub use store::open_reading;
