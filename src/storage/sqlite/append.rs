//! Appending: one transaction for all groups, duplicates left out.
//!
//! - What is known of a partition (its end, its dedup window) is kept in memory
//!   and filled from the newest batches at first use.
//! - It runs ahead of the transaction, so that duplicates within a call are found,
//!   and is forgotten when the transaction fails: even a commit that failed may
//!   have reached the disk, so the next call asks the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rusqlite::CachedStatement;
use rusqlite::Connection;
use rusqlite::TransactionBehavior;
use rusqlite::params;

use super::event_hashes;
use super::log;
use super::store::namespace_id;
use super::suppressed;
use crate::storage::batch::BatchBuilder;
use crate::storage::chain::Position;
use crate::storage::dedup::DedupWindow;
use crate::storage::dedup::event_hash;
use crate::storage::error::Error;
use crate::storage::log::AppendOutcome;
use crate::storage::log::Appended;
use crate::storage::log::LogAppend;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use crate::storage::suppression::Suppressed;
use engine::domain::Record;
use engine::domain::Timestamp;

const INSERT: &str = "INSERT INTO log_batches
    (namespace_id, first_sequence, count, recorded_at_ms,
     payload_crc32, event_hashes_crc32, stamp, chain, event_hashes, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// The one connection that writes, and what it knows of the partitions.
#[derive(Debug)]
pub struct Writer {
    pub connection: Connection,
    dedup_horizon: u64,
    partitions: HashMap<Partition, KnownPartition>,
    /// Batches whose event hashes were damaged and are whole again.
    pub event_hashes_rebuilt: Arc<AtomicU64>,
    batch: BatchBuilder,
}

#[derive(Debug)]
struct KnownPartition {
    namespace_id: i64,
    end: Position,
    /// Of the newest batch.
    recorded_at: Timestamp,
    window: DedupWindow,
    suppressed: Suppressed,
}

impl Writer {
    pub fn new(connection: Connection, dedup_horizon: u64) -> Self {
        Self {
            connection,
            dedup_horizon,
            partitions: HashMap::new(),
            event_hashes_rebuilt: Arc::default(),
            batch: BatchBuilder::default(),
        }
    }

    pub fn forget(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
    }

    pub fn forget_all(&mut self) {
        self.partitions.clear();
    }

    /// See `InteractionLog::append`.
    pub fn append(
        &mut self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let result = self.append_all(groups, now);
        if result.is_err() {
            for group in groups {
                self.forget(&group.partition);
            }
        }
        result
    }

    fn append_all(
        &mut self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut insert = transaction.prepare_cached(INSERT)?;
        let mut appended = Vec::with_capacity(groups.len());
        for group in groups {
            let known = match self.partitions.entry(group.partition.clone()) {
                Entry::Occupied(entry) => Ok(entry.into_mut()),
                Entry::Vacant(entry) => {
                    KnownPartition::load(&transaction, &group.partition, self.dedup_horizon).map(
                        |(partition, repaired)| {
                            self.event_hashes_rebuilt.fetch_add(repaired, Ordering::Relaxed);
                            entry.insert(partition)
                        },
                    )
                }
            };
            match known {
                Ok(partition) => {
                    let group = partition.append(&group.records, now, &mut self.batch, &mut insert);
                    appended.push(Ok(group?));
                }
                Err(unavailable @ Error::Unavailable { .. }) => return Err(unavailable),
                Err(own) => appended.push(Err(own)),
            }
        }
        drop(insert);
        transaction.commit()?;
        Ok(appended)
    }
}

impl KnownPartition {
    /// What the log tells of a partition, and how many batches had to be repaired for it.
    fn load(
        connection: &Connection,
        partition: &Partition,
        dedup_horizon: u64,
    ) -> Result<(Self, u64), Error> {
        let namespace_id = namespace_id(connection, partition)?;
        let newest = log::newest(connection, namespace_id)?;
        let (end, recorded_at) = match newest {
            // Of which revision the log is does not matter to appends.
            Some(seal) => (seal.end(0), seal.head.recorded_at),
            None => (Position::default(), Timestamp::from_millis(i64::MIN)),
        };
        let mut window = DedupWindow::new(dedup_horizon);
        let repaired =
            event_hashes::fill(connection, partition, namespace_id, end.sequence, &mut window)?;
        let suppressed = suppressed::of(connection, namespace_id)?;
        Ok((Self { namespace_id, end, recorded_at, window, suppressed }, repaired))
    }

    fn append(
        &mut self,
        records: &[Record],
        now: Timestamp,
        batch: &mut BatchBuilder,
        insert: &mut CachedStatement<'_>,
    ) -> Result<Appended, Error> {
        // The clock may be set back; the log's time never is.
        let recorded_at = now.max(self.recorded_at);
        let mut outcomes = Vec::with_capacity(records.len());
        batch.begin(recorded_at);
        for record in records {
            if self.suppressed.holds(record) {
                outcomes.push(AppendOutcome::Suppressed);
                continue;
            }
            let sequence = self.end.sequence + 1;
            let hash = record.event_id().map(event_hash);
            if hash.is_some_and(|hash| !self.window.insert(hash, sequence)) {
                outcomes.push(AppendOutcome::Duplicate);
                continue;
            }
            batch.push(record, hash);
            self.end.sequence = sequence;
            outcomes.push(AppendOutcome::Accepted(sequence));
            if batch.is_full() {
                self.write(batch, insert)?;
                batch.begin(recorded_at);
            }
        }
        if !batch.is_empty() {
            self.write(batch, insert)?;
        }
        Ok(Appended { outcomes, log_end: self.end.sequence })
    }

    fn write(
        &mut self,
        batch: &BatchBuilder,
        insert: &mut CachedStatement<'_>,
    ) -> Result<(), Error> {
        let seal = batch.seal(self.end.sequence, self.end.chain);
        let head = &seal.head;
        insert.execute(params![
            self.namespace_id,
            integer(head.first),
            head.count,
            head.recorded_at.as_millis(),
            seal.payload_checksum,
            seal.event_hashes_checksum,
            seal.stamp.to_column(),
            seal.chain.to_column(),
            batch.event_hashes(),
            batch.payload(),
        ])?;
        self.recorded_at = head.recorded_at;
        self.end = seal.end(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::InteractionLog;
    use crate::storage::namespaces::NamespaceStore;
    use crate::storage::sqlite::SqliteOptions;
    use crate::storage::sqlite::open;
    use engine::domain::ItemId;
    use engine::domain::NamespaceName;
    use engine::domain::PublishedModel;

    #[test]
    fn a_full_disk_refuses_the_call_and_the_next_one_is_served() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_path_buf();
        let store = open(&SqliteOptions { path, dedup_horizon: 10 }).unwrap();
        let partition = store.resolve(&NamespaceName::default()).unwrap().partition;
        let limit_pages = |pages: i64| {
            store.writer().connection.pragma_update(None, "max_page_count", pages).unwrap();
        };
        let model = PublishedModel { version: 1, trained_at: 0, encoded: vec![0; 4 << 20].into() };
        let deletion = || Record::ItemDeleted(ItemId::parse("item").unwrap());
        let group = || LogAppend {
            partition: partition.clone(),
            records: vec![deletion(), Record::ModelPublished(model.clone()), deletion()],
            fence: None,
        };
        store.append(&[group()], Timestamp::default()).unwrap();
        limit_pages(1);
        let refused = store.append(&[group()], Timestamp::default());
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
        assert_eq!(store.log_end(&partition).unwrap().sequence, 3);
        limit_pages(1 << 20);
        let served = store.append(&[group()], Timestamp::default()).unwrap().remove(0).unwrap();
        assert_eq!(served.log_end, 6);
    }
}
