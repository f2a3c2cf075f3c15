//! Keeps the leases of this process, all of them in one call of the store.
//!
//! - Owners request leases and learn which they hold. Only this task asks the store, so
//!   a release and a new request come in order.
//! - Leases of the same kind are spread over the replicas: a replica that holds many waits
//!   before it asks for more.
//! - When the store has not answered for as long as a holder may be silent, what was held
//!   counts as lost. A write under it is refused by its fence in any case.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::workers::Pool;
use crate::storage;
use crate::storage::Fence;
use crate::storage::LEASE_TTL;
use crate::storage::LeaseName;
use crate::storage::Leases;

/// How often this process reports to the store that it lives.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// Shortest time between two calls, in which further requests gather.
const GATHER: Duration = Duration::from_millis(50);
/// How long each lease held delays the next request, and the most it may.
const DELAY_PER_LEASE: Duration = Duration::from_millis(4);
const DELAY_MAX: Duration = Duration::from_secs(2);

/// What is known of a requested lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Holding {
    NotAsked,
    Held(Fence),
    /// Another replica has it.
    Elsewhere,
    /// The store did not answer.
    Unknown,
}

#[derive(Debug)]
struct Request {
    number: u64,
    ask_from: Instant,
    holding: watch::Sender<Holding>,
}

#[derive(Debug, Default)]
struct Requests {
    leases: BTreeMap<LeaseName, Request>,
    given_up: Vec<Fence>,
    numbers: u64,
}

/// Keeps leases; see the module.
pub struct LeaseKeeper {
    leases: Arc<dyn Leases>,
    asking: Pool,
    requests: Mutex<Requests>,
    wake: Notify,
}

impl std::fmt::Debug for LeaseKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaseKeeper").finish_non_exhaustive()
    }
}

/// A request for a lease; dropping it gives the lease up.
#[derive(Debug)]
pub struct Lease {
    keeper: Arc<LeaseKeeper>,
    name: LeaseName,
    number: u64,
    holding: watch::Receiver<Holding>,
}

impl Lease {
    /// The fence while this process holds the lease.
    pub fn fence(&self) -> Option<Fence> {
        match &*self.holding.borrow() {
            Holding::Held(fence) => Some(fence.clone()),
            _ => None,
        }
    }

    pub fn is_held(&self) -> bool {
        matches!(*self.holding.borrow(), Holding::Held(_))
    }

    /// Waits until something changes. Cancel safe.
    pub async fn changed(&mut self) {
        if self.holding.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until this holding is over. Cancel safe.
    pub async fn lost(&mut self) {
        let holding = self.fence();
        while holding.is_some() && self.fence() == holding {
            self.changed().await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut requests = self.keeper.requests();
        if requests.leases.get(&self.name).is_some_and(|requested| requested.number == self.number)
        {
            requests.leases.remove(&self.name);
            requests.given_up.extend(self.fence());
            drop(requests);
            self.keeper.wake.notify_one();
        }
    }
}

impl LeaseKeeper {
    pub fn new(leases: Arc<dyn Leases>, asking: Pool) -> Self {
        Self { leases, asking, requests: Mutex::default(), wake: Notify::new() }
    }

    /// Requests a lease for as long as the result is kept.
    pub fn request(self: &Arc<Self>, name: LeaseName) -> Lease {
        let delay = DELAY_PER_LEASE.saturating_mul(self.held() as u32).min(DELAY_MAX);
        self.request_after(name, delay)
    }

    /// Takes a lease now; `None` while another replica has it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn take(self: &Arc<Self>, name: LeaseName) -> Result<Option<Lease>, storage::Error> {
        let mut lease = self.request_after(name, Duration::ZERO);
        loop {
            match &*lease.holding.borrow_and_update() {
                Holding::NotAsked => {}
                Holding::Held(_) => break,
                Holding::Elsewhere => return Ok(None),
                Holding::Unknown => {
                    let reason = "leases cannot be asked for".to_owned();
                    return Err(storage::Error::Unavailable { reason });
                }
            }
            lease.changed().await;
        }
        Ok(Some(lease))
    }

    /// How many leases this process holds.
    pub fn held(&self) -> usize {
        let requests = self.requests();
        let held = |requested: &&Request| matches!(*requested.holding.borrow(), Holding::Held(_));
        requests.leases.values().filter(held).count()
    }

    fn request_after(self: &Arc<Self>, name: LeaseName, delay: Duration) -> Lease {
        let (sender, holding) = watch::channel(Holding::NotAsked);
        let mut requests = self.requests();
        requests.numbers += 1;
        let number = requests.numbers;
        let ask_from = Instant::now() + delay;
        requests.leases.insert(name.clone(), Request { number, ask_from, holding: sender });
        drop(requests);
        self.wake.notify_one();
        Lease { keeper: self.clone(), name, number, holding }
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is held and asks for what is requested, until cancelled; then gives all up.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut answered_at = Instant::now();
        let mut keep_at = Instant::now();
        loop {
            let now = Instant::now();
            let all = now >= keep_at;
            if all {
                keep_at = now + KEEP_EVERY;
            }
            self.ask(all, &mut answered_at).await;
            let next = self.next_request().map_or(keep_at, |request| request.min(keep_at));
            let next = next.max(now + GATHER);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep_until(next) => {}
                () = self.wake.notified() => tokio::time::sleep(GATHER).await,
            }
        }
        self.give_all_up().await;
    }

    /// When the next request that was never asked for is to be.
    fn next_request(&self) -> Option<Instant> {
        let requests = self.requests();
        let not_asked = |requested: &&Request| *requested.holding.borrow() == Holding::NotAsked;
        requests.leases.values().filter(not_asked).map(|requested| requested.ask_from).min()
    }

    /// One call: for all that is requested, or for what is new.
    async fn ask(&self, all: bool, answered_at: &mut Instant) {
        let asked_at = Instant::now();
        let (given_up, names) = {
            let mut requests = self.requests();
            let due = |(name, requested): (&LeaseName, &Request)| {
                let fits = all || *requested.holding.borrow() == Holding::NotAsked;
                (fits && requested.ask_from <= asked_at).then(|| (name.clone(), requested.number))
            };
            let names: Vec<_> = requests.leases.iter().filter_map(due).collect();
            (std::mem::take(&mut requests.given_up), names)
        };
        if given_up.is_empty() && names.is_empty() && !all {
            return;
        }
        let (leases, asked, giving_up) = (self.leases.clone(), names.clone(), given_up.clone());
        let question = move || {
            if !giving_up.is_empty() {
                leases.release(&giving_up)?;
            }
            let requested: Vec<LeaseName> = asked.into_iter().map(|(name, _)| name).collect();
            if requested.is_empty() && !all { Ok(Vec::new()) } else { leases.keep(&requested, all) }
        };
        let answer = match self.asking.run(question).await {
            Ok(answer) => answer,
            Err(panicked) => Err(storage::Error::Unavailable { reason: panicked.to_string() }),
        };
        match answer {
            Ok(fences) => {
                *answered_at = asked_at;
                self.apply(&names, &fences);
            }
            Err(error) => {
                tracing::debug!(%error, "leases cannot be asked for");
                // Or nobody else would ever have them: this process lives. Twice is harmless.
                self.requests().given_up.extend(given_up);
                self.apply_silence(&names, answered_at.elapsed() >= LEASE_TTL);
            }
        }
    }

    fn apply(&self, asked: &[(LeaseName, u64)], fences: &[Fence]) {
        let held: BTreeMap<&LeaseName, &Fence> =
            fences.iter().map(|fence| (&fence.lease, fence)).collect();
        self.set(asked, |name, _before| match held.get(name) {
            Some(fence) => Holding::Held((*fence).clone()),
            None => Holding::Elsewhere,
        });
        // A lease that was released during the call is held, too.
        let mut requests = self.requests();
        let surplus = fences.iter().filter(|fence| !requests.leases.contains_key(&fence.lease));
        let surplus: Vec<Fence> = surplus.cloned().collect();
        requests.given_up.extend(surplus);
    }

    /// The store is silent: what is new is unknown, what was held is kept for a while.
    fn apply_silence(&self, asked: &[(LeaseName, u64)], too_long: bool) {
        self.set(asked, |_name, before| match before {
            Holding::Held(fence) if !too_long => Holding::Held(fence.clone()),
            _ => Holding::Unknown,
        });
    }

    fn set(&self, asked: &[(LeaseName, u64)], holding: impl Fn(&LeaseName, &Holding) -> Holding) {
        let requests = self.requests();
        for (name, number) in asked {
            let Some(requested) =
                requests.leases.get(name).filter(|requested| requested.number == *number)
            else {
                continue;
            };
            requested.holding.send_if_modified(|before| {
                let now = holding(name, before);
                if matches!((&*before, &now), (Holding::Held(_), now) if before != now) {
                    tracing::warn!(lease = %name, "no longer held");
                }
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    }

    /// Gives up everything, so that no other replica need wait for our end.
    async fn give_all_up(&self) {
        let fences = {
            let mut requests = self.requests();
            let mut fences = std::mem::take(&mut requests.given_up);
            for requested in std::mem::take(&mut requests.leases).into_values() {
                if let Holding::Held(fence) = requested.holding.send_replace(Holding::Unknown) {
                    fences.push(fence);
                }
            }
            fences
        };
        if fences.is_empty() {
            return;
        }
        let leases = self.leases.clone();
        match self.asking.run(move || leases.release(&fences)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "leases end by their time limit"),
            Err(panicked) => tracing::error!(%panicked, "giving leases up"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::storage::MemoryLeases;
    use crate::storage::Partition;
    use engine::domain::NamespaceName;

    /// Leases of a store that can be away.
    #[derive(Default)]
    struct Store {
        leases: MemoryLeases,
        away: AtomicBool,
        questions: AtomicUsize,
    }

    impl Leases for Store {
        fn keep(&self, requested: &[LeaseName], all: bool) -> Result<Vec<Fence>, storage::Error> {
            self.questions.fetch_add(1, Ordering::SeqCst);
            if self.away.load(Ordering::SeqCst) {
                return Err(storage::Error::Unavailable { reason: "on purpose".to_owned() });
            }
            self.leases.keep(requested, all)
        }

        fn release(&self, fences: &[Fence]) -> Result<(), storage::Error> {
            if self.away.load(Ordering::SeqCst) {
                return Err(storage::Error::Unavailable { reason: "on purpose".to_owned() });
            }
            self.leases.release(fences)
        }
    }

    fn name(number: u64) -> LeaseName {
        let partition = Partition { namespace: NamespaceName::default(), incarnation: number };
        LeaseName { partition, duty: "lead/1".to_owned() }
    }

    fn keeper() -> (Arc<Store>, Arc<LeaseKeeper>) {
        let store = Arc::new(Store::default());
        let keeper = Arc::new(LeaseKeeper::new(store.clone(), Pool::start("ask", 1)));
        tokio::spawn(keeper.clone().run(CancellationToken::new()));
        (store, keeper)
    }

    #[tokio::test]
    async fn what_is_held_is_lost_when_the_store_is_silent_for_too_long_and_taken_again() {
        let (store, keeper) = keeper();
        let mut lease = keeper.request(name(1));
        while !lease.is_held() {
            lease.changed().await;
        }
        store.away.store(true, Ordering::SeqCst);
        assert!(keeper.take(name(2)).await.is_err(), "what is new cannot be had");
        let began = Instant::now();
        lease.lost().await;
        let took = began.elapsed();
        assert!(took > Duration::from_secs(2) && took < Duration::from_secs(12), "{took:?}");
        store.away.store(false, Ordering::SeqCst);
        while !lease.is_held() {
            lease.changed().await;
        }
    }

    #[tokio::test]
    async fn what_could_not_be_given_up_is_given_up_later() {
        let (store, keeper) = keeper();
        let first = keeper.take(name(1)).await.unwrap().expect("it is free");
        let fence = first.fence().expect("it is held");
        store.away.store(true, Ordering::SeqCst);
        drop(first);
        // While the store is away asking is useless.
        assert!(keeper.take(name(2)).await.is_err());
        store.away.store(false, Ordering::SeqCst);
        tokio::time::sleep(2 * KEEP_EVERY).await;
        // To be held again it has to change hands, as for another process.
        let again = keeper.take(name(1)).await.unwrap().expect("it is free");
        assert!(again.fence().expect("it is held").epoch > fence.epoch);
    }

    #[tokio::test]
    async fn many_leases_are_kept_by_few_questions() {
        let (store, keeper) = keeper();
        let leases: Vec<Lease> = (0..500).map(|number| keeper.request(name(number))).collect();
        while keeper.held() < leases.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(store.questions.load(Ordering::SeqCst) < 50);
        let before = store.questions.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let asked = store.questions.load(Ordering::SeqCst) - before;
        assert!((2..=4).contains(&asked), "{asked} in five seconds");
    }

    #[tokio::test]
    async fn what_is_dropped_is_given_up_before_it_is_requested_again() {
        let (_store, keeper) = keeper();
        let first = keeper.take(name(1)).await.unwrap().expect("it is free");
        let fence = first.fence().expect("it is held");
        drop(first);
        let second = keeper.take(name(1)).await.unwrap().expect("it is free");
        assert!(second.fence().expect("it is held").epoch > fence.epoch);
        assert_eq!(keeper.held(), 1);
    }
}
