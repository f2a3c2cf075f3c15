//! Erasures of users: what was asked for, whose records are dropped, and the log without theirs.
//!
//! - An erasure is stored before anything is done, and kept when it is done, without the ids. So
//!   every step may be cut off, and is done by the next leader.
//! - A record is replaced by one that says nothing and keeps its sequence. Hashes of event ids go
//!   with their records. Batches are replaced one by one, while the log is read and written.
//! - Replacing the same records twice is harmless, so two processes may be at it at a time.

use super::batch_head::BatchHead;
use super::batch_head::event_hashes_of;
use super::chain::Seal;
use super::codec;
use super::error::Error;
use super::partition::Partition;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// An erasure as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredErasure {
    pub erasure_id: String,
    /// The ids of the user; none once the log holds none of them.
    pub user_ids: Vec<UserId>,
    /// Opaque JSON text.
    pub report: String,
    pub is_finished: bool,
}

/// How far replacing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The last record looked at; where the call began, at the end of the log.
    pub to: Sequence,
    /// Records that were replaced.
    pub records: u64,
}

/// What stands in place of a record; `None`: it stays.
pub type Instead<'a> = &'a dyn Fn(&LogRecord) -> Option<Record>;

/// Calls block; callers run them off the async threads. Every call about a partition that is gone is
/// `NoNamespace`.
pub trait Erasures: Send + Sync {
    /// Stores an erasure, and suppresses its users until then. Users who are no longer suppressed by
    /// `now` are taken off the list, and finished erasures of which nobody is on it are forgotten. Where
    /// one of the users is suppressed already nothing changes, and the erasure that did it is returned.
    ///
    /// # Errors
    /// `Unavailable`.
    fn begin(
        &self,
        partition: &Partition,
        erasure: &StoredErasure,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<StoredErasure, Error>;

    /// Adds ids to those of an erasure whose users are still in the log, and suppresses them as well.
    /// Returns the erasure.
    ///
    /// # Errors
    /// `Unavailable`.
    fn add_ids(
        &self,
        partition: &Partition,
        erasure_id: &str,
        user_ids: &[UserId],
        until: Timestamp,
    ) -> Result<Option<StoredErasure>, Error>;

    /// # Errors
    /// `Unavailable`.
    fn erasure(
        &self,
        partition: &Partition,
        erasure_id: &str,
    ) -> Result<Option<StoredErasure>, Error>;

    /// Those whose users are still in the log, at most `count`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn in_log(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error>;

    /// Those whose users are out of the log, with something left to do; at most `count`.
    ///
    /// # Errors
    /// `Unavailable`.
    fn out_of_log(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error>;

    /// Namespaces that have erasures with something left to do.
    ///
    /// # Errors
    /// `Unavailable`.
    fn namespaces_with_unfinished(&self) -> Result<Vec<NamespaceName>, Error>;

    /// Stores what was done of an erasure, unless something else was stored since `before` was read.
    /// Returns whether it is stored.
    ///
    /// # Errors
    /// `Unavailable`.
    fn report(
        &self,
        partition: &Partition,
        before: &StoredErasure,
        after: &StoredErasure,
    ) -> Result<bool, Error>;

    /// Takes a user off the list of those who are suppressed, with all ids of the erasure. Returns
    /// whether the user was on it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn readmit(&self, partition: &Partition, user_id: &UserId) -> Result<bool, Error>;

    /// Replaces records in the next few batches after the one that holds `after`, where there is one to
    /// stand instead.
    ///
    /// # Errors
    /// `Unavailable`; `Corrupt` or `TooNew` when a batch cannot be read.
    fn replace(
        &self,
        partition: &Partition,
        after: Sequence,
        instead: Instead<'_>,
    ) -> Result<Replaced, Error>;

    /// Whether records were replaced since the revision was raised, other than those that say that
    /// a user is erased: a state without them is another one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn is_rewritten(&self, partition: &Partition) -> Result<bool, Error>;

    /// Raises the revision of the log when records were replaced since that was done last: all
    /// readers begin again, and snapshots of before are of no use. Returns whether they were.
    ///
    /// # Errors
    /// `Unavailable`.
    fn raise_revision(&self, partition: &Partition) -> Result<bool, Error>;

    /// Overwrites what is left of deleted bytes in the files of the store, as far as the store can.
    ///
    /// # Errors
    /// `Unavailable`, as while others still read what was.
    fn scrub(&self) -> Result<(), Error>;
}

/// A batch in which records were replaced.
#[derive(Debug)]
pub struct ReplacedBatch {
    pub seal: Seal,
    /// What the batch was before.
    pub payload_checksum_before: u32,
    pub payload: Vec<u8>,
    pub event_hashes: Vec<u8>,
    pub records: u64,
    /// Whether one of them changed the state.
    pub changes_state: bool,
}

impl ReplacedBatch {
    /// The batch with placeholders; `None` when no record is to be replaced.
    ///
    /// # Errors
    /// `Corrupt`, `TooNew`.
    pub fn of(seal: &Seal, payload: &[u8], instead: Instead<'_>) -> Result<Option<Self>, Error> {
        let BatchHead { recorded_at, .. } = seal.head;
        let mut records = Vec::new();
        seal.head.read(payload, seal.payload_checksum, &mut records)?;
        let (mut replaced, mut changes_state) = (0, false);
        for record in &mut records {
            if let Some(instead) = instead(record) {
                changes_state |= !matches!(record.record, Record::UserErased(_));
                record.record = instead;
                replaced += 1;
            }
        }
        if replaced == 0 {
            return Ok(None);
        }
        let mut payload = Vec::new();
        codec::begin(&mut payload, recorded_at);
        records.iter().for_each(|record| codec::put(&mut payload, &record.record, recorded_at));
        let event_hashes = event_hashes_of(records.iter().map(|record| &record.record));
        Ok(Some(Self {
            seal: Seal {
                payload_checksum: seal.head.checksum(&payload),
                event_hashes_checksum: seal.head.checksum(&event_hashes),
                ..*seal
            },
            payload_checksum_before: seal.payload_checksum,
            payload,
            event_hashes,
            records: replaced,
            changes_state,
        }))
    }
}

/// The name of a namespace as it is stored.
///
/// # Errors
/// `Corrupt`.
pub fn parse_name(name: String) -> Result<NamespaceName, Error> {
    NamespaceName::parse(name)
        .map_err(|reason| Error::Corrupt { what: "the name of a namespace".to_owned(), reason })
}

/// The ids of a user as they are stored.
///
/// # Errors
/// `Corrupt`.
pub fn parse_ids(json: &str) -> Result<Vec<UserId>, Error> {
    let corrupt = |reason| Error::Corrupt { what: "an erasure".to_owned(), reason };
    let ids: Vec<String> =
        serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))?;
    ids.into_iter().map(|id| UserId::parse(id).map_err(corrupt)).collect()
}

/// The stored form of the ids of a user; `None` once there are none.
pub fn ids_as_json(user_ids: &[UserId]) -> Option<String> {
    let ids: Vec<&str> = user_ids.iter().map(UserId::as_str).collect();
    (!ids.is_empty()).then(|| serde_json::to_string(&ids).expect("texts are JSON"))
}
