//! The interaction log: reading it, and the door to appending.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Row;

use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::batch::BatchHead;
use crate::storage::error::Error;
use crate::storage::log::Appended;
use crate::storage::log::InteractionLog;
use crate::storage::log::LogAppend;
use crate::storage::log::LogEnd;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::tail::Partition;
use engine::domain::LogRecord;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// From the batch that holds sequence ?2, or the next one, on. At the end of the
/// log the last batch is looked at but its payload is not.
const READ_FROM: &str = "SELECT first_sequence, count, recorded_at_ms, payload_crc32, payload
    FROM log_batches
    WHERE namespace_id = ?1
      AND first_sequence >= coalesce(
          (SELECT max(first_sequence) FROM log_batches
           WHERE namespace_id = ?1 AND first_sequence <= ?2), 0)
      AND first_sequence + count > ?2
    ORDER BY first_sequence";

const EVENT_HASHES_FROM: &str =
    "SELECT first_sequence, count, recorded_at_ms, event_hashes_crc32, event_hashes
    FROM log_batches
    WHERE namespace_id = ?1
      AND first_sequence >= coalesce(
          (SELECT max(first_sequence) FROM log_batches
           WHERE namespace_id = ?1 AND first_sequence <= ?2), 0)
    ORDER BY first_sequence";

const NEWEST_HEAD: &str = "SELECT first_sequence, count, recorded_at_ms
    FROM log_batches WHERE namespace_id = ?1 ORDER BY first_sequence DESC LIMIT 1";

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
        namespace: &NamespaceName,
        after: Sequence,
        records_max: usize,
    ) -> Result<Vec<LogRecord>, Error> {
        self.reading(|connection| {
            let namespace_id = namespace_id(connection, namespace)?;
            read_after(connection, namespace_id, after, records_max)
        })
    }

    fn log_end(&self, namespace: &NamespaceName) -> Result<Sequence, Error> {
        self.reading(|connection| {
            let namespace_id = namespace_id(connection, namespace)?;
            Ok(newest_head(connection, namespace_id)?.map_or(0, |head| head.last()))
        })
    }

    fn log_ends(&self, namespaces: &[NamespaceName]) -> Result<Vec<LogEnd>, Error> {
        self.reading(|connection| {
            let mut ends = Vec::with_capacity(namespaces.len());
            for namespace in namespaces {
                let id = match namespace_id(connection, namespace) {
                    Err(Error::NoNamespace { .. }) => continue,
                    id => id?,
                };
                let incarnation = natural(id, "id")?;
                let partition = Partition { namespace: namespace.clone(), incarnation };
                let end = newest_head(connection, id)?.map_or(0, |head| head.last());
                ends.push(LogEnd { partition, end });
            }
            Ok(ends)
        })
    }

    /// A data directory belongs to one process.
    fn is_shared(&self) -> bool {
        false
    }
}

fn read_after(
    connection: &Connection,
    namespace_id: i64,
    after: Sequence,
    records_max: usize,
) -> Result<Vec<LogRecord>, Error> {
    let mut records = Vec::new();
    let mut next = after.saturating_add(1);
    let mut statement = connection.prepare_cached(READ_FROM)?;
    let mut rows = statement.query((namespace_id, integer(next)))?;
    while records.len() < records_max
        && let Some(row) = rows.next()?
    {
        let head = head(row)?;
        if head.first > next {
            return Err(head.corrupt(format!("the records from {next} on are missing before it")));
        }
        let checksum = natural(row.get(3)?, "payload_crc32")?;
        let payload = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        head.read(payload, checksum, &mut records)?;
        next = head.last().saturating_add(1);
    }
    // The first batch may begin with records that the caller has.
    let known = records.partition_point(|record| record.sequence <= after);
    records.drain(..known);
    Ok(records)
}

/// The numbers of the last batch of a partition.
pub fn newest_head(connection: &Connection, namespace_id: i64) -> Result<Option<BatchHead>, Error> {
    connection
        .prepare_cached(NEWEST_HEAD)?
        .query_row([namespace_id], |row| Ok(head(row)))
        .optional()?
        .transpose()
}

/// Calls `note` for the hash of every event id from sequence `start` on, in order.
pub fn each_event_hash(
    connection: &Connection,
    namespace_id: i64,
    start: Sequence,
    mut note: impl FnMut(u128, Sequence),
) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(EVENT_HASHES_FROM)?;
    let mut rows = statement.query((namespace_id, integer(start)))?;
    while let Some(row) = rows.next()? {
        let head = head(row)?;
        let checksum = natural(row.get(3)?, "event_hashes_crc32")?;
        let stored = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
        for (hash, sequence) in head.event_hashes(stored, checksum)? {
            if sequence >= start {
                note(hash, sequence);
            }
        }
    }
    Ok(())
}

fn head(row: &Row<'_>) -> Result<BatchHead, Error> {
    Ok(BatchHead {
        first: natural(row.get(0)?, "first_sequence")?,
        count: natural(row.get(1)?, "count")?,
        recorded_at: Timestamp::from_millis(row.get(2)?),
    })
}
