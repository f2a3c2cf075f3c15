//! Namespaces.

use rusqlite::OptionalExtension;
use rusqlite::Row;
use rusqlite::params;

use super::connection::is_taken;
use super::purge;
use super::store::SqliteStore;
use super::store::namespace_id;
use crate::storage::error::Error;
use crate::storage::namespaces::NamespaceEntry;
use crate::storage::namespaces::NamespaceStore;
use crate::storage::number::integer;
use crate::storage::number::natural;
use crate::storage::partition::Partition;
use engine::domain::NamespaceName;
use engine::domain::Settings;
use engine::domain::Timestamp;

impl NamespaceStore for SqliteStore {
    fn create(
        &self,
        name: &NamespaceName,
        created_at: Timestamp,
        settings: Option<Settings>,
    ) -> Result<NamespaceEntry, Error> {
        let json = settings
            .as_ref()
            .map(|settings| serde_json::to_string(settings).expect("settings have text keys only"));
        let writer = self.writer();
        let created = writer.connection.execute(
            "INSERT INTO namespaces (name, created_at_ms, settings) VALUES (?1, ?2, ?3)",
            params![name.as_str(), created_at.as_millis(), json],
        );
        match created {
            Err(error) if is_taken(&error) => {
                return Err(Error::NamespaceExists { namespace: name.clone() });
            }
            created => created.map(drop)?,
        }
        let incarnation = natural(writer.connection.last_insert_rowid(), "id")?;
        let partition = Partition { namespace: name.clone(), incarnation };
        Ok(NamespaceEntry { partition, created_at, settings })
    }

    fn resolve(&self, name: &NamespaceName) -> Result<NamespaceEntry, Error> {
        self.reading(|connection| {
            connection
                .prepare_cached(
                    "SELECT id, name, created_at_ms, settings FROM namespaces WHERE name = ?1",
                )?
                .query_row([name.as_str()], |row| Ok(entry(row)))
                .optional()?
                .unwrap_or_else(|| Err(Error::NoNamespace { namespace: name.clone() }))
        })
    }

    fn list(
        &self,
        after: Option<&NamespaceName>,
        count: usize,
    ) -> Result<Vec<NamespaceEntry>, Error> {
        self.reading(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, name, created_at_ms, settings FROM namespaces
                 WHERE name > ?1 ORDER BY name LIMIT ?2",
            )?;
            // No name is empty, and deleted namespaces have none.
            let after = after.map_or("", NamespaceName::as_str);
            let rows =
                statement.query_map(params![after, integer(count as u64)], |row| Ok(entry(row)))?;
            rows.map(|entry| entry?).collect()
        })
    }

    fn delete(&self, partition: &Partition) -> Result<(), Error> {
        {
            let mut writer = self.writer();
            let id = namespace_id(&writer.connection, partition)?;
            writer.connection.execute("UPDATE namespaces SET name = NULL WHERE id = ?1", [id])?;
            writer.forget(partition);
        }
        // The namespace is gone for everyone. Rows that cannot be removed now are
        // removed by the next deletion or the next start, so this is no failure.
        let _left_behind = purge::deleted_namespaces(self);
        Ok(())
    }
}

fn entry(row: &Row<'_>) -> Result<NamespaceEntry, Error> {
    let corrupt = |reason| Error::Corrupt { what: "the entry of a namespace".to_owned(), reason };
    let settings: Option<String> = row.get(3)?;
    let namespace = NamespaceName::parse(row.get::<_, String>(1)?).map_err(corrupt)?;
    Ok(NamespaceEntry {
        partition: Partition { namespace, incarnation: natural(row.get(0)?, "id")? },
        created_at: Timestamp::from_millis(row.get(2)?),
        settings: settings
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|error| corrupt(error.to_string()))?,
    })
}
