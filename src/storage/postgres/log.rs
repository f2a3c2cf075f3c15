//! The interaction log: reading it, and appending.

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::column::Parameter;
use super::column::SEAL_COLUMNS;
use super::column::id_of;
use super::column::seal;
use super::store::PostgresStore;
use crate::storage::chain::Chain;
use crate::storage::chain::Position;
use crate::storage::error::Error;
use crate::storage::log::Appended;
use crate::storage::log::Extent;
use crate::storage::log::HashCheck;
use crate::storage::log::InteractionLog;
use crate::storage::log::LogAppend;
use crate::storage::log::LogEnd;
use crate::storage::log::LogRead;
use crate::storage::log::ReadLimit;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use crate::storage::reading::Reading;
use crate::storage::reading::check_position;
use engine::domain::LogRecord;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// The advisory lock of a partition is this and the id of its namespace.
pub const PARTITION_LOCKS: i64 = 0x6c6f_6700_0000_0000;

/// Batches looked at by one statement; how much of them is sent goes by bytes.
const BATCHES_PER_STEP: usize = 1_024;

/// From the batch that holds sequence $3, or the last one before it, on. Payloads are sent
/// of batches that hold sequence $4 or come after it. Since sequences have no gaps, those
/// that begin before $5 hold as many records as are asked for; where no batch holds $4 the
/// next one is read wherever it begins, so that a gap is seen. The sizes of payloads are
/// known without fetching them.
const READ: &str = "WITH holder AS MATERIALIZED (
        SELECT first_sequence AS first, first_sequence + count - 1 AS last FROM log_batches
        WHERE namespace_id = $1 AND first_sequence <= $3
        ORDER BY first_sequence DESC LIMIT 1
    ), start AS MATERIALIZED (
        SELECT
            coalesce((SELECT first FROM holder), 0) AS holder,
            CASE WHEN (SELECT last FROM holder) >= $4 THEN 0 ELSE coalesce((
                SELECT first_sequence FROM log_batches
                WHERE namespace_id = $1 AND first_sequence > $3
                ORDER BY first_sequence LIMIT 1
            ), 0) END AS next
    )
    SELECT first_sequence, count, recorded_at_ms, payload_crc32, event_hashes_crc32, stamp, chain,
        CASE WHEN first_sequence + count > $4 THEN payload END, log_revision
    FROM namespaces LEFT JOIN LATERAL (
        SELECT near.*, coalesce(sum(size) OVER (
            ORDER BY first_sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS bytes_before
        FROM (
            SELECT first_sequence, count, recorded_at_ms, payload_crc32, event_hashes_crc32, stamp,
                chain, payload,
                CASE WHEN first_sequence + count > $4 THEN octet_length(payload) ELSE 0 END AS size
            FROM log_batches
            WHERE namespace_id = $1
              AND first_sequence >= (SELECT holder FROM start)
              AND first_sequence <= greatest($5::bigint - 1, (SELECT next FROM start))
            ORDER BY first_sequence LIMIT $6
        ) AS near
    ) AS batches ON bytes_before < $7
    WHERE id = $1 AND name = $2
    ORDER BY first_sequence";

const HOLDING: &str = "SELECT first_sequence, count, chain, log_revision
    FROM namespaces LEFT JOIN LATERAL (
        SELECT first_sequence, count, chain FROM log_batches
        WHERE namespace_id = id AND first_sequence <= $3
        ORDER BY first_sequence DESC LIMIT 1
    ) AS holder ON true
    WHERE id = $1 AND name = $2";

const ENDS: &str = "SELECT first_sequence, count, chain, log_revision, ordinal
    FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS named (id, name, ordinal)
    JOIN namespaces USING (id, name)
    LEFT JOIN LATERAL (
        SELECT first_sequence, count, chain FROM log_batches
        WHERE namespace_id = id ORDER BY first_sequence DESC LIMIT 1
    ) AS newest ON true
    ORDER BY ordinal";

impl InteractionLog for PostgresStore {
    fn append(
        &self,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        self.appender.append(&self.sessions, self.feed(), groups, now)
    }

    /// What the tail feed has brought is taken from there, also of a partition that has
    /// just been deleted: it was committed before.
    fn read_after(
        &self,
        partition: &Partition,
        after: Position,
        limit: ReadLimit,
    ) -> Result<LogRead, Error> {
        let from_feed = self.feed_after(partition, after, limit);
        if !from_feed.records.is_empty() {
            return Ok(from_feed);
        }
        let mut reading = Reading::following(after, limit);
        loop {
            let before = reading.end();
            let question = Question::new(partition, before.sequence, &reading);
            let rows = self.sessions.read(async |client| question.ask(client).await)?;
            let revision = rows.first().map_or(Ok(0), |row| revision(row, SEAL_COLUMNS + 1))?;
            let mut rows = rows.iter().peekable();
            let holder = rows.next_if(|row| !has_payload(row));
            let found = holder.map(|row| seal(row, 0)).transpose()?;
            check_position(partition, before, found.as_ref(), revision)?;
            reading.is_of_revision(revision);
            if !reading_goes_on(&mut reading, rows, before.sequence)? {
                return Ok(reading.into_read());
            }
        }
    }

    fn read_from(
        &self,
        partition: &Partition,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<LogRecord>, Error> {
        let mut reading = Reading::from(after, limit);
        loop {
            let next = reading.next();
            let question = Question::new(partition, next, &reading);
            let rows = self.sessions.read(async |client| question.ask(client).await)?;
            let rows = rows.iter().filter(|row| has_payload(row));
            if !reading_goes_on(&mut reading, rows, next - 1)? {
                return Ok(reading.into_records());
            }
        }
    }

    fn position_at(
        &self,
        partition: &Partition,
        sequence: Sequence,
    ) -> Result<Option<Position>, Error> {
        let position = end(&self.holder(partition, sequence)?, 0)?;
        Ok((position.sequence == sequence).then_some(position))
    }

    fn log_ends(&self, partitions: &[Partition]) -> Result<Vec<LogEnd>, Error> {
        let ids: Vec<_> = partitions.iter().map(id_of).collect();
        let names: Vec<_> =
            partitions.iter().map(|partition| partition.namespace.as_str()).collect();
        let rows = self.sessions.read(async |client| {
            let ends = client.prepare_cached(ENDS).await?;
            Ok(client.query(&ends, &[&ids, &names]).await?)
        })?;
        let mut ends = Vec::with_capacity(rows.len());
        for row in &rows {
            let ordinal: usize = natural(row.try_get(4)?, "ordinal")?;
            let partition = partitions[ordinal - 1].clone();
            ends.push(LogEnd { partition, end: end(row, 0)? });
        }
        Ok(ends)
    }

    fn check_event_hashes(
        &self,
        partition: &Partition,
        extent: Extent,
    ) -> Result<HashCheck, Error> {
        self.check_hashes(partition, extent)
    }

    fn event_hashes_rebuilt(&self) -> u64 {
        self.appender.event_hashes_rebuilt()
    }

    fn release(&self, partition: &Partition) {
        self.appender.release(&self.sessions, partition);
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl PostgresStore {
    /// The batch that holds a sequence, or the last one before it.
    fn holder(&self, partition: &Partition, sequence: Sequence) -> Result<Row, Error> {
        let (id, name) = (id_of(partition), partition.namespace.as_str());
        let found = self.sessions.read(async |client| {
            let holding = client.prepare_cached(HOLDING).await?;
            Ok(client.query_opt(&holding, &[&id, &name, &integer(sequence)]).await?)
        })?;
        found.ok_or_else(|| Error::NoNamespace { namespace: partition.namespace.clone() })
    }

    /// Where that batch begins.
    pub(super) fn first_of_holder(
        &self,
        partition: &Partition,
        sequence: Sequence,
    ) -> Result<Option<Sequence>, Error> {
        let first: Option<i64> = self.holder(partition, sequence)?.try_get(0)?;
        Ok(first.map(i64::unsigned_abs))
    }

    /// What the tail feed has brought; nothing when the next record is not there or not
    /// as it was written.
    fn feed_after(&self, partition: &Partition, after: Position, limit: ReadLimit) -> LogRead {
        let mut reading = Reading::following(after, limit);
        // Which revision the log has is not known yet.
        if after == Position::default() {
            return reading.into_read();
        }
        let batches = self.feed().map(|feed| feed.recent(partition, after));
        for batch in batches.into_iter().flatten() {
            let Some(payload) = &batch.payload else { break };
            // Of another revision, it may hold records that were replaced.
            if batch.revision != after.revision
                || reading.is_full()
                || reading.take(&batch.seal, payload).is_err()
            {
                break;
            }
        }
        reading.into_read()
    }
}

/// Takes what a question has brought. Returns whether there may be more to ask for; `last`
/// is the last record read before.
fn reading_goes_on<'a>(
    reading: &mut Reading,
    rows: impl Iterator<Item = &'a Row>,
    last: Sequence,
) -> Result<bool, Error> {
    for row in rows {
        if reading.is_full() {
            break;
        }
        reading.take(&seal(row, 0)?, row.try_get(SEAL_COLUMNS)?)?;
    }
    Ok(reading.next() > last + 1 && !reading.is_full())
}

/// Whether the row is a batch that was asked for, not the one before.
fn has_payload(row: &Row) -> bool {
    // A payload of another type is an error where it is read.
    !matches!(row.try_get::<_, Option<&[u8]>>(SEAL_COLUMNS), Ok(None))
}

/// What is asked of a partition.
struct Question<'a> {
    partition: &'a Partition,
    /// The batch that holds this, or the last one before it, comes first.
    from: Sequence,
    next: Sequence,
    limit: ReadLimit,
}

impl<'a> Question<'a> {
    const fn new(partition: &'a Partition, from: Sequence, reading: &Reading) -> Self {
        Self { partition, from, next: reading.next(), limit: reading.left() }
    }

    async fn ask(&self, client: &Client) -> Result<Vec<Row>, Error> {
        let read = client.prepare_cached(READ).await?;
        let until = self.next.saturating_add(self.limit.records as u64);
        let bytes = integer(self.limit.bytes as u64).max(1);
        let parameters: [Parameter<'_>; 7] = [
            &id_of(self.partition),
            &self.partition.namespace.as_str(),
            &integer(self.from),
            &integer(self.next),
            &integer(until),
            &(BATCHES_PER_STEP as i64),
            &bytes,
        ];
        let mut rows = client.query(&read, &parameters).await?;
        if rows.is_empty() {
            return Err(Error::NoNamespace { namespace: self.partition.namespace.clone() });
        }
        // One row without a batch says that the namespace is there.
        rows.retain(|row| !matches!(row.try_get::<_, Option<i64>>(0), Ok(None)));
        Ok(rows)
    }
}

/// How often records of the log were replaced.
fn revision(row: &Row, index: usize) -> Result<u64, Error> {
    natural(row.try_get(index)?, "log_revision")
}

/// The end of the batch whose columns `first_sequence`, `count`, `chain` and `log_revision`
/// begin at `index`; position 0 without a batch.
fn end(row: &Row, index: usize) -> Result<Position, Error> {
    let (first, count): (Option<i64>, Option<i32>) = (row.try_get(index)?, row.try_get(index + 1)?);
    let (Some(first), Some(count)) = (first, count) else { return Ok(Position::default()) };
    let last = i64::from(count).saturating_add(first) - 1;
    let sequence = natural(last, "first_sequence")?;
    let chain = Chain::from_column(row.try_get(index + 2)?);
    Ok(Position { sequence, chain, revision: revision(row, index + 3)? })
}
