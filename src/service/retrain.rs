//! Full training beside serving, and its publication through the log.
//!
//! A training works on one view and holds up nobody. Its model becomes a record, so
//! every follower of the log switches at the same place.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Service;
use super::error::Error;
use super::leadership::TrainingLease;
use super::namespace::Namespace;
use super::namespace::TrainingPermit;
use crate::storage::AppendOutcome;
use crate::storage::Fence;
use engine::Effort;
use engine::TrainingError;
use engine::TrainingProgress;
use engine::TrainingStage;
use engine::domain::PublishedModel;
use engine::domain::Record;

/// How often the schedule looks whether a training is due.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// A training is due when this many interactions came since the last one...
const DUE_INTERACTIONS: u64 = 1_000;
/// ...and they are at least one in this many of all.
const DUE_SHARE: u64 = 10;
/// Longest wait for records to be applied: those to train on, and the model.
const APPLY_PATIENCE: Duration = Duration::from_secs(60);
/// Progress messages a slow listener may leave unread; further ones are dropped.
const PROGRESS_MESSAGES: usize = 64;

/// In the order they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetrainStage {
    Loading,
    Training,
    Fitting,
    Publishing,
    Done,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RetrainProgress {
    pub stage: RetrainStage,
    /// From 1, while training; 0 otherwise.
    pub trial: usize,
    pub trials: usize,
    pub epoch: usize,
    pub epochs: usize,
    pub loss: Option<f64>,
    /// NDCG@20 on what is held out, best epoch so far; while training.
    pub validation_ndcg: Option<f64>,
    /// Set when done.
    pub model_version: u64,
}

impl RetrainProgress {
    fn stage(stage: RetrainStage) -> Self {
        Self {
            stage,
            trial: 0,
            trials: 0,
            epoch: 0,
            epochs: 0,
            loss: None,
            validation_ndcg: None,
            model_version: 0,
        }
    }

    fn training(progress: TrainingProgress) -> Self {
        let stage = match progress.stage {
            TrainingStage::Training => RetrainStage::Training,
            TrainingStage::Fitting => RetrainStage::Fitting,
        };
        Self {
            trial: progress.trial,
            trials: progress.trials,
            epoch: progress.epoch,
            epochs: progress.epochs,
            loss: Some(progress.loss),
            validation_ndcg: progress.ndcg,
            ..Self::stage(stage)
        }
    }
}

impl Service {
    /// Starts a training and returns its progress; the last message is `Done` or an
    /// error. When the receiver is dropped the training is cancelled.
    ///
    /// # Errors
    /// `TrainingRuns`, here or in another process; storage errors.
    pub async fn retrain(
        &self,
        namespace: &Arc<Namespace>,
    ) -> Result<mpsc::Receiver<Result<RetrainProgress, Error>>, Error> {
        let permit = namespace.start_training()?;
        let lease = self.leadership.lease_training(&namespace.tail.partition).await?;
        Ok(self.train(namespace, permit, lease, Effort::Search))
    }

    fn train(
        &self,
        namespace: &Arc<Namespace>,
        permit: TrainingPermit,
        lease: TrainingLease,
        effort: Effort,
    ) -> mpsc::Receiver<Result<RetrainProgress, Error>> {
        let (progress, receiver) = mpsc::channel(PROGRESS_MESSAGES);
        let (service, namespace) = (self.clone(), namespace.clone());
        // Not tracked: a training that outlives the server's patience is given up,
        // and nothing durable is lost by that.
        tokio::spawn(async move {
            let _permit = permit;
            let fence = lease.fence.clone();
            let outcome = service.train_and_publish(&namespace, effort, &progress, fence).await;
            lease.release().await;
            let last = outcome.map(|version| RetrainProgress {
                model_version: version,
                ..RetrainProgress::stage(RetrainStage::Done)
            });
            let _unheard = progress.send(last).await;
        });
        receiver
    }

    async fn train_and_publish(
        &self,
        namespace: &Arc<Namespace>,
        effort: Effort,
        progress: &mpsc::Sender<Result<RetrainProgress, Error>>,
        fence: Fence,
    ) -> Result<u64, Error> {
        let _full = progress.try_send(Ok(RetrainProgress::stage(RetrainStage::Loading)));
        let started = std::time::Instant::now();
        // What was acknowledged before the call is trained on.
        let view = namespace.view_at(namespace.tail.end(), APPLY_PATIENCE).await?;
        let (reports, draining) = (progress.clone(), self.draining.clone());
        let trained = tokio::task::spawn_blocking(move || {
            engine::train(&view, effort, &mut |progress| {
                let _full = reports.try_send(Ok(RetrainProgress::training(progress)));
                if reports.is_closed() || draining.is_cancelled() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
        })
        .await;
        let model: PublishedModel =
            trained.map_err(|_panicked| Error::Training(TrainingError::Cancelled))??;
        let version = model.version;
        let _full = progress.try_send(Ok(RetrainProgress::stage(RetrainStage::Publishing)));
        let records = vec![Record::ModelPublished(model)];
        let appended = self.writer.append_fenced(&namespace.tail, records, fence).await?;
        if let [AppendOutcome::Accepted(sequence)] = appended.outcomes[..] {
            namespace.view_at(sequence, APPLY_PATIENCE).await?;
        }
        self.metrics.trainings.inc();
        self.metrics.training_seconds.observe(started.elapsed().as_secs_f64());
        Ok(version)
    }
}

/// Trains each open namespace when enough was learnt since its last training, while
/// this process is the leader.
pub async fn run_schedule(service: Service, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CHECK_EVERY) => {}
        }
        if !service.leadership.leads() {
            continue;
        }
        for namespace in service.namespaces.opened() {
            if is_due(&namespace)
                && let Err(error) = service.train_when_due(&namespace).await
            {
                tracing::warn!(namespace = %namespace.name(), %error, "training failed");
            }
        }
    }
}

impl Service {
    async fn train_when_due(&self, namespace: &Arc<Namespace>) -> Result<(), Error> {
        let Ok(permit) = namespace.start_training() else {
            return Ok(());
        };
        let lease = match self.leadership.lease_training(&namespace.tail.partition).await {
            Err(Error::TrainingRuns) => return Ok(()),
            lease => lease?,
        };
        // Whoever had the lease before may have published a model that is not here yet.
        let end = self.namespaces.log_end(namespace).await?;
        namespace.tail.advance(end);
        namespace.view_at(end, APPLY_PATIENCE).await?;
        if !is_due(namespace) {
            return Ok(());
        }
        let mut progress = self.train(namespace, permit, lease, Effort::WhenDue);
        while let Some(report) = progress.recv().await {
            report?;
        }
        Ok(())
    }
}

fn is_due(namespace: &Namespace) -> bool {
    let view = namespace.view();
    let trained_at = view.model().map_or(0, |model| model.trained_at);
    let since = view.watermark().saturating_sub(trained_at);
    since >= DUE_INTERACTIONS && since >= view.counts().interactions / DUE_SHARE
}
