//! Who is suppressed in a partition, as appends ask for it.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::storage::error::Error;
use crate::storage::suppression::Suppressed;
use crate::storage::suppression::SuppressionKey;

/// The users of a partition whose records are dropped.
pub fn of(connection: &Connection, namespace_id: i64) -> Result<Suppressed, Error> {
    let mut statement = connection
        .prepare_cached("SELECT user_hash FROM suppressed_users WHERE namespace_id = ?1")?;
    let users = statement.query_map([namespace_id], |row| row.get(0))?;
    let users = users.collect::<Result<HashSet<_>, _>>()?;
    Ok(Suppressed::new(&key(connection)?, users, 0))
}

/// The key of their hashes.
pub fn key(connection: &Connection) -> Result<SuppressionKey, Error> {
    let key: Vec<u8> =
        connection.query_row("SELECT suppression_key FROM identity", [], |row| row.get(0))?;
    Ok(SuppressionKey::new(&key))
}
