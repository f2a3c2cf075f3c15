//! What was spent of privacy budgets, and the answers that were released for it.
//!
//! - One ledger per partition. What is spent is stored before anything is released, and is never taken
//!   back: a crash in between loses budget, not privacy.
//! - What a period has spent is the sum of the spendings since its start, so periods of another length
//!   count the same spendings.
//! - Nothing here names a user. What is asked and answered is opaque JSON text.

use super::chain::Position;
use super::error::Error;
use super::partition::Partition;
use engine::domain::Timestamp;

/// Costs are in billionths of rho.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// Random.
    pub spending_id: String,
    pub spent_at: Timestamp,
    pub analyst: String,
    pub query: String,
    pub nano_rho: u64,
    /// The end of the log at the time; a stored one has no revision.
    pub log_end: Position,
}

/// A spending with what was released for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub spending: Spending,
    pub answer: String,
}

/// What became of a spending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendOutcome {
    pub is_spent: bool,
    /// Of the period, with this spending if it is spent.
    pub spent: u64,
}

/// A period of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub spent: u64,
    /// The newest first.
    pub spendings: Vec<Spending>,
}

/// Calls block; callers run them off the async threads. Every call about a partition that is gone is
/// `NoNamespace`.
pub trait Budgets: Send + Sync {
    /// Spends, if all that was spent since then and this are at most `limit`. Of calls at the same time, by
    /// whatever process, one sees what the other has spent. Answers of earlier periods are removed.
    ///
    /// # Errors
    /// `Unavailable`; it may be spent all the same.
    fn spend(
        &self,
        partition: &Partition,
        spending: &Spending,
        since: Timestamp,
        limit: u64,
    ) -> Result<SpendOutcome, Error>;

    /// Stores what is released for a spending: from then on it may be given to callers.
    ///
    /// # Errors
    /// `Unavailable`.
    fn keep_answer(
        &self,
        partition: &Partition,
        spending_id: &str,
        answer: &str,
    ) -> Result<(), Error>;

    /// The first release for this query since then.
    ///
    /// # Errors
    /// `Unavailable`.
    fn released(
        &self,
        partition: &Partition,
        query: &str,
        since: Timestamp,
    ) -> Result<Option<Release>, Error>;

    /// What was spent since then, with at most `count` spendings.
    ///
    /// # Errors
    /// `Unavailable`.
    fn ledger(
        &self,
        partition: &Partition,
        since: Timestamp,
        count: usize,
    ) -> Result<Ledger, Error>;
}
