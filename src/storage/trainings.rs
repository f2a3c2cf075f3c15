//! What the newest training of each namespace came to, as the process that trains reports it.
//!
//! - It is shared: callers of every replica can ask how far a training is, and for its end.
//! - One report a namespace, replaced by each later one; it goes with its namespace.

use std::time::Duration;

use super::error::Error;
use super::leases::Fence;
use super::partition::Partition;

/// The newest report of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedTraining {
    pub training_id: String,
    /// Opaque JSON text.
    pub report: String,
    /// How long ago it was reported, by the clock of the store.
    pub silent_for: Duration,
}

/// Calls block; callers run them off the async threads.
pub trait Trainings: Send + Sync {
    /// Reports a training, in place of what was reported before. Returns whether a caller asked
    /// for the end of this one.
    ///
    /// # Errors
    /// `Fenced` when the lease of the training is lost or its partition gone; `Unavailable`.
    fn report(&self, fence: &Fence, training_id: &str, report: &str) -> Result<bool, Error>;

    /// The newest report; `None` before the first.
    ///
    /// # Errors
    /// `Unavailable`.
    fn reported(&self, partition: &Partition) -> Result<Option<ReportedTraining>, Error>;

    /// Asks for the end of a training. Does nothing when it is not the newest one.
    ///
    /// # Errors
    /// `Unavailable`.
    fn request_end(&self, partition: &Partition, training_id: &str) -> Result<(), Error>;
}
