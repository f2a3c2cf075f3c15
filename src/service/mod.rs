//! The use cases: what the API's calls do, with the tasks that run behind them.
//!
//! - `log_writer` makes records durable, `applier` learns them, `snapshotter` and
//!   `retrain` run beside; a request works on one published view.
//! - Storage is reached through its traits; no backend is named here.
//! - Nothing is acknowledged before it is durable.

mod applier;
mod clock;
mod error;
mod log_writer;
mod namespace;
mod namespaces;
mod personalize;
mod profile;
mod retrain;
mod snapshotter;
mod user_contexts;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use applier::{Stopped, replay};
pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use log_writer::{Handle as LogWriter, LogTail, Pending};
pub use namespace::Namespace;
pub use namespaces::Namespaces;
pub use personalize::{Answer, Candidates, PersonalizeCall, Recommendation};
pub use profile::{ProfilePart, ProfileReport, RecentItem, TimePart, profile};
pub use retrain::{RetrainProgress, RetrainStage};

use crate::domain::Settings;
use crate::storage::InteractionLog;
use crate::storage::NamespaceStore;
use crate::storage::SnapshotStore;
use crate::telemetry::Metrics;

/// The stores behind the service.
#[derive(Clone)]
pub struct Stores {
    pub log: Arc<dyn InteractionLog>,
    pub snapshots: Arc<dyn SnapshotStore>,
    pub namespaces: Arc<dyn NamespaceStore>,
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
}

/// Everything a handler needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    pub namespaces: Arc<Namespaces>,
    pub writer: LogWriter,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// Cancelled when no new work is to be taken.
    pub draining: CancellationToken,
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
    let tasks = TaskTracker::new();
    let (writer_service, writer) =
        log_writer::log_writer(stores.log.clone(), clock.clone(), metrics.clone());
    let writer_task = tokio::spawn(writer_service.run(stop_writer.clone()));
    let namespaces = Arc::new(Namespaces::new(
        stores,
        options.clone(),
        writer.clone(),
        clock.clone(),
        metrics.clone(),
        tasks.clone(),
        stop_tasks.clone(),
    ));
    let service =
        Service { namespaces, writer, clock, metrics, draining: CancellationToken::new() };
    tasks.spawn(snapshotter::run(service.clone(), options.clone(), stop_tasks.clone()));
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
        snapshotter::store_all(&self.service, 1).await;
    }
}
