//! The store: its directory, its connections and who may use them.

use std::fs::File;
use std::fs::TryLockError;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;

use rusqlite::Connection;
use rusqlite::OptionalExtension;

use super::append::Writer;
use super::connection;
use super::migrations;
use super::purge;
use super::reserve;
use crate::storage::error::Error;
use crate::storage::number::integer;
use crate::storage::partition::Partition;
use engine::domain::NamespaceName;

const LOCK_FILE: &str = "lock";
const DATABASE_FILE: &str = "personalization.db";
/// Idle connections kept for readers; under load more are opened for a while.
const READERS_KEPT: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The data directory; created when missing.
    pub path: PathBuf,
    /// An event id is a duplicate within at least this many records of its
    /// namespace.
    pub dedup_horizon: u64,
}

/// The embedded store; see [`open`].
#[derive(Debug)]
pub struct SqliteStore {
    database: PathBuf,
    identity: String,
    pub(super) dedup_horizon: u64,
    /// Shared with the writer.
    pub(super) event_hashes_rebuilt: Arc<AtomicU64>,
    // Closed before the writer: the last connection to close folds the write-ahead
    // log into the database, and a reader may not.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Writer>,
    /// Holds the directory; released when the store or the process ends.
    _lock: File,
}

/// Opens the store of a data directory, creates or migrates it, and finishes what
/// an earlier process left half removed.
///
/// # Errors
/// `Unavailable` when another process has the directory or it cannot be written,
/// `TooNew` when a newer binary has migrated it.
pub fn open(options: &SqliteOptions) -> Result<Arc<SqliteStore>, Error> {
    let lock = lock(&options.path)?;
    let database = options.path.join(DATABASE_FILE);
    let mut connection = match connection::open_writer(&database) {
        Err(Error::Unavailable { .. }) if reserve::spend(&options.path) => {
            connection::open_writer(&database)?
        }
        opened => opened?,
    };
    migrations::run(&mut connection)?;
    create_default(&connection)?;
    let identity = connection.query_row("SELECT id FROM identity", [], |row| row.get(0))?;
    let writer = Writer::new(connection, options.dedup_horizon);
    let store = SqliteStore {
        database,
        identity,
        dedup_horizon: options.dedup_horizon,
        event_hashes_rebuilt: writer.event_hashes_rebuilt.clone(),
        writer: Mutex::new(writer),
        readers: Mutex::default(),
        _lock: lock,
    };
    if let Err(error) = purge::unfinished(&store) {
        // A full disk can be read all the same.
        tracing::warn!(%error, "what an earlier process left half removed stays for now");
    }
    reserve::keep(&options.path);
    Ok(Arc::new(store))
}

/// The namespace of requests that name none always exists. Nothing is written where it
/// does: the disk may be full.
fn create_default(connection: &Connection) -> Result<(), Error> {
    let name = [NamespaceName::DEFAULT];
    let exists = "SELECT EXISTS (SELECT 1 FROM namespaces WHERE name = ?1)";
    if connection.query_row(exists, name, |row| row.get::<_, bool>(0))? {
        return Ok(());
    }
    let create = "INSERT INTO namespaces (name, created_at_ms)
        VALUES (?1, CAST(unixepoch('subsec') * 1000 AS INTEGER))";
    Ok(connection.execute(create, name).map(drop)?)
}

fn lock(directory: &Path) -> Result<File, Error> {
    let shown = directory.display();
    let failed = |error| Error::Unavailable { reason: format!("data directory {shown}: {error}") };
    std::fs::create_dir_all(directory).map_err(failed)?;
    let file = File::create(directory.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Unavailable {
            reason: format!("data directory {shown} is in use by another server"),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

impl SqliteStore {
    /// What identifies this database.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            // What a panic left in memory is dropped; the database is the truth.
            let mut writer = poisoned.into_inner();
            writer.forget_all();
            self.writer.clear_poison();
            writer
        })
    }

    /// Runs `read` on a connection of its own, in one transaction: all its
    /// statements see the same state.
    pub(super) fn reading<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let idle = self.idle_readers().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connection::open_reader(&self.database)?,
        };
        let transaction = connection.unchecked_transaction()?;
        let result = read(&transaction);
        transaction.finish()?;
        let mut idle = self.idle_readers();
        if idle.len() < READERS_KEPT {
            idle.push(connection);
        }
        result
    }

    fn idle_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of a partition that is not deleted.
pub(super) fn namespace_id(connection: &Connection, partition: &Partition) -> Result<i64, Error> {
    connection
        .prepare_cached("SELECT id FROM namespaces WHERE id = ?1 AND name = ?2")?
        .query_row((integer(partition.incarnation), partition.namespace.as_str()), |row| row.get(0))
        .optional()?
        .ok_or_else(|| Error::NoNamespace { namespace: partition.namespace.clone() })
}
