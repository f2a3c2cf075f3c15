//! Duties of one replica: trainings by schedule, snapshots, the projection.
//!
//! - One leader per engine revision: replicas of two versions side by side each have
//!   one, since neither reads the snapshots of the other.
//! - Losing the lease costs nothing but time: what a leader writes is either under
//!   a fence or harmless twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::storage;
use crate::storage::Fence;
use crate::storage::LeaseName;
use crate::storage::Leases;
use crate::storage::NamespaceStore;
use crate::storage::Partition;
use engine::ENGINE_REVISION;
use engine::domain::NamespaceName;

/// How often a process says that it lives, and asks for what it wants.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// Whether this process is the leader, and what it trains.
pub struct Leadership {
    leases: Arc<dyn Leases>,
    namespaces: Arc<dyn NamespaceStore>,
    held: Mutex<Option<Fence>>,
    trainings: Mutex<BTreeSet<LeaseName>>,
}

/// The lease of a training; given up by `release`, or by being kept no longer.
#[derive(Debug)]
pub struct TrainingLease {
    leadership: Arc<Leadership>,
    pub fence: Fence,
}

impl TrainingLease {
    pub async fn release(self) {
        let (leases, fence) = (self.leadership.leases.clone(), self.fence.clone());
        let given_up = tokio::task::spawn_blocking(move || leases.release(&[fence])).await;
        if !matches!(given_up, Ok(Ok(()))) {
            tracing::debug!(lease = %self.fence.lease, "the lease ends by itself");
        }
    }
}

impl Drop for TrainingLease {
    fn drop(&mut self) {
        self.leadership.trainings().remove(&self.fence.lease);
    }
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("leads", &self.leads()).finish_non_exhaustive()
    }
}

impl Leadership {
    pub fn new(leases: Arc<dyn Leases>, namespaces: Arc<dyn NamespaceStore>) -> Self {
        Self { leases, namespaces, held: Mutex::default(), trainings: Mutex::default() }
    }

    pub fn leads(&self) -> bool {
        self.held().is_some()
    }

    /// Takes the lease of a training. At most one process trains a namespace.
    ///
    /// # Errors
    /// `TrainingRuns` while another process has it; storage errors.
    pub async fn lease_training(
        self: &Arc<Self>,
        partition: &Partition,
    ) -> Result<TrainingLease, Error> {
        let name = LeaseName { partition: partition.clone(), duty: "train".to_owned() };
        let (leases, wanted) = (self.leases.clone(), name.clone());
        let taken = tokio::task::spawn_blocking(move || leases.keep(&[wanted])).await;
        let taken = taken.map_err(|_panicked| Error::ShuttingDown)??.pop();
        let fence = taken.ok_or(Error::TrainingRuns)?;
        self.trainings().insert(name);
        Ok(TrainingLease { leadership: self.clone(), fence })
    }

    /// Tries to become and to stay the leader until cancelled.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            let leadership = self.clone();
            let checked = tokio::task::spawn_blocking(move || leadership.check()).await;
            if let Ok(Err(error)) = checked {
                tracing::debug!(%error, "the leader's lease cannot be asked for");
                self.held().take();
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(KEEP_EVERY) => {}
            }
        }
    }

    /// Gives the lease up, so that another replica need not wait for our end.
    pub async fn resign(&self) {
        let Some(fence) = self.held().take() else { return };
        let leases = self.leases.clone();
        let _ends_by_itself = tokio::task::spawn_blocking(move || leases.release(&[fence])).await;
    }

    fn held(&self) -> MutexGuard<'_, Option<Fence>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trainings(&self) -> MutexGuard<'_, BTreeSet<LeaseName>> {
        self.trainings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), storage::Error> {
        let partition = self.namespaces.resolve(&NamespaceName::default())?.partition;
        let lead = LeaseName { partition, duty: format!("lead/{ENGINE_REVISION}") };
        let mut wanted: Vec<_> = self.trainings().iter().cloned().collect();
        wanted.push(lead.clone());
        let fences = self.leases.keep(&wanted)?;
        let now = fences.into_iter().find(|fence| fence.lease == lead);
        let mut held = self.held();
        match (&*held, &now) {
            (None, Some(fence)) => tracing::info!(epoch = fence.epoch, "leading"),
            (Some(lost), None) => tracing::warn!(lease = %lost.lease, "no longer the leader"),
            _ => {}
        }
        *held = now;
        Ok(())
    }
}
