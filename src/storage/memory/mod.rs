//! Cache, counters and leases within one process: what takes the place of Redis and
//! PostgreSQL where there is neither.
//!
//! - Everything here is bounded, and gone with the process.

mod cache;
mod leases;
mod rates;

pub use cache::MemoryCache;
pub use leases::MemoryLeases;
pub use rates::MemoryRates;
