//! Values that can be computed again, kept for a while and shared between processes.

use std::time::Duration;

/// Never the only copy of anything: each call may fail silently.
#[async_trait::async_trait]
pub trait Cache: Send + Sync {
    /// The value; `None` when it is not there, expired, or cannot be had at once.
    async fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps a value for `lifetime` at most. Never waits; may drop it.
    fn put(&self, key: String, value: Vec<u8>, lifetime: Duration);

    /// Drops a value. One that cannot be dropped now ends with its lifetime.
    async fn remove(&self, key: &str);
}

/// Counters shared between processes.
#[async_trait::async_trait]
pub trait RateCounters: Send + Sync {
    /// Adds to the counter and returns its sum over all processes; it is forgotten
    /// `lifetime` after it was first added to. `None` when the counters cannot be
    /// reached at once.
    async fn add(&self, key: &str, amount: u64, lifetime: Duration) -> Option<u64>;
}
