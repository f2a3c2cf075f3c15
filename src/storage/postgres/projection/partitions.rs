//! The monthly partitions of `interactions` and `decisions`.

use std::collections::BTreeSet;

use deadpool_postgres::Transaction;

use super::time::Month;
use crate::storage::error::Error;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition {
    /// The partitioned table.
    pub table: &'static str,
    pub month: Month,
}

impl Partition {
    fn name(&self) -> String {
        format!("{}_{}", self.table, self.month)
    }
}

/// Makes those of the partitions that are not there yet. Comes before any row is
/// written, and goes through the tables in one order: two transactions at it never
/// wait for each other.
pub async fn ensure(
    transaction: &Transaction<'_>,
    partitions: &BTreeSet<Partition>,
) -> Result<(), Error> {
    for missing in missing(transaction, partitions).await? {
        // One process at a time; the others find the partition made. Queries and
        // writes of the table go on.
        let lock = format!("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE", missing.table);
        transaction.batch_execute(&lock).await?;
        if self::missing(transaction, [missing]).await?.is_empty() {
            continue;
        }
        create(transaction, missing).await?;
    }
    Ok(())
}

async fn missing<'a>(
    transaction: &Transaction<'_>,
    partitions: impl IntoIterator<Item = &'a Partition>,
) -> Result<Vec<&'a Partition>, Error> {
    let partitions: Vec<_> = partitions.into_iter().collect();
    let names: Vec<_> = partitions.iter().map(|partition| partition.name()).collect();
    let query = "SELECT to_regclass(name) IS NULL FROM unnest($1::text[])
        WITH ORDINALITY AS named (name, position) ORDER BY position";
    let rows = transaction.query(query, &[&names]).await?;
    let are_missing = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<bool>, _>>()?;
    let found = partitions.into_iter().zip(are_missing);
    Ok(found.filter_map(|(partition, is_missing)| is_missing.then_some(partition)).collect())
}

/// A table first and then a partition: `CREATE TABLE ... PARTITION OF` would wait for
/// every query that runs on the table, and every later query for it.
async fn create(transaction: &Transaction<'_>, partition: &Partition) -> Result<(), Error> {
    let (table, name) = (partition.table, partition.name());
    let (from, to) = (partition.month.start(), partition.month.next().start());
    let statements = format!(
        "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
        ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
    );
    Ok(transaction.batch_execute(&statements).await?)
}
