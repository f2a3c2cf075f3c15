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
use crate::domain::NamespaceName;
use crate::domain::Record;
use crate::domain::Settings;
use crate::engine::ENGINE_REVISION;
use crate::engine::Engine;
use crate::storage;
use crate::storage::NamespaceEntry;
use crate::telemetry::Metrics;

/// Longest wait for the settings of a namespace that is being opened.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(10);

type Slot = Arc<OnceCell<Arc<Namespace>>>;

/// The registry.
#[derive(Debug)]
pub struct Namespaces {
    open: Mutex<BTreeMap<NamespaceName, Slot>>,
    stores: Stores,
    options: Options,
    writer: Handle,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Namespaces {
    pub(super) fn new(
        stores: Stores,
        options: Options,
        writer: Handle,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        let open = Mutex::default();
        Self { open, stores, options, writer, clock, metrics, tasks, shutdown }
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
        let opened = slot.get_or_try_init(|| self.load(name)).await.cloned();
        if opened.is_err() {
            self.forget(name, &slot);
        }
        opened
    }

    /// Settings of namespaces without their own.
    pub fn defaults(&self) -> &Settings {
        &self.options.settings
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
        let entry = NamespaceEntry { name, created_at: self.clock.now(), settings };
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

    /// Closes a namespace nobody holds. Its snapshot must have been stored.
    pub(super) fn put_to_sleep(&self, namespace: &Arc<Namespace>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(namespace.name());
        namespace.closed.cancel();
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.stores
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
        let stores = self.stores.clone();
        let done = tokio::task::spawn_blocking(move || work(&stores)).await;
        Ok(done.map_err(|_panicked| Error::ShuttingDown)??)
    }

    /// Restores the newest snapshot, replays the log after it and starts to follow.
    async fn load(&self, name: &NamespaceName) -> Result<Arc<Namespace>, Error> {
        let owned = name.clone();
        let defaults = self.options.settings.clone();
        let (engine, snapshot_at, wanted) = self
            .with_stores(move |stores| {
                let entry = stores.namespaces.get(&owned)?;
                let (engine, snapshot_at) = recover(stores, &owned)?;
                Ok((engine, snapshot_at, entry.settings.unwrap_or(defaults)))
            })
            .await?;
        let end = engine.state().watermark();
        let current = engine.state().settings() == &wanted && end > 0;
        let view = engine.view();
        let namespace =
            Arc::new(Namespace::new(LogTail::new(name.clone(), end), view, snapshot_at));
        tracing::info!(namespace = %name, watermark = end, snapshot_at, "namespace opened");
        let engine = Arc::new(Mutex::new(engine));
        let follow = applier::run(
            namespace.clone(),
            engine,
            self.stores.log.clone(),
            self.metrics.clone(),
            self.shutdown.clone(),
        );
        self.tasks.spawn(follow);
        if !current {
            let records = vec![Record::SettingsSet(wanted)];
            let appended = self.writer.append(&namespace.tail, records).await?;
            // The first request must not be answered by other settings.
            namespace.view_at(appended.log_end, SETTINGS_PATIENCE).await?;
        }
        Ok(namespace)
    }
}

/// The engine at the end of the log, and the watermark of the snapshot it came from.
fn recover(stores: &Stores, name: &NamespaceName) -> Result<(Engine, u64), storage::Error> {
    let corrupt =
        |reason: String| storage::Error::Corrupt { what: format!("log of {name}"), reason };
    let (mut engine, snapshot_at) = match stores.snapshots.newest(name, ENGINE_REVISION)? {
        Some(snapshot) => match Engine::restore(&snapshot.sections) {
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
    match applier::replay(&mut engine, &*stores.log, name) {
        Ok(_watermark) => Ok((engine, snapshot_at)),
        Err(Stopped::Storage(error)) => Err(error),
        Err(Stopped::Unreadable(error)) => Err(corrupt(error.to_string())),
    }
}
