//! The projection: relational tables filled from the log, for SQL and analytics.

use super::error::Error;
use super::partition::Partition;
use engine::domain::LogRecord;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use engine::domain::UserId;

/// Behind the log, never ahead of it, and rebuilt from it. Calls block; callers run
/// them off the async threads.
pub trait Projection: Send + Sync {
    /// The last record of the partition that is in the tables; 0 before the first.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn projected_to(&self, partition: &Partition) -> Result<Sequence, Error>;

    /// Adds records to the tables and moves the position with them, in one transaction
    /// or several: after an error the position says how many are in. Records at or
    /// below the position are passed over, so that two processes at it do no harm.
    /// Returns the new position.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`; `Corrupt` when records are missing before the first.
    fn project(&self, partition: &Partition, records: &[LogRecord]) -> Result<Sequence, Error>;

    /// Removes decisions that were recorded before this time from the tables; returns how
    /// many. The position stays: they do not come back unless the tables are rebuilt.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`; some may be removed then.
    fn forget_decisions(&self, partition: &Partition, before: Timestamp) -> Result<u64, Error>;

    /// Removes the rows of users.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`; some may be removed then.
    fn forget_users(&self, partition: &Partition, user_ids: &[UserId]) -> Result<(), Error>;

    /// Empties the tables of the partition and sets the position to 0.
    ///
    /// # Errors
    /// `NoNamespace`, `Unavailable`.
    fn clear(&self, partition: &Partition) -> Result<(), Error>;
}
