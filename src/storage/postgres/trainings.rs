//! The newest training of each namespace, as rows that only who holds its lease writes. Times are
//! the server's.

use std::time::Duration;

use super::column::Parameter;
use super::column::id_of;
use super::leases::key;
use super::store::PostgresStore;
use crate::storage::error::Error;
use crate::storage::leases::Fence;
use crate::storage::partition::Partition;
use crate::storage::trainings::ReportedTraining;
use crate::storage::trainings::Trainings;

const REPORT: &str =
    "INSERT INTO trainings (namespace_id, training_id, report, reported_at, end_requested)
    SELECT namespace_id, $5, $6::text::json, clock_timestamp(), false FROM leases
    WHERE namespace_id = $1 AND duty = $2 AND epoch = $3 AND holder = $4
    ON CONFLICT (namespace_id) DO UPDATE
    SET training_id = excluded.training_id, report = excluded.report,
        reported_at = excluded.reported_at,
        end_requested = trainings.end_requested AND trainings.training_id = excluded.training_id
    RETURNING end_requested";
const REPORTED: &str = "SELECT training_id, report::text,
        extract(epoch FROM clock_timestamp() - reported_at)::float8
    FROM trainings WHERE namespace_id = $1";
const REQUEST_END: &str =
    "UPDATE trainings SET end_requested = true WHERE namespace_id = $1 AND training_id = $2";

impl Trainings for PostgresStore {
    fn report(&self, fence: &Fence, training_id: &str, report: &str) -> Result<bool, Error> {
        let ((id, duty), epoch) = (key(&fence.lease), fence.epoch.cast_signed());
        let told = self.sessions.run(async |client| {
            let statement = client.prepare_cached(REPORT).await?;
            let parameters: [Parameter<'_>; 6] =
                [&id, &duty, &epoch, &self.holder, &training_id, &report];
            let row = client.query_opt(&statement, &parameters).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        })?;
        told.ok_or_else(|| Error::Fenced { lease: fence.lease.clone() })
    }

    fn reported(&self, partition: &Partition) -> Result<Option<ReportedTraining>, Error> {
        let id = id_of(partition);
        self.sessions.read(async |client| {
            let statement = client.prepare_cached(REPORTED).await?;
            let Some(row) = client.query_opt(&statement, &[&id]).await? else {
                return Ok(None);
            };
            let silent: f64 = row.try_get(2)?;
            Ok(Some(ReportedTraining {
                training_id: row.try_get(0)?,
                report: row.try_get(1)?,
                silent_for: Duration::try_from_secs_f64(silent).unwrap_or_default(),
            }))
        })
    }

    fn request_end(&self, partition: &Partition, training_id: &str) -> Result<(), Error> {
        let id = id_of(partition);
        self.sessions.run(async |client| {
            let statement = client.prepare_cached(REQUEST_END).await?;
            Ok(client.execute(&statement, &[&id, &training_id]).await?)
        })?;
        Ok(())
    }
}
