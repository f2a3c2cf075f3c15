//! The items of a run of records as it leaves them: described by a record or by the tables, and
//! changed since.
//!
//! - A change is merged as the learner merges it, so the tables say what the catalogue says.
//! - What the tables hold is read back without loss. Embeddings are not read: a stand-in tells that
//!   there is one, and it is told whether it changed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

use deadpool_postgres::Transaction;

use super::changes::ItemChange;
use super::changes::RecordPosition;
use super::text::attributes_of;
use super::time::timestamp;
use crate::storage::error::Error;
use engine::domain::Item;
use engine::domain::ItemField;
use engine::domain::ItemPatch;
use engine::domain::LanguageTag;
use engine::domain::LocalizedText;

/// Stands for an embedding that is not read. No computed one equals it: those have unit length.
const UNREAD: [f32; 1] = [0.0];

/// What an item is after a run of records.
#[derive(Debug)]
pub struct MergedItem<'a> {
    /// The last record that changed it.
    pub position: RecordPosition,
    /// `None` for one that is deleted.
    pub item: Option<Cow<'a, Item>>,
    /// Whether its embedding is as `item` has it. The tables keep the one they have otherwise.
    pub has_embedding: bool,
}

/// The items that change, by the ids that the tables hold.
pub async fn merged<'a>(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    changes: &'a BTreeMap<Cow<'_, str>, ItemChange<'a>>,
) -> Result<BTreeMap<&'a str, MergedItem<'a>>, Error> {
    let of_tables = changes.iter().filter(|(_, change)| change.described.is_none());
    let stored: Vec<_> = of_tables.map(|(id, change)| (&**id, change.patches[0].1)).collect();
    let mut stored = read(transaction, namespace_id, &stored).await?;
    let mut merged = BTreeMap::new();
    for (id, change) in changes {
        let mut item = change.described.map(|(position, item)| {
            let item = item.map(Cow::Borrowed);
            MergedItem { position, item, has_embedding: true }
        });
        let unchanged = stored.remove(&**id);
        for &(position, patch) in &change.patches {
            let (before, has_embedding) = match &item {
                Some(known) => (known.item.as_deref(), known.has_embedding),
                None => (unchanged.as_ref(), false),
            };
            let Some(Ok(after)) = before.map(|before| patch.applied_to(before)) else {
                continue;
            };
            let has_other = before.is_some_and(|before| before.embedding != after.embedding);
            let has_embedding = has_embedding || patch.mask.has(ItemField::Embedding) || has_other;
            let after = Some(Cow::Owned(after));
            item = Some(MergedItem { position, item: after, has_embedding });
        }
        merged.extend(item.map(|item| (&**id, item)));
    }
    Ok(merged)
}

/// The items that the tables hold, of those that patches are about.
async fn read(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    patched: &[(&str, &ItemPatch)],
) -> Result<BTreeMap<String, Item>, Error> {
    if patched.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<&str> = patched.iter().map(|one| one.0).collect();
    let names: BTreeMap<&str, &ItemPatch> = patched.iter().copied().collect();
    let items = "SELECT item_id, title, content, topics, source, published_at, language, hidden,
            expires_at, has_embedding, embedding_is_computed, attributes::text
        FROM items WHERE namespace_id = $1 AND item_id = ANY ($2)";
    let mut found = BTreeMap::new();
    for row in transaction.query(items, &[&namespace_id, &ids]).await? {
        let id: String = row.try_get(0)?;
        let topics: Vec<String> = row.try_get(3)?;
        let (source, language): (Option<String>, Option<String>) =
            (row.try_get(4)?, row.try_get(6)?);
        let attributes: Option<String> = row.try_get(11)?;
        let item = Item {
            title: row.try_get(1)?,
            content: row.try_get(2)?,
            topics: topics.into_iter().map(Box::from).collect(),
            source: source.map(Box::from),
            published_at: row.try_get::<_, Option<SystemTime>>(5)?.map(timestamp),
            language: language.map(Box::from),
            hidden: row.try_get(7)?,
            expires_at: row.try_get::<_, Option<SystemTime>>(8)?.map(timestamp),
            embedding: if row.try_get(9)? { UNREAD.to_vec() } else { Vec::new() },
            embedding_is_computed: row.try_get(10)?,
            attributes: attributes.and_then(|json| attributes_of(&json)).unwrap_or_default(),
            ..Item::new(names[&*id].item_id().clone())
        };
        found.insert(id, item);
    }
    read_localized(transaction, namespace_id, &ids, &mut found).await?;
    Ok(found)
}

async fn read_localized(
    transaction: &Transaction<'_>,
    namespace_id: i64,
    ids: &[&str],
    items: &mut BTreeMap<String, Item>,
) -> Result<(), Error> {
    let query = "SELECT item_id, key, value ->> 'title', value ->> 'content'
        FROM items, jsonb_each(localized) WHERE namespace_id = $1 AND item_id = ANY ($2)";
    for row in transaction.query(query, &[&namespace_id, &ids]).await? {
        let (id, tag): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let text = LocalizedText { title: row.try_get(2)?, content: row.try_get(3)? };
        if let (Some(item), Ok(tag)) = (items.get_mut(id), LanguageTag::parse(tag)) {
            item.localized.insert(tag, text);
        }
    }
    Ok(())
}
