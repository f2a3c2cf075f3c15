//! What the service keeps, behind small traits named for their use.
//!
//! - The interaction log is the truth; snapshots are a shortcut to its end.
//! - Storage knows no engine: a snapshot is a header and opaque sections.
//! - A backend is reached through its one `open` function only.

mod batch;
mod batch_head;
mod budgets;
mod cache;
mod chain;
mod codec;
mod dedup;
mod erasures;
mod error;
mod leases;
mod log;
mod memory;
mod namespaces;
mod number;
mod partition;
mod postgres;
mod projection;
mod reading;
mod redis;
mod snapshots;
mod sqlite;
mod suppression;
mod tail;
mod trainings;

pub use batch_head::BatchHead;
pub use budgets::{Budgets, Ledger, Release, SpendOutcome, Spending};
pub use cache::{Cache, RateCounters};
pub use chain::{Chain, Position, Seal, Stamp};
pub use erasures::{Erasures, Instead, Replaced, StoredErasure};
pub use error::Error;
pub use leases::{Fence, LEASE_TTL, Leases};
pub use log::{
    AppendOutcome, Appended, Extent, HashCheck, InteractionLog, LogAppend, LogEnd, LogRead,
    ReadLimit,
};
pub use memory::{MemoryCache, MemoryLeases, MemoryRates};
pub use namespaces::{NamespaceEntry, NamespaceStore};
pub use partition::{LeaseName, Partition};
pub use postgres::{
    Migrated, PostgresOptions, PostgresStore, migrate as migrate_postgres, open as open_postgres,
    open_reading as open_postgres_reading,
};
pub use projection::Projection;
pub use redis::{Redis, RedisCounts, RedisHealth, RedisOptions, connect as connect_redis};
pub use snapshots::{Snapshot, SnapshotHeader, SnapshotStore};
pub use sqlite::{SqliteOptions, SqliteStore, open as open_sqlite};
pub use tail::{TailBatch, TailFeed};
pub use trainings::{ReportedTraining, Trainings};
