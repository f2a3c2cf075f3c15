//! Adding rows by COPY.

use std::pin::pin;

use deadpool_postgres::Transaction;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::row::Row;
use crate::storage::error::Error;

/// A table and the columns that rows are given for, in their order.
pub struct Target {
    pub table: &'static str,
    pub columns: &'static [&'static str],
}

/// Adds one row for each entry by COPY.
pub async fn copy<T>(
    transaction: &Transaction<'_>,
    target: &Target,
    entries: &[T],
    encode: impl Fn(&mut Row, &T),
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let (table, columns) = (target.table, target.columns.join(", "));
    let statement = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
    // The rows are encoded already: as bytea, fields go on as they are.
    let types = vec![Type::BYTEA; target.columns.len()];
    let mut writer = pin!(BinaryCopyInWriter::new(transaction.copy_in(&statement).await?, &types));
    let mut row = Row::default();
    for entry in entries {
        row.clear();
        encode(&mut row, entry);
        writer.as_mut().write_raw(row.fields()).await?;
    }
    writer.finish().await?;
    Ok(())
}
