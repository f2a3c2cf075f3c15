//! Keeps the relational tables behind the log filled, on the leader, and decisions that
//! are past their retention out of them.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Service;
use super::Stores;
use crate::config::decisions_kept_since;
use crate::storage;
use crate::storage::Partition;
use crate::storage::ReadLimit;
use engine::domain::Sequence;

const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Every so many checks, namespaces that are not open here are looked at, too.
const CHECKS_PER_ROUND: u32 = 60;
/// Records of one transaction.
const RECORDS: usize = 10_000;
/// Namespaces read at a time.
const PAGE: usize = 100;

/// Projects what is new, every second, until cancelled.
pub async fn run(service: Service, shutdown: CancellationToken) {
    let stores = service.namespaces.stores().clone();
    if stores.projection.is_none() {
        return;
    }
    let mut projected = BTreeMap::new();
    let mut check = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
        if !service.leadership.leads() {
            // Another process projects now, so what is known here grows old.
            projected.clear();
            continue;
        }
        check += 1;
        let mut behind = open_and_behind(&service, &projected);
        if check % CHECKS_PER_ROUND == 1 {
            let stores = stores.clone();
            let all = tokio::task::spawn_blocking(move || all_partitions(&stores)).await;
            behind = all.ok().and_then(Result::ok).unwrap_or_default();
            forget_decisions(&service, behind.clone()).await;
        }
        for partition in behind {
            let (stores, wanted, stop) = (stores.clone(), partition.clone(), shutdown.clone());
            let done = tokio::task::spawn_blocking(move || {
                project_all(&stores, &wanted, || stop.is_cancelled())
            });
            match done.await {
                Ok(Ok(position)) => drop(projected.insert(partition, position)),
                Ok(Err(error)) => {
                    tracing::warn!(namespace = %partition.namespace, %error, "projection waits")
                }
                Err(panicked) => {
                    tracing::error!(namespace = %partition.namespace, %panicked, "projection panicked")
                }
            }
        }
    }
}

/// Removes decisions that are past their retention.
async fn forget_decisions(service: &Service, partitions: Vec<Partition>) {
    let days = service.decision_retention_days;
    if days == 0 {
        return;
    }
    let before = decisions_kept_since(days, service.clock.now());
    let projection = service.namespaces.stores().projection.clone();
    let work = move || {
        for partition in partitions {
            let forgotten =
                projection.as_ref().map(|rows| rows.forget_decisions(&partition, before));
            match forgotten {
                Some(Ok(rows)) if rows > 0 => {
                    tracing::info!(namespace = %partition.namespace, rows, "decisions past their retention removed");
                }
                Some(Err(error)) => {
                    tracing::warn!(namespace = %partition.namespace, %error, "old decisions stay for now");
                }
                _ => {}
            }
        }
    };
    if let Err(panicked) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%panicked, "removing old decisions panicked");
    }
}

fn open_and_behind(service: &Service, projected: &BTreeMap<Partition, Sequence>) -> Vec<Partition> {
    let opened = service.namespaces.opened().into_iter();
    let behind =
        opened.filter(|open| projected.get(&open.tail.partition) != Some(&open.tail.end()));
    behind.map(|open| open.tail.partition.clone()).collect()
}

fn all_partitions(stores: &Stores) -> Result<Vec<Partition>, storage::Error> {
    let mut all: Vec<Partition> = Vec::new();
    loop {
        let last = all.last().map(|partition| &partition.namespace);
        let page = stores.namespaces.list(last, PAGE)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page.into_iter().map(|entry| entry.partition));
    }
}

/// Projects a namespace up to the end of its log, or until told to stop; returns how
/// far it came. Blocks.
///
/// # Errors
/// Storage errors.
pub fn project_all(
    stores: &Stores,
    partition: &Partition,
    stop: impl Fn() -> bool,
) -> Result<Sequence, storage::Error> {
    let Some(projection) = &stores.projection else {
        return Ok(0);
    };
    let mut position = projection.projected_to(partition)?;
    while !stop() {
        let records = stores.log.read_from(partition, position, ReadLimit::records(RECORDS))?;
        if records.is_empty() {
            break;
        }
        position = projection.project(partition, &records)?;
    }
    Ok(position)
}
