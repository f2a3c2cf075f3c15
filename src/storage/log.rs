//! The interaction log: ordered, durable, deduplicated.

use super::error::Error;
use super::leases::Fence;
use super::tail::Partition;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// Records to append to one namespace's partition.
#[derive(Debug)]
pub struct LogAppend {
    pub namespace: NamespaceName,
    pub records: Vec<Record>,
    /// The lease these records are written under, if any: when it has passed to
    /// somebody else the group is refused as `Fenced`.
    pub fence: Option<Fence>,
}

/// How far a partition reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    pub partition: Partition,
    /// The last sequence; 0 when empty.
    pub end: Sequence,
}

/// What became of one record of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Durable under this sequence.
    Accepted(Sequence),
    /// Its event id is within the dedup horizon already; nothing was written.
    Duplicate,
}

/// What became of the records of one [`LogAppend`], in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub outcomes: Vec<AppendOutcome>,
    /// The last sequence of the partition after the append.
    pub log_end: Sequence,
}

/// One ordered, durable partition per namespace.
///
/// Calls block; callers run them off the async threads.
pub trait InteractionLog: Send + Sync {
    /// Appends every group in one transaction: after `Ok` all of it is on disk.
    /// Within a partition, sequences are handed out in the order of the groups
    /// and their records, without gaps. A record whose event id was seen within
    /// the last `dedup_horizon` records at least (earlier in this call included)
    /// is a duplicate and is not written. `now` becomes `recorded_at`.
    ///
    /// The inner result is per group, so that one deleted namespace does not fail
    /// its neighbours.
    ///
    /// # Errors
    /// `Unavailable` when nothing of the call was written, or when it cannot be found
    /// out: sent again, records with an event id are recognised.
    fn append(
        &self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error>;

    /// Records after `after`, in order, whole batches until `records_max` is
    /// reached; empty at the end of the log.
    ///
    /// # Errors
    /// `Corrupt` or `TooNew` when a batch cannot be read: its reader must stop.
    fn read_after(
        &self,
        namespace: &NamespaceName,
        after: Sequence,
        records_max: usize,
    ) -> Result<Vec<LogRecord>, Error>;

    /// The last sequence of the partition; 0 when empty.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn log_end(&self, namespace: &NamespaceName) -> Result<Sequence, Error>;

    /// The ends of those of the namespaces that exist, in one question.
    ///
    /// # Errors
    /// `Unavailable`.
    fn log_ends(&self, namespaces: &[NamespaceName]) -> Result<Vec<LogEnd>, Error>;

    /// Whether other processes append to the same log, so that its end must be asked
    /// for again and again.
    fn is_shared(&self) -> bool;
}
