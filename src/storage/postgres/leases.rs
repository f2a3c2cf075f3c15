//! Leases as rows with a time limit.
//!
//! - A process says that it lives in one row, whatever it holds; what a silent one
//!   holds may be taken. Only what changes hands is written.
//! - Times are the server's: clocks of processes do not matter.
//! - The epoch fences: a holder that lost a lease without its knowledge cannot write
//!   under the next one's epoch.

use std::collections::BTreeMap;

use super::column::Parameter;
use super::column::id_of;
use super::store::PostgresStore;
use crate::storage::error::Error;
use crate::storage::leases::Fence;
use crate::storage::leases::LEASE_TTL;
use crate::storage::leases::Leases;
use crate::storage::partition::LeaseName;

/// Taken in one order: two processes at it never wait for each other in a circle. A row
/// that changes hands meanwhile is looked at again where it is written. What is read
/// is of the time before: a lease that is taken by another process at this moment is still
/// reported, and fenced. Who is living is read then, too, so what was taken a moment ago is
/// not taken away, whatever processes seem to live.
const KEEP: &str = "WITH requested AS (
        SELECT namespaces.id, duty
        FROM unnest($2::bigint[], $3::text[], $4::text[]) AS named (id, name, duty)
        JOIN namespaces USING (id, name)
    ), alive AS (
        INSERT INTO lease_holders (id, seen_at, description)
        VALUES ($1, clock_timestamp(), concat_ws(' ',
            current_setting('application_name'), inet_client_addr(), pg_backend_pid()))
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
    ), living AS (
        SELECT id FROM lease_holders
        WHERE seen_at > clock_timestamp() - make_interval(secs => $5)
          AND seen_at < clock_timestamp() + make_interval(secs => $5)
    ), surplus AS (
        SELECT namespace_id, leases.duty
        FROM leases LEFT JOIN requested ON requested.id = namespace_id AND requested.duty = leases.duty
        WHERE $6 AND holder = $1 AND requested.id IS NULL
        ORDER BY namespace_id, leases.duty FOR UPDATE OF leases
    ), given_up AS (
        UPDATE leases SET holder = NULL FROM surplus
        WHERE leases.namespace_id = surplus.namespace_id AND leases.duty = surplus.duty
    ), taken AS (
        INSERT INTO leases (namespace_id, duty, epoch, holder, taken_at)
        SELECT requested.id, requested.duty, 1, $1, clock_timestamp()
        FROM requested LEFT JOIN leases ON namespace_id = requested.id AND leases.duty = requested.duty
        WHERE holder IS NULL
           OR holder <> $1 AND holder NOT IN (SELECT id FROM living)
        ORDER BY requested.id, requested.duty
        ON CONFLICT (namespace_id, duty) DO UPDATE
        SET epoch = leases.epoch + 1, holder = excluded.holder, taken_at = excluded.taken_at
        WHERE leases.holder IS NULL
           OR leases.holder <> excluded.holder AND leases.holder NOT IN (SELECT id FROM living)
              AND leases.taken_at < clock_timestamp() - make_interval(secs => $5)
        RETURNING namespace_id, duty, epoch
    )
    SELECT namespace_id, duty, epoch FROM taken
    UNION ALL
    SELECT namespace_id, leases.duty, epoch
    FROM requested JOIN leases ON namespace_id = requested.id AND leases.duty = requested.duty
    WHERE holder = $1";
const RELEASE: &str = "UPDATE leases SET holder = NULL
    FROM (
        SELECT namespace_id, duty
        FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS given (namespace_id, duty, epoch)
        JOIN leases USING (namespace_id, duty, epoch)
        WHERE holder = $1
        ORDER BY namespace_id, duty FOR UPDATE OF leases
    ) AS held
    WHERE leases.namespace_id = held.namespace_id AND leases.duty = held.duty";

/// What names a lease in the database.
pub type LeaseKey = (i64, String);

pub fn key(lease: &LeaseName) -> LeaseKey {
    (id_of(&lease.partition), lease.duty.clone())
}

impl Leases for PostgresStore {
    fn keep(&self, requested: &[LeaseName], all: bool) -> Result<Vec<Fence>, Error> {
        let (ids, duties): (Vec<_>, Vec<_>) = requested.iter().map(key).unzip();
        let names: Vec<_> =
            requested.iter().map(|lease| lease.partition.namespace.as_str()).collect();
        let ttl = LEASE_TTL.as_secs_f64();
        let rows = self.sessions.run(async |client| {
            let keep = client.prepare_cached(KEEP).await?;
            let parameters: [Parameter<'_>; 6] = [&self.holder, &ids, &names, &duties, &ttl, &all];
            Ok(client.query(&keep, &parameters).await?)
        })?;
        let mut epochs: BTreeMap<LeaseKey, u64> = BTreeMap::new();
        for row in &rows {
            let held = (row.try_get(0)?, row.try_get(1)?);
            epochs.insert(held, row.try_get::<_, i64>(2)?.unsigned_abs());
        }
        let fence = |lease: &LeaseName| {
            let epoch = *epochs.get(&key(lease))?;
            Some(Fence { lease: lease.clone(), epoch })
        };
        Ok(requested.iter().filter_map(fence).collect())
    }

    fn release(&self, fences: &[Fence]) -> Result<(), Error> {
        let (ids, duties): (Vec<_>, Vec<_>) = fences.iter().map(|fence| key(&fence.lease)).unzip();
        let epochs: Vec<_> = fences.iter().map(|fence| fence.epoch.cast_signed()).collect();
        self.sessions.run(async |client| {
            let release = client.prepare_cached(RELEASE).await?;
            let parameters: [Parameter<'_>; 4] = [&self.holder, &ids, &duties, &epochs];
            Ok(client.execute(&release, &parameters).await?)
        })?;
        Ok(())
    }
}
