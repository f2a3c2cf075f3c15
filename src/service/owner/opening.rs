//! Opening: the newest snapshot that lies on the chain of the log, else nothing; then the
//! log from there on.
//!
//! - Event hashes that the next append needs are checked, so that damage is reported before
//!   a record is refused for it.
//! - A snapshot that is damaged, of another revision or off the chain is passed over: the
//!   log makes up for it. One that is off the chain has learnt from a log that is no more,
//!   and is removed with all that came after it.

use super::super::error::Progress;
use super::learning::Learner;
use super::learning::Stopped;
use super::learning::follow_while;
use crate::service::Stores;
use crate::storage;
use crate::storage::Extent;
use crate::storage::HashCheck;
use crate::storage::Partition;
use crate::storage::Position;
use engine::ENGINE_REVISION;
use engine::Engine;
use engine::domain::Sequence;
use engine::domain::Settings;

/// What an opening comes to.
#[derive(Debug)]
pub struct Recovered {
    pub learner: Box<Learner>,
    /// Where the snapshot stood; 0 without one.
    pub snapshot_at: Sequence,
    /// Whether there were snapshots of a log that is no more.
    pub was_off_chain: bool,
    /// Batches whose event hashes are damaged and cannot be made again: nothing can be
    /// appended behind them.
    pub damaged_hashes: u64,
}

/// The state at the end of the log. `told` gets the progress and returns whether to go on.
/// Blocks.
///
/// # Errors
/// [`Stopped`].
pub fn recover(
    stores: &Stores,
    partition: &Partition,
    mut told: impl FnMut(Progress) -> bool,
) -> Result<Recovered, Stopped> {
    let end = stores.log.log_end(partition)?;
    let (found, was_off_chain) = newest_on_chain(stores, partition)?;
    let snapshot_at = found.as_ref().map_or(0, |learner| learner.position.sequence);
    let mut learner = Box::new(found.unwrap_or_else(|| Learner {
        engine: Engine::new(Settings::default()),
        position: Position::default(),
    }));
    follow_while(&mut learner, &*stores.log, partition, end, |learnt| {
        told(Progress { learnt, end: end.sequence })
    })?;
    let damaged_hashes = damaged_hashes(stores, partition);
    Ok(Recovered { learner, snapshot_at, was_off_chain, damaged_hashes })
}

/// How many batches of the dedup window cannot be read for it. What can be made again is.
/// A store that does not answer hinders no reading.
fn damaged_hashes(stores: &Stores, partition: &Partition) -> u64 {
    match stores.log.check_event_hashes(partition, Extent::Window) {
        Ok(HashCheck { damaged, rebuilt, .. }) => damaged.saturating_sub(rebuilt),
        Err(error) => {
            tracing::warn!(namespace = %partition.namespace, %error, "event hashes not checked");
            0
        }
    }
}

/// The newest snapshot on the chain, and whether there were others.
fn newest_on_chain(
    stores: &Stores,
    partition: &Partition,
) -> Result<(Option<Learner>, bool), storage::Error> {
    let (mut up_to, mut off_chain) = (Sequence::MAX, None);
    let mut found = None;
    while let Some(snapshot) = stores.snapshots.newest_up_to(partition, ENGINE_REVISION, up_to)? {
        let at = snapshot.header.position;
        if stores.log.position_at(partition, at.sequence)? == Some(at) {
            match Engine::restore(snapshot.sections) {
                Ok(engine) => {
                    found = Some(Learner { engine, position: at });
                    break;
                }
                Err(error) => {
                    tracing::warn!(
                        namespace = %partition.namespace, watermark = at.sequence, %error,
                        "snapshot passed over"
                    );
                }
            }
        } else {
            tracing::error!(
                namespace = %partition.namespace, watermark = at.sequence,
                "a snapshot has learnt from a log that is no more"
            );
            off_chain = Some(at.sequence);
        }
        match at.sequence.checked_sub(1) {
            Some(before) => up_to = before,
            None => break,
        }
    }
    if let Some(sequence) = off_chain {
        stores.snapshots.discard_after(partition, sequence.saturating_sub(1))?;
    }
    Ok((found, off_chain.is_some()))
}
