//! Leases: duties that one process at a time may have.

use super::error::Error;

/// Says which holding of a lease a write belongs to: a process that lost its lease
/// without noticing, for instance because it was paused, cannot write under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub lease: String,
    /// Rises each time the lease changes hands.
    pub epoch: u64,
}

/// A held lease; dropping it gives it up, without waiting for the store.
pub trait Lease: Send + Sync {
    fn fence(&self) -> &Fence;

    /// Asks the store whether the lease is still held.
    ///
    /// # Errors
    /// `Unavailable` when the store cannot be asked: the lease may be lost.
    fn is_held(&self) -> Result<bool, Error>;
}

/// Calls block; callers run them off the async threads.
pub trait Leases: Send + Sync {
    /// Takes the lease of this name, or `None` while another holder, in this process
    /// or another one, has it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn acquire(&self, name: &str) -> Result<Option<Box<dyn Lease>>, Error>;
}
