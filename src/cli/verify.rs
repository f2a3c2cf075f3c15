//! `verify`: replays the log and checks what is stored: of a stopped server with the
//! embedded store, of PostgreSQL at any time.

use super::Failure;
use super::stores;
use crate::config::StoreConfig;
use crate::service::Stores;
use crate::service::replay;
use engine::ENGINE_REVISION;
use engine::Engine;
use engine::domain::NamespaceName;
use engine::domain::Settings;

/// Namespaces read at a time.
const PAGE: usize = 100;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    stores: StoreConfig,
}

/// Replays every namespace from its first record, checksums included, and compares
/// with the newest snapshot continued to the end of the log.
///
/// # Errors
/// When something stored cannot be read, or the two states differ.
pub fn run(args: &Args) -> Result<(), Failure> {
    let stores = stores::open_for_reading(&args.stores)?;
    let mut after = None;
    loop {
        let page = stores.namespaces.list(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.name.clone());
        for entry in page {
            verify(&stores, &entry.name)?;
        }
    }
}

fn verify(stores: &Stores, name: &NamespaceName) -> Result<(), Failure> {
    let mut whole = Engine::new(Settings::default());
    // Servers may go on writing meanwhile.
    let end = stores.log.log_end(name)?;
    replay(&mut whole, &*stores.log, name, end)?;
    let watermark = whole.state().watermark();
    let digest = blake3::Hash::from_bytes(whole.state().digest());
    println!("{name}: {watermark} records, digest {digest}");
    if let Some(snapshot) = stores.snapshots.newest(name, ENGINE_REVISION)? {
        if snapshot.header.watermark > watermark {
            return Err(format!(
                "{name}: the log ends at {watermark}, but a snapshot has learnt from {}: records \
                 were lost",
                snapshot.header.watermark
            )
            .into());
        }
        let mut continued = Engine::restore(snapshot.sections)?;
        replay(&mut continued, &*stores.log, name, end)?;
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
