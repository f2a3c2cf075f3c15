//! Duties of one replica: trainings by schedule, snapshots, the projection.
//!
//! - One leader per engine revision: replicas of two versions side by side each have
//!   one, since neither reads the snapshots of the other.
//! - Losing the lease costs nothing but time: what a leader writes is either under
//!   a fence or harmless twice.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use crate::storage;
use crate::storage::Lease;
use crate::storage::Leases;
use engine::ENGINE_REVISION;

/// How often a follower asks for the lease and a leader whether it still has it.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Whether this process is the leader.
pub struct Leadership {
    leases: Arc<dyn Leases>,
    held: Mutex<Option<Arc<dyn Lease>>>,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("leads", &self.leads()).finish_non_exhaustive()
    }
}

impl Leadership {
    pub fn new(leases: Arc<dyn Leases>) -> Self {
        Self { leases, held: Mutex::default() }
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
        namespace: &str,
    ) -> Result<Box<dyn Lease>, Error> {
        let (leases, name) = (self.leases.clone(), format!("train/{namespace}"));
        let lease = tokio::task::spawn_blocking(move || leases.acquire(&name)).await;
        lease.map_err(|_panicked| Error::ShuttingDown)??.ok_or(Error::TrainingRuns)
    }

    /// Tries to become and to stay the leader until cancelled.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            let leadership = self.clone();
            let checked = tokio::task::spawn_blocking(move || leadership.check()).await;
            if let Ok(Err(error)) = checked {
                tracing::debug!(%error, "the leader's lease cannot be asked for");
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(CHECK_EVERY) => {}
            }
        }
    }

    /// Gives the lease up, so that another replica need not wait for our end.
    pub fn resign(&self) {
        self.held().take();
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<dyn Lease>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<(), storage::Error> {
        // Asked without the lock: the store may take its time.
        let held = self.held().clone();
        let still = match held {
            Some(lease) if matches!(lease.is_held(), Ok(true)) => Some(lease),
            Some(lost) => {
                tracing::warn!(lease = lost.fence().lease, "no longer the leader");
                None
            }
            None => {
                let taken = self.leases.acquire(&format!("leader/{ENGINE_REVISION}"))?;
                if let Some(lease) = &taken {
                    tracing::info!(epoch = lease.fence().epoch, "leading");
                }
                taken.map(Arc::from)
            }
        };
        *self.held() = still;
        Ok(())
    }
}
