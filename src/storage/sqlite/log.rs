//! The interaction log: reading it, and appending.

use std::sync::atomic::Ordering;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Row;

use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::batch_head::BatchHead;
use crate::storage::chain::Chain;
use crate::storage::chain::Position;
use crate::storage::chain::Seal;
use crate::storage::chain::Stamp;
use crate::storage::error::Error;
use crate::storage::log::Appended;
use crate::storage::log::Extent;
use crate::storage::log::HashCheck;
use crate::storage::log::InteractionLog;
use crate::storage::log::LogAppend;
use crate::storage::log::LogEnd;
use crate::storage::log::LogRead;
use crate::storage::log::ReadLimit;
use crate::storage::number::checksum;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use crate::storage::reading::Reading;
use crate::storage::reading::check_position;
use engine::domain::LogRecord;
use engine::domain::Sequence;
use engine::domain::Timestamp;

const READ_FROM: &str =
    "SELECT first_sequence, count, recorded_at_ms, payload_crc32, event_hashes_crc32, stamp, chain,
        payload
    FROM log_batches
    WHERE namespace_id = ?1 AND first_sequence >= ?2
    ORDER BY first_sequence";

/// The batch that holds a sequence, or the last one before it.
const HOLDING: &str =
    "SELECT first_sequence, count, recorded_at_ms, payload_crc32, event_hashes_crc32, stamp, chain
    FROM log_batches WHERE namespace_id = ?1 AND first_sequence <= ?2
    ORDER BY first_sequence DESC LIMIT 1";

impl InteractionLog for SqliteStore {
    fn append(
        &self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.writer().append(groups, now)
    }

    fn read_after(
        &self,
        partition: &Partition,
        after: Position,
        limit: ReadLimit,
    ) -> Result<LogRead, Error> {
        self.reading(|connection| {
            let namespace_id = namespace_id(connection, partition)?;
            let revision = revision(connection, namespace_id)?;
            let found = holding(connection, namespace_id, after.sequence)?;
            check_position(partition, after, found.as_ref(), revision)?;
            let mut reading = Reading::following(after, limit);
            reading.is_of_revision(revision);
            read(connection, namespace_id, reading.next(), &mut reading)?;
            Ok(reading.into_read())
        })
    }

    fn read_from(
        &self,
        partition: &Partition,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<LogRecord>, Error> {
        self.reading(|connection| {
            let namespace_id = namespace_id(connection, partition)?;
            let mut reading = Reading::from(after, limit);
            let found = holding(connection, namespace_id, reading.next())?;
            let holder = found.filter(|seal| seal.head.last() > after);
            let start = holder.map_or(reading.next(), |seal| seal.head.first);
            read(connection, namespace_id, start, &mut reading)?;
            Ok(reading.into_records())
        })
    }

    fn position_at(
        &self,
        partition: &Partition,
        sequence: Sequence,
    ) -> Result<Option<Position>, Error> {
        self.reading(|connection| {
            let namespace_id = namespace_id(connection, partition)?;
            if sequence == 0 {
                return Ok(Some(Position::default()));
            }
            let revision = revision(connection, namespace_id)?;
            let found = holding(connection, namespace_id, sequence)?;
            let end = found.map(|seal| seal.end(revision));
            Ok(end.filter(|end| end.sequence == sequence))
        })
    }

    fn log_ends(&self, partitions: &[Partition]) -> Result<Vec<LogEnd>, Error> {
        self.reading(|connection| {
            let mut ends = Vec::with_capacity(partitions.len());
            for partition in partitions {
                let id = match namespace_id(connection, partition) {
                    Err(Error::NoNamespace { .. }) => continue,
                    id => id?,
                };
                let revision = revision(connection, id)?;
                let newest = newest(connection, id)?;
                let end = newest.map(|seal| seal.end(revision)).unwrap_or_default();
                ends.push(LogEnd { partition: partition.clone(), end });
            }
            Ok(ends)
        })
    }

    fn check_event_hashes(
        &self,
        partition: &Partition,
        extent: Extent,
    ) -> Result<HashCheck, Error> {
        self.check_hashes(partition, extent)
    }

    fn event_hashes_rebuilt(&self) -> u64 {
        self.event_hashes_rebuilt.load(Ordering::Relaxed)
    }

    fn release(&self, partition: &Partition) {
        self.writer().forget(partition);
    }

    /// A data directory belongs to one process.
    fn is_shared(&self) -> bool {
        false
    }
}

/// How often records of the log were replaced.
pub fn revision(connection: &Connection, namespace_id: i64) -> Result<u64, Error> {
    let revision = connection
        .prepare_cached("SELECT log_revision FROM namespaces WHERE id = ?1")?
        .query_row([namespace_id], |row| row.get(0))?;
    natural(revision, "log_revision")
}

/// Reads the batches that begin at `start` or later until there is enough.
fn read(
    connection: &Connection,
    namespace_id: i64,
    start: Sequence,
    reading: &mut Reading,
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(READ_FROM)?;
    let mut rows = statement.query((namespace_id, integer(start)))?;
    while !reading.is_full()
        && let Some(row) = rows.next()?
    {
        let payload = row.get_ref(SEAL_COLUMNS)?.as_blob().map_err(rusqlite::Error::from)?;
        reading.take(&seal(row)?, payload)?;
    }
    Ok(())
}

pub fn holding(
    connection: &Connection,
    namespace_id: i64,
    sequence: Sequence,
) -> Result<Option<Seal>, Error> {
    connection
        .prepare_cached(HOLDING)?
        .query_row((namespace_id, integer(sequence)), |row| Ok(seal(row)))
        .optional()?
        .transpose()
}

/// The last batch of a partition.
pub fn newest(connection: &Connection, namespace_id: i64) -> Result<Option<Seal>, Error> {
    holding(connection, namespace_id, Sequence::MAX)
}

/// Where the batch begins that holds a sequence, or the last one before it.
pub fn first_of_holder(
    connection: &Connection,
    namespace_id: i64,
    sequence: Sequence,
) -> Result<Sequence, Error> {
    Ok(holding(connection, namespace_id, sequence)?.map_or(0, |seal| seal.head.first))
}

/// The columns `first_sequence`, `count`, `recorded_at_ms`, `payload_crc32`,
/// `event_hashes_crc32`, `stamp` and `chain`.
pub fn seal(row: &Row<'_>) -> Result<Seal, Error> {
    Ok(Seal {
        head: head(row)?,
        payload_checksum: checksum(row.get(3)?),
        event_hashes_checksum: checksum(row.get(4)?),
        stamp: Stamp::from_column(row.get(5)?),
        chain: Chain::from_column(row.get(6)?),
    })
}

/// How many columns [`seal`] reads.
pub const SEAL_COLUMNS: usize = 7;

fn head(row: &Row<'_>) -> Result<BatchHead, Error> {
    Ok(BatchHead {
        first: natural(row.get(0)?, "first_sequence")?,
        count: natural(row.get(1)?, "count")?,
        recorded_at: Timestamp::from_millis(row.get(2)?),
    })
}
