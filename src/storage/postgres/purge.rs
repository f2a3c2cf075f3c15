//! Removal of rows that nobody can see any more, a few at a time.
//!
//! - Every removal can stop anywhere: the next start, or the next call of its kind,
//!   goes on with it. Processes at the same one pass over each other's rows.

use super::projection;
use super::session::Sessions;
use crate::storage::error::Error;

/// Rows of up to 1 MiB removed in one transaction.
const ROWS_PER_STEP: i64 = 32;

const DELETED_NAMESPACES: &str = "SELECT id FROM namespaces WHERE name IS NULL";
/// Those of namespaces that are deleted, those to be removed, and those whose writer
/// has been silent for so long that it must have died.
const UNSEEN_SNAPSHOTS: &str = "SELECT snapshots.id FROM snapshots
    JOIN namespaces ON namespaces.id = namespace_id
    WHERE namespaces.name IS NULL
       OR parts IS NULL AND touched_at < now() - interval '1 hour'";

const BATCHES: &str = "DELETE FROM log_batches WHERE namespace_id = $1
    AND first_sequence IN (SELECT first_sequence FROM log_batches
        WHERE namespace_id = $1 ORDER BY first_sequence LIMIT $2
        FOR UPDATE SKIP LOCKED)";
/// What they hold is free since long.
const SILENT_HOLDERS: &str =
    "SELECT id FROM lease_holders WHERE seen_at < now() - interval '1 day'";
const HOLDER: &str = "DELETE FROM lease_holders
    WHERE id = $1 AND seen_at < now() - interval '1 day'";
const LEASES: &str = "DELETE FROM leases WHERE namespace_id = $1";
const TRAININGS: &str = "DELETE FROM trainings WHERE namespace_id = $1";
const ERASURES: &str = "DELETE FROM erasures WHERE namespace_id = $1";
const SUPPRESSED: &str = "DELETE FROM suppressed_users WHERE namespace_id = $1";
const PRIVACY_SPENDINGS: &str = "DELETE FROM privacy_spendings WHERE namespace_id = $1";
const NAMESPACE: &str = "DELETE FROM namespaces WHERE id = $1 AND name IS NULL";
const PARTS: &str = "DELETE FROM snapshot_parts WHERE snapshot_id = $1
    AND position IN (SELECT position FROM snapshot_parts
        WHERE snapshot_id = $1 ORDER BY position LIMIT $2
        FOR UPDATE SKIP LOCKED)";
const SNAPSHOT: &str = "DELETE FROM snapshots WHERE id = $1";

/// Removes processes that are no more, deleted namespaces with their logs, and snapshots that are not, or no
/// longer, to be read.
pub fn unfinished(sessions: &Sessions) -> Result<(), Error> {
    for id in names(sessions, SILENT_HOLDERS)? {
        sessions.run(async |client| Ok(client.execute(HOLDER, &[&id]).await?))?;
    }
    snapshots(sessions)?;
    for id in ids(sessions, DELETED_NAMESPACES)? {
        while sessions.run(async |client| projection::remove_some(client, id).await)? {}
        // Without its lease no training is reported any more.
        for rows in [LEASES, TRAININGS, ERASURES, SUPPRESSED, PRIVACY_SPENDINGS] {
            sessions.run(async |client| Ok(client.execute(rows, &[&id]).await?))?;
        }
        remove(sessions, BATCHES, NAMESPACE, id)?;
    }
    Ok(())
}

/// Snapshots that are not, or no longer, to be read.
pub fn snapshots(sessions: &Sessions) -> Result<(), Error> {
    for id in ids(sessions, UNSEEN_SNAPSHOTS)? {
        remove(sessions, PARTS, SNAPSHOT, id)?;
    }
    Ok(())
}

/// Removes the rows below a parent step by step, and with the last the parent.
fn remove(sessions: &Sessions, rows: &str, parent: &str, id: i64) -> Result<(), Error> {
    loop {
        let last = sessions.run(async |client| {
            let transaction = client.transaction().await?;
            let removed = transaction.execute(rows, &[&id, &ROWS_PER_STEP]).await?;
            let last = removed < ROWS_PER_STEP as u64;
            if last {
                transaction.execute(parent, &[&id]).await?;
            }
            transaction.commit().await?;
            Ok(last)
        })?;
        if last {
            return Ok(());
        }
    }
}

fn ids(sessions: &Sessions, query: &str) -> Result<Vec<i64>, Error> {
    sessions.read(async |client| {
        let rows = client.query(query, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    })
}

fn names(sessions: &Sessions, query: &str) -> Result<Vec<String>, Error> {
    sessions.read(async |client| {
        let rows = client.query(query, &[]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    })
}
