//! Erasures of users. Old versions of rows stay in the files until they are vacuumed, which is the
//! operator's to do (docs/privacy.md).
//!
//! - Who is suppressed changes under the lock of the partition. It is counted in a column that appends
//!   read under the same lock, so none is decided by an old list.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::column::Parameter;
use super::column::SEAL_COLUMNS;
use super::column::seal;
use super::log::PARTITION_LOCKS;
use super::store::PostgresStore;
use super::store::namespace_id;
use super::suppressed::KEY;
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
use crate::storage::suppression::SuppressionKey;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Of the payloads looked at in one call.
const BYTES_PER_STEP: i64 = 4 << 20;
/// Batches looked at in one call.
const BATCHES_PER_STEP: i64 = 4_096;

/// As many as fit into the bytes, and at least one.
const BATCHES: &str = "SELECT first_sequence, count, recorded_at_ms, payload_crc32,
        event_hashes_crc32, stamp, chain, payload
    FROM (
        SELECT near.*, coalesce(sum(octet_length(payload)) OVER (
            ORDER BY first_sequence ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS bytes_before
        FROM (
            SELECT * FROM log_batches WHERE namespace_id = $1 AND first_sequence > $2
            ORDER BY first_sequence LIMIT $3
        ) AS near
    ) AS batches
    WHERE bytes_before < $4 ORDER BY first_sequence";
const REPLACE: &str = "UPDATE log_batches
    SET payload_crc32 = $4, event_hashes_crc32 = $5, event_hashes = $6, payload = $7
    WHERE namespace_id = $1 AND first_sequence = $2 AND payload_crc32 = $3";
const REWRITTEN: &str = "UPDATE namespaces SET is_rewritten = is_rewritten OR $2 WHERE id = $1";
const RAISE: &str = "UPDATE namespaces SET log_revision = log_revision + 1, is_rewritten = false
    WHERE id = $1 AND is_rewritten";

const ERASURE: &str = "SELECT erasure_id, user_ids::text, report, is_finished FROM erasures";
const INSERT: &str =
    "INSERT INTO erasures (namespace_id, erasure_id, user_ids, report, is_finished)
    VALUES ($1, $2, $3::text::json, $4, $5)";
const STORE: &str = "UPDATE erasures
    SET user_ids = $3::text::json, report = $4, is_finished = $5
    WHERE namespace_id = $1 AND erasure_id = $2 AND report = $6
      AND user_ids::text IS NOT DISTINCT FROM $7";
const WITH_UNFINISHED: &str =
    "SELECT DISTINCT name FROM erasures JOIN namespaces ON id = namespace_id
    WHERE NOT is_finished AND name IS NOT NULL";
const SUPPRESS: &str =
    "INSERT INTO suppressed_users (namespace_id, user_hash, erasure_id, until_ms)
    SELECT $1, user_hash, $3, $4 FROM unnest($2::bytea[]) AS user_hash ON CONFLICT DO NOTHING";
const ADD_IDS: &str = "UPDATE erasures SET user_ids = $3::text::json
    WHERE namespace_id = $1 AND erasure_id = $2";
const EXPIRE: &str = "DELETE FROM suppressed_users WHERE namespace_id = $1 AND until_ms <= $2";
const FORGET: &str = "DELETE FROM erasures WHERE namespace_id = $1 AND is_finished
    AND erasure_id NOT IN (SELECT erasure_id FROM suppressed_users WHERE namespace_id = $1)";
const READMIT: &str = "DELETE FROM suppressed_users
    WHERE namespace_id = $1 AND erasure_id IN (SELECT erasure_id FROM suppressed_users
        WHERE namespace_id = $1 AND user_hash = $2)";
const CHANGED: &str = "UPDATE namespaces SET suppressions = suppressions + 1 WHERE id = $1";
const LOCK: &str = "SELECT pg_advisory_xact_lock($1)";
impl Erasures for PostgresStore {
    fn begin(
        &self,
        partition: &Partition,
        erasure: &StoredErasure,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<StoredErasure, Error> {
        self.suppressing(partition, async |transaction, id, key| {
            transaction.execute(EXPIRE, &[&id, &now.as_millis()]).await?;
            transaction.execute(FORGET, &[&id]).await?;
            let hashes = erasure.user_ids.iter().map(|user_id| key.hash(user_id).to_vec());
            let hashes: Vec<_> = hashes.collect();
            let earlier = format!(
                "{ERASURE} WHERE namespace_id = $1 AND erasure_id IN (SELECT erasure_id
                    FROM suppressed_users WHERE namespace_id = $1 AND user_hash = ANY ($2))"
            );
            if let Some(row) = transaction.query(&earlier, &[&id, &hashes]).await?.first() {
                return stored(row);
            }
            let StoredErasure { erasure_id, user_ids, report, is_finished } = erasure;
            let ids = ids_as_json(user_ids);
            let parameters: [Parameter<'_>; 5] = [&id, erasure_id, &ids, report, is_finished];
            transaction.execute(INSERT, &parameters).await?;
            let until = until.as_millis();
            transaction.execute(SUPPRESS, &[&id, &hashes, erasure_id, &until]).await?;
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
        let of_erasure =
            format!("{ERASURE} WHERE namespace_id = $1 AND erasure_id = $2 FOR UPDATE");
        self.suppressing(partition, async |transaction, id, key| {
            let found = transaction.query_opt(&of_erasure, &[&id, &erasure_id]).await?;
            let Some(mut erasure) = found.as_ref().map(stored).transpose()? else {
                return Ok(None);
            };
            if erasure.user_ids.is_empty() {
                return Ok(Some(erasure));
            }
            let hashes: Vec<_> = user_ids.iter().map(|id| key.hash(id).to_vec()).collect();
            let until = until.as_millis();
            transaction.execute(SUPPRESS, &[&id, &hashes, &erasure_id, &until]).await?;
            erasure.user_ids.extend(user_ids.iter().cloned());
            let ids = ids_as_json(&erasure.user_ids);
            transaction.execute(ADD_IDS, &[&id, &erasure_id, &ids]).await?;
            Ok(Some(erasure))
        })
    }

    fn erasure(
        &self,
        partition: &Partition,
        erasure_id: &str,
    ) -> Result<Option<StoredErasure>, Error> {
        let query = format!("{ERASURE} WHERE namespace_id = $1 AND erasure_id = $2");
        self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            let found = client.query_opt(&query, &[&id, &erasure_id]).await?;
            found.as_ref().map(stored).transpose()
        })
    }

    fn in_log(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error> {
        self.unfinished(partition, "user_ids IS NOT NULL", count)
    }

    fn out_of_log(&self, partition: &Partition, count: usize) -> Result<Vec<StoredErasure>, Error> {
        self.unfinished(partition, "user_ids IS NULL", count)
    }

    fn namespaces_with_unfinished(&self) -> Result<Vec<NamespaceName>, Error> {
        self.sessions.read(async |client| {
            let rows = client.query(WITH_UNFINISHED, &[]).await?;
            rows.iter().map(|row| parse_name(row.try_get(0)?)).collect()
        })
    }

    fn report(
        &self,
        partition: &Partition,
        before: &StoredErasure,
        after: &StoredErasure,
    ) -> Result<bool, Error> {
        let StoredErasure { erasure_id, user_ids, report, is_finished } = after;
        let (ids, ids_before) = (ids_as_json(user_ids), ids_as_json(&before.user_ids));
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            let parameters: [Parameter<'_>; 7] =
                [&id, erasure_id, &ids, report, is_finished, &before.report, &ids_before];
            Ok(client.execute(STORE, &parameters).await? > 0)
        })
    }

    fn readmit(&self, partition: &Partition, user_id: &UserId) -> Result<bool, Error> {
        self.suppressing(partition, async |transaction, id, key| {
            let hash = key.hash(user_id).to_vec();
            Ok(transaction.execute(READMIT, &[&id, &hash]).await? > 0)
        })
    }

    fn replace(
        &self,
        partition: &Partition,
        after: Sequence,
        instead: Instead<'_>,
    ) -> Result<Replaced, Error> {
        let after_column = integer(after);
        let rows = self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            let parameters: [Parameter<'_>; 4] =
                [&id, &after_column, &BATCHES_PER_STEP, &BYTES_PER_STEP];
            Ok(client.query(BATCHES, &parameters).await?)
        })?;
        let (mut to, mut batches) = (after, Vec::new());
        for row in &rows {
            let seal = seal(row, 0)?;
            batches.extend(ReplacedBatch::of(&seal, row.try_get(SEAL_COLUMNS)?, instead)?);
            to = seal.head.last();
        }
        if batches.is_empty() {
            return Ok(Replaced { to, records: 0 });
        }
        let changes_state = batches.iter().any(|batch| batch.changes_state);
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            let transaction = client.transaction().await?;
            let replace = transaction.prepare_cached(REPLACE).await?;
            for batch in &batches {
                let parameters: [Parameter<'_>; 7] = [
                    &id,
                    &integer(batch.seal.head.first),
                    &i64::from(batch.payload_checksum_before),
                    &i64::from(batch.seal.payload_checksum),
                    &i64::from(batch.seal.event_hashes_checksum),
                    &batch.event_hashes,
                    &batch.payload,
                ];
                transaction.execute(&replace, &parameters).await?;
            }
            transaction.execute(REWRITTEN, &[&id, &changes_state]).await?;
            Ok(transaction.commit().await?)
        })?;
        Ok(Replaced { to, records: batches.iter().map(|batch| batch.records).sum() })
    }

    fn is_rewritten(&self, partition: &Partition) -> Result<bool, Error> {
        let is_rewritten = "SELECT is_rewritten FROM namespaces WHERE id = $1";
        self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            Ok(client.query_one(is_rewritten, &[&id]).await?.try_get(0)?)
        })
    }

    fn raise_revision(&self, partition: &Partition) -> Result<bool, Error> {
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            Ok(client.execute(RAISE, &[&id]).await? > 0)
        })
    }

    fn scrub(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl PostgresStore {
    /// Those with something left to do for which the condition holds.
    fn unfinished(
        &self,
        partition: &Partition,
        condition: &str,
        count: usize,
    ) -> Result<Vec<StoredErasure>, Error> {
        let query = format!(
            "{ERASURE} WHERE namespace_id = $1 AND NOT is_finished AND {condition} LIMIT $2"
        );
        self.sessions.read(async |client| {
            let id = namespace_id(client, partition).await?;
            let rows = client.query(&query, &[&id, &integer(count as u64)]).await?;
            rows.iter().map(stored).collect()
        })
    }

    /// Changes who is suppressed in a partition, under its lock.
    fn suppressing<T>(
        &self,
        partition: &Partition,
        change: impl AsyncFnOnce(&Transaction<'_>, i64, &SuppressionKey) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.sessions.run(async |client| {
            let id = namespace_id(client, partition).await?;
            let transaction = client.transaction().await?;
            transaction.execute(LOCK, &[&(PARTITION_LOCKS + id)]).await?;
            let key: Vec<u8> = transaction.query_one(KEY, &[]).await?.try_get(0)?;
            let changed = change(&transaction, id, &SuppressionKey::new(&key)).await?;
            transaction.execute(CHANGED, &[&id]).await?;
            transaction.commit().await?;
            Ok(changed)
        })
    }
}

fn stored(row: &Row) -> Result<StoredErasure, Error> {
    let ids: Option<&str> = row.try_get(1)?;
    Ok(StoredErasure {
        erasure_id: row.try_get(0)?,
        user_ids: ids.map_or(Ok(Vec::new()), parse_ids)?,
        report: row.try_get(2)?,
        is_finished: row.try_get(3)?,
    })
}
