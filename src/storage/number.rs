//! Numbers as databases hold them: signed.

use super::error::Error;

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

/// A checksum of which damage must not keep the rest of its row from being read: what no
/// checksum can be becomes one that fits nothing.
pub fn checksum(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(!(value as u32))
}
