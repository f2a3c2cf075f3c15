//! Leases: duties that one process at a time may have.
//!
//! - A process holds a lease for as long as it says that it lives. One that has been
//!   silent for [`LEASE_TTL`], frozen or cut off, loses what others request.
//! - It may not notice. What it writes then is refused by its fence.

use std::time::Duration;

use super::error::Error;
use super::partition::LeaseName;

/// How long a holder may be silent. It should say that it lives three times as often.
pub const LEASE_TTL: Duration = Duration::from_secs(6);

/// Says which holding of a lease a write belongs to: a process that lost its lease
/// without noticing, for instance because it was paused, cannot write under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub lease: LeaseName,
    /// Rises each time the lease changes hands.
    pub epoch: u64,
}

/// Calls block; callers run them off the async threads.
pub trait Leases: Send + Sync {
    /// Says that this process lives, and takes those of `requested` that are free or whose
    /// holder has been silent for [`LEASE_TTL`]. Returns the fences of all of `requested`
    /// that this process holds now: not those of partitions that are gone. Where `requested`
    /// is `all` that it requests, it gives up whatever else it holds: an answer may have been
    /// lost that was about a lease, or about one given up. One round trip, whatever their number.
    ///
    /// # Errors
    /// `Unavailable`; what was held is held until the time is over.
    fn keep(&self, requested: &[LeaseName], all: bool) -> Result<Vec<Fence>, Error>;

    /// Gives leases up, those that this process still holds.
    ///
    /// # Errors
    /// `Unavailable`; then the next question for all gives them up.
    fn release(&self, fences: &[Fence]) -> Result<(), Error>;
}
