//! A training that runs while serving, and its publication through the log.
//!
//! - It works on one view and holds up nobody. Its model becomes a record, so every
//!   follower of the log switches at the same record.
//! - It belongs to one partition and holds that partition's lease `train`: a model is
//!   appended under the fence of the lease, to the partition it was trained for. Where that
//!   is gone the append is refused.
//! - It ends when its owner ends, when the lease is lost, when the one who asked for it
//!   has gone, and when the service drains.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::super::error::Error;
use super::super::namespace::Namespace;
use super::super::namespaces::Namespaces;
use super::super::retrain::RetrainProgress;
use super::super::retrain::RetrainStage;
use super::super::retrain::Training;
use crate::storage;
use crate::storage::AppendOutcome;
use crate::storage::Fence;
use crate::storage::LeaseName;
use engine::Effort;
use engine::TrainingError;
use engine::domain::PublishedModel;
use engine::domain::Record;

const DUTY: &str = "train";
/// Longest wait for records to be applied: those to train on, and the model.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);
/// Progress messages a slow listener may leave unread; further ones are dropped.
const PROGRESS_MESSAGES: usize = 64;

/// Where the progress of a training goes that a caller asked for.
pub type Reply = oneshot::Sender<Result<Training, Error>>;

type Progress = mpsc::Sender<Result<RetrainProgress, Error>>;

/// Trains because it is due; `None` when another process has just done it.
///
/// # Errors
/// `TrainingRuns` while another process trains; what kept a model from being published.
pub async fn when_due(
    registry: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    stop: CancellationToken,
) -> Result<Option<u64>, Error> {
    let run = Run { registry, namespace, stop, effort: Effort::WhenDue, progress: None };
    run.run(|| {}).await
}

/// Trains because a caller asked for it.
///
/// # Errors
/// As [`when_due`]; the caller who asked gets the outcome, too.
pub async fn when_asked(
    registry: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    stop: CancellationToken,
    reply: Reply,
) -> Result<Option<u64>, Error> {
    let (progress, receiver) = mpsc::channel(PROGRESS_MESSAGES);
    // The last message has its permit from the beginning.
    let last = progress.clone().try_reserve_owned();
    let run = Run { registry, namespace, stop, effort: Effort::Search, progress: Some(progress) };
    let mut reply = Some((reply, receiver));
    let outcome = run
        .run(|| {
            if let Some((reply, receiver)) = reply.take() {
                let _gone = reply.send(Ok(receiver));
            }
        })
        .await;
    let told = match &outcome {
        Ok(version) => Ok(RetrainProgress::done(version.unwrap_or_default())),
        Err(error) => Err(error.clone()),
    };
    match (reply, last) {
        (Some((reply, _receiver)), _) => {
            // It has not begun.
            let refused = told.err().unwrap_or(Error::TrainingRuns);
            let _gone = reply.send(Err(refused));
        }
        (None, Ok(last)) => drop(last.send(told)),
        (None, Err(_closed)) => {}
    }
    outcome
}

/// The cause of a failure, as the metric names it.
pub const fn cause(error: &Error) -> &'static str {
    match error {
        Error::Training(TrainingError::TooLittleData { .. }) => "too_little_data",
        Error::Training(TrainingError::NotBetter { .. }) => "not_better",
        Error::Training(TrainingError::Diverged) => "diverged",
        Error::Training(TrainingError::Cancelled) => "cancelled",
        Error::Storage(storage::Error::Fenced { .. }) => "lease_lost",
        Error::Storage(_) | Error::NoNamespace(_) => "store",
        Error::WatermarkNotReached { .. } => "behind",
        Error::Internal { .. } => "panicked",
        _ => "other",
    }
}

struct Run {
    registry: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    stop: CancellationToken,
    effort: Effort,
    progress: Option<Progress>,
}

impl Run {
    /// `begins` is called once the lease is held.
    async fn run(self, begins: impl FnOnce()) -> Result<Option<u64>, Error> {
        let partition = self.namespace.tail.partition.clone();
        let name = LeaseName { partition, duty: DUTY.to_owned() };
        let lease = self.registry.with.leases.take(name.clone()).await?;
        let mut lease = lease.ok_or(Error::TrainingRuns)?;
        let fence = lease.fence().ok_or(Error::TrainingRuns)?;
        begins();
        let lost = || Error::Storage(storage::Error::Fenced { lease: name.clone() });
        tokio::select! {
            trained = self.train_and_publish(fence) => trained,
            () = lease.lost() => Err(lost()),
        }
    }

    fn report(&self, stage: RetrainStage) {
        if let Some(progress) = &self.progress {
            let _full = progress.try_send(Ok(RetrainProgress::stage(stage)));
        }
    }

    async fn train_and_publish(&self, fence: Fence) -> Result<Option<u64>, Error> {
        self.report(RetrainStage::Loading);
        let with = &self.registry.with;
        let version_before = self.namespace.view().model_version();
        // What was acknowledged before is trained on. The holder of the lease before may have
        // published a model that is not here yet.
        let end = self.registry.log_end(&self.namespace).await?;
        self.namespace.tail.advance(end);
        let view = self.namespace.view_at(end, APPLY_TIMEOUT).await?;
        if self.effort == Effort::WhenDue && view.model_version() != version_before {
            return Ok(None);
        }
        let started = Instant::now();
        // The work ends soon after this future does.
        let stop = self.stop.child_token();
        let _ends_the_work = stop.clone().drop_guard();
        let (progress, draining) = (self.progress.clone(), with.draining.clone());
        let effort = self.effort;
        let work = move || {
            engine::train(&view, effort, &mut |report| {
                if let Some(progress) = &progress {
                    let _full = progress.try_send(Ok(RetrainProgress::training(report)));
                }
                let unheard = progress.as_ref().is_some_and(Progress::is_closed);
                if unheard || stop.is_cancelled() || draining.is_cancelled() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        };
        let model: PublishedModel = with.workers.training.run(work).await??;
        let version = model.version;
        self.report(RetrainStage::Publishing);
        let records = vec![Record::ModelPublished(model)];
        let appended = with.writer.append_fenced(&self.namespace.tail, records, fence).await?;
        if let [AppendOutcome::Accepted(sequence)] = appended.outcomes[..] {
            self.namespace.view_at(sequence, APPLY_TIMEOUT).await?;
        }
        with.metrics.trainings.inc();
        with.metrics.training_seconds.observe(started.elapsed().as_secs_f64());
        Ok(Some(version))
    }
}
