//! Cache, counters and leases within one process: what replaces Redis and
//! PostgreSQL where there is neither.
//!
//! - Everything here is bounded, and gone with the process.

mod cache;
mod leases;
mod rates;

pub use cache::MemoryCache;
pub use leases::MemoryLeases;
pub use rates::MemoryRates;
