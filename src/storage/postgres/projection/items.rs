//! The catalogue as the log has left it.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;

use super::copy::Target;
use super::copy::copy;
use super::merged::MergedItem;
use super::row::Row;
use super::text::attributes_json;
use super::text::localized_json;
use crate::storage::error::Error;
use engine::domain::Item;

const ITEMS: Target = Target {
    table: "items",
    columns: &[
        "namespace_id",
        "item_id",
        "title",
        "content",
        "topics",
        "source",
        "published_at",
        "attributes",
        "updated_sequence",
        "updated_at",
        "language",
        "hidden",
        "expires_at",
        "has_embedding",
        "embedding_is_computed",
        "localized",
    ],
};

/// Removes the rows of all changed items and adds those of the items that are left:
/// as many rows written as by an update, and COPY for all of them.
pub async fn change(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    changes: &BTreeMap<&str, MergedItem<'_>>,
) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let item_ids: Vec<&str> = changes.keys().copied().collect();
    let delete = "DELETE FROM items WHERE namespace_id = $1 AND item_id = ANY ($2)";
    transaction.execute(delete, &[&namespace_id, &item_ids]).await?;
    let left: Vec<_> = changes
        .values()
        .filter_map(|change| Some((change.position, change.item.as_deref()?)))
        .collect();
    copy(transaction, &ITEMS, &left, |row, (position, item)| {
        row.bigint(namespace_id);
        put_item(row, item);
        row.natural(position.sequence);
        row.timestamp(position.recorded_at);
        row.optional(item.language.as_deref(), Row::text);
        row.boolean(item.hidden);
        row.optional(item.expires_at, Row::timestamp);
        row.boolean(!item.embedding.is_empty());
        row.boolean(item.embedding_is_computed);
        row.optional(localized_json(&item.localized), Row::json);
    })
    .await
}

fn put_item(row: &mut Row, item: &Item) {
    row.text(item.item_id.as_str());
    row.text(&item.title);
    row.text(&item.content);
    row.texts(item.topics.iter().map(|topic| &**topic));
    row.optional(item.source.as_deref(), Row::text);
    row.optional(item.published_at, Row::timestamp);
    row.optional(attributes_json(&item.attributes), Row::json);
}
