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
use crate::storage::erasures::Instead;
use crate::storage::erasures::Replaced;
use crate::storage::erasures::ReplacedBatch;
use crate::storage::erasures::StoredErasure;
use crate::storage::erasures::ids_as_json;
use crate::storage::erasures::parse_ids;
use crate::storage::erasures::parse_name;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use engine::domain::NamespaceName;
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
const FORGET: &str = "DELETE FROM erasures WHERE namespace_id = ?1 AND is_finished
    AND erasure_id NOT IN (SELECT erasure_id FROM suppressed_users WHERE namespace_id = ?1)";
const READMIT: &str = "DELETE FROM suppressed_users
    WHERE namespace_id = ?1 AND erasure_id IN (SELECT erasure_id FROM suppressed_users
        WHERE namespace_id = ?1 AND user_hash = ?2)";
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
        self.suppressing(partition, |transaction, id| {
            transaction.execute(
                "DELETE FROM suppressed_users WHERE namespace_id = ?1 AND until_ms <= ?2",
                params![id, now.as_millis()],
            )?;
            transaction.execute(FORGET, [id])?;
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

    fn add_ids(
        &self,
        partition: &Partition,
        erasure_id: &str,
        user_ids: &[UserId],
        until: Timestamp,
    ) -> Result<Option<StoredErasure>, Error> {
        self.suppressing(partition, |transaction, id| {
            let Some(mut erasure) = find(transaction, id, erasure_id)? else { return Ok(None) };
            if erasure.user_ids.is_empty() {
                return Ok(Some(erasure));
            }
            let key = key(transaction)?;
            for user_id in user_ids {
                let (hash, until) = (key.hash(user_id), until.as_millis());
                transaction.execute(SUPPRESS, params![id, hash, erasure_id, until])?;
                erasure.user_ids.push(user_id.clone());
            }
            transaction.execute(
                "UPDATE erasures SET user_ids = ?3 WHERE namespace_id = ?1 AND erasure_id = ?2",
                params![id, erasure_id, ids_as_json(&erasure.user_ids)],
            )?;
            Ok(Some(erasure))
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

    fn in_log(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error> {
        self.unfinished(partition, "user_ids IS NOT NULL", count)
    }

    fn out_of_log(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error> {
        self.unfinished(partition, "user_ids IS NULL", count)
    }

    fn namespaces_with_unfinished(&self) -> Result<Vec<NamespaceName>, Error> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT DISTINCT name FROM erasures JOIN namespaces ON id = namespace_id
                 WHERE NOT is_finished AND name IS NOT NULL",
            )?;
            let names = statement.query_map([], |row| row.get(0))?;
            names.map(|name| parse_name(name?)).collect()
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
             WHERE namespace_id = ?1 AND erasure_id = ?2 AND report = ?6
                 AND user_ids IS ?7",
            params![
                namespace_id(&writer.connection, partition)?,
                erasure_id,
                ids_as_json(user_ids),
                report,
                is_finished,
                before.report,
                ids_as_json(&before.user_ids),
            ],
        )?;
        Ok(stored > 0)
    }

    fn readmit(&self, partition: &Partition, user_id: &UserId) -> Result<bool, Error> {
        self.suppressing(partition, |transaction, id| {
            let hash = key(transaction)?.hash(user_id);
            let removed = transaction.execute(READMIT, params![id, hash])?;
            Ok(removed > 0)
        })
    }

    fn replace(
        &self,
        partition: &Partition,
        after: Sequence,
        instead: Instead<'_>,
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
                batches.extend(ReplacedBatch::of(&seal, payload, instead)?);
                (bytes, to) = (bytes + payload.len(), seal.head.last());
            }
            Ok(())
        })?;
        if batches.is_empty() {
            return Ok(Replaced { to, records: 0 });
        }
        let records = batches.iter().map(|batch| batch.records).sum();
        let changes_state = batches.iter().any(|batch| batch.changes_state);
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
            let rewritten = "UPDATE namespaces SET is_rewritten = is_rewritten OR ?2 WHERE id = ?1";
            transaction.execute(rewritten, params![id, changes_state])?;
            Ok(())
        })?;
        // Event ids of before are known no more.
        self.writer().forget(partition);
        Ok(Replaced { to, records })
    }

    fn is_rewritten(&self, partition: &Partition) -> Result<bool, Error> {
        self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let is_rewritten = "SELECT is_rewritten FROM namespaces WHERE id = ?1";
            Ok(connection.query_row(is_rewritten, [id], |row| row.get(0))?)
        })
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
    /// Those with something left to do for which the condition holds.
    fn unfinished(
        &self,
        partition: &Partition,
        condition: &str,
        count: usize,
    ) -> Result<Vec<StoredErasure>, Error> {
        self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let query = format!(
                "{ERASURE} WHERE namespace_id = ?1 AND NOT is_finished AND {condition} LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&query)?;
            let parameters = params![id, integer(count as u64)];
            let rows = statement.query_map(parameters, |row| Ok(stored(row)))?;
            rows.map(|erasure| erasure?).collect()
        })
    }

    /// Changes who is suppressed.
    fn suppressing<T>(
        &self,
        partition: &Partition,
        change: impl FnOnce(&Transaction<'_>, i64) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let changed = self.changing(partition, change)?;
        self.writer().suppress_again(partition)?;
        Ok(changed)
    }

    /// Runs `change` in a transaction.
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
