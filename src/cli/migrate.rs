//! `migrate`: brings the schema of a PostgreSQL database up to this binary's. `serve`
//! does the same at its start; this is for who would rather do it before.

use super::Failure;
use super::stores;
use crate::config::StoreConfig;
use crate::storage::Migrated;
use crate::storage::migrate_postgres;

/// Options of `migrate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    stores: StoreConfig,
}

/// Runs the migrations that are missing.
///
/// # Errors
/// When the database cannot be reached, or a newer binary has migrated it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = stores::required_postgres(&args.stores)?;
    let Migrated { from, to } = migrate_postgres(&options)?;
    if from == to {
        println!("the schema is at version {to} already");
    } else {
        println!("migrated the schema from version {from} to {to}");
    }
    Ok(())
}
