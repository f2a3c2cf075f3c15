//! One budget for the bytes of all requests that are held: as they came, and as they are
//! in memory once they are decoded. What would pass it is refused.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::gauge::Gauge;

/// The bytes that may be held, shared by all calls.
#[derive(Debug)]
pub struct Budget {
    left: AtomicUsize,
    shown: Gauge,
}

impl Budget {
    pub fn new(bytes: usize, shown: Gauge) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(bytes), shown })
    }

    fn take(&self, bytes: usize) -> bool {
        let took = self
            .left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes));
        if took.is_ok() {
            self.shown.inc_by(bytes as i64);
        }
        took.is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::AcqRel);
        self.shown.dec_by(bytes as i64);
    }
}

/// What one call holds of the budget; given back when it is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    held: AtomicUsize,
}

impl Charge {
    pub fn new(budget: Arc<Budget>) -> Arc<Self> {
        Arc::new(Self { budget, held: AtomicUsize::new(0) })
    }

    /// Whether there was as much left.
    #[must_use]
    pub fn add(&self, bytes: usize) -> bool {
        let added = self.budget.take(bytes);
        if added {
            self.held.fetch_add(bytes, Ordering::AcqRel);
        }
        added
    }

    /// Gives back all that is held but `kept`.
    pub fn keep(&self, kept: usize) {
        let held = self.held.swap(kept, Ordering::AcqRel);
        self.budget.give_back(held - kept);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_however_a_call_ends() {
        let shown = Gauge::default();
        let budget = Budget::new(100, shown.clone());
        let (one, other) = (Charge::new(budget.clone()), Charge::new(budget));
        assert!(one.add(60) && !other.add(41) && other.add(40));
        one.keep(10);
        assert_eq!(shown.get(), 50);
        assert!(other.add(50) && !one.add(1));
        drop(other);
        assert!(one.add(90));
        drop(one);
        assert_eq!(shown.get(), 0);
    }
}
