//! The store: its connections and what it knows.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;

use deadpool_postgres::Client;

use super::append::Appender;
use super::column::id_of;
use super::migrations;
use super::options::PostgresOptions;
use super::purge;
use super::session::Limits;
use super::session::Sessions;
use crate::storage::error::Error;
use crate::storage::partition::Partition;
use crate::storage::tail::TailFeed;
use engine::domain::NamespaceName;

/// The shared store; see [`open`].
pub struct PostgresStore {
    pub(super) sessions: Sessions,
    pub(super) appender: Appender,
    /// Set once, when there is one: its keys carry the identity, which is read first.
    feed: OnceLock<Arc<dyn TailFeed>>,
    identity: String,
    /// Whether every write is refused.
    pub(super) read_only: bool,
    /// This process among the holders of leases.
    pub(super) holder: String,
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
    let sessions = Sessions::new(&options.url, limits(options), false)?;
    migrations::run(&sessions)?;
    create_default(&sessions)?;
    // A full disk, or a standby, can be read all the same.
    if let Err(error) = purge::unfinished(&sessions) {
        tracing::warn!(%error, "what an earlier process left half removed stays for now");
    }
    with_sessions(options, sessions, false)
}

/// The namespace of requests that name none always exists. Nothing is written where it
/// does.
fn create_default(sessions: &Sessions) -> Result<(), Error> {
    let exists = "SELECT EXISTS (SELECT FROM namespaces WHERE name = $1)";
    let exists: bool = sessions.read(async |client| {
        Ok(client.query_one(exists, &[&NamespaceName::DEFAULT]).await?.try_get(0)?)
    })?;
    if exists {
        return Ok(());
    }
    let create = "INSERT INTO namespaces (name, created_at_ms)
        VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
        ON CONFLICT (name) DO NOTHING";
    sessions.run(async |client| {
        client.execute(create, &[&NamespaceName::DEFAULT]).await?;
        Ok(())
    })
}

/// Opens the store for heavy reads that may be a little behind: at `read_url` where
/// that is given, else at `url`. Nothing is migrated, and every write is refused.
///
/// # Errors
/// As [`open`]; `Misconfigured` when the database is not migrated yet.
pub fn open_reading(options: &PostgresOptions) -> Result<Arc<PostgresStore>, Error> {
    let url = options.read_url.as_ref().unwrap_or(&options.url);
    let sessions = Sessions::new(url, limits(options), true)?;
    migrations::check(&sessions)?;
    with_sessions(options, sessions, true)
}

fn with_sessions(
    options: &PostgresOptions,
    sessions: Sessions,
    read_only: bool,
) -> Result<Arc<PostgresStore>, Error> {
    let identity = sessions.read(async |client| {
        Ok(client.query_one("SELECT id FROM identity", &[]).await?.try_get(0)?)
    })?;
    Ok(Arc::new(PostgresStore {
        sessions,
        appender: Appender::new(options.dedup_horizon),
        feed: OnceLock::new(),
        identity,
        read_only,
        holder: uuid::Uuid::now_v7().simple().to_string(),
    }))
}

impl PostgresStore {
    /// What identifies this database.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// From now on committed batches are announced by this feed, and read from it. The first
    /// one stays.
    pub fn set_feed(&self, feed: Arc<dyn TailFeed>) {
        self.feed.get_or_init(|| feed);
    }

    pub(super) fn feed(&self) -> Option<&dyn TailFeed> {
        self.feed.get().map(|feed| &**feed)
    }
}

/// The id of a partition that is not deleted.
pub(super) async fn namespace_id(client: &Client, partition: &Partition) -> Result<i64, Error> {
    let find = client.prepare_cached("SELECT id FROM namespaces WHERE id = $1 AND name = $2");
    let (find, name) = (find.await?, partition.namespace.as_str());
    match client.query_opt(&find, &[&id_of(partition), &name]).await? {
        Some(row) => Ok(row.try_get(0)?),
        None => Err(Error::NoNamespace { namespace: partition.namespace.clone() }),
    }
}
