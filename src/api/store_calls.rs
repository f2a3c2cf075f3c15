//! Calls that ask the stores before they answer. Operators call rarely, and each call takes a
//! connection of the store: few run at a time, some wait for their turn.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::deadline::CallTime;
use crate::service::Error;

/// Calls that may run at a time.
const RUNNING: usize = 4;
/// Calls that may run or wait.
const WAITING: usize = 64;

/// See the module. Clones share their bounds.
#[derive(Debug, Clone)]
pub struct StoreCalls {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for StoreCalls {
    fn default() -> Self {
        let bound = |permits| Arc::new(Semaphore::new(permits));
        Self { running: bound(RUNNING), waiting: bound(WAITING) }
    }
}

impl StoreCalls {
    /// Works with the stores to the end, whether the caller stays or not, once it is its turn: the
    /// work holds its permits. A caller that leaves before has nothing done.
    ///
    /// # Errors
    /// `Overloaded`, `DeadlinePassed`, and what the work says.
    pub async fn run<T: Send + 'static>(
        &self,
        time: CallTime,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let overloaded = || Error::Overloaded("too many calls to the stores");
        time.check()?;
        let waits = self.waiting.clone().try_acquire_owned().map_err(|_full| overloaded())?;
        let turn = tokio::time::timeout(time.timeout(), self.running.clone().acquire_owned());
        let turn = turn.await.map_err(|_elapsed| time.check().err().unwrap_or_else(overloaded))?;
        let runs = turn.map_err(|_closed| overloaded())?;
        let working = tokio::spawn(async move {
            let done = work.await;
            drop((waits, runs));
            done
        });
        working.await.unwrap_or(Err(Error::ShuttingDown))
    }
}
