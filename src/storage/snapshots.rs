//! Snapshots: the engine's state at a watermark, so that a start need not read
//! the log from its beginning.

use super::error::Error;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The state holds every record up to this one and no other.
    pub watermark: Sequence,
    /// What the sections mean; a snapshot of another revision is not read.
    pub engine_revision: u32,
    pub taken_at: Timestamp,
}

/// A header and named, opaque sections in the order they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub header: SnapshotHeader,
    pub sections: Vec<(String, Vec<u8>)>,
}

/// Calls block; callers run them off the async threads.
pub trait SnapshotStore: Send + Sync {
    /// Stores a snapshot whole or not at all.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn put(&self, namespace: &NamespaceName, snapshot: &Snapshot) -> Result<(), Error>;

    /// The newest snapshot of this engine revision whose checksums hold. A damaged
    /// one is passed over: the log can always make up for it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn newest(
        &self,
        namespace: &NamespaceName,
        engine_revision: u32,
    ) -> Result<Option<Snapshot>, Error> {
        self.newest_up_to(namespace, engine_revision, Sequence::MAX)
    }

    /// The same of those whose watermark is at most this one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn newest_up_to(
        &self,
        namespace: &NamespaceName,
        engine_revision: u32,
        watermark: Sequence,
    ) -> Result<Option<Snapshot>, Error>;

    /// Deletes all but the newest `keep` snapshots of each engine revision, and those of
    /// revisions that nobody has written for 30 days.
    ///
    /// # Errors
    /// `Unavailable`.
    fn prune(&self, namespace: &NamespaceName, keep: usize) -> Result<(), Error>;
}
