//! Brings the schema of a database up to this binary's.
//!
//! - One process at a time, under an advisory lock of its session; the others wait.
//! - A database that is up to date is not touched, so that a role without the right
//!   to create tables can serve it.

use std::time::Duration;

use refinery::embed_migrations;
use tokio::time::Instant;

use super::options::PostgresOptions;
use super::session::Session;
use super::session::Sessions;
use super::session::jittered;
use super::store;
use crate::storage::error::Error;

embed_migrations!("migrations/postgres");

/// Key of the advisory lock; an arbitrary number.
const LOCK: i64 = 0x7065_7273_6f6e_616c;
/// Between two attempts to get the lock. Waiting in the server would hold back
/// migrations that wait for older transactions.
const PAUSE: Duration = Duration::from_millis(100);
/// How long another process may take.
const WAIT: Duration = Duration::from_secs(600);
const SERVER_VERSION: i32 = 15;

/// What a migration has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Version of the schema before; 0 for an empty database.
    pub from: u64,
    pub to: u64,
}

/// Migrates the database without opening the store.
///
/// # Errors
/// `TooNew` when a newer binary has been here; nothing is changed then.
/// `Misconfigured`, `Unavailable`.
pub fn migrate(options: &PostgresOptions) -> Result<Migrated, Error> {
    run(&Sessions::new(&options.url, store::limits(options), false)?)
}

/// See [`migrate`].
pub fn run(sessions: &Sessions) -> Result<Migrated, Error> {
    let known = known();
    let from = sessions.run(async |client| found(client, known).await)?;
    if from < known {
        sessions.block_on(wait_and_run(sessions, known))?;
    }
    Ok(Migrated { from, to: known })
}

/// # Errors
/// `TooNew`; `Misconfigured` when the schema is older than this binary's.
pub fn check(sessions: &Sessions) -> Result<(), Error> {
    let known = known();
    let found = sessions.read(async |client| found(client, known).await)?;
    if found == known {
        return Ok(());
    }
    let reason = format!(
        "the schema of the database has version {found}, this binary needs {known}: migrate first"
    );
    Err(Error::Misconfigured { reason })
}

fn known() -> u64 {
    let runner = migrations::runner();
    let known = runner.get_migrations().iter().map(|migration| migration.version()).max();
    known.map_or(0, |version| version as u64)
}

/// Version of the newest migration applied; 0 for a new database.
async fn found(client: &tokio_postgres::Client, known: u64) -> Result<u64, Error> {
    let server = "SELECT current_setting('server_version_num')::integer / 10000,
        current_setting('server_encoding'), to_regclass('refinery_schema_history') IS NULL";
    let row = client.query_one(server, &[]).await?;
    let (version, encoding, new): (i32, &str, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if version < SERVER_VERSION || encoding != "UTF8" {
        let reason = format!(
            "the database is of PostgreSQL {version} with encoding {encoding}, but PostgreSQL \
             {SERVER_VERSION} or newer and UTF8 are needed"
        );
        return Err(Error::Misconfigured { reason });
    }
    if new {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    let found: i32 = client.query_one(newest, &[]).await?.try_get(0)?;
    let found = u64::from(found.unsigned_abs());
    if found > known {
        return Err(Error::TooNew { what: "the schema of the database", found, known });
    }
    Ok(found)
}

async fn wait_and_run(sessions: &Sessions, known: u64) -> Result<(), Error> {
    let give_up = Instant::now() + WAIT;
    let mut session = sessions.session().await.map_err(|(error, _)| error)?;
    // A migration takes as long as it takes.
    session.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    while !try_lock(&session).await? {
        if Instant::now() > give_up {
            let reason = "another process has been migrating the database for 10 min".to_owned();
            return Err(Error::Unavailable { reason });
        }
        tokio::time::sleep(jittered(PAUSE)).await;
    }
    // The one before may have done it, or may have been newer than this one.
    if found(&session, known).await? < known {
        let client: &mut tokio_postgres::Client = &mut session;
        migrations::runner().run_async(client).await.map_err(|error| Error::Unavailable {
            reason: format!("migration failed: {}", describe(&error)),
        })?;
    }
    // Dropping the session closes it, and gives the lock up.
    Ok(())
}

async fn try_lock(session: &Session) -> Result<bool, Error> {
    let row = session.query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK]).await?;
    Ok(row.try_get(0)?)
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
