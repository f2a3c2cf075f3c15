//! The newest training of each namespace. The only process that could train is this one, so leases
//! do not matter.

use std::time::Duration;

use rusqlite::OptionalExtension;
use rusqlite::params;

use super::connection::is_missing_parent;
use super::store::SqliteStore;
use crate::storage::error::Error;
use crate::storage::leases::Fence;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use crate::storage::trainings::ReportedTraining;
use crate::storage::trainings::Trainings;

const REPORT: &str =
    "INSERT INTO trainings (namespace_id, training_id, report, reported_at_ms, end_requested)
    VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000 AS INTEGER), FALSE)
    ON CONFLICT (namespace_id) DO UPDATE
    SET end_requested = end_requested AND training_id = excluded.training_id,
        training_id = excluded.training_id, report = excluded.report,
        reported_at_ms = excluded.reported_at_ms
    RETURNING end_requested";
const REPORTED: &str = "SELECT training_id, report,
        CAST(unixepoch('subsec') * 1000 AS INTEGER) - reported_at_ms
    FROM trainings WHERE namespace_id = ?1";
const REQUEST_END: &str =
    "UPDATE trainings SET end_requested = TRUE WHERE namespace_id = ?1 AND training_id = ?2";

impl Trainings for SqliteStore {
    fn report(&self, fence: &Fence, training_id: &str, report: &str) -> Result<bool, Error> {
        let id = integer(fence.lease.partition.incarnation);
        let writer = self.writer();
        let mut statement = writer.connection.prepare_cached(REPORT)?;
        match statement.query_row(params![id, training_id, report], |row| row.get(0)) {
            Err(error) if is_missing_parent(&error) => {
                Err(Error::Fenced { lease: fence.lease.clone() })
            }
            reported => Ok(reported?),
        }
    }

    fn reported(&self, partition: &Partition) -> Result<Option<ReportedTraining>, Error> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(REPORTED)?;
            let found = statement.query_row([integer(partition.incarnation)], |row| {
                let silent_ms: i64 = row.get(2)?;
                Ok(ReportedTraining {
                    training_id: row.get(0)?,
                    report: row.get(1)?,
                    silent_for: Duration::from_millis(silent_ms.max(0).unsigned_abs()),
                })
            });
            Ok(found.optional()?)
        })
    }

    fn request_end(&self, partition: &Partition, training_id: &str) -> Result<(), Error> {
        let id = integer(partition.incarnation);
        let writer = self.writer();
        writer.connection.execute(REQUEST_END, params![id, training_id])?;
        Ok(())
    }
}
