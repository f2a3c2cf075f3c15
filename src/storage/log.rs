//! The interaction log: ordered, durable, deduplicated.

use super::chain::Position;
use super::error::Error;
use super::leases::Fence;
use super::partition::Partition;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// Records to append to one partition.
#[derive(Debug)]
pub struct LogAppend {
    pub partition: Partition,
    pub records: Vec<Record>,
    /// The lease these records are written under, if any: when it has passed to
    /// another process the group is refused as `Fenced`.
    pub fence: Option<Fence>,
}

/// How far a partition reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    pub partition: Partition,
    pub end: Position,
}

/// What became of one record of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Durable under this sequence.
    Accepted(Sequence),
    /// Its event id is within the dedup horizon already; nothing was written.
    Duplicate,
    /// It is of a user who was erased; nothing was written.
    Suppressed,
}

/// What became of the records of one [`LogAppend`], in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub outcomes: Vec<AppendOutcome>,
    /// The last sequence of the partition after the append.
    pub log_end: Sequence,
}

/// How much one read brings: whole batches until either is reached, and at least one
/// batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimit {
    pub records: usize,
    /// Of payloads, as they are stored.
    pub bytes: usize,
}

impl ReadLimit {
    /// So many records, in a fixed amount of memory.
    pub const fn records(records: usize) -> Self {
        Self { records, bytes: Self::BYTES }
    }

    /// A read of so much takes a few times as much memory, also where records are small.
    pub const BYTES: usize = 4 << 20;
}

/// What a read brought.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRead {
    pub records: Vec<LogRecord>,
    /// Where the reader stands after them.
    pub end: Position,
}

/// Which batches a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those that the next append needs: of the dedup window.
    Window,
    Whole,
}

/// What a check of event hashes has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HashCheck {
    /// Batches looked at.
    pub batches: u64,
    /// Those whose hashes were not what was written.
    pub damaged: u64,
    /// Those of them that were rewritten from their payloads. The others stand in the
    /// way of appends.
    pub rebuilt: u64,
}

/// One ordered, durable log per partition.
///
/// Every call about a partition that is gone is `NoNamespace`. Calls block; callers run
/// them off the async threads.
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

    /// Follows: the records after the batch that ends at `after`; none at the end of the
    /// log.
    ///
    /// # Errors
    /// `ChainBroken` when the log has no batch that ends at `after` with this chain: the
    /// reader has learnt from a log that is no more. `Corrupt` or `TooNew` when a batch
    /// cannot be read: its reader must stop.
    fn read_after(
        &self,
        partition: &Partition,
        after: Position,
        limit: ReadLimit,
    ) -> Result<LogRead, Error>;

    /// Reads anywhere: the records after `after`, in order, without a check across the
    /// start.
    ///
    /// # Errors
    /// `Corrupt` or `TooNew` when a batch cannot be read.
    fn read_from(
        &self,
        partition: &Partition,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<LogRecord>, Error>;

    /// The position of the batch that ends exactly at `sequence`; `None` when no batch
    /// ends there. A log begins at position 0.
    ///
    /// # Errors
    /// `Unavailable`.
    fn position_at(
        &self,
        partition: &Partition,
        sequence: Sequence,
    ) -> Result<Option<Position>, Error>;

    /// The ends of those of the partitions that exist, in the order asked for, by one
    /// question.
    ///
    /// # Errors
    /// `Unavailable`.
    fn log_ends(&self, partitions: &[Partition]) -> Result<Vec<LogEnd>, Error>;

    /// The end of one log.
    ///
    /// # Errors
    /// `Unavailable`.
    fn log_end(&self, partition: &Partition) -> Result<Position, Error> {
        let end = self.log_ends(std::slice::from_ref(partition))?.pop();
        end.map(|end| end.end)
            .ok_or_else(|| Error::NoNamespace { namespace: partition.namespace.clone() })
    }

    /// Checks stored event hashes against their checksums. Damaged ones are reported, logged and,
    /// where this store may write, rebuilt from the payloads; an append does the same
    /// with those that it meets.
    ///
    /// # Errors
    /// `Unavailable`.
    fn check_event_hashes(&self, partition: &Partition, extent: Extent)
    -> Result<HashCheck, Error>;

    /// How many batches have had their event hashes rebuilt since the start.
    fn event_hashes_rebuilt(&self) -> u64;

    /// Frees what this process keeps of a partition that sleeps or is deleted: its dedup
    /// window. Nothing is lost by it; the next append fills it again.
    fn release(&self, partition: &Partition);

    /// Whether other processes append to the same log, so that its end must be asked
    /// for again and again.
    fn is_shared(&self) -> bool;
}

/// Says that the event hashes of a batch are not what was written.
pub fn log_damaged_hashes(partition: &Partition, first: Sequence, failure: Option<&Error>) {
    let namespace = &partition.namespace;
    match failure {
        None => tracing::warn!(%namespace, first, "damaged event hashes rebuilt"),
        Some(error) => tracing::error!(%namespace, first, %error, "event hashes are damaged"),
    }
}
