//! The store: its connections and what it knows.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use deadpool_postgres::Client;

use super::append::Appender;
use super::migrations;
use super::options::PostgresOptions;
use super::purge;
use super::session::Limits;
use super::session::Sessions;
use crate::storage::error::Error;
use crate::storage::tail::TailFeed;
use engine::domain::NamespaceName;

/// The shared store; see [`open`].
pub struct PostgresStore {
    /// Shared with the leases, which keep their connections on its runtime.
    pub(super) sessions: Arc<Sessions>,
    pub(super) appender: Appender,
    pub(super) feed: Option<Arc<dyn TailFeed>>,
    /// The life of each namespace that its readers follow. It is looked up again by
    /// those calls only that look at the namespace anew: a reader of a namespace that
    /// was deleted and created again must not be given the records of the new one.
    ids: RwLock<HashMap<NamespaceName, i64>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}

pub fn limits(options: &PostgresOptions) -> Limits {
    Limits {
        pool_size: options.pool_size,
        statement_timeout: options.statement_timeout,
        connect_timeout: options.connect_timeout,
    }
}

/// Opens the store of a database, creates or migrates its schema, and finishes what
/// an earlier process left half removed. Blocks; not to be called by async code.
///
/// # Errors
/// `Misconfigured` when the server refuses us or is too old, `TooNew` when a newer
/// binary has migrated the database, `Unavailable`.
pub fn open(options: &PostgresOptions) -> Result<Arc<PostgresStore>, Error> {
    let store = connect(options, &options.url, false)?;
    migrations::run(&store.sessions)?;
    // The namespace of requests that name none always exists.
    store.sessions.run(async |client| {
        let create = "INSERT INTO namespaces (name, created_at_ms)
            SELECT $1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
            WHERE NOT EXISTS (SELECT FROM namespaces WHERE name = $1)
            ON CONFLICT (name) DO NOTHING";
        client.execute(create, &[&NamespaceName::DEFAULT]).await?;
        Ok(())
    })?;
    purge::unfinished(&store.sessions)?;
    Ok(store)
}

/// Opens the store for heavy reads that may be a little behind: at `read_url` where
/// that is given, else at `url`. Nothing is migrated, and every write is refused.
///
/// # Errors
/// As [`open`]; `Misconfigured` when the database is not migrated yet.
pub fn open_reading(options: &PostgresOptions) -> Result<Arc<PostgresStore>, Error> {
    let store = connect(options, options.read_url.as_ref().unwrap_or(&options.url), true)?;
    migrations::check(&store.sessions)?;
    Ok(store)
}

fn connect(
    options: &PostgresOptions,
    url: &str,
    read_only: bool,
) -> Result<Arc<PostgresStore>, Error> {
    Ok(Arc::new(PostgresStore {
        sessions: Arc::new(Sessions::new(url, limits(options), read_only)?),
        appender: Appender::new(options.dedup_horizon),
        feed: options.feed.clone(),
        ids: RwLock::default(),
    }))
}

impl PostgresStore {
    pub(super) fn known_id(&self, name: &NamespaceName) -> Option<i64> {
        self.ids.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    pub(super) fn note_id(&self, name: &NamespaceName, id: Option<i64>) {
        let mut ids = self.ids.write().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) => ids.insert(name.clone(), id),
            None => ids.remove(name),
        };
    }
}

/// The id of a namespace that is not deleted.
pub(super) async fn namespace_id(client: &Client, name: &NamespaceName) -> Result<i64, Error> {
    let find = client.prepare_cached("SELECT id FROM namespaces WHERE name = $1").await?;
    match client.query_opt(&find, &[&name.as_str()]).await? {
        Some(row) => Ok(row.try_get(0)?),
        None => Err(Error::NoNamespace { namespace: name.clone() }),
    }
}
