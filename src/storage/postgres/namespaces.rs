//! Namespaces.

use tokio_postgres::Row;

use super::column::id_of;
use super::log::PARTITION_LOCKS;
use super::purge;
use super::store::PostgresStore;
use crate::storage::error::Error;
use crate::storage::log::InteractionLog;
use crate::storage::namespaces::NamespaceEntry;
use crate::storage::namespaces::NamespaceStore;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use engine::domain::NamespaceName;
use engine::domain::Settings;
use engine::domain::Timestamp;

const CREATE: &str = "INSERT INTO namespaces (name, created_at_ms, settings)
    VALUES ($1, $2, $3::text::json) ON CONFLICT (name) DO NOTHING RETURNING id";

const GET: &str = "SELECT id, name, created_at_ms, settings::text FROM namespaces WHERE name = $1";

const LIST: &str = "SELECT id, name, created_at_ms, settings::text FROM namespaces
    WHERE name > $1 ORDER BY name LIMIT $2";

const LOCK: &str =
    "SELECT pg_advisory_xact_lock($1 + id)::text FROM namespaces WHERE id = $2 AND name = $3";

/// The name again: it may have been taken away while the lock was waited for.
const TAKE_NAME_AWAY: &str = "UPDATE namespaces SET name = NULL WHERE id = $1 AND name = $2";

impl NamespaceStore for PostgresStore {
    fn create(
        &self,
        name: &NamespaceName,
        created_at: Timestamp,
        settings: Option<Settings>,
    ) -> Result<NamespaceEntry, Error> {
        let json = settings
            .as_ref()
            .map(|settings| serde_json::to_string(settings).expect("settings have text keys only"));
        let incarnation = self.sessions.run(async |client| {
            let created_at = created_at.as_millis();
            match client.query_opt(CREATE, &[&name.as_str(), &created_at, &json]).await? {
                Some(row) => natural(row.try_get(0)?, "id"),
                None => Err(Error::NamespaceExists { namespace: name.clone() }),
            }
        })?;
        let partition = Partition { namespace: name.clone(), incarnation };
        Ok(NamespaceEntry { partition, created_at, settings })
    }

    fn resolve(&self, name: &NamespaceName) -> Result<NamespaceEntry, Error> {
        let found = self.sessions.read(async |client| {
            let get = client.prepare_cached(GET).await?;
            client.query_opt(&get, &[&name.as_str()]).await?.map(|row| entry(&row)).transpose()
        })?;
        found.ok_or_else(|| Error::NoNamespace { namespace: name.clone() })
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

    fn delete(&self, partition: &Partition) -> Result<(), Error> {
        let deleted = || Error::NoNamespace { namespace: partition.namespace.clone() };
        let (id, name) = (id_of(partition), partition.namespace.as_str());
        self.sessions.run(async |client| {
            let transaction = client.transaction().await?;
            transaction
                .query_opt(LOCK, &[&PARTITION_LOCKS, &id, &name])
                .await?
                .ok_or_else(deleted)?;
            if transaction.execute(TAKE_NAME_AWAY, &[&id, &name]).await? == 0 {
                return Err(deleted());
            }
            Ok(transaction.commit().await?)
        })?;
        self.release(partition);
        // The namespace is gone for everyone. Rows that cannot be removed now are
        // removed by the next deletion or the next start, so this is no failure.
        let _left_behind = purge::unfinished(&self.sessions);
        Ok(())
    }
}

fn entry(row: &Row) -> Result<NamespaceEntry, Error> {
    let corrupt = |reason| Error::Corrupt { what: "the entry of a namespace".to_owned(), reason };
    let settings: Option<&str> = row.try_get(3)?;
    let namespace = NamespaceName::parse(row.try_get::<_, String>(1)?).map_err(corrupt)?;
    Ok(NamespaceEntry {
        partition: Partition { namespace, incarnation: natural(row.try_get(0)?, "id")? },
        created_at: Timestamp::from_millis(row.try_get(2)?),
        settings: settings
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| corrupt(error.to_string()))?,
    })
}
