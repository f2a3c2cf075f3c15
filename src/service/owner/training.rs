//! A training that runs while serving, and its publication through the log.
//!
//! - It works on one view and holds up nobody. Its model becomes a record, so every
//!   follower of the log switches at the same record.
//! - It belongs to one partition and holds that partition's lease `train`: a model is
//!   appended under the fence of the lease, to the partition it was trained for. Where that
//!   is gone the append is refused.
//! - It ends when its owner ends, when the lease is lost, when a caller asks for its end, and
//!   when the service drains. That its caller leaves does not end it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::error::Error;
use super::super::lease_keeper::Lease;
use super::super::namespace::Namespace;
use super::super::namespaces::Namespaces;
use super::super::trainings::REPORT_EVERY;
use super::super::trainings::Training;
use super::super::trainings::TrainingStage;
use super::super::trainings::TrainingState;
use super::super::trainings::TrainingStep;
use super::super::trainings::state_of;
use crate::storage;
use crate::storage::AppendOutcome;
use crate::storage::Fence;
use crate::storage::LeaseName;
use engine::Effort;
use engine::Staleness;
use engine::TrainingError;
use engine::View;
use engine::domain::PublishedModel;
use engine::domain::Record;

const DUTY: &str = "train";
/// Longest wait for records to be applied: those to train on, and the model.
const APPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the training goes that a caller asked for, once it has begun.
pub type Reply = oneshot::Sender<Result<Training, Error>>;

/// Trains: because a caller asked for it, or because it is due. `None` when another process has
/// just done what was due.
///
/// # Errors
/// `TrainingRuns` while another process trains; what kept a model from being published. The
/// caller who asked hears what kept it from beginning.
pub async fn train(
    registry: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    stop: CancellationToken,
    asked: Option<Reply>,
    effort: Effort,
) -> Result<Option<u64>, Error> {
    let begun = Run::begin(registry, namespace, stop, effort).await;
    if let Some(reply) = asked {
        let told = match &begun {
            Ok(Some((run, _lease))) => Ok(run.training.borrow().clone()),
            Ok(None) => Err(Error::TrainingRuns),
            Err(error) => Err(error.clone()),
        };
        let _gone = reply.send(told);
    }
    match begun? {
        Some((run, lease)) => run.run(lease).await.map(Some),
        None => Ok(None),
    }
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

/// A training that has begun.
struct Run {
    registry: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    stop: CancellationToken,
    effort: Effort,
    fence: Fence,
    /// What is trained on.
    view: Arc<View>,
    /// Shared with the thread that works.
    training: watch::Sender<Training>,
}

impl Run {
    /// Takes the lease, waits for what is to be trained on, and reports the training.
    async fn begin(
        registry: Arc<Namespaces>,
        namespace: Arc<Namespace>,
        stop: CancellationToken,
        effort: Effort,
    ) -> Result<Option<(Self, Lease)>, Error> {
        let partition = namespace.tail.partition.clone();
        let name = LeaseName { partition, duty: DUTY.to_owned() };
        let lease = registry.with.leases.take(name).await?.ok_or(Error::TrainingRuns)?;
        let fence = lease.fence().ok_or(Error::TrainingRuns)?;
        let version_before = namespace.view().model_version();
        // What was acknowledged before is trained on. The holder of the lease before may have
        // published a model that is not here yet.
        let view = registry.view_of_all(&namespace, APPLY_TIMEOUT).await?;
        if effort != Effort::Search && view.model_version() != version_before {
            return Ok(None);
        }
        let stale = Staleness::of(&view);
        if !stale.is_enough() {
            return Err(TrainingError::TooLittleData { found: stale.positives as usize }.into());
        }
        let training = Training::begun(effort != Effort::Search, registry.with.clock.now());
        let training = watch::Sender::new(training);
        let run = Self { registry, namespace, stop, effort, fence, view, training };
        run.report().await?;
        Ok(Some((run, lease)))
    }

    async fn run(self, mut lease: Lease) -> Result<u64, Error> {
        let lost = storage::Error::Fenced { lease: self.fence.lease.clone() };
        let outcome = tokio::select! {
            trained = self.train_and_publish() => trained,
            () = lease.lost() => Err(lost.into()),
            () = self.end_requested() => Err(TrainingError::Cancelled.into()),
        };
        let is_cancelled = self.registry.with.draining.is_cancelled() || !self.stop.is_cancelled();
        let state = match &outcome {
            Ok(model_version) => {
                let view = self.namespace.view();
                let model = view.model().filter(|model| model.version == *model_version);
                let mut figures = model.map(|model| model.figures.clone()).unwrap_or_default();
                figures.retain(|_, figure| figure.is_finite());
                TrainingState::Succeeded { model_version: *model_version, figures }
            }
            Err(error) => state_of(error, is_cancelled),
        };
        let now = self.registry.with.clock.now();
        self.training.send_modify(|training| training.end(state, now));
        if let Err(error) = self.report().await {
            tracing::warn!(namespace = %self.namespace.name(), %error, "a training's end is not reported");
        }
        outcome
    }

    /// Reports the training to the store; returns whether a caller asked for its end.
    async fn report(&self) -> Result<bool, Error> {
        let with = &self.registry.with;
        let (trainings, fence) = (with.stores.trainings.clone(), self.fence.clone());
        let training = self.training.borrow().clone();
        let report = serde_json::to_string(&training).expect("a training has text keys only");
        let report = move || trainings.report(&fence, &training.training_id, &report);
        Ok(with.workers.asking.run(report).await??)
    }

    /// Reports the training again and again; returns when a caller asked for its end.
    async fn end_requested(&self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(REPORT_EVERY) => {}
                () = self.namespace.training_end.notified() => {}
            }
            // While the store is away the training goes on, as long as the lease is held. A model that
            // is handed to the log is published.
            let is_asked = self.report().await.unwrap_or(false);
            if is_asked && self.training.borrow().step.stage != TrainingStage::Publishing {
                return;
            }
        }
    }

    fn at(&self, step: TrainingStep) {
        self.training.send_modify(|training| training.step = step);
    }

    async fn train_and_publish(&self) -> Result<u64, Error> {
        let with = &self.registry.with;
        let started = Instant::now();
        // The work ends soon after this future does.
        let stop = self.stop.child_token();
        let _ends_the_work = stop.clone().drop_guard();
        let (training, draining) = (self.training.clone(), with.draining.clone());
        let (view, effort) = (self.view.clone(), self.effort);
        let work = move || {
            engine::train(&view, effort, &mut |progress| {
                training.send_modify(|training| training.step = TrainingStep::of(progress));
                if stop.is_cancelled() || draining.is_cancelled() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        };
        let model: PublishedModel = with.workers.training.run(work).await??;
        let version = model.version;
        self.at(TrainingStep::publishing());
        let records = vec![Record::ModelPublished(model)];
        let fence = self.fence.clone();
        let appended = with.writer.append_fenced(&self.namespace.tail, records, fence).await?;
        if let [AppendOutcome::Accepted(sequence)] = appended.outcomes[..] {
            self.namespace.view_at(sequence, APPLY_TIMEOUT).await?;
        }
        with.metrics.trainings.inc();
        with.metrics.training_seconds.observe(started.elapsed().as_secs_f64());
        Ok(version)
    }
}
