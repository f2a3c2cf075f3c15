//! Erasures of users. Deleted bytes are overwritten as they are deleted (`secure_delete`); the
//! write-ahead log, which has the old pages, is emptied at the end.

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Row;
use rusqlite::Transaction;
use rusqlite::TransactionBehavior;
use rusqlite::params;

use super::log::SEAL_COLUMNS;
use super::log::seal;
use super::store::SqliteStore;
use super::store::namespace_id;
use super::suppressed::key;
use crate::storage::erasures::Erasures;
use crate::storage::erasures::Replaced;
use crate::storage::erasures::ReplacedBatch;
use crate::storage::erasures::StoredErasure;
use crate::storage::erasures::ids_as_json;
use crate::storage::erasures::parse_ids;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Of the payloads looked at in one call.
const BYTES_PER_STEP: usize = 8 << 20;

const BATCHES: &str = "SELECT first_sequence, count, recorded_at_ms, payload_crc32,
        event_hashes_crc32, stamp, chain, payload
    FROM log_batches WHERE namespace_id = ?1 AND first_sequence > ?2
    ORDER BY first_sequence";
const REPLACE: &str = "UPDATE log_batches
    SET payload_crc32 = ?4, event_hashes_crc32 = ?5, event_hashes = ?6, payload = ?7
    WHERE namespace_id = ?1 AND first_sequence = ?2 AND payload_crc32 = ?3";
const ERASURE: &str = "SELECT erasure_id, user_ids, report, is_finished FROM erasures";
const SUPPRESS: &str =
    "INSERT INTO suppressed_users (namespace_id, user_hash, erasure_id, until_ms)
    VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

impl Erasures for SqliteStore {
    fn begin(
        &self,
        partition: &Partition,
        erasure: &StoredErasure,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<StoredErasure, Error> {
        self.changing(partition, |transaction, id| {
            transaction.execute(
                "DELETE FROM suppressed_users WHERE namespace_id = ?1 AND until_ms <= ?2",
                params![id, now.as_millis()],
            )?;
            let key = key(transaction)?;
            let hashes = erasure.user_ids.iter().map(|user_id| key.hash(user_id));
            let hashes: Vec<_> = hashes.collect();
            for hash in &hashes {
                let query = format!(
                    "{ERASURE} JOIN suppressed_users USING (namespace_id, erasure_id)
                     WHERE namespace_id = ?1 AND user_hash = ?2"
                );
                let mut statement = transaction.prepare_cached(&query)?;
                let found = statement.query_row(params![id, hash], |row| Ok(stored(row)));
                if let Some(earlier) = found.optional()? {
                    return earlier;
                }
            }
            transaction.execute(
                "INSERT INTO erasures (namespace_id, erasure_id, user_ids, report, is_finished)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    id,
                    erasure.erasure_id,
                    ids_as_json(&erasure.user_ids),
                    erasure.report,
                    erasure.is_finished
                ],
            )?;
            for hash in &hashes {
                let until = until.as_millis();
                transaction.execute(SUPPRESS, params![id, hash, erasure.erasure_id, until])?;
            }
            Ok(erasure.clone())
        })
    }

    fn erasure(
        &self,
        partition: &Partition,
        erasure_id: &str,
    ) -> Result<Option<StoredErasure>, Error> {
        self.reading(|connection| {
            find(connection, namespace_id(connection, partition)?, erasure_id)
        })
    }

    fn unfinished(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error> {
        self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let query = format!("{ERASURE} WHERE namespace_id = ?1 AND NOT is_finished LIMIT ?2");
            let mut statement = connection.prepare_cached(&query)?;
            let parameters = params![id, integer(count as u64)];
            let rows = statement.query_map(parameters, |row| Ok(stored(row)))?;
            rows.map(|erasure| erasure?).collect()
        })
    }

    fn report(
        &self,
        partition: &Partition,
        before: &StoredErasure,
        after: &StoredErasure,
    ) -> Result<bool, Error> {
        let writer = self.writer();
        let StoredErasure { erasure_id, user_ids, report, is_finished } = after;
        let stored = writer.connection.execute(
            "UPDATE erasures SET user_ids = ?3, report = ?4, is_finished = ?5
             WHERE namespace_id = ?1 AND erasure_id = ?2 AND report = ?6",
            params![
                namespace_id(&writer.connection, partition)?,
                erasure_id,
                ids_as_json(user_ids),
                report,
                is_finished,
                before.report,
            ],
        )?;
        Ok(stored > 0)
    }

    fn readmit(&self, partition: &Partition, user_id: &UserId) -> Result<bool, Error> {
        self.changing(partition, |transaction, id| {
            let hash = key(transaction)?.hash(user_id);
            let removed = transaction.execute(
                "DELETE FROM suppressed_users WHERE namespace_id = ?1 AND user_hash = ?2",
                params![id, hash],
            )?;
            Ok(removed > 0)
        })
    }

    fn replace(
        &self,
        partition: &Partition,
        after: Sequence,
        is_erased: &dyn Fn(&Record) -> bool,
    ) -> Result<Replaced, Error> {
        let (mut to, mut batches) = (after, Vec::new());
        self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let mut statement = connection.prepare_cached(BATCHES)?;
            let mut rows = statement.query((id, integer(after)))?;
            let mut bytes = 0;
            while bytes < BYTES_PER_STEP
                && let Some(row) = rows.next()?
            {
                let seal = seal(row)?;
                let payload = row.get_ref(SEAL_COLUMNS)?.as_blob();
                let payload = payload.map_err(rusqlite::Error::from)?;
                batches.extend(ReplacedBatch::of(&seal, payload, is_erased)?);
                (bytes, to) = (bytes + payload.len(), seal.head.last());
            }
            Ok(())
        })?;
        if batches.is_empty() {
            return Ok(Replaced { to, records: 0 });
        }
        let records = batches.iter().map(|batch| batch.records).sum();
        self.changing(partition, |transaction, id| {
            let mut statement = transaction.prepare_cached(REPLACE)?;
            for batch in batches {
                let ReplacedBatch { seal, payload_checksum_before, .. } = batch;
                statement.execute(params![
                    id,
                    integer(seal.head.first),
                    payload_checksum_before,
                    seal.payload_checksum,
                    seal.event_hashes_checksum,
                    batch.event_hashes,
                    batch.payload,
                ])?;
            }
            transaction.execute("UPDATE namespaces SET is_rewritten = TRUE WHERE id = ?1", [id])?;
            Ok(())
        })?;
        Ok(Replaced { to, records })
    }

    fn raise_revision(&self, partition: &Partition) -> Result<bool, Error> {
        self.changing(partition, |transaction, id| {
            let raised = transaction.execute(
                "UPDATE namespaces SET log_revision = log_revision + 1, is_rewritten = FALSE
                 WHERE id = ?1 AND is_rewritten",
                [id],
            )?;
            Ok(raised > 0)
        })
    }

    fn scrub(&self) -> Result<(), Error> {
        let writer = self.writer();
        let mut checkpoint = writer.connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)")?;
        let is_busy: bool = checkpoint.query_row([], |row| row.get(0))?;
        if is_busy {
            let reason = "the write-ahead log is being read".to_owned();
            return Err(Error::Unavailable { reason });
        }
        Ok(())
    }
}

impl SqliteStore {
    /// Runs `change` in a transaction. What was known of the partition is read again.
    fn changing<T>(
        &self,
        partition: &Partition,
        change: impl FnOnce(&Transaction<'_>, i64) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut writer = self.writer();
        let id = namespace_id(&writer.connection, partition)?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = writer.connection.transaction_with_behavior(behavior)?;
        let changed = change(&transaction, id)?;
        transaction.commit()?;
        writer.forget(partition);
        Ok(changed)
    }
}

fn find(
    connection: &Connection,
    namespace_id: i64,
    erasure_id: &str,
) -> Result<Option<StoredErasure>, Error> {
    let query = format!("{ERASURE} WHERE namespace_id = ?1 AND erasure_id = ?2");
    let mut statement = connection.prepare_cached(&query)?;
    let found = statement.query_row(params![namespace_id, erasure_id], |row| Ok(stored(row)));
    found.optional()?.transpose()
}

fn stored(row: &Row<'_>) -> Result<StoredErasure, Error> {
    let ids: Option<String> = row.get(1)?;
    Ok(StoredErasure {
        erasure_id: row.get(0)?,
        user_ids: ids.as_deref().map_or(Ok(Vec::new()), parse_ids)?,
        report: row.get(2)?,
        is_finished: row.get(3)?,
    })
}
