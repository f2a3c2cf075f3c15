//! Item embeddings in a table of pgvector's type `vector`, where the server has it.
//!
//! - Not a migration: the schema works without the extension. The table is set up when
//!   a namespace is projected from the start of its log; before that, and without the
//!   extension, no embedding leaves the log.
//! - Namespaces differ in the dimension of their embeddings and an HNSW index has one:
//!   there is an index for each dimension met.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use deadpool_postgres::Client;
use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::merged::MergedItem;
use crate::storage::error::Error;
use crate::storage::postgres::failure;
use engine::domain::Item;
use engine::domain::LogRecord;
use engine::domain::Record;

/// The table and what, together with the namespace, names its rows.
pub const KEY: (&str, &str) = ("item_embeddings", "item_id");

/// pgvector indexes no longer ones.
const INDEXED_DIMENSION_MAX: usize = 2_000;

const SET_UP: &str = r#"
    CREATE EXTENSION IF NOT EXISTS vector;
    DROP TABLE IF EXISTS item_embeddings;
    CREATE TABLE item_embeddings (
        namespace_id bigint NOT NULL,
        item_id text COLLATE "C" NOT NULL,
        embedding vector NOT NULL,
        PRIMARY KEY (namespace_id, item_id)
    )"#;

/// One text of numbers for each item; a row whose embedding stays the same is left as
/// it is, and its index too.
const UPSERT: &str = "
    INSERT INTO item_embeddings (namespace_id, item_id, embedding)
    SELECT $1, item_id, embedding::vector
    FROM unnest($2::text[], $3::text[]) AS changes (item_id, embedding)
    ON CONFLICT (namespace_id, item_id) DO UPDATE SET embedding = excluded.embedding
    WHERE item_embeddings.embedding <> excluded.embedding";

/// Whether there is a table to write to. It loses its column when the extension is
/// dropped.
pub async fn is_set_up(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let query = "SELECT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass('item_embeddings')
        AND attname = 'embedding' AND NOT attisdropped
    )";
    Ok(transaction.query_one(query, &[]).await?.try_get(0)?)
}

/// Sets up the table if the extension is there or may be created.
pub async fn set_up(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    if is_set_up(&transaction).await? {
        return Ok(transaction.rollback().await?);
    }
    if !is_available(&transaction).await? {
        tracing::info!("the server has no extension vector: embeddings stay out of the tables");
        return Ok(transaction.rollback().await?);
    }
    match transaction.batch_execute(SET_UP).await {
        Ok(()) => Ok(transaction.commit().await?),
        Err(error) => {
            go_on_without("a table of embeddings", error)?;
            Ok(transaction.rollback().await?)
        }
    }
}

async fn is_available(transaction: &Transaction<'_>) -> Result<bool, Error> {
    let query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')";
    Ok(transaction.query_one(query, &[]).await?.try_get(0)?)
}

/// Makes the indexes of those dimensions that are met for the first time.
pub async fn index(client: &mut Client, records: &[LogRecord]) -> Result<(), Error> {
    let embeddings = records.iter().filter_map(|record| match &record.record {
        Record::ItemUpserted(item) => storable(item),
        Record::ItemPatched(patch) => storable(&patch.values),
        _ => None,
    });
    let mut dimensions: BTreeSet<_> = embeddings.map(<[f32]>::len).collect();
    dimensions.retain(|dimension| *dimension <= INDEXED_DIMENSION_MAX);
    for dimension in dimensions {
        let transaction = client.transaction().await?;
        if is_set_up(&transaction).await? && is_new(&transaction, dimension).await? {
            create_index(transaction, dimension).await?;
        } else {
            transaction.rollback().await?;
        }
    }
    Ok(())
}

/// Whether there is neither an index of this dimension nor a row for it. Where there
/// are rows, the index was removed by hand.
async fn is_new(transaction: &Transaction<'_>, dimension: usize) -> Result<bool, Error> {
    let query = format!(
        "SELECT CASE WHEN to_regclass('{}') IS NULL THEN
            EXISTS (SELECT FROM pg_am WHERE amname = 'hnsw') AND NOT EXISTS (
                SELECT FROM item_embeddings WHERE vector_dims(embedding) = {dimension}
            )
        ELSE false END",
        index_name(dimension)
    );
    Ok(transaction.query_one(&query, &[]).await?.try_get(0)?)
}

async fn create_index(transaction: Transaction<'_>, dimension: usize) -> Result<(), Error> {
    lock(&transaction).await?;
    let statement = format!(
        "CREATE INDEX IF NOT EXISTS {} ON item_embeddings
        USING hnsw ((embedding::vector({dimension})) vector_cosine_ops)
        WHERE vector_dims(embedding) = {dimension}",
        index_name(dimension)
    );
    match transaction.batch_execute(&statement).await {
        Ok(()) => Ok(transaction.commit().await?),
        Err(error) => {
            go_on_without("an index of embeddings", error)?;
            Ok(transaction.rollback().await?)
        }
    }
}

fn index_name(dimension: usize) -> String {
    format!("item_embeddings_{dimension}")
}

/// A server that refuses for a reason that will not pass stops no projection.
fn go_on_without(what: &str, error: tokio_postgres::Error) -> Result<(), Error> {
    if failure::is_rejection(&error) && error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) {
        let error = Error::from(error);
        tracing::info!("without {what}: {error}");
        Ok(())
    } else {
        Err(error.into())
    }
}

/// Writes the embeddings of changed items, and removes those of items without.
pub async fn change(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    changes: &BTreeMap<&str, MergedItem<'_>>,
) -> Result<(), Error> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for (item_id, change) in changes.iter().filter(|(_, change)| change.has_embedding) {
        match change.item.as_deref().and_then(storable) {
            Some(embedding) => with.push((*item_id, embedding)),
            None => without.push(*item_id),
        }
    }
    if !without.is_empty() {
        let delete = "DELETE FROM item_embeddings WHERE namespace_id = $1 AND item_id = ANY ($2)";
        transaction.execute(delete, &[&namespace_id, &without]).await?;
    }
    if !with.is_empty() {
        let (item_ids, embeddings): (Vec<_>, Vec<_>) =
            with.into_iter().map(|(item_id, embedding)| (item_id, numbers(embedding))).unzip();
        transaction.execute(UPSERT, &[&namespace_id, &item_ids, &embeddings]).await?;
    }
    Ok(())
}

/// The embedding of an item that has one which pgvector takes.
fn storable(item: &Item) -> Option<&[f32]> {
    let embedding = item.embedding.as_slice();
    let is_storable = !embedding.is_empty() && embedding.iter().all(|value| value.is_finite());
    is_storable.then_some(embedding)
}

fn numbers(embedding: &[f32]) -> String {
    let mut text = String::with_capacity(embedding.len() * 12);
    for (position, value) in embedding.iter().enumerate() {
        let before = if position == 0 { '[' } else { ',' };
        write!(text, "{before}{value:e}").expect("a string takes all that is written");
    }
    text + "]"
}

/// One process at a time sets up; projections of others go on.
async fn lock(transaction: &Transaction<'_>) -> Result<(), Error> {
    let lock = "LOCK TABLE projections IN SHARE UPDATE EXCLUSIVE MODE";
    Ok(transaction.batch_execute(lock).await?)
}
