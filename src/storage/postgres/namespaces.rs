//! Namespaces.

use tokio_postgres::Row;

use super::log::PARTITION_LOCKS;
use super::purge;
use super::store::PostgresStore;
use crate::storage::error::Error;
use crate::storage::namespaces::NamespaceEntry;
use crate::storage::namespaces::NamespaceStore;
use crate::storage::number::integer;
use engine::domain::NamespaceName;
use engine::domain::Timestamp;

const CREATE: &str = "INSERT INTO namespaces (name, created_at_ms, settings)
    VALUES ($1, $2, $3::text::json) ON CONFLICT (name) DO NOTHING RETURNING id";

const GET: &str = "SELECT id, name, created_at_ms, settings::text FROM namespaces WHERE name = $1";

const LIST: &str = "SELECT id, name, created_at_ms, settings::text FROM namespaces
    WHERE name > $1 ORDER BY name LIMIT $2";

const LOCK_BY_NAME: &str =
    "SELECT id, pg_advisory_xact_lock($1 + id)::text FROM namespaces WHERE name = $2";

/// The id again: the one that was locked may have been deleted meanwhile.
const TAKE_NAME_AWAY: &str = "UPDATE namespaces SET name = NULL WHERE id = $1 AND name = $2";

impl NamespaceStore for PostgresStore {
    fn create(&self, entry: &NamespaceEntry) -> Result<(), Error> {
        let settings = entry
            .settings
            .as_ref()
            .map(|settings| serde_json::to_string(settings).expect("settings have text keys only"));
        let id = self.sessions.run(async |client| {
            let created_at = entry.created_at.as_millis();
            let row =
                client.query_opt(CREATE, &[&entry.name.as_str(), &created_at, &settings]).await?;
            match row {
                Some(row) => Ok(row.try_get(0)?),
                None => Err(Error::NamespaceExists { namespace: entry.name.clone() }),
            }
        })?;
        self.note_id(&entry.name, Some(id));
        Ok(())
    }

    fn get(&self, name: &NamespaceName) -> Result<NamespaceEntry, Error> {
        let found = self.sessions.read(async |client| {
            let get = client.prepare_cached(GET).await?;
            match client.query_opt(&get, &[&name.as_str()]).await? {
                Some(row) => Ok(Some((row.try_get(0)?, entry(&row)?))),
                None => Ok(None),
            }
        })?;
        self.note_id(name, found.as_ref().map(|(id, _)| *id));
        found.map(|(_, entry)| entry).ok_or_else(|| Error::NoNamespace { namespace: name.clone() })
    }

    fn list(
        &self,
        after: Option<&NamespaceName>,
        count: usize,
    ) -> Result<Vec<NamespaceEntry>, Error> {
        // No name is empty, and deleted namespaces have none.
        let after = after.map_or("", NamespaceName::as_str);
        let count = integer(count as u64);
        self.sessions.read(async |client| {
            let list = client.prepare_cached(LIST).await?;
            client.query(&list, &[&after, &count]).await?.iter().map(entry).collect()
        })
    }

    fn delete(&self, name: &NamespaceName) -> Result<(), Error> {
        let deleted = || Error::NoNamespace { namespace: name.clone() };
        self.sessions.run(async |client| {
            let transaction = client.transaction().await?;
            let row =
                transaction.query_opt(LOCK_BY_NAME, &[&PARTITION_LOCKS, &name.as_str()]).await?;
            let id: i64 = row.ok_or_else(deleted)?.try_get(0)?;
            if transaction.execute(TAKE_NAME_AWAY, &[&id, &name.as_str()]).await? == 0 {
                return Err(deleted());
            }
            Ok(transaction.commit().await?)
        })?;
        self.note_id(name, None);
        // The namespace is gone for everyone. Rows that cannot be removed now are
        // removed by the next deletion or the next start, so this is no failure.
        let _left_behind = purge::unfinished(&self.sessions);
        Ok(())
    }
}

fn entry(row: &Row) -> Result<NamespaceEntry, Error> {
    let corrupt = |reason| Error::Corrupt { what: "the entry of a namespace".to_owned(), reason };
    let settings: Option<&str> = row.try_get(3)?;
    Ok(NamespaceEntry {
        name: NamespaceName::parse(row.try_get::<_, String>(1)?).map_err(corrupt)?,
        created_at: Timestamp::from_millis(row.try_get(2)?),
        settings: settings
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| corrupt(error.to_string()))?,
    })
}
