//! What the leader of a partition keeps in addition to the log: snapshots and the projection.
//!
//! - Both are harmless when two processes do them at once: a snapshot is whole or not
//!   there, and the projection's position moves in the transaction of its rows.

use engine::ENGINE_REVISION;
use engine::View;
use engine::domain::Sequence;
use engine::domain::Timestamp;

use crate::service::Stores;
use crate::storage;
use crate::storage::Partition;
use crate::storage::Position;
use crate::storage::ReadLimit;
use crate::storage::SnapshotHeader;

/// Snapshots kept: the newest and one to fall back on.
const KEPT: usize = 2;
/// What one transaction of the projection takes.
const PROJECTED: ReadLimit = ReadLimit { records: 10_000, bytes: 4 << 20 };

/// Stores the state at a position. Blocks.
///
/// # Errors
/// Storage errors.
pub fn store_snapshot(
    stores: &Stores,
    partition: &Partition,
    view: &View,
    position: Position,
    taken_at: Timestamp,
) -> Result<(), storage::Error> {
    let header = SnapshotHeader { position, engine_revision: ENGINE_REVISION, taken_at };
    let mut sections = view.sections();
    stores.snapshots.put(partition, &header, &mut sections)?;
    stores.snapshots.prune(partition, KEPT)
}

/// Projects a partition up to the end that its log has now, or until told to stop; returns
/// how far it came. Blocks.
///
/// # Errors
/// Storage errors.
pub fn project_all(
    stores: &Stores,
    partition: &Partition,
    stop: impl Fn() -> bool,
) -> Result<Sequence, storage::Error> {
    let Some(projection) = &stores.projection else {
        return Ok(0);
    };
    let mut position = projection.projected_to(partition)?;
    // What is written meanwhile is for the next time: a log that grows has no end.
    let end = stores.log.log_end(partition)?.sequence;
    if position > end {
        // Rows of a log that is no more.
        projection.clear(partition)?;
        position = 0;
    }
    while position < end && !stop() {
        let records = stores.log.read_from(partition, position, PROJECTED)?;
        if records.is_empty() {
            break;
        }
        position = projection.project(partition, &records)?;
    }
    Ok(position)
}

/// Empties the tables: they have rows of a log that is no more. Blocks.
///
/// # Errors
/// Storage errors.
pub fn clear_projection(stores: &Stores, partition: &Partition) -> Result<(), storage::Error> {
    stores.projection.as_ref().map_or(Ok(()), |projection| projection.clear(partition))
}
