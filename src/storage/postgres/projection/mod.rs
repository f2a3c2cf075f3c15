//! The projection: relational tables filled from the log, for SQL and analytics.
//!
//! - Rows and position move in one transaction, so the tables hold each record up to
//!   the position once and no other.
//! - Nothing a record can hold stops it: what PostgreSQL cannot store is brought to
//!   the nearest that it can ([`text`], [`time`], [`row`]); the log keeps the original.
//! - The transactions do not wait for the disk: what a crash of the server takes back,
//!   rows and position together, is projected again.

mod aliases;
mod changes;
mod copy;
mod embeddings;
mod events;
mod items;
mod merged;
mod partitions;
mod position;
mod profiles;
mod removal;
mod row;
mod text;
mod time;

use deadpool_postgres::Client;
use deadpool_postgres::Transaction;

use self::changes::Changes;
use self::changes::RecordPosition;
use self::position::Position;
pub use self::removal::remove_some;
use super::store::PostgresStore;
use crate::storage::error::Error;
use crate::storage::partition::Partition;
use crate::storage::projection::Projection;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Records of one transaction at most.
const RECORDS_MAX: usize = 10_000;
/// Bytes of items in one transaction, roughly.
const ITEM_BYTES: usize = 8 << 20;
/// Merges of users in one transaction: each is some statements, and ends a run of records, which
/// is some more. All of them must fit into the time of one transaction.
const MERGES_MAX: usize = 100;
/// Embeddings in one transaction: each takes some milliseconds in a large index.
const EMBEDDINGS_MAX: usize = 250;

impl Projection for PostgresStore {
    fn projected_to(&self, partition: &Partition) -> Result<Sequence, Error> {
        self.sessions.read(async |client| position::read(client, partition).await)
    }

    fn project(&self, partition: &Partition, records: &[LogRecord]) -> Result<Sequence, Error> {
        let mut position = None;
        let mut rest = records;
        while position.is_none() || !rest.is_empty() {
            let (next, later) = rest.split_at(transaction_len(rest));
            let reached =
                self.sessions.run(async |client| advance(client, partition, next).await)?;
            if reached.is_some() {
                (position, rest) = (reached, later);
            }
        }
        Ok(position.unwrap_or_default())
    }

    fn forget_decisions(&self, partition: &Partition, before: Timestamp) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let removed = self.sessions.run(async |client| {
                removal::forget_some_decisions(client, partition, before).await
            })?;
            forgotten += removed;
            if removed == 0 {
                return Ok(forgotten);
            }
        }
    }

    fn forget_users(&self, partition: &Partition, user_ids: &[UserId]) -> Result<(), Error> {
        let forget = async |client: &mut Client| {
            removal::forget_some_of_users(client, partition, user_ids).await
        };
        while self.sessions.run(forget)? {}
        Ok(())
    }

    fn clear(&self, partition: &Partition) -> Result<(), Error> {
        self.sessions.run(async |client| {
            let transaction = client.transaction().await?;
            let position = Position::lock(&transaction, partition).await?;
            position.reset(&transaction, true).await?;
            Ok(transaction.commit().await?)
        })?;
        // What cuts this short does no harm: the next `project` goes on with it.
        while self.sessions.run(async |client| clear_some(client, partition).await)? {}
        Ok(())
    }
}

/// Returns whether there may be more to remove.
async fn clear_some(client: &mut Client, partition: &Partition) -> Result<bool, Error> {
    let transaction = begin(client).await?;
    let position = Position::lock(&transaction, partition).await?;
    if position.clearing {
        removal::clear_some(&transaction, &position).await?;
    }
    transaction.commit().await?;
    Ok(position.clearing)
}

/// How many of the records go into one transaction.
fn transaction_len(records: &[LogRecord]) -> usize {
    let (mut bytes, mut embeddings, mut merges) = (0, 0, 0);
    let fits = |record: &LogRecord| {
        let item = match &record.record {
            Record::ItemUpserted(item) => Some(item),
            Record::ItemPatched(patch) => Some(&patch.values),
            _ => None,
        };
        if let Some(item) = item {
            bytes += record.record.bytes();
            embeddings += usize::from(!item.embedding.is_empty());
        }
        merges += usize::from(is_merge(record));
        bytes <= ITEM_BYTES && embeddings <= EMBEDDINGS_MAX && merges <= MERGES_MAX
    };
    let fitting = records.iter().take(RECORDS_MAX).map(fits).take_while(|fits| *fits).count();
    fitting.max(1).min(records.len())
}

/// One transaction; `None` when it went into a clear that was cut short.
async fn advance(
    client: &mut Client,
    partition: &Partition,
    records: &[LogRecord],
) -> Result<Option<Sequence>, Error> {
    if records.first().is_some_and(|record| record.sequence == 1) {
        embeddings::set_up(client).await?;
    }
    embeddings::index(client, records).await?;
    let transaction = begin(client).await?;
    let position = Position::lock(&transaction, partition).await?;
    let reached = if position.clearing {
        removal::clear_some(&transaction, &position).await?;
        None
    } else {
        let following = position.following(partition, records)?;
        let reached = following.last().map_or(position.sequence, |record| record.sequence);
        write(&transaction, position.namespace_id, &following).await?;
        position.move_to(&transaction, reached).await?;
        Some(reached)
    };
    transaction.commit().await?;
    Ok(reached)
}

async fn begin(client: &mut Client) -> Result<Transaction<'_>, Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL synchronous_commit = off").await?;
    Ok(transaction)
}

fn is_merge(record: &LogRecord) -> bool {
    matches!(record.record, Record::UsersMerged { .. })
}

/// Writes records in their order: those between two merges of users at a time.
async fn write(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    records: &[&LogRecord],
) -> Result<(), Error> {
    for run in records.chunk_by(|a, b| !is_merge(a) && !is_merge(b)) {
        if let [LogRecord { sequence, recorded_at, record: Record::UsersMerged { from, into } }] =
            run
        {
            let position = RecordPosition { sequence: *sequence, recorded_at: *recorded_at };
            aliases::merge(transaction, namespace_id, position, (from, into)).await?;
        } else {
            let aliases = aliases::named_by(transaction, namespace_id, run).await?;
            write_changes(transaction, namespace_id, &Changes::of(run, &aliases)).await?;
        }
    }
    Ok(())
}

async fn write_changes(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    changes: &Changes<'_>,
) -> Result<(), Error> {
    partitions::ensure(transaction, &changes.partitions()).await?;
    events::add_interactions(transaction, namespace_id, &changes.interactions).await?;
    events::add_decisions(transaction, namespace_id, &changes.decisions).await?;
    events::add_models(transaction, namespace_id, &changes.models).await?;
    events::add_settings(transaction, namespace_id, &changes.settings).await?;
    profiles::change(transaction, namespace_id, &changes.profiles).await?;
    let items = merged::merged(transaction, namespace_id, &changes.items).await?;
    items::change(transaction, namespace_id, &items).await?;
    if !items.is_empty() && embeddings::is_set_up(transaction).await? {
        embeddings::change(transaction, namespace_id, &items).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::domain::ItemId;
    use engine::domain::UserId;

    #[test]
    fn no_transaction_has_more_merges_than_it_has_time_for_however_many_come_in_a_row() {
        let merge = |n: u64| {
            let [from, into] =
                ["visit", "user"].map(|id| UserId::parse(format!("{id}-{n}")).unwrap());
            Record::UsersMerged { from, into }
        };
        let deletion = |n: u64| Record::ItemDeleted(ItemId::parse(format!("item-{n}")).unwrap());
        let log = |record: &dyn Fn(u64) -> Record| -> Vec<LogRecord> {
            let recorded_at = Timestamp::from_seconds(1_700_000_000);
            let logged = |n| LogRecord { sequence: n, recorded_at, record: record(n) };
            (1..=5_000).map(logged).collect()
        };
        assert_eq!(transaction_len(&log(&merge)), MERGES_MAX);
        // The next merge begins the next transaction.
        let mixed = |n: u64| if n.is_multiple_of(10) { merge(n) } else { deletion(n) };
        assert_eq!(transaction_len(&log(&mixed)), 10 * MERGES_MAX + 9);
        assert_eq!(transaction_len(&log(&deletion)), 5_000);
    }
}
