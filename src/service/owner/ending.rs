//! The end of an owner: a last snapshot, so that the next start replays little.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Ending;
use super::duties::failed;
use super::keeping;
use super::learning::Learner;
use super::serving::Done;
use super::serving::Serving;
use crate::service::namespace::Namespace;
use crate::service::namespaces::Namespaces;
use crate::storage;
use engine::domain::Sequence;

/// How long last snapshots may take, all together, when the process ends; and one when a
/// namespace is put to sleep.
const LAST_SNAPSHOTS: Duration = Duration::from_secs(3);
const SLEEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Fewer new records than these are sooner replayed than stored.
const SNAPSHOT_RECORDS_MIN: u64 = 1_000;

impl Serving {
    /// The last thing that is done: what the next start need not replay.
    pub async fn end(mut self, ending: &Ending) {
        let timeout = match ending {
            Ending::Shutdown => LAST_SNAPSHOTS,
            Ending::Asleep => SLEEP_TIMEOUT,
            _ => Duration::ZERO,
        };
        let until = Instant::now() + timeout;
        self.duties.cancel();
        self.asked.cancel();
        let _in_time = tokio::time::timeout_at(until, self.settle()).await;
        let new = self
            .learner
            .as_ref()
            .map_or(0, |learner| learner.position.sequence.saturating_sub(self.snapshot_at));
        let needed = match ending {
            Ending::Shutdown => new >= SNAPSHOT_RECORDS_MIN,
            Ending::Asleep => new > 0,
            _ => false,
        };
        let may = needed && self.leads() && self.outdated_by.is_none();
        if let Some(learner) = self.learner.as_ref().filter(|_| may) {
            let storing = snapshot(&self.registry, &self.namespace, learner, Some(until));
            match tokio::time::timeout_at(until, storing).await {
                Ok(Ok(_watermark)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(namespace = %self.slot.name, %error, "no last snapshot");
                }
                Err(_elapsed) => {
                    tracing::warn!(namespace = %self.slot.name, "no time for a last snapshot");
                }
            }
        }
        let _in_time = tokio::time::timeout_at(until, self.training_reported()).await;
    }

    /// Waits for the learner and for a snapshot under way.
    async fn settle(&mut self) {
        while self.learner.is_none() || self.snapshots.running {
            match self.jobs.join_next().await {
                Some(Ok(Done::Learnt(learner, learnt))) => {
                    self.learner = learner.filter(|_| learnt.is_ok());
                    if self.learner.is_none() {
                        return;
                    }
                }
                Some(Ok(Done::Snapshot(stored))) => drop(self.snapshot_stored(stored)),
                Some(Ok(Done::Trained(..))) => self.is_training = false,
                Some(_other) => {}
                None => return,
            }
        }
    }

    /// Waits for a training, which reports its end. It was told to stop, and does so while the last
    /// snapshot is stored.
    async fn training_reported(&mut self) {
        while self.is_training {
            match self.jobs.join_next().await {
                Some(Ok(Done::Trained(..))) => self.is_training = false,
                Some(_other) => {}
                None => return,
            }
        }
    }
}

/// Stores the learner's state, unless it does not begin in time.
pub fn snapshot(
    registry: &Arc<Namespaces>,
    namespace: &Namespace,
    learner: &Learner,
    begin_until: Option<Instant>,
) -> impl Future<Output = Result<Sequence, storage::Error>> + Send + 'static {
    let registry = registry.clone();
    let (partition, position) = (namespace.tail.partition.clone(), learner.position);
    let view = learner.engine.view();
    async move {
        let with = &registry.with;
        let (stores, taken_at) = (with.stores.clone(), with.clock.now());
        let work = move || {
            if begin_until.is_some_and(|until| Instant::now() >= until) {
                let reason = "there was no time for it".to_owned();
                return Err(storage::Error::Unavailable { reason });
            }
            keeping::store_snapshot(&stores, &partition, &view, position, taken_at)
        };
        let stored = with.workers.keeping.run(work).await;
        stored.unwrap_or_else(|panicked| Err(failed(&panicked)))?;
        with.metrics.snapshots.inc();
        tracing::debug!(watermark = position.sequence, "snapshot stored");
        Ok(position.sequence)
    }
}
