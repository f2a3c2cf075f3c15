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

use std::collections::HashMap;
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
use crate::storage::AppendOutcome;
use crate::storage::Instead;
use crate::storage::Partition;
use crate::storage::StoredErasure;
use engine::View;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Tester;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Erasures whose records are replaced together: their ids are in memory, 64 KiB each at most.
const REPLACED_TOGETHER: usize = 1_000;
/// Erasures whose reports are completed together: these have no ids any more.
const SETTLED_TOGETHER: usize = 100_000;
/// A model without the user is due so long after the erasure was asked for.
const MODEL_DUE_MS: i64 = Timestamp::DAY_MS;

/// What a look at the erasures came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// Records were replaced: the state is to be built again, and then to be told of.
    Rewritten,
    /// There is more to do at once.
    More,
    /// All that can be done now is done. When a model must replace the serving one, if it must.
    Settled { model_due: Option<Timestamp> },
}

/// Does what is undone. `revision`: that of the log from which the state of now was learnt.
///
/// # Errors
/// Storage errors, what keeps records from being written; `ShuttingDown` when told to stop.
pub async fn erase(
    registry: &Arc<Namespaces>,
    namespace: &Arc<Namespace>,
    revision: u64,
    stop: &CancellationToken,
) -> Result<Erased, Error> {
    let partition = namespace.tail.partition.clone();
    let (stores, workers) = (&registry.with.stores, &registry.with.workers);
    let in_log = {
        let (stores, partition) = (stores.clone(), partition.clone());
        let find = move || stores.erasures.in_log(&partition, REPLACED_TOGETHER);
        workers.learning.run(find).await??
    };
    if in_log.is_empty() {
        let (stores, now) = (stores.clone(), registry.with.clock.now());
        let learnt = (namespace.view(), revision);
        let settle = move || settle(&stores, &partition, learnt, now);
        return workers.learning.run(settle).await?;
    }
    let mut pending = Vec::with_capacity(in_log.len());
    for erasure in in_log {
        pending.push(out_of_serving(registry, namespace, erasure).await?);
    }
    for user_id in pending.iter().flat_map(|erasure| &erasure.user_ids) {
        stores.cache.remove(&profile_key(&partition, user_id)).await;
    }
    let (now, stop) = (registry.with.clock.now(), stop.clone());
    let stores = stores.clone();
    let replace = move || replace(&stores, &partition, &pending, &stop, now);
    // Where the tables are filled: no row of before comes after those that are removed.
    let is_rewritten = workers.projecting.run(replace).await??;
    Ok(if is_rewritten { Erased::Rewritten } else { Erased::More })
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

/// Replaces the records of users, and removes what else holds something of them; returns whether that
/// makes another state. Blocks.
fn replace(
    stores: &Stores,
    partition: &Partition,
    pending: &[StoredErasure],
    stop: &CancellationToken,
    now: Timestamp,
) -> Result<bool, Error> {
    let mut erased = HashMap::new();
    for erasure in pending {
        let until = Erasure::read(erasure)?.report.sequence;
        erased.extend(erasure.user_ids.iter().map(|user_id| (user_id, until)));
    }
    replace_all(stores, partition, stop, &|record| without(record, &erased))?;
    let is_rewritten = stores.erasures.is_rewritten(partition)?;
    if is_rewritten {
        // They name users by their place among all.
        let is_backfill = |record: &LogRecord| matches!(record.record, Record::Backfilled(_));
        let instead = |record: &LogRecord| is_backfill(record).then_some(Record::Placeholder);
        replace_all(stores, partition, stop, &instead)?;
        // By now none is completed. Cut off before the revision rises, all of this is done again.
        stores.snapshots.discard_after(partition, 0)?;
        stores.erasures.raise_revision(partition)?;
    }
    if let Some(projection) = &stores.projection {
        let ids: Vec<UserId> = erased.keys().map(|&user_id| user_id.clone()).collect();
        projection.forget_users(partition, &ids)?;
    }
    stores.feed.iter().for_each(|feed| feed.forget(partition));
    stores.erasures.scrub()?;
    for before in pending {
        let replaced_at_ms = now.as_millis();
        let report = ErasureReport { replaced_at_ms, ..Erasure::read(before)?.report };
        let report = report.as_json();
        let after = StoredErasure { report, user_ids: Vec::new(), ..before.clone() };
        stores.erasures.report(partition, before, &after)?;
    }
    tracing::info!(
        namespace = %partition.namespace, erasures = pending.len(),
        "records of users who were erased are replaced"
    );
    Ok(is_rewritten)
}

fn replace_all(
    stores: &Stores,
    partition: &Partition,
    stop: &CancellationToken,
    instead: Instead<'_>,
) -> Result<(), Error> {
    let mut after = 0;
    loop {
        if stop.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let step = stores.erasures.replace(partition, after, instead)?;
        if step.to == after {
            return Ok(());
        }
        after = step.to;
    }
}

/// What stands in place of a record where these users are erased, each up to a record: what comes
/// behind it is of one who was readmitted.
fn without(record: &LogRecord, erased: &HashMap<&UserId, Sequence>) -> Option<Record> {
    let until = |user_id: &UserId| erased.get(user_id).copied().unwrap_or(0);
    match &record.record {
        // Two processes may both have written it.
        Record::UserErased(user_id) => erased.contains_key(user_id).then_some(Record::Placeholder),
        Record::ExperimentChanged(change) => {
            let stays = |tester: &&Tester| until(&tester.user_id) < record.sequence;
            let testers: Vec<Tester> =
                change.experiment.testers.iter().filter(stays).cloned().collect();
            (testers.len() < change.experiment.testers.len()).then(|| {
                let mut change = change.clone();
                change.experiment.testers = testers;
                Record::ExperimentChanged(change)
            })
        }
        other => {
            let is_erased = other.user_ids().any(|user_id| record.sequence <= until(user_id));
            is_erased.then_some(Record::Placeholder)
        }
    }
}

/// Completes the reports of erasures that are out of the log: by the state that was built from it,
/// and by the model. Blocks.
fn settle(
    stores: &Stores,
    partition: &Partition,
    (view, revision): (Arc<View>, u64),
    now: Timestamp,
) -> Result<Erased, Error> {
    let replaced = stores.erasures.out_of_log(partition, SETTLED_TOGETHER)?;
    if replaced.is_empty() {
        return Ok(Erased::Settled { model_due: None });
    }
    if stores.log.log_end(partition)?.revision != revision {
        // This state is of the log of before.
        return Ok(Erased::Rewritten);
    }
    // Also of the ids that were kept with the erasures.
    stores.erasures.scrub()?;
    let (mut model_due, mut finished) = (None, 0);
    let state = StateWithout {
        watermark: view.watermark(),
        log_revision: revision,
        digest: blake3::Hash::from_bytes(view.digest()).to_hex().to_string(),
    };
    for before in &replaced {
        let mut report = Erasure::read(before)?.report;
        let known = report.state.get_or_insert_with(|| state.clone()).watermark;
        let model = view.model().map(|model| (model.trained_at, model.version));
        let is_finished = model.is_none_or(|(trained_at, _)| trained_at >= known);
        finished += usize::from(is_finished);
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
    if replaced.len() == SETTLED_TOGETHER && finished > 0 {
        return Ok(Erased::More);
    }
    Ok(Erased::Settled { model_due })
}
