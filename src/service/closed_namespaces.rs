//! Looks after namespaces whether they are open or not, so that erasures of users are carried to
//! their end, the tables behind the log come up with it and decisions past their retention go. The
//! leader of the default namespace does it; every process tells its owners of erasures.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Stores;
use super::namespaces::Namespaces;
use super::owner::project_all;
use crate::config::decisions_kept_since;
use crate::storage;
use crate::storage::Partition;
use engine::domain::Sequence;

/// How often a leader that has just become one is noticed.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How often every namespace is looked at.
const ROUND_EVERY: Duration = Duration::from_secs(60);
/// How often old decisions are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Namespaces read at a time.
const PAGE: usize = 100;

/// How far each namespace is projected, as far as this process knows.
type Projected = HashMap<Partition, Sequence>;

/// Looks after all namespaces until cancelled.
pub async fn run(namespaces: Arc<Namespaces>, shutdown: CancellationToken) {
    let mut projected = Projected::new();
    let [mut round_at, mut forget_at, mut erase_at] = [Instant::now(); 3];
    let mut led = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
        let (leads, now) = (namespaces.leads_default(), Instant::now());
        if now >= erase_at || leads && !led {
            erase_at = now + ROUND_EVERY;
            look_for_erasures(&namespaces, leads).await;
        }
        led = leads;
        if !leads || namespaces.stores().projection.is_none() {
            // Another process does it now, so what is known here grows old.
            projected.clear();
            (round_at, forget_at) = (now, now);
            continue;
        }
        if now < round_at {
            continue;
        }
        round_at = now + ROUND_EVERY;
        let forgets = now >= forget_at && namespaces.with.options.decision_retention_days > 0;
        if forgets {
            forget_at = now + FORGET_EVERY;
        }
        projected = look_at_all(&namespaces, projected, forgets, &shutdown).await;
    }
}

/// Tells owners of namespaces in which users are to be erased; with `opens`, also of those that are
/// not open.
async fn look_for_erasures(namespaces: &Arc<Namespaces>, opens: bool) {
    let find = |stores: &Stores| stores.erasures.namespaces_with_unfinished();
    match namespaces.with_stores(find).await {
        Ok(names) => names.iter().for_each(|name| namespaces.erase_in(name, opens)),
        Err(error) => tracing::warn!(%error, "erasures are looked for later"),
    }
}

/// One round; returns how far all that exist are projected.
async fn look_at_all(
    namespaces: &Arc<Namespaces>,
    known: Projected,
    forgets: bool,
    shutdown: &CancellationToken,
) -> Projected {
    let (with, stop) = (namespaces.clone(), shutdown.clone());
    let work = move || {
        let stores = with.stores();
        let mut projected = Projected::new();
        let mut after = None;
        loop {
            let page = stores.namespaces.list(after.as_ref(), PAGE)?;
            let Some(last) = page.last() else { return Ok(projected) };
            after = Some(last.partition.namespace.clone());
            let partitions: Vec<_> = page.into_iter().map(|entry| entry.partition).collect();
            for end in stores.log.log_ends(&partitions)? {
                if stop.is_cancelled() {
                    return Ok(projected);
                }
                let partition = end.partition;
                let mut position = known.get(&partition).copied();
                if position != Some(end.end.sequence) {
                    position = project(stores, &partition, &stop);
                }
                projected.extend(position.map(|position| (partition.clone(), position)));
                if forgets {
                    forget_decisions(&with, &partition);
                }
            }
        }
    };
    let done: Result<Result<_, storage::Error>, _> =
        namespaces.with.workers.projecting.run(work).await;
    match done {
        Ok(Ok(projected)) => projected,
        Ok(Err(error)) => {
            tracing::warn!(%error, "namespaces are looked after later");
            Projected::new()
        }
        Err(panicked) => {
            tracing::error!(%panicked, "looking after namespaces");
            Projected::new()
        }
    }
}

fn project(stores: &Stores, partition: &Partition, stop: &CancellationToken) -> Option<Sequence> {
    match project_all(stores, partition, || stop.is_cancelled()) {
        Ok(position) => Some(position),
        Err(storage::Error::NoNamespace { .. }) => None,
        Err(error) => {
            tracing::warn!(namespace = %partition.namespace, %error, "projection waits");
            None
        }
    }
}

/// Removes decisions that are past their retention.
fn forget_decisions(namespaces: &Namespaces, partition: &Partition) {
    let days = namespaces.with.options.decision_retention_days;
    let before = decisions_kept_since(days, namespaces.with.clock.now());
    let Some(projection) = &namespaces.stores().projection else { return };
    let namespace = &partition.namespace;
    match projection.forget_decisions(partition, before) {
        Ok(0) | Err(storage::Error::NoNamespace { .. }) => {}
        Ok(rows) => {
            tracing::info!(%namespace, rows, "decisions past their retention removed");
        }
        Err(error) => tracing::warn!(%namespace, %error, "old decisions stay for now"),
    }
}
