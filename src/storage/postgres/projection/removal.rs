//! Removal of rows: a namespace's, or of old decisions. Some at a time, so that no transaction holds many
//! rows for long.

use deadpool_postgres::Client;
use deadpool_postgres::Transaction;

use super::embeddings;
use super::position::Position;
use super::text::storable;
use super::time::system_time;
use crate::storage::error::Error;
use crate::storage::partition::Partition;
use crate::storage::postgres::store::namespace_id;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Rows removed by one statement: a fraction of a second, whatever they hold.
const ROWS_PER_STEP: i64 = 5_000;

/// The tables with the columns that, together with the namespace, name their rows.
const TABLES: [(&str, &str); 7] = [
    ("interactions", "sequence"),
    ("decisions", "sequence"),
    ("models", "sequence"),
    ("settings", "sequence"),
    ("items", "item_id"),
    ("profiles", "user_id"),
    ("user_aliases", "user_id"),
];

/// Removes some of the rows of a deleted namespace, with the last its position.
/// Returns whether there may be more. The namespace's own row must be there until then.
pub async fn remove_some(client: &mut Client, namespace_id: i64) -> Result<bool, Error> {
    let transaction = client.transaction().await?;
    let lock = "SELECT FROM projections WHERE namespace_id = $1 FOR UPDATE";
    if transaction.query_opt(lock, &[&namespace_id]).await?.is_none() {
        transaction.rollback().await?;
        return Ok(false);
    }
    let more = remove_rows(&transaction, namespace_id).await?;
    if !more {
        let delete = "DELETE FROM projections WHERE namespace_id = $1";
        transaction.execute(delete, &[&namespace_id]).await?;
    }
    transaction.commit().await?;
    Ok(more)
}

/// One step of a clear: with the last the position is free to move again.
pub async fn clear_some(transaction: &Transaction<'_>, position: &Position) -> Result<(), Error> {
    if !remove_rows(transaction, position.namespace_id).await? {
        position.reset(transaction, false).await?;
    }
    Ok(())
}

/// Removes some of the decisions recorded before this time, the oldest first; returns how
/// many.
pub async fn forget_some_decisions(
    client: &mut Client,
    partition: &Partition,
    before: Timestamp,
) -> Result<u64, Error> {
    let id = namespace_id(client, partition).await?;
    // By the primary key, in the partitions of that time only.
    let delete = "DELETE FROM decisions WHERE namespace_id = $1 AND recorded_at < $2
        AND sequence <= (
            SELECT max(sequence) FROM (
                SELECT sequence FROM decisions WHERE namespace_id = $1 AND recorded_at < $2
                ORDER BY sequence LIMIT $3
            ) AS first
        )";
    Ok(client.execute(delete, &[&id, &system_time(before), &ROWS_PER_STEP]).await?)
}

/// Removes some of the rows of users; returns whether there may be more.
pub async fn forget_some_of_users(
    client: &mut Client,
    partition: &Partition,
    user_ids: &[UserId],
) -> Result<bool, Error> {
    let id = namespace_id(client, partition).await?;
    let ids: Vec<_> = user_ids.iter().map(|user_id| storable(user_id.as_str())).collect();
    for table in ["interactions", "decisions"] {
        let delete = format!(
            "DELETE FROM {table} WHERE namespace_id = $1 AND user_id = ANY ($2) AND sequence IN (
                SELECT sequence FROM {table} WHERE namespace_id = $1 AND user_id = ANY ($2) LIMIT $3
            )"
        );
        if client.execute(&delete, &[&id, &ids, &ROWS_PER_STEP]).await? > 0 {
            return Ok(true);
        }
    }
    for table in ["profiles", "user_aliases"] {
        let delete = format!("DELETE FROM {table} WHERE namespace_id = $1 AND user_id = ANY ($2)");
        client.execute(&delete, &[&id, &ids]).await?;
    }
    Ok(false)
}

/// Returns whether there may be more.
async fn remove_rows(transaction: &Transaction<'_>, namespace_id: i64) -> Result<bool, Error> {
    let embeddings = embeddings::is_set_up(transaction).await?.then_some(embeddings::KEY);
    for (table, key) in TABLES.into_iter().chain(embeddings) {
        // The first rows by their key, found through the primary key's index.
        let delete = format!(
            "DELETE FROM {table} WHERE namespace_id = $1 AND {key} <= (
                SELECT max({key}) FROM (
                    SELECT {key} FROM {table} WHERE namespace_id = $1 ORDER BY {key} LIMIT $2
                ) AS first
            )"
        );
        if transaction.execute(&delete, &[&namespace_id, &ROWS_PER_STEP]).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
