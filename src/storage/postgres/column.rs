//! Parameters and columns that several statements share.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::storage::batch_head::BatchHead;
use crate::storage::chain::Chain;
use crate::storage::chain::Seal;
use crate::storage::chain::Stamp;
use crate::storage::error::Error;
use crate::storage::number::checksum;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use engine::domain::Timestamp;

/// A parameter of a statement.
pub type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The columns `first_sequence`, `count`, `recorded_at_ms`, `payload_crc32`,
/// `event_hashes_crc32`, `stamp` and `chain` from `index` on.
pub fn seal(row: &Row, position: usize) -> Result<Seal, Error> {
    let head = BatchHead {
        first: natural(row.try_get(position)?, "first_sequence")?,
        count: natural(i64::from(row.try_get::<_, i32>(position + 1)?), "count")?,
        recorded_at: Timestamp::from_millis(row.try_get(position + 2)?),
    };
    Ok(Seal {
        head,
        payload_checksum: checksum(row.try_get(position + 3)?),
        event_hashes_checksum: checksum(row.try_get(position + 4)?),
        stamp: Stamp::from_column(row.try_get(position + 5)?),
        chain: Chain::from_column(row.try_get(position + 6)?),
    })
}

/// How many columns [`seal`] reads.
pub const SEAL_COLUMNS: usize = 7;

/// The id of a partition's row.
pub fn id_of(partition: &Partition) -> i64 {
    integer(partition.incarnation)
}
