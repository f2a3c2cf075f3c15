//! Event hashes stored next to the batches: checked, and rebuilt from the payloads where they
//! are damaged.
//!
//! - What is rewritten is what was there before the damage, so that it may be done
//!   without the partition's lock and twice.

use deadpool_postgres::Client;

use super::column::Parameter;
use super::column::SEAL_COLUMNS;
use super::column::id_of;
use super::column::seal;
use super::partition::BATCHES_PER_STEP;
use super::partition::RECORDS_PER_STEP;
use super::store::PostgresStore;
use super::store::namespace_id;
use crate::storage::chain::Seal;
use crate::storage::dedup::DedupWindow;
use crate::storage::error::Error;
use crate::storage::log::Extent;
use crate::storage::log::HashCheck;
use crate::storage::log::InteractionLog;
use crate::storage::log::log_damaged_hashes;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use engine::domain::Sequence;

const FROM: &str = "SELECT first_sequence, count, recorded_at_ms, payload_crc32,
        event_hashes_crc32, stamp, chain, event_hashes
    FROM log_batches
    WHERE namespace_id = $1 AND first_sequence >= $2 AND first_sequence < $2 + $3
    ORDER BY first_sequence LIMIT $4";
const PAYLOAD: &str =
    "SELECT payload FROM log_batches WHERE namespace_id = $1 AND first_sequence = $2";
const REPAIR: &str = "UPDATE log_batches SET event_hashes = $3, event_hashes_crc32 = $4
    WHERE namespace_id = $1 AND first_sequence = $2";

/// Rewrites the hashes of a batch; not within a transaction. The inner error says
/// that the batch itself is damaged.
pub async fn repair(
    client: &Client,
    partition: &Partition,
    damaged: &Seal,
) -> Result<Result<(), Error>, tokio_postgres::Error> {
    let (id, first) = (id_of(partition), integer(damaged.head.first));
    let head = &damaged.head;
    let rebuilt = match client.query_opt(PAYLOAD, &[&id, &first]).await? {
        Some(row) => head.rebuilt_event_hashes(row.try_get(0)?, damaged.payload_checksum),
        None => Err(head.corrupt("it is gone")),
    };
    let rebuilt = match rebuilt {
        Ok(hashes) => {
            let checksum = i64::from(head.checksum(&hashes));
            client.execute(REPAIR, &[&id, &first, &hashes, &checksum]).await?;
            Ok(())
        }
        Err(error) => Err(error),
    };
    log_damaged_hashes(partition, damaged.head.first, rebuilt.as_ref().err());
    Ok(rebuilt)
}

impl PostgresStore {
    /// See `InteractionLog::check_event_hashes`.
    pub(super) fn check_hashes(
        &self,
        partition: &Partition,
        extent: Extent,
    ) -> Result<HashCheck, Error> {
        let end = self.log_end(partition)?.sequence;
        let mut from = match extent {
            Extent::Whole => 1,
            Extent::Window => {
                let start = DedupWindow::new(self.appender.dedup_horizon()).starts_at(end);
                // The batch that holds the start may begin earlier.
                self.first_of_holder(partition, start)?.unwrap_or(1)
            }
        };
        let mut check = HashCheck::default();
        while from <= end {
            let (batches, damaged, next) =
                self.sessions.read(async |client| step(client, partition, from).await)?;
            check.batches += batches;
            for seal in damaged {
                check.damaged += 1;
                check.rebuilt += u64::from(self.repair(partition, &seal)?);
            }
            from = next;
        }
        Ok(check)
    }

    /// Returns whether the hashes are whole again.
    fn repair(&self, partition: &Partition, damaged: &Seal) -> Result<bool, Error> {
        if self.read_only {
            let error = damaged.head.corrupt("this store may not write");
            log_damaged_hashes(partition, damaged.head.first, Some(&error));
            return Ok(false);
        }
        let repaired =
            self.sessions.run(async |client| Ok(repair(client, partition, damaged).await?))?;
        if repaired.is_ok() {
            self.appender.count_rebuilt(1);
        }
        Ok(repaired.is_ok())
    }
}

/// How many batches were looked at, those that are damaged, and where the next ones begin.
async fn step(
    client: &Client,
    partition: &Partition,
    from: Sequence,
) -> Result<(u64, Vec<Seal>, Sequence), Error> {
    let id = namespace_id(client, partition).await?;
    let from_column = integer(from);
    let limit = BATCHES_PER_STEP as i64;
    let parameters: [Parameter<'_>; 4] = [&id, &from_column, &RECORDS_PER_STEP, &limit];
    let rows = client.query(FROM, &parameters).await?;
    let mut damaged = Vec::new();
    let mut next = from.saturating_add(RECORDS_PER_STEP.unsigned_abs());
    for row in &rows {
        let seal = seal(row, 0)?;
        let stored = row.try_get(SEAL_COLUMNS)?;
        if seal.head.event_hashes(stored, seal.event_hashes_checksum).is_err() {
            damaged.push(seal);
        }
        if rows.len() == BATCHES_PER_STEP {
            next = seal.head.last().saturating_add(1);
        }
    }
    Ok((rows.len() as u64, damaged, next))
}
