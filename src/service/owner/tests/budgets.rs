//! Privacy budgets of a store of which nobody asks for figures.

use super::store::Process;
use crate::storage::Budgets;
use crate::storage::Error;
use crate::storage::Ledger;
use crate::storage::Partition;
use crate::storage::Release;
use crate::storage::SpendOutcome;
use crate::storage::Spending;
use engine::domain::Timestamp;

impl Budgets for Process {
    fn spend(
        &self,
        _partition: &Partition,
        _spending: &Spending,
        _since: Timestamp,
        _limit: u64,
    ) -> Result<SpendOutcome, Error> {
        unreachable!("nobody asks for figures")
    }

    fn keep_answer(&self, _partition: &Partition, _id: &str, _answer: &str) -> Result<(), Error> {
        unreachable!("nobody asks for figures")
    }

    fn released(
        &self,
        _partition: &Partition,
        _query: &str,
        _since: Timestamp,
    ) -> Result<Option<Release>, Error> {
        Ok(None)
    }

    fn ledger(
        &self,
        _partition: &Partition,
        _since: Timestamp,
        _count: usize,
    ) -> Result<Ledger, Error> {
        Ok(Ledger::default())
    }
}
