//! Connections, their parameters and their errors.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;

use crate::storage::error::Error;

/// Larger pages than SQLite's 4,096: a batch then takes fewer of them.
const PAGE_BYTES: i64 = 16_384;
/// How much of the write-ahead log is copied to the database at a time. The append
/// that does it waits: 50 to 80 ms here, against 110 to 200 at 64 MiB, where the
/// mean was the same; at SQLite's 4 MiB the mean was a quarter higher.
const CHECKPOINT_BYTES: i64 = 16 << 20;
/// Nobody but an operator's tool ever holds the database against the writer.
const BUSY_TIMEOUT_MS: i64 = 5_000;

/// The connection that migrates and writes.
pub fn open_writer(file: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(file)?;
    // The page size holds only for a new database, and only when it comes first.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_BYTES / PAGE_BYTES)?;
    // After a large write the file shrinks to the size it has between checkpoints.
    connection.pragma_update(None, "journal_size_limit", CHECKPOINT_BYTES)?;
    // What is deleted is overwritten: nothing is left of a user who is erased.
    connection.pragma_update(None, "secure_delete", true)?;
    prepare(&connection)?;
    Ok(connection)
}

pub fn open_reader(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Whether a write failed because the row it refers to is gone.
pub fn is_missing_parent(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY)
}

pub fn is_taken(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let damaged = match &error {
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::Utf8Error(..) => true,
            other => matches!(
                other.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
        };
        let reason = error.to_string();
        if damaged {
            Self::Corrupt { what: "the database".to_owned(), reason }
        } else {
            Self::Unavailable { reason }
        }
    }
}
