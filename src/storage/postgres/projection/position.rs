//! How far the tables hold the log of a namespace.
//!
//! - A process that changes rows of a namespace holds its position row, so that one process
//!   at a time does, and its namespace row, so that a deletion comes before or after.

use deadpool_postgres::Client;
use deadpool_postgres::Transaction;

use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use crate::storage::postgres::column::id_of;
use engine::domain::LogRecord;
use engine::domain::Sequence;

/// The position row of a namespace, held until the transaction ends.
pub struct Position {
    pub namespace_id: i64,
    pub sequence: Sequence,
    /// Whether rows of before are still to be removed.
    pub clearing: bool,
}

pub async fn read(client: &Client, partition: &Partition) -> Result<Sequence, Error> {
    let query = "SELECT coalesce(position, 0) FROM namespaces
        LEFT JOIN projections ON projections.namespace_id = namespaces.id
        WHERE namespaces.id = $1 AND namespaces.name = $2";
    match client.query_opt(query, &[&id_of(partition), &partition.namespace.as_str()]).await? {
        Some(row) => natural(row.try_get(0)?, "position"),
        None => Err(Error::NoNamespace { namespace: partition.namespace.clone() }),
    }
}

impl Position {
    pub async fn lock(transaction: &Transaction<'_>, partition: &Partition) -> Result<Self, Error> {
        if let Some(position) = Self::lock_existing(transaction, partition).await? {
            return Ok(position);
        }
        let insert = "INSERT INTO projections (namespace_id, position)
            SELECT id, 0 FROM namespaces WHERE id = $1 AND name = $2 ON CONFLICT DO NOTHING";
        transaction.execute(insert, &[&id_of(partition), &partition.namespace.as_str()]).await?;
        let position = Self::lock_existing(transaction, partition).await?;
        position.ok_or_else(|| Error::NoNamespace { namespace: partition.namespace.clone() })
    }

    async fn lock_existing(
        transaction: &Transaction<'_>,
        partition: &Partition,
    ) -> Result<Option<Self>, Error> {
        let query = "SELECT id, position, clearing FROM projections
            JOIN namespaces ON namespaces.id = projections.namespace_id
            WHERE namespaces.id = $1 AND namespaces.name = $2
            FOR UPDATE OF projections FOR KEY SHARE OF namespaces";
        let Some(row) = transaction
            .query_opt(query, &[&id_of(partition), &partition.namespace.as_str()])
            .await?
        else {
            return Ok(None);
        };
        let (namespace_id, clearing) = (row.try_get(0)?, row.try_get(2)?);
        let sequence = natural(row.try_get(1)?, "position")?;
        Ok(Some(Self { namespace_id, sequence, clearing }))
    }

    /// The records that follow the position, without those at or below it.
    ///
    /// # Errors
    /// `Corrupt` when one is missing.
    pub fn following<'a>(
        &self,
        partition: &Partition,
        records: &'a [LogRecord],
    ) -> Result<Vec<&'a LogRecord>, Error> {
        let mut last = self.sequence;
        let mut following = Vec::with_capacity(records.len());
        for record in records.iter().filter(|record| record.sequence > self.sequence) {
            if record.sequence != last + 1 {
                return Err(Error::Corrupt {
                    what: format!("the log of {partition}, as given to its projection,"),
                    reason: format!("record {} follows record {last}", record.sequence),
                });
            }
            last = record.sequence;
            following.push(record);
        }
        Ok(following)
    }

    pub async fn move_to(
        &self,
        transaction: &Transaction<'_>,
        sequence: Sequence,
    ) -> Result<(), Error> {
        let update = "UPDATE projections SET position = $2 WHERE namespace_id = $1";
        transaction.execute(update, &[&self.namespace_id, &integer(sequence)]).await?;
        Ok(())
    }

    /// Sets the position to 0; `clearing` says whether rows of before are left.
    pub async fn reset(&self, transaction: &Transaction<'_>, clearing: bool) -> Result<(), Error> {
        let update = "UPDATE projections SET position = 0, clearing = $2 WHERE namespace_id = $1";
        transaction.execute(update, &[&self.namespace_id, &clearing]).await?;
        Ok(())
    }
}
