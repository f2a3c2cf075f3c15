//! Brings the schema of a database up to this binary's.

use refinery::embed_migrations;
use rusqlite::Connection;
use rusqlite::OptionalExtension;

use crate::storage::error::Error;

embed_migrations!("migrations/sqlite");

/// # Errors
/// `TooNew` when a newer binary has been here; nothing is changed then.
pub fn run(connection: &mut Connection) -> Result<(), Error> {
    let runner = migrations::runner();
    let known = runner.get_migrations().iter().map(|migration| migration.version()).max();
    let known = known.map_or(0, |version| version as u64);
    let found = applied(connection)?;
    if found > known {
        return Err(Error::TooNew { what: "the schema of the database", found, known });
    }
    // Nothing is written to a database that is up to date: its disk may be full.
    if found == known {
        return Ok(());
    }
    match runner.run(connection) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Unavailable { reason: format!("migration failed: {error}") }),
    }
}

/// Version of the newest migration applied; 0 for a new database.
fn applied(connection: &Connection) -> Result<u64, Error> {
    let table = "refinery_schema_history";
    if !connection.table_exists(None, table)? {
        return Ok(0);
    }
    let version: Option<i64> = connection
        .query_row(&format!("SELECT max(version) FROM {table}"), [], |row| row.get(0))
        .optional()?
        .flatten();
    Ok(version.unwrap_or(0).unsigned_abs())
}
