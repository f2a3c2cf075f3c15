//! The owner of one open namespace: the one task that opens it, follows its log, learns,
//! publishes, does its duties and closes it.
//!
//! - There is one owner of a name at a time in a process, from the first call that asks
//!   for it until it sleeps, is deleted or the process ends. Callers wait for it by its
//!   slot and end nothing by giving up.
//! - Nothing here blocks an async thread: the engine travels to a pool for each batch and
//!   comes back with what it learnt.
//! - The process that holds the lease `lead/ENGINE_REVISION` of the partition does its duties:
//!   trainings, snapshots, the projection, metrics that were added. Replicas of two versions each have a leader,
//!   since neither reads the snapshots of the other.
//! - When the log turns out to be another one than was learnt from, the owner says so,
//!   goes on serving the last view and rebuilds the state from what the log has now.

mod backfilling;
mod duties;
mod ending;
mod erasing;
mod keeping;
mod learning;
mod opening;
mod outcomes;
mod schedule;
mod serving;
mod slot;
#[cfg(test)]
mod tests;
mod training;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;

use super::error::Progress;
use super::namespaces::Namespaces;
use crate::storage;
use crate::storage::NamespaceEntry;
use crate::storage::Partition;
use crate::storage::Position;
use opening::Recovered;
use opening::recover;
use serving::Serving;

pub use erasing::out_of_serving;
pub use keeping::project_all;
pub use learning::{Learner, Stopped, follow, replay};
pub use slot::{Command, Phase, Slot};

/// How long what kept a namespace from being opened is the answer to callers, before it is
/// tried again: a store that was away...
const AWAY: Duration = Duration::from_millis(200);
/// ...and what does not recover by itself.
const BROKEN: Duration = Duration::from_secs(30);
/// How often a namespace that waits for capacity asks another one to sleep.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait before what failed so is tried again.
fn hold(error: &storage::Error) -> Duration {
    match error {
        storage::Error::NoNamespace { .. } => Duration::ZERO,
        storage::Error::Unavailable { .. } | storage::Error::ChainBroken { .. } => AWAY,
        _ => BROKEN,
    }
}

/// Why an owner ends, or restarts.
#[derive(Debug)]
pub enum Ending {
    /// It cannot be opened.
    Failed(storage::Error),
    /// It is deleted.
    Gone,
    Asleep,
    Shutdown,
    /// The log is another one than was learnt from.
    Broken,
    /// Records of the log were replaced.
    Rewritten,
}

/// See the module.
#[derive(Debug)]
pub struct Owner {
    registry: Arc<Namespaces>,
    slot: Arc<Slot>,
    commands: mpsc::Receiver<Command>,
    /// Once the name is resolved.
    partition: Option<Partition>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // First out of the registry: a caller that learns of the end finds the next owner.
        self.registry.remove(&self.slot);
        self.slot.phase.send_if_modified(|phase| {
            let is_told = matches!(phase, Phase::Stopped(_));
            if !is_told {
                *phase = Phase::Closed;
            }
            !is_told
        });
    }
}

/// One of those that wait for capacity, for as long as it does.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Owner {
    pub fn new(
        registry: Arc<Namespaces>,
        slot: Arc<Slot>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self { registry, slot, commands, partition: None }
    }

    pub async fn run(mut self) {
        let ending = self.live().await;
        let with = &self.registry.with;
        if self.partition.is_some() && !matches!(ending, Ending::Shutdown) {
            self.release().await;
            with.metrics.forget_namespace(self.slot.name.as_str());
        }
        if let Ending::Failed(error) = ending {
            let hold = hold(&error);
            tracing::debug!(namespace = %self.slot.name, %error, "not opened");
            self.slot.phase.send_replace(Phase::Stopped(error));
            tokio::select! {
                () = tokio::time::sleep(hold) => {}
                _ending = self.asked_to_end() => {}
            }
        }
    }

    async fn live(&mut self) -> Ending {
        let entry = match self.resolved().await {
            Ok(entry) => entry,
            Err(ending) => return ending,
        };
        self.partition = Some(entry.partition.clone());
        let _permit = match self.capacity().await {
            Ok(permit) => permit,
            Err(ending) => return ending,
        };
        // Before the log is read: what is written meanwhile advances it.
        let tail = self.registry.tail(&entry.partition);
        let recovered = match self.recovered(&entry.partition).await {
            Ok(recovered) => recovered,
            Err(ending) => return ending,
        };
        if recovered.was_off_chain {
            self.registry.with.metrics.log_chain_breaks.inc();
        }
        let mut serving = Serving::new(&self.registry, &self.slot, entry.clone(), tail, recovered);
        loop {
            let ending = serving.serve(&mut self.commands).await;
            if !matches!(ending, Ending::Broken | Ending::Rewritten) {
                if matches!(ending, Ending::Asleep) {
                    // Later callers wait for the next owner: this one learns no more.
                    serving.close();
                    self.slot.phase.send_replace(Phase::Opening(Progress::default()));
                }
                serving.end(&ending).await;
                return ending;
            }
            if let Some(revision) = self.new_revision(&entry.partition, serving.position()).await {
                serving.rebuild_meanwhile(revision);
                continue;
            }
            if matches!(ending, Ending::Rewritten) {
                continue;
            }
            serving.discard();
            self.release().await;
            match self.recovered_at_last(&entry.partition).await {
                Ok(recovered) => serving.restart(recovered),
                Err(ending) => {
                    serving.end(&ending).await;
                    return ending;
                }
            }
        }
    }

    /// The revision of the log, where it is another one than was learnt from and nothing is missing.
    async fn new_revision(&self, partition: &Partition, learnt: Position) -> Option<u64> {
        let (log, partition) = (self.registry.with.stores.log.clone(), partition.clone());
        let end = self.registry.with.workers.asking.run(move || log.log_end(&partition)).await;
        let end = end.ok()?.ok()?;
        let is_new = end.revision != learnt.revision && end.sequence >= learnt.sequence;
        is_new.then_some(end.revision)
    }

    /// As `recovered`, tried until it works: the last view is served meanwhile.
    async fn recovered_at_last(&self, partition: &Partition) -> Result<Recovered, Ending> {
        loop {
            match self.recovered(partition).await {
                Err(Ending::Failed(storage::Error::NoNamespace { .. })) => {
                    return Err(Ending::Gone);
                }
                Err(Ending::Failed(error)) => {
                    let hold = hold(&error);
                    if hold == BROKEN {
                        tracing::error!(namespace = %self.slot.name, %error, "not rebuilt");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(hold) => {}
                        ending = self.asked_to_end() => return Err(ending),
                    }
                }
                done => return done,
            }
        }
    }

    /// Frees what the log keeps of the partition.
    async fn release(&self) {
        let (log, partition) = (self.registry.with.stores.log.clone(), self.partition.clone());
        let work = move || partition.iter().for_each(|partition| log.release(partition));
        if let Err(panicked) = self.registry.with.workers.learning.run(work).await {
            tracing::error!(namespace = %self.slot.name, %panicked, "releasing a log");
        }
    }

    /// What the name means now.
    async fn resolved(&self) -> Result<NamespaceEntry, Ending> {
        tokio::select! {
            resolved = self.registry.resolve(&self.slot.name) => resolved.map_err(Ending::Failed),
            ending = self.asked_to_end() => Err(ending),
        }
    }

    /// A permit for one more state in memory; another namespace may have to close for it.
    async fn capacity(&self) -> Result<OwnedSemaphorePermit, Ending> {
        let capacity = self.registry.capacity.clone();
        if let Ok(permit) = capacity.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::new(&self.registry.waiting_for_capacity);
        let free_capacity = async {
            loop {
                self.registry.free_capacity();
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        tokio::select! {
            permit = capacity.acquire_owned() => permit.map_err(|_closed| Ending::Shutdown),
            ending = self.asked_to_end() => Err(ending),
            () = free_capacity => Err(Ending::Shutdown),
        }
    }

    /// The state at the end of the log. Few openings run at a time.
    async fn recovered(&self, partition: &Partition) -> Result<Recovered, Ending> {
        let with = &self.registry.with;
        let (stores, partition) = (with.stores.clone(), partition.clone());
        let (shutdown, slot) = (with.shutdown.clone(), self.slot.clone());
        let what = format!("log of {}", partition.namespace);
        let opening = with.workers.opening.run(move || {
            recover(&stores, &partition, |progress| {
                slot.phase.send_if_modified(|phase| match phase {
                    Phase::Opening(before) => std::mem::replace(before, progress) != progress,
                    _ => false,
                });
                !shutdown.is_cancelled() && !slot.closed.is_cancelled()
            })
        });
        let recovered = tokio::select! {
            recovered = opening => recovered.unwrap_or(Err(Stopped::Panicked)),
            ending = self.asked_to_end() => return Err(ending),
        };
        match recovered {
            Ok(recovered) => Ok(recovered),
            Err(Stopped::Storage(error)) => Err(Ending::Failed(error)),
            Err(Stopped::Told) => Err(self.asked_to_end().await),
            Err(stopped) => {
                let reason = stopped.to_string();
                Err(Ending::Failed(storage::Error::Corrupt { what, reason }))
            }
        }
    }

    async fn asked_to_end(&self) -> Ending {
        tokio::select! {
            () = self.registry.with.shutdown.cancelled() => Ending::Shutdown,
            () = self.slot.closed.cancelled() => Ending::Gone,
        }
    }
}
