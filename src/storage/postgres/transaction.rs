//! The transaction of an append, in two round trips: locks and state, then rows and
//! commit. The statements of a round trip are sent without waiting in between.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::Poll;

use deadpool_postgres::Client;
use tokio_postgres::Error as PgError;
use tokio_postgres::Row;

use super::column::Parameter;
use super::column::id_of;
use super::decided::Batch;
use super::leases::LeaseKey;
use super::leases::key;
use super::log::PARTITION_LOCKS;
use super::partition::BATCHES_PER_STEP;
use super::partition::Behind;
use super::partition::KnownPartition;
use super::partition::RECORDS_PER_STEP;
use crate::storage::number::integer;
use crate::storage::partition::LeaseName;

/// READ COMMITTED: what follows the lock sees all that was committed before it.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// In the order of the array: two appends never wait for each other crosswise.
const LOCK: &str = "SELECT pg_advisory_xact_lock(partition) FROM unnest($1::bigint[]) AS partition";
/// The columns of a batch come last; its index is [`BATCH`].
const STATE: &str = "SELECT known.id, namespaces.name, pg_current_xact_id()::text,
        namespaces.suppressions, namespaces.log_revision, batches.*
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS known (id, first, skipped)
    LEFT JOIN namespaces ON namespaces.id = known.id
    LEFT JOIN LATERAL (
        SELECT first_sequence, count, recorded_at_ms, payload_crc32, event_hashes_crc32, stamp,
            chain, CASE WHEN first_sequence > known.skipped THEN event_hashes END
        FROM log_batches
        WHERE namespace_id = known.id
          AND first_sequence >= known.first AND first_sequence < known.first + $5
        ORDER BY first_sequence LIMIT $4
    ) AS batches ON true
    ORDER BY known.id, batches.first_sequence";
/// Locked, so that the lease does not change hands before the commit.
const EPOCHS: &str = "SELECT namespace_id, duty, epoch
    FROM unnest($1::bigint[], $2::text[]) AS named (namespace_id, duty)
    JOIN leases USING (namespace_id, duty)
    WHERE holder IS NOT NULL
    ORDER BY namespace_id, duty FOR SHARE OF leases";
const INSERT: &str = "INSERT INTO log_batches
    (namespace_id, first_sequence, count, recorded_at_ms,
     payload_crc32, event_hashes_crc32, stamp, chain, event_hashes, payload)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str = "SELECT EXISTS (
    SELECT FROM log_batches
    JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[])
        AS written (namespace_id, first_sequence, chain)
        USING (namespace_id, first_sequence, chain))";
/// A session that waits for a COMMIT that will not come keeps the locks until the
/// server notices; one that is committing is left alone.
const END_IDLE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'
      AND backend_xid = ($1::text::xid8)::xid";

const BATCH: usize = 5;

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What the server says of the partitions under their locks.
pub struct State {
    /// Identifies the transaction.
    pub xid: String,
    /// By id; a namespace without a name is deleted.
    pub partitions: BTreeMap<i64, PartitionState>,
    /// Of the leases asked for that are held.
    pub epochs: BTreeMap<LeaseKey, u64>,
}

#[derive(Default)]
pub struct PartitionState {
    pub name: Option<String>,
    /// How often the suppressed users have changed.
    pub suppressions: i64,
    /// How often records of the log were replaced.
    pub revision: u64,
    /// The newest batch known and those after it, [`BATCHES_PER_STEP`] at most.
    pub batches: Vec<Row>,
}

impl PartitionState {
    /// Updates the partition with what others have appended. Returns whether there may be
    /// more of it, or others who are suppressed now.
    pub fn update(&self, partition: &mut KnownPartition) -> Result<bool, Behind> {
        let first = partition.known_first();
        partition.update(&self.batches, BATCH)?;
        partition.revision = self.revision;
        let is_current = partition.suppressed.version == self.suppressions;
        Ok(!is_current || partition.may_go_on(first, self.batches.len()))
    }
}

/// Prepares what is sent within a transaction, so that it takes two round trips only.
pub async fn prepare(client: &Client) -> Result<(), PgError> {
    // At once: where nothing is prepared yet the server may be far away.
    tokio::try_join!(
        client.prepare_cached(LOCK),
        client.prepare_cached(STATE),
        client.prepare_cached(EPOCHS),
        client.prepare_cached(INSERT),
    )
    .map(drop)
}

/// Begins a transaction with the locks of the partitions, whose ids rise.
pub async fn begin(
    client: &Client,
    partitions: &[&KnownPartition],
    leases: &[&LeaseName],
) -> Result<State, PgError> {
    let (lock, state) = (client.prepare_cached(LOCK).await?, client.prepare_cached(STATE).await?);
    let epochs = client.prepare_cached(EPOCHS).await?;
    let ids: Vec<_> = partitions.iter().map(|partition| partition.id).collect();
    let locks: Vec<_> = ids.iter().map(|id| PARTITION_LOCKS + id).collect();
    let first: Vec<_> = partitions.iter().map(|partition| partition.known_first()).collect();
    let skipped: Vec<_> = partitions.iter().map(|partition| partition.skipped()).collect();
    let limit = BATCHES_PER_STEP as i64;
    let (of_partitions, duties): (Vec<_>, Vec<_>) = leases.iter().map(|lease| key(lease)).unzip();
    let of_epochs: [Parameter<'_>; 2] = [&of_partitions, &duties];
    let of_lock: [Parameter<'_>; 1] = [&locks];
    let of_state: [Parameter<'_>; 5] = [&ids, &first, &skipped, &limit, &RECORDS_PER_STEP];
    let (begun, locked, state, epochs) = tokio::join!(
        biased;
        client.batch_execute(BEGIN),
        client.execute(&lock, &of_lock),
        client.query(&state, &of_state),
        async {
            // Nobody waits for leases that nobody names.
            if leases.is_empty() {
                Ok(Vec::new())
            } else {
                client.query(&epochs, &of_epochs).await
            }
        },
    );
    // The first failure is the cause of those behind it.
    begun?;
    locked?;
    read_state(state?, &epochs?)
}

fn read_state(rows: Vec<Row>, epochs: &[Row]) -> Result<State, PgError> {
    let mut state =
        State { xid: String::new(), partitions: BTreeMap::new(), epochs: BTreeMap::new() };
    for row in rows {
        state.xid = row.try_get(2)?;
        let partition: &mut PartitionState = state.partitions.entry(row.try_get(0)?).or_default();
        partition.name = row.try_get(1)?;
        partition.suppressions = row.try_get::<_, Option<i64>>(3)?.unwrap_or(0);
        partition.revision = row.try_get::<_, Option<i64>>(4)?.unwrap_or(0).unsigned_abs();
        if row.try_get::<_, Option<i64>>(BATCH)?.is_some() {
            partition.batches.push(row);
        }
    }
    for row in epochs {
        let lease = (row.try_get(0)?, row.try_get(1)?);
        state.epochs.insert(lease, row.try_get::<_, i64>(2)?.unsigned_abs());
    }
    Ok(state)
}

/// Writes the batches and commits. The failures in the order of the statements, or
/// nothing when all is committed.
pub async fn commit(client: &Client, batches: &[Batch]) -> Vec<PgError> {
    let insert = match client.prepare_cached(INSERT).await {
        Ok(insert) => insert,
        Err(error) => return vec![error],
    };
    let mut statements: Vec<Pending<'_, Result<(), PgError>>> = Vec::new();
    for batch in batches {
        let insert = &insert;
        statements.push(Box::pin(async move {
            let (seal, head) = (&batch.seal, &batch.seal.head);
            let parameters: [Parameter<'_>; 10] = [
                &id_of(&batch.partition),
                &integer(head.first),
                &i32::try_from(head.count).expect("a batch holds 10,000 records at most"),
                &head.recorded_at.as_millis(),
                &i64::from(seal.payload_checksum),
                &i64::from(seal.event_hashes_checksum),
                &seal.stamp.to_column(),
                &seal.chain.to_column(),
                &batch.event_hashes,
                &batch.payload,
            ];
            client.execute(insert, &parameters).await.map(drop)
        }));
    }
    // After a failed INSERT this rolls back. It knows no timeout: this side gives up.
    statements.push(Box::pin(client.batch_execute("COMMIT")));
    together(statements).await.into_iter().filter_map(Result::err).collect()
}

/// Runs futures at once, begun in their order.
async fn together<T>(mut futures: Vec<Pending<'_, T>>) -> Vec<T> {
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(ready) => *output = Some(ready),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Whether one of the batches, which are written together, is in the log.
pub async fn is_written(client: &Client, batches: &[Batch]) -> Result<bool, PgError> {
    let column = |number: fn(&Batch) -> i64| batches.iter().map(number).collect::<Vec<_>>();
    let ids = column(|batch| id_of(&batch.partition));
    let first = column(|batch| integer(batch.seal.head.first));
    let chains = column(|batch| batch.seal.chain.to_column());
    client.query_one(FIND, &[&ids, &first, &chains]).await?.try_get(0)
}

/// Ends the transaction if its session waits for the next statement.
pub async fn end_idle(client: &Client, xid: &str) -> Result<(), PgError> {
    client.query(END_IDLE, &[&xid]).await.map(drop)
}
