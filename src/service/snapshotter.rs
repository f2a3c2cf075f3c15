//! Stores snapshots as the log grows, so that a start replays little, and puts
//! namespaces nobody uses to sleep.
//!
//! The leader stores the snapshots; replicas restore them as they open a namespace.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Options;
use super::Service;
use super::namespace::Namespace;
use crate::storage;
use crate::storage::SnapshotHeader;
use engine::ENGINE_REVISION;

const CHECK_EVERY: Duration = Duration::from_secs(5);
/// Snapshots kept per namespace: the newest and one to fall back on.
const KEPT: usize = 2;
/// Checks in a row without a user after which a namespace is put to sleep: an hour.
const IDLE_CHECKS: u32 = 720;
/// Owners of a namespace that nobody uses: the registry, its applier, the list of
/// this check.
const OWNERS_IDLE: usize = 3;

/// Checks every few seconds until cancelled.
pub async fn run(service: Service, options: Options, shutdown: CancellationToken) {
    let mut idle = std::collections::BTreeMap::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
        if service.leadership.leads() {
            store_all(&service, options.snapshot_every_records).await;
        }
        observe(&service);
        for namespace in service.namespaces.opened() {
            service.metrics.set_lag(namespace.name().as_str(), namespace.lag());
            let checks = idle.entry(namespace.name().clone()).or_insert((0, 0));
            let end = namespace.tail.end();
            let used = Arc::strong_count(&namespace) > OWNERS_IDLE || end != checks.1;
            *checks = if used { (0, end) } else { (checks.0 + 1, end) };
            if checks.0 >= IDLE_CHECKS && !namespace.name().is_default() {
                if service.leadership.leads() {
                    store(&service, &namespace, 1).await;
                }
                service.namespaces.close(&namespace.tail);
            }
        }
    }
}

fn observe(service: &Service) {
    let health = service.store.health();
    service.metrics.set_store_up("read", health.reads);
    service.metrics.set_store_up("write", health.writes);
    service.metrics.leader.set(i64::from(service.leadership.leads()));
}

/// Stores a snapshot of each namespace that learnt at least `records` since its last.
pub async fn store_all(service: &Service, records: u64) {
    for namespace in service.namespaces.opened() {
        store(service, &namespace, records).await;
    }
}

async fn store(service: &Service, namespace: &Arc<Namespace>, records: u64) {
    let view = namespace.view();
    let watermark = view.watermark();
    let since = watermark.saturating_sub(namespace.snapshot_at.load(Ordering::Acquire));
    if since < records.max(1) || namespace.stopped().is_some() {
        return;
    }
    let (stores, partition) =
        (service.namespaces.stores().clone(), namespace.tail.partition.clone());
    let taken_at = service.clock.now();
    let stored = tokio::task::spawn_blocking(move || -> Result<(), storage::Error> {
        // A view is published at the end of a batch.
        let Some(position) = stores.log.position_at(&partition, watermark)? else {
            return Err(storage::Error::ChainBroken { partition, sequence: watermark });
        };
        let header = SnapshotHeader { position, engine_revision: ENGINE_REVISION, taken_at };
        stores.snapshots.put(&partition, &header, &mut view.sections().into_iter())?;
        stores.snapshots.prune(&partition, KEPT)
    })
    .await;
    match stored {
        Ok(Ok(())) => {
            namespace.snapshot_at.store(watermark, Ordering::Release);
            service.metrics.snapshots.inc();
            tracing::debug!(namespace = %namespace.name(), watermark, "snapshot stored");
        }
        Ok(Err(error)) => tracing::warn!(namespace = %namespace.name(), %error, "no snapshot"),
        Err(panicked) => tracing::error!(%panicked, "storing a snapshot panicked"),
    }
}
