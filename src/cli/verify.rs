//! `verify`: replays the log of a stopped server and checks what is stored.

use std::path::PathBuf;

use super::Failure;
use crate::domain::NamespaceName;
use crate::domain::Settings;
use crate::engine::ENGINE_REVISION;
use crate::engine::Engine;
use crate::service::replay;
use crate::storage::InteractionLog;
use crate::storage::NamespaceStore;
use crate::storage::SnapshotStore;
use crate::storage::SqliteOptions;
use crate::storage::SqliteStore;
use crate::storage::open_sqlite;

/// Namespaces read at a time.
const PAGE: usize = 100;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the embedded store
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,
}

/// Replays every namespace from its first record, checksums included, and compares
/// with the newest snapshot continued to the end of the log.
///
/// # Errors
/// When something stored cannot be read, or the two states differ.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = SqliteOptions { path: args.data_dir.clone(), dedup_horizon: 1_000 };
    let store = open_sqlite(&options)?;
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.name.clone());
        for entry in page {
            verify(&store, &entry.name)?;
        }
    }
}

fn verify(store: &SqliteStore, name: &NamespaceName) -> Result<(), Failure> {
    let mut whole = Engine::new(Settings::default());
    let watermark = replay(&mut whole, store as &dyn InteractionLog, name)?;
    let digest = blake3::Hash::from_bytes(whole.state().digest());
    println!("{name}: {watermark} records, digest {digest}");
    if let Some(snapshot) = store.newest(name, ENGINE_REVISION)? {
        if snapshot.header.watermark > watermark {
            return Err(format!(
                "{name}: the log ends at {watermark}, but a snapshot has learnt from {}: records \
                 were lost",
                snapshot.header.watermark
            )
            .into());
        }
        let mut continued = Engine::restore(&snapshot.sections)?;
        replay(&mut continued, store as &dyn InteractionLog, name)?;
        if continued.state().digest() != whole.state().digest() {
            return Err(format!(
                "{name}: the snapshot at {} leads to another state than the log",
                snapshot.header.watermark
            )
            .into());
        }
        println!("{name}: the snapshot at {} leads to the same state", snapshot.header.watermark);
    }
    Ok(())
}
