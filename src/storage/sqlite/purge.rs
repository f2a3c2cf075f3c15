//! Removal of rows that nobody can see any more, a few at a time, so that appends
//! get their turn in between.
//!
//! - Every removal can stop anywhere: the next start, or the next call of its
//!   kind, goes on with it.

use rusqlite::params;

use super::store::SqliteStore;
use crate::storage::error::Error;

/// Rows of up to 4 MiB removed in one transaction.
const ROWS_PER_STEP: usize = 8;

/// What an earlier process left: deleted namespaces with rows, snapshots without
/// an end. Nothing may be writing yet.
pub fn unfinished(store: &SqliteStore) -> Result<(), Error> {
    let snapshot_ids = ids(store, "SELECT id FROM snapshots WHERE parts IS NULL")?;
    snapshots(store, &snapshot_ids)?;
    deleted_namespaces(store)
}

/// Namespaces whose name is taken away, with their logs and snapshots.
pub fn deleted_namespaces(store: &SqliteStore) -> Result<(), Error> {
    let snapshot_ids = ids(
        store,
        "SELECT snapshots.id FROM namespaces
         JOIN snapshots ON snapshots.namespace_id = namespaces.id
         WHERE namespaces.name IS NULL",
    )?;
    snapshots(store, &snapshot_ids)?;
    for namespace_id in ids(store, "SELECT id FROM namespaces WHERE name IS NULL")? {
        let rows = "DELETE FROM log_batches WHERE id IN
            (SELECT id FROM log_batches WHERE namespace_id = ?1 LIMIT ?2)";
        let parents = [
            "DELETE FROM trainings WHERE namespace_id = ?1",
            "DELETE FROM erasures WHERE namespace_id = ?1",
            "DELETE FROM suppressed_users WHERE namespace_id = ?1",
            "DELETE FROM privacy_spendings WHERE namespace_id = ?1",
            "DELETE FROM namespaces WHERE id = ?1",
        ];
        remove(store, rows, &parents, namespace_id)?;
    }
    Ok(())
}

/// Snapshots that are not, or no longer, to be read.
pub fn snapshots(store: &SqliteStore, snapshot_ids: &[i64]) -> Result<(), Error> {
    for snapshot_id in snapshot_ids {
        let rows = "DELETE FROM snapshot_parts WHERE id IN
            (SELECT id FROM snapshot_parts WHERE snapshot_id = ?1 LIMIT ?2)";
        remove(store, rows, &["DELETE FROM snapshots WHERE id = ?1"], *snapshot_id)?;
    }
    Ok(())
}

/// Removes the rows below a parent step by step, and with the last what is named after them.
fn remove(store: &SqliteStore, rows: &str, last: &[&str], id: i64) -> Result<(), Error> {
    loop {
        // Held over both statements: no row can come below the parent in between.
        let writer = store.writer();
        let removed =
            writer.connection.prepare_cached(rows)?.execute(params![id, ROWS_PER_STEP as i64])?;
        if removed < ROWS_PER_STEP {
            for parent in last {
                writer.connection.execute(parent, [id])?;
            }
            return Ok(());
        }
    }
}

fn ids(store: &SqliteStore, query: &str) -> Result<Vec<i64>, Error> {
    store.reading(|connection| {
        let mut statement = connection.prepare_cached(query)?;
        let ids = statement.query_map([], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    })
}
