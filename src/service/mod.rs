//! The use cases: what the API's calls do, with the tasks that run behind them.
//!
//! - `log_writer` makes records durable; of each open namespace an `owner` learns them,
//!   publishes and does the duties; a request works on one published view.
//! - `ends` and `lease_keeper` ask the store for all of them, in one question each.
//! - Storage is reached through its traits; no backend is named here.
//! - Nothing is acknowledged before it is durable.

mod absence;
mod aggregates;
mod arms;
mod blocking;
mod clock;
mod closed_namespaces;
mod decision_log;
mod degradation;
mod earlier_pages;
#[cfg_attr(not(feature = "embedder"), path = "no_embedder.rs")]
mod embedder;
mod ends;
mod erasing;
mod erasure;
mod error;
mod evaluation;
mod experiments;
mod export;
mod ingest;
mod known_decisions;
mod later_pages;
mod lease_keeper;
mod limiter;
mod log_writer;
mod merging;
mod namespace;
mod namespaces;
mod onboarding;
mod owner;
mod personalize;
mod predictions;
mod profile;
mod reasons;
mod recording;
mod redo;
mod rehearsal;
mod settings;
mod settings_change;
mod store_health;
mod trainings;
mod unlearnt_costs;
mod unlearnt_impressions;
mod unlearnt_pages;
mod user_contexts;
mod users;
mod work_out;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use embedder::Embedder;
pub use embedder::EmbeddingModel;
pub use embedder::ModelError;
use lease_keeper::LeaseKeeper;
use namespaces::Surroundings;
use predictions::Predictions;
use user_contexts::ContextCache;
use workers::Workers;

pub use absence::{Absence, Alteration, Cause, Gap, Suggestion};
pub use aggregates::{
    AggregateQuery, Aggregates, GroupBy, NoisyCount, PrivacyLedger, PrivacySettings,
    PrivacySpending, Released,
};
pub use arms::{RewardedArm, SelectArmCall, SelectedArm};
pub use blocking::{Deadline, Expiry, Reads, run_blocking};
pub use clock::{Clock, SystemClock};
pub use decision_log::{Rewards, each_record, first_recorded_since};
pub use degradation::{Degradation, DegradedReason};
pub use erasure::{Erasure, ErasureReport};
pub use error::{Error, ExperimentError, Progress, short_id};
pub use evaluation::{
    EstimatedValue, Estimator, EvaluatedPolicy, Evaluation, EvaluationCall, PolicyEvaluation,
    PolicyReport, PolicyWarning,
};
pub use experiments::{ChangeAction, ExperimentUpdate, experiment_etag};
pub use export::ExportPart;
pub use ingest::{Recorded, Submitted};
pub use limiter::{Limiter, RateLimits};
pub use log_writer::{Handle as LogWriter, LogTail};
pub use merging::Merged;
pub use namespace::Namespace;
pub use namespaces::Namespaces;
pub use owner::{Learner, Stopped, follow, project_all, replay};
pub use personalize::{
    Answer, CallDivision, Candidates, PersonalizeCall, PinnedItem, Recommendation,
};
pub use profile::{ProfilePart, ProfileReport, RecentItem, TimePart, profile, profile_key};
pub use reasons::ReasonInWords;
pub use recording::{Detail, RequestRecord};
pub use redo::{NotRedone, check_record, redo};
pub use rehearsal::{
    BoundedMean, Change, Exposure, LabelShare, LeftOut, PolicyEstimate, Rehearsal, RehearsalCall,
    RehearsalFigures, RehearsedCall, RewardEstimate,
};
pub use settings::{setting_pointer, settings_etag, settings_with};
pub use settings_change::InForce;
pub use store_health::{StoreHealth, StoreMonitor};
pub use trainings::{Training, TrainingFailure, TrainingStage, TrainingState, TrainingStep};

use crate::storage::Budgets;
use crate::storage::Cache;
use crate::storage::Erasures;
use crate::storage::InteractionLog;
use crate::storage::Leases;
use crate::storage::NamespaceStore;
use crate::storage::Projection;
use crate::storage::RateCounters;
use crate::storage::SnapshotStore;
use crate::storage::TailFeed;
use crate::storage::Trainings;
use crate::telemetry::Metrics;
use engine::domain::Settings;

/// Longest wait for the tasks to end; owners bound their last snapshots themselves.
const TASKS_TIMEOUT: Duration = Duration::from_secs(5);

/// The stores behind the service.
#[derive(Clone)]
pub struct Stores {
    /// What identifies the database: keys in shared stores carry it.
    pub identity: String,
    pub log: Arc<dyn InteractionLog>,
    pub snapshots: Arc<dyn SnapshotStore>,
    pub namespaces: Arc<dyn NamespaceStore>,
    pub leases: Arc<dyn Leases>,
    pub trainings: Arc<dyn Trainings>,
    pub erasures: Arc<dyn Erasures>,
    pub budgets: Arc<dyn Budgets>,
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
    /// Settings of namespaces where they have none of their own.
    pub settings: Settings,
    /// Records between two snapshots of a namespace.
    pub snapshot_every_records: u64,
    /// Namespaces whose states are in memory, at most.
    pub open_namespaces_max: usize,
    /// Whether a model is trained when enough was learnt since the last one.
    pub auto_retrain: bool,
    pub rate_limits: RateLimits,
    /// Records behind the log from which answers say so.
    pub ready_lag_records: u64,
    /// How much of a decision is recorded.
    pub decision_detail: Detail,
    /// Days after which decisions are not looked at any more; 0: never.
    pub decision_retention_days: u32,
    /// Days for which records of a user who was erased are dropped when they arrive.
    pub suppression_days: u32,
    /// What may be released about users.
    pub privacy: PrivacySettings,
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
    leases: Arc<LeaseKeeper>,
    predictions: Predictions,
    embedder: Option<Embedder>,
    pub decision_detail: Detail,
    decision_retention_days: u32,
    suppression_days: u32,
    pub privacy: PrivacySettings,
    /// One evaluation at a time: each takes tens of megabytes and a core.
    evaluations: Arc<Semaphore>,
    /// One rehearsal at a time, for the same reason.
    rehearsals: Arc<Semaphore>,
    /// One explanation of an absence at a time.
    explanations: Arc<Semaphore>,
    /// One export of a user at a time: each reads the whole log.
    exports: Arc<Semaphore>,
    /// One count of users at a time.
    aggregations: Arc<Semaphore>,
    /// What answers rankings and reads, apart from the threads that serve the other calls.
    pub reads: Reads,
    /// Cancelled when no new work is to be taken.
    pub draining: CancellationToken,
}

impl Service {
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
    leases_task: tokio::task::JoinHandle<()>,
    stop_leases: CancellationToken,
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
    let (workers, draining) = (Workers::start(), CancellationToken::new());
    let leases = Arc::new(LeaseKeeper::new(stores.leases.clone(), workers.asking.clone()));
    let service = Service {
        limiter: Arc::new(Limiter::new(stores.rates.clone(), options.rate_limits, &metrics)),
        leases: leases.clone(),
        predictions: Predictions::new(stores.cache.clone()),
        embedder: options
            .embedding_model
            .clone()
            .map(|model| Embedder::new(model, stores.cache.clone(), metrics.clone())),
        reads: Reads::default(),
        decision_detail: options.decision_detail,
        decision_retention_days: options.decision_retention_days,
        suppression_days: options.suppression_days,
        privacy: options.privacy,
        evaluations: Arc::new(Semaphore::new(1)),
        rehearsals: Arc::new(Semaphore::new(1)),
        explanations: Arc::new(Semaphore::new(1)),
        exports: Arc::new(Semaphore::new(1)),
        aggregations: Arc::new(Semaphore::new(1)),
        ready_lag_records: options.ready_lag_records,
        namespaces: Arc::new(Namespaces::new(Surroundings {
            stores,
            options: options.clone(),
            writer: writer.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            leases,
            workers,
            contexts: Arc::new(ContextCache::default()),
            tasks: tasks.clone(),
            draining: draining.clone(),
            shutdown: stop_tasks.clone(),
        })),
        writer,
        clock,
        metrics,
        store,
        draining,
    };
    let (namespaces, store) = (service.namespaces.clone(), service.store.clone());
    tasks.spawn(ends::run(namespaces.clone(), store, stop_tasks.clone()));
    tasks.spawn(closed_namespaces::run(namespaces, stop_tasks.clone()));
    let stop_leases = CancellationToken::new();
    let leases_task = tokio::spawn(service.leases.clone().run(stop_leases.clone()));
    Running { service, tasks, writer_task, stop_writer, stop_tasks, leases_task, stop_leases }
}

impl Running {
    /// Writes what was submitted, ends the owners with their last snapshots, and gives the
    /// leases up, in this order. Call it when no request is being answered any more.
    pub async fn stop(self) {
        self.stop_writer.cancel();
        if let Err(failure) = self.writer_task.await {
            tracing::error!(%failure, "the log writer ended badly");
        }
        self.stop_tasks.cancel();
        self.tasks.close();
        if tokio::time::timeout(TASKS_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "tasks were still running");
        }
        self.stop_leases.cancel();
        if tokio::time::timeout(TASKS_TIMEOUT, self.leases_task).await.is_err() {
            tracing::warn!("leases end by their time limit");
        }
    }
}
