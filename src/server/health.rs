//! What probes get, per service.
//!
//! - The services serve as soon as the default namespace has caught up: answers come
//!   from memory, whether the store is there or not.
//! - Recording interactions needs the store, so it has a name of its own, which
//!   follows the store. So do selecting arms and what privacy asks of the log.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::Health as HealthService;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthReporter;

use crate::service::StoreHealth;

const ANSWERING: [&str; 9] = [
    "",
    "personalization.v1.PersonalizationService",
    "personalization.v1.CatalogService",
    "personalization.v1.ModelService",
    "personalization.v1.TakeoverService",
    "personalization.v1.ExperimentService",
    "personalization.v1.AdminService",
    "personalization.v1.PrivacyService",
    "personalization.v1.AggregateService",
];
const RECORDING: [&str; 3] = [
    "personalization.v1.PersonalizationService/RecordInteractions",
    "personalization.v1.BanditService",
    "personalization.v1.PrivacyService",
];

/// Tells probes whether the services serve. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
    ready: Arc<AtomicBool>,
    recording: Arc<AtomicBool>,
}

/// Nothing serves yet.
pub async fn new() -> (Health, HealthServer<impl HealthService>) {
    let (reporter, service) = tonic_health::server::health_reporter();
    let recording = Arc::new(AtomicBool::new(true));
    let health = Health { reporter, ready: Arc::default(), recording };
    health.report().await;
    (health, service)
}

impl Health {
    /// Shared with the HTTP port.
    pub fn readiness(&self) -> Arc<AtomicBool> {
        self.ready.clone()
    }

    pub async fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
        self.report().await;
    }

    pub async fn set_stopping(&self) {
        self.ready.store(false, Ordering::Release);
        self.report().await;
    }

    /// Follows the store until its monitor is gone.
    pub async fn follow(self, mut store: watch::Receiver<StoreHealth>) {
        loop {
            let writes = store.borrow_and_update().writes;
            self.recording.store(writes, Ordering::Release);
            self.report().await;
            if store.changed().await.is_err() {
                return;
            }
        }
    }

    async fn report(&self) {
        let ready = self.ready.load(Ordering::Acquire);
        let status = |serves| {
            if serves { ServingStatus::Serving } else { ServingStatus::NotServing }
        };
        for service in ANSWERING {
            self.reporter.set_service_status(service, status(ready)).await;
        }
        let records = ready && self.recording.load(Ordering::Acquire);
        for service in RECORDING {
            self.reporter.set_service_status(service, status(records)).await;
        }
    }
}
