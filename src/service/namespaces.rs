//! Which namespaces are open: each has one owner, and all others ask it by its slot.
//!
//! - A name becomes a partition in the owner, once for as long as it lives.
//! - The first who asks for a namespace starts its owner. A caller that gives up waiting changes
//!   nothing: there is one opening, however many wait for it.
//! - The number of states in memory is bounded; the least used are closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::Stores;
use super::blocking::run_blocking;
use super::clock::Clock;
use super::error::Error;
use super::lease_keeper::LeaseKeeper;
use super::log_writer::Handle;
use super::log_writer::LogTail;
use super::namespace::Namespace;
use super::owner::Command;
use super::owner::Owner;
use super::owner::Slot;
use super::user_contexts::ContextCache;
use super::workers::Workers;
use crate::storage;
use crate::storage::NamespaceEntry;
use crate::storage::Partition;
use crate::storage::ReadLimit;
use crate::telemetry::Metrics;
use engine::View;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Settings;

/// Longest wait of a call for the opening of its namespace. A client that sets a deadline
/// of a second gets "later" and when, instead of nothing.
const OPENING_TIMEOUT: Duration = Duration::from_millis(600);
/// How often the end of the log is looked at while catching up with it.
const CATCH_UP_STEP: Duration = Duration::from_secs(1);
/// Longest wait for an owner to end whose namespace is to be deleted.
const ENDING_TIMEOUT: Duration = Duration::from_secs(2);

/// What owners work with.
#[derive(Debug)]
pub struct Surroundings {
    pub stores: Stores,
    pub options: Options,
    pub writer: Handle,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub leases: Arc<LeaseKeeper>,
    pub workers: Workers,
    pub contexts: Arc<ContextCache>,
    pub tasks: TaskTracker,
    pub draining: CancellationToken,
    pub shutdown: CancellationToken,
}

/// The registry.
#[derive(Debug)]
pub struct Namespaces {
    slots: Mutex<BTreeMap<NamespaceName, Arc<Slot>>>,
    pub(super) with: Surroundings,
    /// One permit for each state in memory.
    pub(super) capacity: Arc<Semaphore>,
    /// Owners that wait for capacity.
    pub(super) waiting_for_capacity: AtomicUsize,
    /// The end of each log that is followed. One for each log, whichever handle has it: a
    /// stream that holds on to an earlier handle advances the end that is followed.
    tails: Mutex<BTreeMap<Partition, Weak<LogTail>>>,
    began: Instant,
}

impl Namespaces {
    pub(super) fn new(with: Surroundings) -> Self {
        let capacity = Arc::new(Semaphore::new(with.options.open_namespaces_max));
        Self {
            slots: Mutex::default(),
            with,
            capacity,
            waiting_for_capacity: AtomicUsize::new(0),
            tails: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// The end of a log, as all look at it who do.
    pub(super) fn tail(&self, partition: &Partition) -> Arc<LogTail> {
        let mut tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tail) = tails.get(partition).and_then(Weak::upgrade) {
            return tail;
        }
        tails.retain(|_partition, tail| tail.strong_count() > 0);
        let tail = Arc::new(LogTail::new(partition.clone(), 0));
        tails.insert(partition.clone(), Arc::downgrade(&tail));
        tail
    }

    /// The namespace, opened now unless it is open. Cancel safe: the opening goes on.
    ///
    /// # Errors
    /// `NoNamespace`, `Opening` when it takes longer than a moment, or what keeps it from
    /// being opened.
    pub async fn get(self: &Arc<Self>, name: &NamespaceName) -> Result<Arc<Namespace>, Error> {
        self.opened(name, Some(Instant::now() + OPENING_TIMEOUT)).await
    }

    /// Sees to it that a namespace is open, and waits for nothing.
    pub(super) fn wake(self: &Arc<Self>, name: &NamespaceName) {
        // Not when the service ends.
        let _slot = self.slot(name);
    }

    /// Tells the owner of a namespace that users are to be erased; opens it for that, or not.
    pub(super) fn erase_in(self: &Arc<Self>, name: &NamespaceName, opens: bool) {
        if !opens && !self.slots().contains_key(name) {
            return;
        }
        if let Ok(slot) = self.slot(name) {
            let _full = slot.commands.try_send(Command::Erase);
        }
    }

    async fn opened(
        self: &Arc<Self>,
        name: &NamespaceName,
        until: Option<Instant>,
    ) -> Result<Arc<Namespace>, Error> {
        loop {
            let slot = self.slot(name)?;
            slot.last_use.touch();
            if slot.is_opening() && until.is_some() {
                // Waiting for a store that is away is useless.
                self.with.writer.check_store()?;
            }
            // An owner that has just ended is followed by another one.
            if let Some(namespace) = slot.opened(until).await? {
                return Ok(namespace);
            }
        }
    }

    /// The slot of a name, with an owner.
    fn slot(self: &Arc<Self>, name: &NamespaceName) -> Result<Arc<Slot>, Error> {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(name) {
            return Ok(slot.clone());
        }
        if self.with.shutdown.is_cancelled() {
            return Err(Error::ShuttingDown);
        }
        let (slot, commands) = Slot::new(name.clone(), self.began);
        let slot = Arc::new(slot);
        slots.insert(name.clone(), slot.clone());
        let owner = Owner::new(self.clone(), slot.clone(), commands);
        self.with.tasks.spawn(owner.run());
        Ok(slot)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<NamespaceName, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Settings of namespaces where they have none of their own.
    pub fn defaults(&self) -> &Settings {
        &self.with.options.settings
    }

    /// All namespaces open now.
    pub(super) fn open(&self) -> Vec<(Arc<Slot>, Arc<Namespace>)> {
        let slots = self.slots();
        let open = slots.values().filter_map(|slot| Some((slot.clone(), slot.namespace()?)));
        open.collect()
    }

    /// Whether this process does the duties of the default namespace.
    pub(super) fn leads_default(&self) -> bool {
        let slot = self.slots().get(&NamespaceName::default()).cloned();
        slot.and_then(|slot| slot.namespace()).is_some_and(|namespace| namespace.leads())
    }

    /// Puts the least used namespace to sleep that was not told to yet; the default one
    /// stays.
    pub(super) fn free_capacity(&self) {
        let slots = self.slots();
        let told = |slot: &Slot| slot.asked_to_sleep.load(Ordering::Relaxed);
        // One goes for each that waits, however long its last snapshot takes.
        let going = slots.values().filter(|slot| told(slot)).count();
        if going >= self.waiting_for_capacity.load(Ordering::Relaxed) {
            return;
        }
        let may = slots
            .values()
            .filter(|slot| !slot.name.is_default() && !told(slot) && slot.namespace().is_some());
        if let Some(slot) = may.min_by_key(|slot| slot.last_use.at())
            && slot.commands.try_send(Command::Sleep).is_ok()
        {
            slot.asked_to_sleep.store(true, Ordering::Relaxed);
        }
    }

    /// Takes the slot of an owner that ends out of the registry.
    pub(super) fn remove(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots();
        if slots.get(&slot.name).is_some_and(|other| Arc::ptr_eq(other, slot)) {
            slots.remove(&slot.name);
        }
    }

    /// # Errors
    /// `NamespaceExists`, storage errors.
    pub async fn create(
        &self,
        name: NamespaceName,
        settings: Option<Settings>,
    ) -> Result<NamespaceEntry, Error> {
        let (created_at, new_name) = (self.with.clock.now(), name.clone());
        let create =
            move |stores: &Stores| stores.namespaces.create(&new_name, created_at, settings);
        let created = self.with_stores(create).await?;
        // An owner that has found nothing under the name a moment ago is of no use.
        let slot = self.slots().get(&name).filter(|slot| slot.namespace().is_none()).cloned();
        if let Some(slot) = slot {
            self.remove(&slot);
            slot.closed.cancel();
        }
        Ok(created)
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

    /// Deletes a namespace and everything in it. Its owner ends first, with whatever it
    /// does; an owner that is started meanwhile ends behind it. Cancel safe: once begun
    /// it goes on.
    ///
    /// # Errors
    /// `NamespaceKept` for the default one, `NoNamespace`, storage errors.
    pub async fn delete(self: &Arc<Self>, name: NamespaceName) -> Result<(), Error> {
        if name.is_default() {
            return Err(Error::NamespaceKept(name));
        }
        let registry = self.clone();
        let deleted = tokio::spawn(async move { registry.delete_now(name).await });
        deleted.await.unwrap_or(Err(Error::ShuttingDown))
    }

    async fn delete_now(&self, name: NamespaceName) -> Result<(), Error> {
        self.close(&name).await;
        let requested = name.clone();
        let deleted = self
            .with_stores(move |stores| {
                let entry = stores.namespaces.resolve(&requested)?;
                stores.namespaces.delete(&entry.partition)
            })
            .await;
        self.close(&name).await;
        deleted
    }

    async fn close(&self, name: &NamespaceName) {
        let slot = self.slots().get(name).cloned();
        if let Some(slot) = slot {
            slot.closed.cancel();
            let _in_time = tokio::time::timeout(ENDING_TIMEOUT, slot.ended()).await;
        }
    }

    pub(super) fn stores(&self) -> &Stores {
        &self.with.stores
    }

    /// The default namespace, opened and no more than so many records behind its log.
    ///
    /// # Errors
    /// What keeps it from being opened or from catching up.
    pub async fn get_ready(self: &Arc<Self>, lag_max: u64) -> Result<Arc<Namespace>, Error> {
        loop {
            let namespace = self.opened(&NamespaceName::default(), None).await?;
            namespace.tail.advance(self.log_end(&namespace).await?);
            let target = namespace.tail.end().saturating_sub(lag_max);
            match namespace.view_at(target, CATCH_UP_STEP).await {
                Ok(_view) => return Ok(namespace),
                Err(_behind) if namespace.is_closed() || namespace.impairment().is_none() => {}
                Err(behind) => return Err(behind),
            }
        }
    }

    /// The end of a namespace's log as the store has it now.
    ///
    /// # Errors
    /// Storage errors.
    pub(super) async fn log_end(&self, namespace: &Namespace) -> Result<Sequence, Error> {
        let partition = namespace.tail.partition.clone();
        let end = self.with_stores(move |stores| stores.log.log_end(&partition)).await?;
        Ok(end.sequence)
    }

    /// The view that holds what any replica has written until now. Cancel safe.
    ///
    /// # Errors
    /// `WatermarkNotReached` after `timeout`; `Opening`; storage errors.
    pub async fn view_of_all(
        &self,
        namespace: &Namespace,
        timeout: Duration,
    ) -> Result<Arc<View>, Error> {
        let end = self.log_end(namespace).await?;
        namespace.tail.advance(end);
        namespace.view_at(end, timeout).await
    }

    /// A record that was learnt. Costs a read of its batch.
    ///
    /// # Errors
    /// `ChainBroken` where the log has no such record; other storage errors.
    pub(super) async fn record_at(
        &self,
        namespace: &Namespace,
        sequence: Sequence,
    ) -> Result<Record, Error> {
        let partition = namespace.tail.partition.clone();
        let (of, before) = (partition.clone(), sequence.saturating_sub(1));
        let read = move |stores: &Stores| stores.log.read_from(&of, before, ReadLimit::records(1));
        let records = self.with_stores(read).await?;
        let found = records.into_iter().find(|record| record.sequence == sequence);
        let broken = storage::Error::ChainBroken { partition, sequence };
        found.map(|found| found.record).ok_or(Error::Storage(broken))
    }

    pub(super) async fn with_stores<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Stores) -> Result<T, storage::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stores = self.with.stores.clone();
        Ok(run_blocking(move || work(&stores)).await??)
    }

    /// The entry of a name, as the store has it now.
    ///
    /// # Errors
    /// `NoNamespace`, storage errors.
    pub(super) async fn resolve(
        &self,
        name: &NamespaceName,
    ) -> Result<NamespaceEntry, storage::Error> {
        let (stores, name) = (self.with.stores.clone(), name.clone());
        let resolved = run_blocking(move || stores.namespaces.resolve(&name)).await;
        resolved.unwrap_or_else(|failure| {
            Err(storage::Error::Unavailable { reason: failure.to_string() })
        })
    }
}
