//! The use cases: what the API's calls do, with the tasks that run behind them.
//!
//! - `log_writer` makes records durable, `applier` learns them, `follower` hears of
//!   what other processes wrote; a request works on one published view.
//! - `snapshotter`, `retrain` and `projector` run beside, on the leader only.
//! - Storage is reached through its traits; no backend is named here.
//! - Nothing is acknowledged before it is durable.

mod absence;
mod applier;
mod arms;
mod clock;
mod decision_log;
#[cfg_attr(not(feature = "embedder"), path = "no_embedder.rs")]
mod embedder;
mod error;
mod evaluation;
mod follower;
mod leadership;
mod limiter;
mod log_writer;
mod namespace;
mod namespaces;
mod onboarding;
mod personalize;
mod predictions;
mod profile;
mod projector;
mod reasons;
mod recording;
mod redo;
mod retrain;
mod scene;
mod snapshotter;
mod store_health;
mod unlearnt_costs;
mod unlearnt_showings;
mod user_contexts;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use embedder::Embedder;
pub use embedder::EmbeddingModel;
pub use embedder::ModelError;
use leadership::Leadership;
use namespaces::Surroundings;
use predictions::Predictions;

pub use absence::{Absence, Alteration, Cause, Gap, Suggestion};
pub use applier::{Stopped, replay};
pub use arms::{SelectArmCall, SelectedArm};
pub use clock::{Clock, SystemClock};
pub use decision_log::{Rewards, each_record, first_recorded_since};
pub use error::Error;
pub use evaluation::{EstimatedValue, Evaluation, EvaluationCall, PolicyEvaluation, PolicyReport};
pub use limiter::{Limiter, RateLimits};
pub use log_writer::{Handle as LogWriter, LogTail, Pending};
pub use namespace::Namespace;
pub use namespaces::Namespaces;
pub use personalize::{Answer, Candidates, PersonalizeCall, PinnedItem, Recommendation};
pub use profile::{ProfilePart, ProfileReport, RecentItem, TimePart, profile};
pub use projector::project_all;
pub use reasons::ReasonInWords;
pub use recording::{Detail, Recording};
pub use redo::{NotRedone, check_record, redo};
pub use retrain::{RetrainProgress, RetrainStage};
pub use store_health::{StoreHealth, StoreMonitor};

use crate::storage::Appended;
use crate::storage::Cache;
use crate::storage::InteractionLog;
use crate::storage::Leases;
use crate::storage::NamespaceStore;
use crate::storage::Projection;
use crate::storage::RateCounters;
use crate::storage::SnapshotStore;
use crate::storage::TailFeed;
use crate::telemetry::Metrics;
use engine::domain::Record;
use engine::domain::Settings;

/// Beyond these, large requests are refused: each has a thread of its own.
const HEAVY_CALLS: usize = 256;

/// The stores behind the service.
#[derive(Clone)]
pub struct Stores {
    pub log: Arc<dyn InteractionLog>,
    pub snapshots: Arc<dyn SnapshotStore>,
    pub namespaces: Arc<dyn NamespaceStore>,
    pub leases: Arc<dyn Leases>,
    /// Relational tables behind the log, where the store has them.
    pub projection: Option<Arc<dyn Projection>>,
    /// What carries the end of a shared log sooner than asking for it.
    pub feed: Option<Arc<dyn TailFeed>>,
    pub cache: Arc<dyn Cache>,
    pub rates: Arc<dyn RateCounters>,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stores")
    }
}

/// How the service runs; plain values, checked where they were read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Settings of namespaces that were created without their own.
    pub settings: Settings,
    /// Records between two snapshots of a namespace.
    pub snapshot_every_records: u64,
    /// Whether a model is trained when enough was learnt since the last one.
    pub auto_retrain: bool,
    pub rate_limits: RateLimits,
    /// Records behind the log from which answers say so.
    pub ready_lag_records: u64,
    /// How much of a decision is recorded.
    pub decision_detail: Detail,
    /// Days after which decisions are not looked at any more; 0: never.
    pub decision_retention_days: u32,
    /// What makes embeddings of items that come without one.
    pub embedding_model: Option<Arc<EmbeddingModel>>,
}

/// Everything a handler needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    pub namespaces: Arc<Namespaces>,
    pub writer: LogWriter,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub limiter: Arc<Limiter>,
    /// Whether the store answers.
    pub store: Arc<StoreMonitor>,
    pub ready_lag_records: u64,
    leadership: Arc<Leadership>,
    predictions: Predictions,
    embedder: Option<Embedder>,
    recording: Recording,
    decision_retention_days: u32,
    /// One evaluation at a time: each takes tens of megabytes and a core.
    evaluations: Arc<Semaphore>,
    /// Large requests that may be answered at a time.
    heavy_calls: Arc<Semaphore>,
    /// Cancelled when no new work is to be taken.
    pub draining: CancellationToken,
}

impl Service {
    /// Hands what somebody sent over to be written, within the rate limits; items get
    /// their embeddings first where there is a model for them.
    ///
    /// # Errors
    /// `RateLimited`, `Overloaded`, and what the log writer says.
    pub async fn submit(
        &self,
        namespace: &Namespace,
        mut records: Vec<Record>,
    ) -> Result<Pending, Error> {
        let now = self.clock.now();
        self.limiter.admit_events(namespace.name(), records.len(), now).await?;
        if let Some(embedder) = &self.embedder {
            let dimension = namespace.view().settings().embedding_dimension as usize;
            embedder.fill(&mut records, dimension).await?;
        }
        self.writer.submit(&namespace.tail, records).await
    }

    /// Writes what somebody sent and waits for the commit.
    ///
    /// # Errors
    /// As `submit`, and what kept the records from being written.
    pub async fn write(
        &self,
        namespace: &Namespace,
        records: Vec<Record>,
    ) -> Result<Appended, Error> {
        self.submit(namespace, records).await?.outcome().await
    }

    /// Whether other processes write the same log.
    pub fn store_is_shared(&self) -> bool {
        self.namespaces.stores().log.is_shared()
    }

    /// Answers that are kept for a while, shared by replicas.
    pub fn cache(&self) -> &dyn Cache {
        &*self.namespaces.stores().cache
    }
}

/// The tasks behind a service, for an orderly end.
#[derive(Debug)]
pub struct Running {
    pub service: Service,
    tasks: TaskTracker,
    writer_task: tokio::task::JoinHandle<()>,
    stop_writer: CancellationToken,
    stop_tasks: CancellationToken,
}

/// Starts the log writer and the background tasks.
pub fn start(
    stores: Stores,
    options: Options,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
) -> Running {
    let (stop_writer, stop_tasks) = (CancellationToken::new(), CancellationToken::new());
    let (tasks, store) = (TaskTracker::new(), Arc::new(StoreMonitor::default()));
    let (writer_service, writer) =
        log_writer::log_writer(stores.log.clone(), clock.clone(), metrics.clone(), store.clone());
    let writer_task = tokio::spawn(writer_service.run(stop_writer.clone()));
    let service = Service {
        limiter: Arc::new(Limiter::new(stores.rates.clone(), options.rate_limits, &metrics)),
        leadership: Arc::new(Leadership::new(stores.leases.clone())),
        predictions: Predictions::new(stores.cache.clone()),
        embedder: options
            .embedding_model
            .clone()
            .map(|model| Embedder::new(model, stores.cache.clone(), metrics.clone())),
        heavy_calls: Arc::new(Semaphore::new(HEAVY_CALLS)),
        recording: Recording::new(options.decision_detail),
        decision_retention_days: options.decision_retention_days,
        evaluations: Arc::new(Semaphore::new(1)),
        ready_lag_records: options.ready_lag_records,
        namespaces: Arc::new(Namespaces::new(Surroundings {
            stores,
            options: options.clone(),
            writer: writer.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            tasks: tasks.clone(),
            shutdown: stop_tasks.clone(),
        })),
        writer,
        clock,
        metrics,
        store,
        draining: CancellationToken::new(),
    };
    tasks.spawn(service.leadership.clone().run(stop_tasks.clone()));
    tasks.spawn(follower::run(service.clone(), stop_tasks.clone()));
    tasks.spawn(snapshotter::run(service.clone(), options.clone(), stop_tasks.clone()));
    tasks.spawn(projector::run(service.clone(), stop_tasks.clone()));
    if options.auto_retrain {
        tasks.spawn(retrain::run_schedule(service.clone(), stop_tasks.clone()));
    }
    Running { service, tasks, writer_task, stop_writer, stop_tasks }
}

impl Running {
    /// Writes what was submitted, stops the tasks and stores a last snapshot, in
    /// this order. Call it when no request is being answered any more.
    pub async fn stop(self) {
        self.stop_writer.cancel();
        if let Err(failure) = self.writer_task.await {
            tracing::error!(%failure, "the log writer ended badly");
        }
        self.stop_tasks.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if self.service.leadership.leads() {
            snapshotter::store_all(&self.service, 1).await;
        }
        self.service.leadership.resign();
    }
}
