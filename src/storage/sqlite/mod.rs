//! The embedded store: one SQLite database in a data directory.
//!
//! - A directory belongs to one process at a time, kept by a lock file.
//! - All writing goes through one connection behind a mutex; readers have their
//!   own connections and never wait for it.
//! - What a call has returned `Ok` for is on disk (WAL, synchronous=FULL).
//! - A full disk can be started on and read.

mod append;
mod budgets;
mod connection;
mod erasures;
mod event_hashes;
mod log;
mod migrations;
mod namespaces;
mod purge;
mod reserve;
mod snapshots;
mod store;
mod suppressed;
mod trainings;

pub use store::{SqliteOptions, SqliteStore, open};
