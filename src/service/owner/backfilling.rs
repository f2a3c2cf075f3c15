//! What metrics lack that were added to a running experiment: computed from the log and recorded.
//!
//! - Records are read once more, in batches, up to the change that added the metrics. The engine counts
//!   them; here is what reads and writes.
//! - What is recorded is harmless twice: the engine takes in what goes on where the last piece ended. So
//!   nothing has to be remembered. Who leads next goes on there.
//! - The computing is given up when the lead is lost, the owner ends or the experiment does.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::decision_log::each_record;
use super::super::decision_log::first_recorded_since;
use super::super::error::Error;
use super::super::namespace::Namespace;
use super::super::namespaces::Namespaces;
use crate::storage;
use crate::storage::Fence;
use crate::storage::InteractionLog;
use engine::BackfillRun;
use engine::domain::BackfillChunk;
use engine::domain::Record;
use engine::domain::Sequence;

/// Pieces that are recorded at a time: 256 KiB.
const CHUNKS: usize = 16;
/// How often recording is tried while the store is away or overloaded, and how far apart.
const ATTEMPTS: usize = 60;
const AGAIN: Duration = Duration::from_secs(1);
/// Longest wait for what was recorded to be learnt.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Computes and records what the first change left to be computed, if any did.
///
/// # Errors
/// `ShuttingDown` when it is given up; what keeps records from being read, written or learnt.
pub async fn backfill(
    registry: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    fence: Fence,
    stop: CancellationToken,
) -> Result<(), Error> {
    let with = &registry.with;
    // The work ends soon after this future does.
    let stop = stop.child_token();
    let _ends_the_work = stop.clone().drop_guard();
    let (log, shutdown) = (with.stores.log.clone(), with.shutdown.clone());
    let (of, stopped) = (namespace.clone(), stop.clone());
    let work = move || computed(&*log, &of, || stopped.is_cancelled() || shutdown.is_cancelled());
    let Some(run) = with.workers.backfilling.run(work).await?? else {
        return Ok(());
    };
    let (mut chunks, mut end) = (run.chunks(), 0);
    loop {
        let group: Vec<BackfillChunk> = chunks.by_ref().take(CHUNKS).collect();
        if group.is_empty() {
            break;
        }
        if !run.is_due(&namespace.view()) {
            // The experiment has ended, or another process has done it.
            return Ok(());
        }
        end = recorded(&registry, &namespace, &fence, &stop, group).await?;
    }
    if run.is_due(&*namespace.view_at(end, APPLY_TIMEOUT).await?) {
        return Err(Error::internal("what was computed from the log was not taken in"));
    }
    let (key, name) = (&run.experiment().key, namespace.name());
    tracing::info!(namespace = %name, experiment = %key, "added metrics are computed from the log");
    with.metrics.experiment_backfills.inc();
    Ok(())
}

/// One way over the log, two where users were merged meanwhile. Blocks.
fn computed(
    log: &dyn InteractionLog,
    namespace: &Namespace,
    is_stopped: impl Fn() -> bool,
) -> Result<Option<BackfillRun>, Error> {
    let Some(mut run) = BackfillRun::of(&namespace.view()) else {
        return Ok(None);
    };
    let (partition, until) = (&namespace.tail.partition, run.until());
    let (key, name) = (&run.experiment().key, namespace.name());
    tracing::info!(namespace = %name, experiment = %key, until, "the log is read for added metrics");
    let goes_on = || if is_stopped() { Err(Error::ShuttingDown) } else { Ok(()) };
    if run.needs_merges() {
        each_record(log, partition, 0, until, |record| {
            run.learn_merge(record);
            goes_on()
        })?;
    }
    let first = match run.begins_at() {
        Some(time) => first_recorded_since(log, partition, until, time)?,
        None => 1,
    };
    each_record(log, partition, first - 1, until, |record| {
        run.learn(&namespace.view(), record);
        goes_on()
    })?;
    Ok(Some(run))
}

/// Records some pieces. An attempt whose outcome is not known may have worked: the next one then
/// changes nothing.
async fn recorded(
    registry: &Namespaces,
    namespace: &Namespace,
    fence: &Fence,
    stop: &CancellationToken,
    chunks: Vec<BackfillChunk>,
) -> Result<Sequence, Error> {
    let mut attempts = 0;
    loop {
        let records = chunks.iter().cloned().map(Record::Backfilled).collect();
        let writer = &registry.with.writer;
        let written = tokio::select! {
            written = writer.append_fenced(&namespace.tail, records, fence.clone()) => written,
            () = stop.cancelled() => return Err(Error::ShuttingDown),
        };
        attempts += 1;
        match written {
            Ok(appended) => return Ok(appended.log_end),
            Err(
                error @ (Error::Overloaded(_) | Error::Storage(storage::Error::Unavailable { .. })),
            ) if attempts < ATTEMPTS => {
                tracing::debug!(namespace = %namespace.name(), %error, "a backfill waits");
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = stop.cancelled() => return Err(Error::ShuttingDown),
        }
    }
}
