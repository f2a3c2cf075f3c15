//! Rate limits per namespace, shared by all replicas.
//!
//! - Counted in windows of one second. A process takes a share of a window's
//!   allowance at a time, so the shared counters are asked some twenty times a
//!   second and not at each call; the limit may be missed by a share a process.
//! - What was used is kept with the open namespace: a name that nothing is behind has no
//!   entry, and what a namespace has is freed with it.
//! - When the shared counters cannot be reached, each process counts for itself:
//!   being unable to count is no reason to refuse.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::error::Error;
use crate::storage::Partition;
use crate::storage::RateCounters;
use crate::telemetry::Metrics;
use engine::domain::Timestamp;

/// A process takes the window's allowance in this many shares.
const SHARES: u64 = 20;
/// A window's counter outlives it by the differences between the clocks of replicas.
const COUNTER_LIFETIME: Duration = Duration::from_secs(10);

/// What a namespace may do in a second; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    pub requests_per_second: u64,
    pub events_per_second: u64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Requests,
    Events,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Events => "events",
        }
    }
}

/// What is left of a window for this process.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    second: i64,
    /// Taken from the allowance and not used yet.
    left: u64,
    exhausted: bool,
    /// Counted here while the shared counters are away.
    counted_alone: u64,
}

/// What a namespace has used of the second.
#[derive(Debug)]
pub struct RateWindows {
    partition: Partition,
    requests: Mutex<Window>,
    events: Mutex<Window>,
}

impl RateWindows {
    pub fn new(partition: Partition) -> Self {
        Self { partition, requests: Mutex::default(), events: Mutex::default() }
    }

    /// What all replicas count a second of this partition under.
    fn key(&self, kind: Kind, second: i64) -> String {
        let Partition { namespace, incarnation } = &self.partition;
        format!("{namespace}/{incarnation}/{}/{second}", kind.name())
    }

    fn with<T>(&self, kind: Kind, second: i64, work: impl FnOnce(&mut Window) -> T) -> T {
        let window = match kind {
            Kind::Requests => &self.requests,
            Kind::Events => &self.events,
        };
        let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.second != second {
            *window = Window { second, ..Window::default() };
        }
        work(&mut window)
    }
}

/// Admits calls within the limits.
pub struct Limiter {
    counters: Arc<dyn RateCounters>,
    limits: RateLimits,
    refused: Counter,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Limiter {
    pub fn new(counters: Arc<dyn RateCounters>, limits: RateLimits, metrics: &Metrics) -> Self {
        let refused = metrics.rate_limited.clone();
        Self { counters, limits, refused }
    }

    /// Admits one request for a ranking or a profile.
    ///
    /// # Errors
    /// `RateLimited` when the namespace has used up this second.
    pub async fn admit_request(&self, used: &RateWindows, now: Timestamp) -> Result<(), Error> {
        self.admit(used, Kind::Requests, self.limits.requests_per_second, 1, now).await
    }

    /// Admits records to be written: all of them or none.
    ///
    /// # Errors
    /// `RateLimited` when the namespace has used up this second.
    pub async fn admit_events(
        &self,
        used: &RateWindows,
        count: usize,
        now: Timestamp,
    ) -> Result<(), Error> {
        let limit = self.limits.events_per_second;
        self.admit(used, Kind::Events, limit, count as u64, now).await
    }

    async fn admit(
        &self,
        used: &RateWindows,
        kind: Kind,
        limit: u64,
        amount: u64,
        now: Timestamp,
    ) -> Result<(), Error> {
        if limit == 0 || amount == 0 {
            return Ok(());
        }
        let second = now.as_millis().div_euclid(1_000);
        let refused = || {
            self.refused.inc();
            Error::RateLimited { what: kind.name(), limit }
        };
        match used.with(kind, second, |window| window.take(amount)) {
            Taken::All => return Ok(()),
            Taken::Refused => return Err(refused()),
            Taken::Short => {}
        }
        let share = amount.max(limit.div_ceil(SHARES));
        let total = self.counters.add(&used.key(kind, second), share, COUNTER_LIFETIME).await;
        let admitted = used.with(kind, second, |window| match total {
            Some(total) => window.add(share, total, limit, amount),
            None => window.count_alone(amount, limit),
        });
        if admitted { Ok(()) } else { Err(refused()) }
    }
}

enum Taken {
    All,
    /// The window has more, the process must ask for it.
    Short,
    Refused,
}

impl Window {
    fn take(&mut self, amount: u64) -> Taken {
        if self.left >= amount {
            self.left -= amount;
            Taken::All
        } else if self.exhausted {
            Taken::Refused
        } else {
            Taken::Short
        }
    }

    /// Adds a share; `total` is what all processes have taken with it. A single amount
    /// above the limit is admitted when it comes first, since it could never be.
    fn add(&mut self, share: u64, total: u64, limit: u64, amount: u64) -> bool {
        let before = total.saturating_sub(share);
        self.exhausted = total >= limit;
        if before >= limit {
            return false;
        }
        self.left += share - amount;
        true
    }

    fn count_alone(&mut self, amount: u64, limit: u64) -> bool {
        let admitted = self.counted_alone < limit;
        self.counted_alone += if admitted { amount } else { 0 };
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use engine::domain::NamespaceName;

    use super::*;

    #[derive(Default)]
    struct Counters {
        total: AtomicU64,
        asked: AtomicU64,
        away: bool,
    }

    #[async_trait::async_trait]
    impl RateCounters for Counters {
        async fn add(&self, _key: &str, amount: u64, _lifetime: Duration) -> Option<u64> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            (!self.away).then(|| self.total.fetch_add(amount, Ordering::Relaxed) + amount)
        }
    }

    const LIMITS: RateLimits = RateLimits { requests_per_second: 100, events_per_second: 1_000 };

    fn new(counters: Counters, limits: RateLimits) -> Limiter {
        Limiter::new(Arc::new(counters), limits, &Metrics::default())
    }

    fn windows(incarnation: u64) -> RateWindows {
        RateWindows::new(Partition { namespace: NamespaceName::default(), incarnation })
    }

    async fn admitted(limiters: &[Limiter], calls: usize) -> usize {
        let used: Vec<RateWindows> = limiters.iter().map(|_process| windows(1)).collect();
        let mut admitted = 0;
        for call in 0..calls {
            let process = call % limiters.len();
            let now = Timestamp::from_seconds(7);
            let call = limiters[process].admit_request(&used[process], now).await;
            admitted += usize::from(call.is_ok());
        }
        admitted
    }

    #[tokio::test]
    async fn two_processes_share_one_allowance_and_ask_for_it_in_shares() {
        let counters = Arc::new(Counters::default());
        let limiters =
            [(); 2].map(|()| Limiter::new(counters.clone(), LIMITS, &Metrics::default()));
        let admitted = admitted(&limiters, 1_000).await;
        assert!((90..=110).contains(&admitted), "{admitted}");
        assert!(counters.asked.load(Ordering::Relaxed) <= 22);
    }

    #[tokio::test]
    async fn each_process_counts_for_itself_when_the_counters_are_away() {
        let counters = Arc::new(Counters { away: true, ..Counters::default() });
        let limiters =
            [(); 2].map(|()| Limiter::new(counters.clone(), LIMITS, &Metrics::default()));
        assert_eq!(admitted(&limiters, 1_000).await, 200);
    }

    #[tokio::test]
    async fn the_next_second_is_a_new_allowance_and_no_limit_admits_all() {
        let used = windows(1);
        let limiter = new(Counters { away: true, ..Counters::default() }, LIMITS);
        for second in 0..3 {
            let now = Timestamp::from_seconds(second);
            limiter.admit_events(&used, 5_000, now).await.unwrap();
            let refused = limiter.admit_events(&used, 1, now).await;
            assert!(matches!(refused, Err(Error::RateLimited { what: "events", limit: 1_000 })));
        }
        let limiter = new(Counters::default(), RateLimits::default());
        assert_eq!(admitted(&[limiter], 500).await, 500);
    }

    #[test]
    fn a_namespace_in_another_life_has_its_own_allowance() {
        let keys = [1, 2].map(|incarnation| windows(incarnation).key(Kind::Requests, 7));
        assert_ne!(keys[0], keys[1]);
    }
}
