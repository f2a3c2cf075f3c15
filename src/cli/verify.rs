//! `verify`: replays the log and checks what is stored: of a stopped server with the
//! embedded store, of PostgreSQL at any time. With a receipt it checks the state after an erasure.

use super::Failure;
use super::stores;
use crate::config::StoreConfig;
use crate::service::Erasure;
use crate::service::Learner;
use crate::service::Stores;
use crate::service::follow;
use crate::service::replay;
use crate::storage::Extent;
use crate::storage::HashCheck;
use crate::storage::Partition;
use crate::storage::Position;
use engine::ENGINE_REVISION;
use engine::Engine;
use engine::domain::Settings;

/// Namespaces read at a time.
const PAGE: usize = 100;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check this erasure only: whether a replay of the log, which has nothing of the user, comes to
    /// the state that the erasure names
    #[arg(long, value_name = "ERASURE_ID")]
    receipt: Option<String>,

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
    let mut is_found = false;
    let mut after = None;
    loop {
        let page = stores.namespaces.list(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.name().clone());
        for entry in page {
            match &args.receipt {
                None => verify(&stores, &entry.partition)?,
                Some(id) => {
                    if let Some(stored) = stores.erasures.erasure(&entry.partition, id)? {
                        is_found = true;
                        verify_erasure(&stores, &entry.partition, &Erasure::read(&stored)?)?;
                    }
                }
            }
        }
    }
    match &args.receipt {
        Some(id) if !is_found => Err(format!("there is no erasure {id}").into()),
        _ => Ok(()),
    }
}

fn verify_erasure(
    stores: &Stores,
    partition: &Partition,
    erasure: &Erasure,
) -> Result<(), Failure> {
    let (name, id) = (&partition.namespace, &erasure.erasure_id);
    let Some(state) = &erasure.report.state else {
        return Err(format!("{name}: erasure {id} is under way: no state is named yet").into());
    };
    let revision = stores.log.log_end(partition)?.revision;
    if revision != state.log_revision {
        return Err(format!(
            "{name}: a later erasure has changed the log (revision {revision}, not {}): its receipt \
             holds for this one, too",
            state.log_revision
        )
        .into());
    }
    let mut engine = Engine::new(Settings::default());
    replay(&mut engine, &*stores.log, partition, state.watermark)?;
    let digest = blake3::Hash::from_bytes(engine.state().digest()).to_hex();
    if *digest != state.digest {
        return Err(format!(
            "{name}: a replay of {} records comes to {digest}, the receipt says {}",
            state.watermark, state.digest
        )
        .into());
    }
    let watermark = state.watermark;
    println!("{name}: a replay of {watermark} records comes to the state of the receipt");
    Ok(())
}

fn verify(stores: &Stores, partition: &Partition) -> Result<(), Failure> {
    let name = &partition.namespace;
    check_event_hashes(stores, partition)?;
    let mut whole =
        Learner { engine: Engine::new(Settings::default()), position: Position::default() };
    // Before the end: servers may go on writing meanwhile, snapshots too.
    let snapshot = stores.snapshots.newest(partition, ENGINE_REVISION)?;
    let end = stores.log.log_end(partition)?;
    follow(&mut whole, &*stores.log, partition, end)?;
    let watermark = whole.position.sequence;
    let digest = whole.engine.state().digest();
    println!("{name}: {watermark} records, digest {}", blake3::Hash::from_bytes(digest));
    if let Some(snapshot) = snapshot {
        if snapshot.passed_over > 0 {
            let damaged = snapshot.passed_over;
            return Err(format!("{name}: {damaged} newer snapshots are damaged").into());
        }
        let position = snapshot.header.position;
        let taken_at = position.sequence;
        if taken_at > watermark {
            return Err(format!(
                "{name}: the log ends at {watermark}, but a snapshot has learnt from {taken_at}: \
                 records were lost"
            )
            .into());
        }
        let mut continued = Learner { engine: Engine::restore(snapshot.sections)?, position };
        follow(&mut continued, &*stores.log, partition, end)?;
        if continued.engine.state().digest() != digest {
            return Err(format!(
                "{name}: the snapshot at {taken_at} leads to another state than the log"
            )
            .into());
        }
        println!("{name}: the snapshot at {taken_at} leads to the same state");
    }
    Ok(())
}

/// Event hashes are no part of the state, but nothing can be appended behind damaged ones.
fn check_event_hashes(stores: &Stores, partition: &Partition) -> Result<(), Failure> {
    let HashCheck { damaged, rebuilt, .. } =
        stores.log.check_event_hashes(partition, Extent::Whole)?;
    let name = &partition.namespace;
    if rebuilt > 0 {
        println!("{name}: damaged event hashes of {rebuilt} batches were rebuilt");
    }
    if damaged > rebuilt {
        let left = damaged - rebuilt;
        return Err(format!("{name}: the event hashes of {left} batches are damaged").into());
    }
    Ok(())
}
