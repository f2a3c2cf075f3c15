//! Which namespaces are open. One is opened at its first use and put to sleep when
//! nobody has used it for a while, so an idle one costs nothing but its rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::Stores;
use super::applier;
use super::applier::Stopped;
use super::clock::Clock;
use super::error::Error;
use super::log_writer::Handle;
use super::log_writer::LogTail;
use super::namespace::Namespace;
use crate::storage;
use crate::storage::LogEnd;
use crate::storage::NamespaceEntry;
use crate::telemetry::Metrics;
use engine::ENGINE_REVISION;
use engine::Engine;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Settings;

/// Longest wait for the settings of a namespace that is being opened.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(10);

/// How often the end of the log is looked at while catching up with it.
const CATCH_UP_STEP: Duration = Duration::from_secs(1);

type Slot = Arc<OnceCell<Arc<Namespace>>>;

/// What the registry and the namespaces it opens work with.
#[derive(Debug)]
pub struct Surroundings {
    pub stores: Stores,
    pub options: Options,
    pub writer: Handle,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub tasks: TaskTracker,
    pub shutdown: CancellationToken,
}

/// The registry.
#[derive(Debug)]
pub struct Namespaces {
    open: Mutex<BTreeMap<NamespaceName, Slot>>,
    with: Surroundings,
}

impl Namespaces {
    pub(super) fn new(with: Surroundings) -> Self {
        Self { open: Mutex::default(), with }
    }

    /// The namespace, opened now unless it is open.
    ///
    /// # Errors
    /// `NoNamespace`, or what kept it from being opened.
    pub async fn get(&self, name: &NamespaceName) -> Result<Arc<Namespace>, Error> {
        let slot = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.entry(name.clone()).or_default().clone()
        };
        if slot.get().is_none() {
            // Those who wait for the same namespace would wait for one timeout each.
            self.with.writer.check_store()?;
        }
        let opened = slot.get_or_try_init(|| self.load(name)).await.cloned();
        if opened.is_err() {
            self.forget(name, &slot);
        }
        opened
    }

    /// Settings of namespaces without their own.
    pub fn defaults(&self) -> &Settings {
        &self.with.options.settings
    }

    /// All namespaces open now.
    pub fn opened(&self) -> Vec<Arc<Namespace>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().filter_map(|slot| slot.get().cloned()).collect()
    }

    /// # Errors
    /// `NamespaceExists`, storage errors.
    pub async fn create(
        &self,
        name: NamespaceName,
        settings: Option<Settings>,
    ) -> Result<NamespaceEntry, Error> {
        let entry = NamespaceEntry { name, created_at: self.with.clock.now(), settings };
        self.with_stores(move |stores| {
            stores.namespaces.create(&entry)?;
            Ok(entry)
        })
        .await
    }

    /// # Errors
    /// Storage errors.
    pub async fn list(
        &self,
        after: Option<NamespaceName>,
        count: usize,
    ) -> Result<Vec<NamespaceEntry>, Error> {
        self.with_stores(move |stores| stores.namespaces.list(after.as_ref(), count)).await
    }

    /// Deletes a namespace and everything in it.
    ///
    /// # Errors
    /// `NamespaceKept` for the default one, `NoNamespace`, storage errors.
    pub async fn delete(&self, name: NamespaceName) -> Result<(), Error> {
        if name.is_default() {
            return Err(Error::NamespaceKept(name));
        }
        let slot = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.remove(&name)
        };
        if let Some(namespace) = slot.as_ref().and_then(|slot| slot.get()) {
            namespace.closed.cancel();
        }
        self.with_stores(move |stores| stores.namespaces.delete(&name)).await
    }

    /// Closes a namespace: it is used no more, or it is not what the store has under
    /// its name now. The next use opens it again.
    pub(super) fn close(&self, tail: &Arc<LogTail>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = open.get(tail.namespace()).and_then(|slot| slot.get());
        if let Some(namespace) = slot.filter(|open| Arc::ptr_eq(&open.tail, tail)) {
            namespace.closed.cancel();
            open.remove(tail.namespace());
        }
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.with.stores
    }

    /// The default namespace, opened and no more than so many records behind its log.
    ///
    /// # Errors
    /// What keeps it from being opened or from catching up.
    pub async fn get_ready(&self, lag_max: u64) -> Result<Arc<Namespace>, Error> {
        let namespace = self.get(&NamespaceName::default()).await?;
        loop {
            namespace.tail.advance(self.log_end(&namespace).await?);
            let wanted = namespace.tail.end().saturating_sub(lag_max);
            match namespace.view_at(wanted, CATCH_UP_STEP).await {
                Ok(_view) => return Ok(namespace),
                Err(_behind) if namespace.stopped().is_none() => {}
                Err(behind) => return Err(behind),
            }
        }
    }

    /// The end of a namespace's log as the store has it now.
    ///
    /// # Errors
    /// Storage errors.
    pub(super) async fn log_end(&self, namespace: &Namespace) -> Result<Sequence, Error> {
        let name = namespace.name().clone();
        self.with_stores(move |stores| stores.log.log_end(&name)).await
    }

    fn forget(&self, name: &NamespaceName, failed: &Slot) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(name).is_some_and(|slot| Arc::ptr_eq(slot, failed) && slot.get().is_none()) {
            open.remove(name);
        }
    }

    async fn with_stores<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stores) -> Result<T, storage::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stores = self.with.stores.clone();
        let done = tokio::task::spawn_blocking(move || work(&stores)).await;
        Ok(done.map_err(|_panicked| Error::ShuttingDown)??)
    }

    /// Restores the newest snapshot, replays the log after it and starts to follow.
    async fn load(&self, name: &NamespaceName) -> Result<Arc<Namespace>, Error> {
        let owned = name.clone();
        let defaults = self.with.options.settings.clone();
        let (partition, engine, snapshot_at, wanted) = self
            .with_stores(move |stores| {
                let ends = stores.log.log_ends(std::slice::from_ref(&owned))?;
                let [LogEnd { partition, .. }] = &ends[..] else {
                    return Err(storage::Error::NoNamespace { namespace: owned });
                };
                let entry = stores.namespaces.get(&owned)?;
                let (engine, snapshot_at) = recover(stores, &owned)?;
                let wanted = entry.settings.unwrap_or(defaults);
                Ok((partition.clone(), engine, snapshot_at, wanted))
            })
            .await?;
        let end = engine.state().watermark();
        let current = engine.state().settings() == &wanted && end > 0;
        let tail = LogTail::new(partition, end);
        let namespace = Arc::new(Namespace::new(tail, engine.view(), snapshot_at));
        tracing::info!(namespace = %name, watermark = end, snapshot_at, "namespace opened");
        let follow = applier::run(
            namespace.clone(),
            Arc::new(Mutex::new(engine)),
            self.with.stores.log.clone(),
            self.with.metrics.clone(),
            self.with.shutdown.clone(),
        );
        self.with.tasks.spawn(follow);
        if !current {
            let records = vec![Record::SettingsSet(wanted)];
            let appended = self.with.writer.append(&namespace.tail, records).await;
            // The first request must not be answered by other settings.
            let settled = match appended {
                Ok(appended) => namespace.view_at(appended.log_end, SETTINGS_PATIENCE).await,
                Err(error) => Err(error),
            };
            if let Err(error) = settled {
                namespace.closed.cancel();
                return Err(error);
            }
        }
        Ok(namespace)
    }
}

/// The engine at the end of the log, and the watermark of the snapshot it came from.
fn recover(stores: &Stores, name: &NamespaceName) -> Result<(Engine, u64), storage::Error> {
    let corrupt =
        |reason: String| storage::Error::Corrupt { what: format!("log of {name}"), reason };
    let (mut engine, snapshot_at) = match stores.snapshots.newest(name, ENGINE_REVISION)? {
        Some(snapshot) => match Engine::restore(snapshot.sections) {
            Ok(engine) => (engine, snapshot.header.watermark),
            Err(error) => {
                tracing::warn!(namespace = %name, %error, "snapshot passed over, log replayed");
                (Engine::new(Settings::default()), 0)
            }
        },
        None => (Engine::new(Settings::default()), 0),
    };
    let end = stores.log.log_end(name)?;
    if end < snapshot_at {
        return Err(corrupt(format!(
            "it ends at record {end}, but a snapshot has learnt from {snapshot_at}: records were lost"
        )));
    }
    match applier::replay(&mut engine, &*stores.log, name, end) {
        Ok(()) => Ok((engine, snapshot_at)),
        Err(Stopped::Storage(error)) => Err(error),
        Err(Stopped::Unreadable(error)) => Err(corrupt(error.to_string())),
    }
}
