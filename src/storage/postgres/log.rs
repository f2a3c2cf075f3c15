//! The interaction log: reading it, and the door to appending.

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::column::batch_head;
use super::store::PostgresStore;
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

/// The advisory lock of a partition is this and the id of its namespace.
pub const PARTITION_LOCKS: i64 = 0x6c6f_6700_0000_0000;

/// Batches fetched at a time: up to 64 MB where records are large.
const BATCHES_PER_STEP: usize = 64;

/// From the batch that holds sequence $3, or the next one, on. Since sequences have no
/// gaps, those that begin before $4 hold as many records as are asked for; the first
/// is read wherever it begins, so that a gap is seen. At the end of the log the last
/// batch is looked at but its payload is not.
const READ_FROM: &str = "WITH start AS MATERIALIZED (
        SELECT (
            SELECT first_sequence FROM log_batches
            WHERE namespace_id = $1
              AND first_sequence >= coalesce(
                  (SELECT max(first_sequence) FROM log_batches
                   WHERE namespace_id = $1 AND first_sequence <= $3), 0)
              AND first_sequence + count > $3
            ORDER BY first_sequence LIMIT 1
        ) AS at
    )
    SELECT first_sequence, count, recorded_at_ms, payload_crc32, payload
    FROM namespaces LEFT JOIN LATERAL (
        SELECT first_sequence, count, recorded_at_ms, payload_crc32, payload
        FROM log_batches
        WHERE namespace_id = $1
          AND first_sequence >= (SELECT at FROM start)
          AND first_sequence <= greatest($4::bigint - 1, (SELECT at FROM start))
        ORDER BY first_sequence LIMIT $5
    ) AS batches ON true
    WHERE id = $1 AND name = $2
    ORDER BY first_sequence";

const ENDS: &str = "SELECT name, id, first_sequence, count
    FROM namespaces LEFT JOIN LATERAL (
        SELECT first_sequence, count FROM log_batches
        WHERE namespace_id = id ORDER BY first_sequence DESC LIMIT 1
    ) AS newest ON true
    WHERE name = ANY ($1)";

impl InteractionLog for PostgresStore {
    fn append(
        &self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.appender.append(&self.sessions, self.feed.as_deref(), groups, now)
    }

    fn read_after(
        &self,
        namespace: &NamespaceName,
        after: Sequence,
        records_max: usize,
    ) -> Result<Vec<LogRecord>, Error> {
        let id = match self.known_id(namespace) {
            Some(id) => id,
            None => {
                let id =
                    self.sessions.read(async |client| namespace_id(client, namespace).await)?;
                self.note_id(namespace, Some(id));
                id
            }
        };
        let heard = self.heard_after(namespace, id, after, records_max);
        if !heard.is_empty() {
            return Ok(heard);
        }
        let mut reading = Reading { namespace, id, records: Vec::new(), after, next: after };
        loop {
            let before = reading.next;
            let missing = records_max.saturating_sub(reading.records.len()) as u64;
            let batches =
                self.sessions.read(async |client| fetch(client, &reading, missing).await)?;
            let is_last = batches.len() < BATCHES_PER_STEP;
            reading.take(batches)?;
            if is_last || reading.records.len() >= records_max || reading.next == before {
                return Ok(reading.records);
            }
        }
    }

    fn log_end(&self, namespace: &NamespaceName) -> Result<Sequence, Error> {
        let ends = self.log_ends(std::slice::from_ref(namespace))?;
        let end = ends.first().map(|end| end.end);
        end.ok_or_else(|| Error::NoNamespace { namespace: namespace.clone() })
    }

    fn log_ends(&self, namespaces: &[NamespaceName]) -> Result<Vec<LogEnd>, Error> {
        let names: Vec<_> = namespaces.iter().map(NamespaceName::as_str).collect();
        let rows = self.sessions.read(async |client| {
            let ends = client.prepare_cached(ENDS).await?;
            Ok(client.query(&ends, &[&names]).await?)
        })?;
        let mut ends = Vec::with_capacity(rows.len());
        for namespace in namespaces {
            let mut id = None;
            for row in &rows {
                if row.try_get::<_, &str>(0)? == namespace.as_str() {
                    let found: i64 = row.try_get(1)?;
                    id = Some(found);
                    let incarnation = natural(found, "id")?;
                    let partition = Partition { namespace: namespace.clone(), incarnation };
                    ends.push(LogEnd { partition, end: end(row)? });
                }
            }
            self.note_id(namespace, id);
        }
        Ok(ends)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl PostgresStore {
    /// What the tail feed has brought; nothing when the records are not all there or
    /// not as they were written.
    fn heard_after(
        &self,
        namespace: &NamespaceName,
        id: i64,
        after: Sequence,
        records_max: usize,
    ) -> Vec<LogRecord> {
        let Some(feed) = &self.feed else { return Vec::new() };
        let partition = Partition { namespace: namespace.clone(), incarnation: id.unsigned_abs() };
        let mut reading = Reading { namespace, id, records: Vec::new(), after, next: after };
        for batch in feed.recent(&partition, after) {
            let Some(payload) = &batch.payload else { break };
            let stored = (batch.head, batch.payload_checksum, payload.as_slice());
            if reading.records.len() >= records_max || reading.take_one(stored).is_err() {
                break;
            }
        }
        reading.records
    }
}

/// Records on their way, in order and without a gap.
struct Reading<'a> {
    namespace: &'a NamespaceName,
    id: i64,
    records: Vec<LogRecord>,
    /// What the caller has.
    after: Sequence,
    /// The last sequence read, or `after`.
    next: Sequence,
}

impl Reading<'_> {
    fn take(&mut self, batches: Vec<Row>) -> Result<(), Error> {
        for row in &batches {
            let checksum = natural(row.try_get(3)?, "payload_crc32")?;
            self.take_one((batch_head(row, 0)?, checksum, row.try_get(4)?))?;
        }
        Ok(())
    }

    fn take_one(
        &mut self,
        (head, checksum, payload): (BatchHead, u32, &[u8]),
    ) -> Result<(), Error> {
        let next = self.next.saturating_add(1);
        if head.first > next {
            let reason = format!("the records from {next} on are missing before it");
            return Err(head.corrupt(reason));
        }
        let known = self.records.len();
        head.read(payload, checksum, &mut self.records)?;
        // The first batch may begin with records that the caller has.
        let after = self.after;
        let had = self.records[known..].partition_point(|record| record.sequence <= after);
        self.records.drain(known..known + had);
        self.next = head.last();
        Ok(())
    }
}

/// Up to [`BATCHES_PER_STEP`] batches.
async fn fetch(
    client: &Client,
    reading: &Reading<'_>,
    records_max: u64,
) -> Result<Vec<Row>, Error> {
    let read = client.prepare_cached(READ_FROM).await?;
    let next = reading.next.saturating_add(1);
    let until = integer(next.saturating_add(records_max));
    let steps = BATCHES_PER_STEP as i64;
    let name = reading.namespace.as_str();
    let mut rows =
        client.query(&read, &[&reading.id, &name, &integer(next), &until, &steps]).await?;
    if rows.is_empty() {
        return Err(Error::NoNamespace { namespace: reading.namespace.clone() });
    }
    // One row without a batch says that the namespace is there.
    rows.retain(|row| !matches!(row.try_get::<_, Option<i64>>(0), Ok(None)));
    Ok(rows)
}

fn end(row: &Row) -> Result<Sequence, Error> {
    let (first, count): (Option<i64>, Option<i32>) = (row.try_get(2)?, row.try_get(3)?);
    let (Some(first), Some(count)) = (first, count) else { return Ok(0) };
    let last = i64::from(count).saturating_add(first) - 1;
    natural(last, "first_sequence")
}
