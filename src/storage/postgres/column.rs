//! Parameters and columns that several statements share.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::storage::batch::BatchHead;
use crate::storage::error::Error;
use crate::storage::number::natural;
use engine::domain::Timestamp;

/// A parameter of a statement.
pub type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The columns `first_sequence`, `count` and `recorded_at_ms` from `place` on.
pub fn batch_head(row: &Row, place: usize) -> Result<BatchHead, Error> {
    Ok(BatchHead {
        first: natural(row.try_get(place)?, "first_sequence")?,
        count: natural(i64::from(row.try_get::<_, i32>(place + 1)?), "count")?,
        recorded_at: Timestamp::from_millis(row.try_get(place + 2)?),
    })
}
