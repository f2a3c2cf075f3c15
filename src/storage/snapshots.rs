//! Snapshots: the engine's state at a position, so that a start need not read
//! the log from its beginning.

use super::chain::Position;
use super::error::Error;
use super::partition::Partition;
use engine::domain::Sequence;
use engine::domain::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The state holds every record up to this one of this log and no other.
    pub position: Position,
    /// What the sections mean; a snapshot of another revision is not read.
    pub engine_revision: u32,
    pub taken_at: Timestamp,
}

/// A header and named, opaque sections in the order they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub header: SnapshotHeader,
    pub sections: Vec<(String, Vec<u8>)>,
    /// Newer ones that were damaged.
    pub passed_over: usize,
}

/// Every call about a partition that is gone is `NoNamespace`. Calls block; callers run
/// them off the async threads.
pub trait SnapshotStore: Send + Sync {
    /// Stores a snapshot whole or not at all. Sections are taken one at a time, so that
    /// the state need not be there twice.
    ///
    /// # Errors
    /// `ChainBroken` where records of the log were replaced meanwhile; `Unavailable`.
    fn put(
        &self,
        partition: &Partition,
        header: &SnapshotHeader,
        sections: &mut dyn Iterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), Error>;

    /// The newest snapshot of this engine revision whose checksums hold. A damaged
    /// one is passed over and logged: the log can always make up for it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn newest(
        &self,
        partition: &Partition,
        engine_revision: u32,
    ) -> Result<Option<Snapshot>, Error> {
        self.newest_up_to(partition, engine_revision, Sequence::MAX)
    }

    /// The same of those whose watermark is at most this one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn newest_up_to(
        &self,
        partition: &Partition,
        engine_revision: u32,
        watermark: Sequence,
    ) -> Result<Option<Snapshot>, Error>;

    /// Deletes all but the newest `keep` snapshots of each engine revision, and those of
    /// revisions that nobody has written for 30 days.
    ///
    /// # Errors
    /// `Unavailable`.
    fn prune(&self, partition: &Partition, keep: usize) -> Result<(), Error>;

    /// Deletes the snapshots of every revision that hold records after `sequence`: they
    /// have learnt from a log that is no more.
    ///
    /// # Errors
    /// `Unavailable`.
    fn discard_after(&self, partition: &Partition, sequence: Sequence) -> Result<(), Error>;
}

/// Says that a damaged snapshot is not used.
pub fn log_passed_over(partition: &Partition, watermark: Sequence, error: &Error) {
    tracing::warn!(namespace = %partition.namespace, watermark, %error, "snapshot passed over");
}
