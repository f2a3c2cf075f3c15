//! Rate counters within the process, bounded in number.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use crate::storage::cache::RateCounters;

/// Counters kept; beyond, the one that would end first is forgotten.
const COUNTERS_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub struct MemoryRates {
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    sums: HashMap<Arc<str>, u64>,
    by_end: BTreeSet<(Instant, Arc<str>)>,
}

impl Counters {
    fn add(&mut self, key: &str, amount: u64, lifetime: Duration, now: Instant) -> Option<u64> {
        self.forget(now);
        if let Some(sum) = self.sums.get_mut(key) {
            *sum = sum.saturating_add(amount);
            return Some(*sum);
        }
        let until = now.checked_add(lifetime)?;
        let key: Arc<str> = key.into();
        self.by_end.insert((until, key.clone()));
        self.sums.insert(key, amount);
        Some(amount)
    }

    /// Drops what has ended, and keeps space for one more.
    fn forget(&mut self, now: Instant) {
        while let Some((until, _)) = self.by_end.first()
            && (*until <= now || self.sums.len() >= COUNTERS_MAX)
            && let Some((_, key)) = self.by_end.pop_first()
        {
            self.sums.remove(&key);
        }
    }
}

#[async_trait::async_trait]
impl RateCounters for MemoryRates {
    async fn add(&self, key: &str, amount: u64, lifetime: Duration) -> Option<u64> {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.add(key, amount, lifetime, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_counter_sums_up() {
        let rates = MemoryRates::default();
        assert_eq!(rates.add("a", 2, MINUTE).await, Some(2));
        assert_eq!(rates.add("a", 3, MINUTE).await, Some(5));
        assert_eq!(rates.add("b", 1, MINUTE).await, Some(1));
        assert_eq!(rates.add("a", u64::MAX, MINUTE).await, Some(u64::MAX));
    }

    #[test]
    fn a_counter_starts_again_when_its_lifetime_has_passed_since_the_first_addition() {
        let mut counters = Counters::default();
        let start = Instant::now();
        let add = |counters: &mut Counters, seconds| {
            counters.add("a", 1, MINUTE, start + Duration::from_secs(seconds))
        };
        assert_eq!(add(&mut counters, 0), Some(1));
        assert_eq!(add(&mut counters, 59), Some(2));
        assert_eq!(add(&mut counters, 60), Some(1));
        assert_eq!(add(&mut counters, 119), Some(2));
    }

    #[test]
    fn the_counters_are_bounded() {
        let mut counters = Counters::default();
        let now = Instant::now();
        for i in 0..COUNTERS_MAX as u64 + 10 {
            let lifetime = MINUTE + Duration::from_micros(i);
            assert_eq!(counters.add(&i.to_string(), 1, lifetime, now), Some(1));
        }
        assert_eq!(counters.sums.len(), COUNTERS_MAX);
        assert_eq!(counters.by_end.len(), COUNTERS_MAX);
        assert_eq!(counters.add("0", 1, MINUTE, now), Some(1), "the one that ended first went");
        assert_eq!(counters.add("100000", 1, MINUTE, now), Some(2));
    }
}
