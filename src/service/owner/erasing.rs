//! Erasures of users, as the leader of a namespace does them.
//!
//! - In this order: out of serving, out of the log, out of snapshots, tables and caches; then the
//!   revision of the log rises, and every replica builds its state from what the log has now. What is cut
//!   off is done again from the start, which does no harm.
//! - The digest of the new state goes into the report: a replay of the log comes to the same.
//! - Models that were trained before still know the user. One that is trained after that ends the
//!   erasure; it is due [`MODEL_DUE_MS`] after it was asked for.
//! - Values that experiments computed from the log are in the order of their users: they go, too,
//!   and are computed again.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::service::Stores;
use crate::service::erasure::Erasure;
use crate::service::erasure::ErasureReport;
use crate::service::erasure::StateWithout;
use crate::service::error::Error;
use crate::service::namespace::Namespace;
use crate::service::namespaces::Namespaces;
use crate::service::profile::profile_key;
use crate::storage;
use crate::storage::AppendOutcome;
use crate::storage::Partition;
use crate::storage::Position;
use crate::storage::StoredErasure;
use engine::View;
use engine::domain::Record;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Erasures that are done together.
const TOGETHER: usize = 1_000;
/// A model without the user is due so long after the erasure was asked for.
const MODEL_DUE_MS: i64 = Timestamp::DAY_MS;

/// What a look at the erasures came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Records were replaced: the state is to be built again.
    pub is_rewritten: bool,
    /// When a model must replace the serving one.
    pub model_due: Option<Timestamp>,
}

/// Does what is undone. `learnt`: the state of now, and where it stands.
///
/// # Errors
/// Storage errors, what keeps records from being written; `ShuttingDown` when told to stop.
pub async fn erase(
    registry: &Arc<Namespaces>,
    namespace: &Arc<Namespace>,
    learnt: (Arc<View>, Position),
    stop: &CancellationToken,
) -> Result<Erased, Error> {
    let partition = namespace.tail.partition.clone();
    let unfinished = {
        let partition = partition.clone();
        let find = move |stores: &Stores| stores.erasures.unfinished(&partition, TOGETHER);
        registry.with_stores(find).await?
    };
    let (in_log, replaced): (Vec<_>, Vec<_>) =
        unfinished.into_iter().partition(|erasure| !erasure.user_ids.is_empty());
    if in_log.is_empty() {
        let now = registry.with.clock.now();
        let settle = move |stores: &Stores| settle(stores, &partition, &replaced, learnt, now);
        return registry.with_stores(settle).await;
    }
    let mut pending = Vec::with_capacity(in_log.len());
    for erasure in in_log {
        pending.push(out_of_serving(registry, namespace, erasure).await?);
    }
    let ids: Vec<UserId> =
        pending.iter().flat_map(|erasure| erasure.user_ids.iter().cloned()).collect();
    for user_id in &ids {
        registry.with.stores.cache.remove(&profile_key(&partition, user_id)).await;
    }
    let (now, stop) = (registry.with.clock.now(), stop.clone());
    let stores = registry.with.stores.clone();
    let replace = move || replace(&stores, &partition, &pending, &ids, &stop, now);
    // Where the tables are filled: no row of before comes after those that are removed.
    registry.with.workers.projecting.run(replace).await??;
    Ok(Erased { is_rewritten: true, model_due: None })
}

/// Sees to it that the record is written which takes the user out of serving.
///
/// # Errors
/// What keeps records from being written; storage errors.
pub async fn out_of_serving(
    namespaces: &Namespaces,
    namespace: &Arc<Namespace>,
    stored: StoredErasure,
) -> Result<StoredErasure, Error> {
    let erasure = Erasure::read(&stored)?;
    let Some(user_id) = stored.user_ids.first().filter(|_| erasure.report.sequence == 0) else {
        return Ok(stored);
    };
    // Two processes may both write it: the second one changes nothing.
    let records = vec![Record::UserErased(user_id.clone())];
    let appended = namespaces.with.writer.append(&namespace.tail, records).await?;
    let AppendOutcome::Accepted(sequence) = appended.outcomes[0] else {
        return Err(Error::internal("that a user is erased is never left out"));
    };
    let report = ErasureReport { sequence, ..erasure.report };
    let after = StoredErasure { report: report.as_json(), ..stored.clone() };
    let (partition, id) = (namespace.tail.partition.clone(), stored.erasure_id.clone());
    let told = move |stores: &Stores| {
        if stores.erasures.report(&partition, &stored, &after)? {
            return Ok(Some(after));
        }
        // Another process was faster.
        stores.erasures.erasure(&partition, &id)
    };
    let told = namespaces.with_stores(told).await?;
    told.ok_or_else(|| Error::internal("an erasure is gone"))
}

/// Replaces the records of users, and removes what else holds something of them. Blocks.
fn replace(
    stores: &Stores,
    partition: &Partition,
    pending: &[StoredErasure],
    ids: &[UserId],
    stop: &CancellationToken,
    now: Timestamp,
) -> Result<(), Error> {
    let erased: HashSet<&UserId> = ids.iter().collect();
    let is_erased = |record: &Record| {
        matches!(record, Record::Backfilled(_))
            || record.user_ids().any(|user_id| erased.contains(user_id))
    };
    let (mut after, mut replaced) = (0, 0);
    loop {
        if stop.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let step = stores.erasures.replace(partition, after, &is_erased)?;
        replaced += step.records;
        if step.to == after {
            break;
        }
        after = step.to;
    }
    stores.erasures.raise_revision(partition)?;
    stores.snapshots.discard_after(partition, 0)?;
    if let Some(projection) = &stores.projection {
        projection.forget_users(partition, ids)?;
    }
    stores.feed.iter().for_each(|feed| feed.forget(partition));
    for before in pending {
        let report = ErasureReport {
            replaced,
            replaced_at_ms: now.as_millis(),
            ..Erasure::read(before)?.report
        };
        let report = report.as_json();
        let after = StoredErasure { report, user_ids: Vec::new(), ..before.clone() };
        stores.erasures.report(partition, before, &after)?;
    }
    stores.erasures.scrub()?;
    tracing::info!(
        namespace = %partition.namespace, erasures = pending.len(), records = replaced,
        "records of users were replaced"
    );
    Ok(())
}

/// Completes the reports of erasures that are out of the log: by the state that was built from it,
/// and by the model. Blocks.
fn settle(
    stores: &Stores,
    partition: &Partition,
    replaced: &[StoredErasure],
    (view, position): (Arc<View>, Position),
    now: Timestamp,
) -> Result<Erased, storage::Error> {
    if replaced.is_empty() {
        return Ok(Erased::default());
    }
    if stores.log.log_end(partition)?.revision != position.revision {
        // This state is of the log of before.
        return Ok(Erased { is_rewritten: true, model_due: None });
    }
    let mut model_due = None;
    let state = StateWithout {
        watermark: view.watermark(),
        log_revision: position.revision,
        digest: blake3::Hash::from_bytes(view.digest()).to_hex().to_string(),
    };
    for before in replaced {
        let corrupt = |error: Error| storage::Error::Corrupt {
            what: "an erasure".to_owned(),
            reason: error.to_string(),
        };
        let mut report = Erasure::read(before).map_err(corrupt)?.report;
        let known = report.state.get_or_insert_with(|| state.clone()).watermark;
        let model = view.model().map(|model| (model.trained_at, model.version));
        let is_finished = model.is_none_or(|(trained_at, _)| trained_at >= known);
        if is_finished {
            report.finished_at_ms = now.as_millis();
            report.model_version = model.map_or(0, |(_, version)| version);
        } else {
            let due = Timestamp::from_millis(report.requested_at_ms).plus_millis(MODEL_DUE_MS);
            model_due = Some(model_due.map_or(due, |sooner: Timestamp| sooner.min(due)));
        }
        let after = StoredErasure { report: report.as_json(), is_finished, ..before.clone() };
        if after != *before {
            stores.erasures.report(partition, before, &after)?;
        }
    }
    Ok(Erased { is_rewritten: false, model_due })
}
