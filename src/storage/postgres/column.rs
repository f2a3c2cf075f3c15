//! Numbers as columns hold them: PostgreSQL's are signed.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::domain::Timestamp;
use crate::storage::batch::BatchHead;
use crate::storage::error::Error;

/// A parameter of a statement.
pub type Parameter<'a> = &'a (dyn ToSql + Sync);

/// No sequence comes near the end of the signed numbers.
pub fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The inverse of [`integer`] for a column; `Corrupt` when it is negative or too
/// large.
pub fn natural<T: TryFrom<i64>>(value: i64, column: &str) -> Result<T, Error> {
    T::try_from(value).map_err(|_| Error::Corrupt {
        what: format!("column {column}"),
        reason: format!("{value} is out of range"),
    })
}

/// The columns `first_sequence`, `count` and `recorded_at_ms` from `place` on.
pub fn batch_head(row: &Row, place: usize) -> Result<BatchHead, Error> {
    Ok(BatchHead {
        first: natural(row.try_get(place)?, "first_sequence")?,
        count: natural(i64::from(row.try_get::<_, i32>(place + 1)?), "count")?,
        recorded_at: Timestamp::from_millis(row.try_get(place + 2)?),
    })
}
