//! What happened, counted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Counts since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedisCounts {
    /// Batches that Redis has taken.
    pub published: u64,
    /// Valid batches of other processes.
    pub received: u64,
    /// Batches and cache values not sent: the queue was full, Redis away or unwilling.
    pub dropped: u64,
    /// Stream entries and cache values that were not what this module writes.
    pub rejected: u64,
    /// Commands without an answer within their deadline.
    pub timeouts: u64,
    /// Commands that Redis has answered with an error, or that lost their connection.
    pub errors: u64,
    /// Connections made, the first ones included.
    pub connections: u64,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub published: Counter,
    pub received: Counter,
    pub dropped: Counter,
    pub rejected: Counter,
    pub timeouts: Counter,
    pub errors: Counter,
    pub connections: Counter,
}

impl Counters {
    pub fn read(&self) -> RedisCounts {
        RedisCounts {
            published: self.published.get(),
            received: self.received.get(),
            dropped: self.dropped.get(),
            rejected: self.rejected.get(),
            timeouts: self.timeouts.get(),
            errors: self.errors.get(),
            connections: self.connections.get(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
