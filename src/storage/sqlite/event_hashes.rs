//! Event hashes stored next to the batches: read into dedup windows, checked, and rebuilt from
//! the payloads where they are damaged.

use std::sync::atomic::Ordering;

use rusqlite::Connection;
use rusqlite::OptionalExtension;
use rusqlite::Row;
use rusqlite::params;

use super::log;
use super::log::SEAL_COLUMNS;
use super::log::seal;
use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::chain::Seal;
use crate::storage::dedup::DedupWindow;
use crate::storage::error::Error;
use crate::storage::log::Extent;
use crate::storage::log::HashCheck;
use crate::storage::log::log_damaged_hashes;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use engine::domain::Sequence;

/// Batches looked at between two looks at the rest of the world.
const BATCHES_PER_STEP: usize = 1_024;

const FROM: &str = "SELECT first_sequence, count, recorded_at_ms, payload_crc32,
        event_hashes_crc32, stamp, chain, event_hashes
    FROM log_batches
    WHERE namespace_id = ?1 AND first_sequence >= ?2
    ORDER BY first_sequence";
const PAYLOAD: &str =
    "SELECT payload FROM log_batches WHERE namespace_id = ?1 AND first_sequence = ?2";
const REPAIR: &str = "UPDATE log_batches SET event_hashes = ?3, event_hashes_crc32 = ?4
    WHERE namespace_id = ?1 AND first_sequence = ?2";

/// Fills the window of a partition that ends at `end`, and repairs what it meets. Returns
/// how many batches were repaired.
pub fn fill(
    connection: &Connection,
    partition: &Partition,
    id: i64,
    end: Sequence,
    window: &mut DedupWindow,
) -> Result<u64, Error> {
    let start = window.starts_at(end);
    let mut from = log::first_of_holder(connection, id, start)?;
    let mut repaired = 0;
    loop {
        let damaged = each(connection, id, from, usize::MAX, |row| {
            let (seal, stored) = (seal(row)?, row.get_ref(SEAL_COLUMNS)?);
            let stored = stored.as_blob().map_err(rusqlite::Error::from)?;
            for (hash, sequence) in seal.head.event_hashes(stored, seal.event_hashes_checksum)? {
                if sequence >= start {
                    window.insert(hash, sequence);
                }
            }
            Ok(())
        })?;
        let Walked::Damaged(_, seal) = damaged else { return Ok(repaired) };
        repair(connection, partition, id, &seal)?;
        repaired += 1;
        from = seal.head.first;
    }
}

enum Walked {
    /// So many batches; the next one begins here, if there may be one.
    Far(u64, Option<Sequence>),
    /// So many batches, and this one, which is damaged.
    Damaged(u64, Box<Seal>),
}

/// Looks at batches one by one, until one is corrupt for `look`.
fn each(
    connection: &Connection,
    id: i64,
    from: Sequence,
    batches_max: usize,
    mut look: impl FnMut(&Row<'_>) -> Result<(), Error>,
) -> Result<Walked, Error> {
    let mut statement = connection.prepare_cached(FROM)?;
    let mut rows = statement.query((id, integer(from)))?;
    let (mut batches, mut next) = (0, None);
    while batches < batches_max
        && let Some(row) = rows.next()?
    {
        match look(row) {
            Ok(()) => {}
            Err(Error::Corrupt { .. }) => {
                return Ok(Walked::Damaged(batches as u64, Box::new(seal(row)?)));
            }
            Err(error) => return Err(error),
        }
        batches += 1;
        next = Some(seal(row)?.head.last().saturating_add(1));
    }
    Ok(Walked::Far(batches as u64, next.filter(|_| batches == batches_max)))
}

/// Rewrites the hashes of a batch.
///
/// # Errors
/// `Corrupt` when the batch itself is damaged.
fn repair(
    connection: &Connection,
    partition: &Partition,
    id: i64,
    damaged: &Seal,
) -> Result<(), Error> {
    let first = damaged.head.first;
    let repaired = rebuild(connection, id, damaged).and_then(|hashes| {
        let checksum = damaged.head.checksum(&hashes);
        connection.execute(REPAIR, params![id, integer(first), hashes, checksum])?;
        Ok(())
    });
    log_damaged_hashes(partition, first, repaired.as_ref().err());
    repaired
}

fn rebuild(connection: &Connection, id: i64, damaged: &Seal) -> Result<Vec<u8>, Error> {
    let head = &damaged.head;
    let payload: Option<Vec<u8>> = connection
        .prepare_cached(PAYLOAD)?
        .query_row((id, integer(head.first)), |row| row.get(0))
        .optional()?;
    let payload = payload.ok_or_else(|| head.corrupt("it is gone"))?;
    head.rebuilt_event_hashes(&payload, damaged.payload_checksum)
}

impl SqliteStore {
    /// See `InteractionLog::check_event_hashes`.
    pub(super) fn check_hashes(
        &self,
        partition: &Partition,
        extent: Extent,
    ) -> Result<HashCheck, Error> {
        let mut check = HashCheck::default();
        let mut from = self.reading(|connection| {
            let id = namespace_id(connection, partition)?;
            let end = log::newest(connection, id)?.map_or(0, |seal| seal.head.last());
            match extent {
                Extent::Whole => Ok(0),
                Extent::Window => {
                    let start = DedupWindow::new(self.dedup_horizon).starts_at(end);
                    log::first_of_holder(connection, id, start)
                }
            }
        })?;
        loop {
            let walked = self.reading(|connection| {
                let id = namespace_id(connection, partition)?;
                each(connection, id, from, BATCHES_PER_STEP, |row| {
                    let (seal, stored) = (seal(row)?, row.get_ref(SEAL_COLUMNS)?);
                    let stored = stored.as_blob().map_err(rusqlite::Error::from)?;
                    seal.head.event_hashes(stored, seal.event_hashes_checksum).map(drop)
                })
            })?;
            match walked {
                Walked::Far(batches, next) => {
                    check.batches += batches;
                    let Some(next) = next else { return Ok(check) };
                    from = next;
                }
                Walked::Damaged(before, damaged) => {
                    check.batches += before + 1;
                    check.damaged += 1;
                    from = damaged.head.last().saturating_add(1);
                    let writer = self.writer();
                    let id = namespace_id(&writer.connection, partition)?;
                    match repair(&writer.connection, partition, id, &damaged) {
                        Ok(()) => {
                            check.rebuilt += 1;
                            self.event_hashes_rebuilt.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(Error::Corrupt { .. } | Error::TooNew { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}
