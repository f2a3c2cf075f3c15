//! What waits for the log writer, in the order in which it came.
//!
//! - Each entry holds its bytes of a semaphore until it is written or refused, so memory
//!   is bounded whatever the callers do meanwhile.
//! - A decision stands before every record that names it: a client that saw one has submitted
//!   after it was offered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use super::LogTail;
use crate::service::error::Error;
use crate::service::store_health::StoreMonitor;
use crate::storage::Appended;
use crate::storage::Fence;
use engine::domain::Record;

/// Records of one commit: a few milliseconds.
const COMMIT_RECORDS: usize = 20_000;
/// Memory of the records of one commit; its encoded form takes less in addition.
const COMMIT_BYTES: usize = 16 * 1024 * 1024;
/// Longest wait of a decision when nothing else is written.
const DECISION_DELAY: Duration = Duration::from_millis(25);

/// Records that a caller waits for.
#[derive(Debug)]
pub struct Submission {
    pub tail: Arc<LogTail>,
    pub records: Vec<Record>,
    pub bytes: usize,
    pub fence: Option<Fence>,
    pub reply: oneshot::Sender<Result<Appended, Error>>,
    pub in_flight: OwnedSemaphorePermit,
}

/// A decision, or an exposure without one, that nobody waits for.
#[derive(Debug)]
pub struct Offered {
    pub tail: Arc<LogTail>,
    pub record: Record,
    pub bytes: usize,
    pub at: Instant,
    pub in_flight: OwnedSemaphorePermit,
}

/// What is written in one commit.
#[derive(Debug, Default)]
pub struct Gathered {
    pub decisions: Vec<Offered>,
    pub submissions: Vec<Submission>,
}

/// Why a submission was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The commit that runs does not end.
    Stalled,
    Closed,
}

#[derive(Debug)]
enum Entry {
    Submission(Submission),
    Decision(Box<Offered>),
}

impl Entry {
    fn size(&self) -> (usize, usize) {
        match self {
            Self::Submission(submission) => (submission.records.len(), submission.bytes),
            Self::Decision(offered) => (1, offered.bytes),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    submissions: usize,
    /// Whether the writer waits for news.
    is_waiting: bool,
    is_closed: bool,
}

/// One writer takes from it.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    news: Condvar,
    store: Arc<StoreMonitor>,
}

impl Queue {
    pub fn new(store: Arc<StoreMonitor>) -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), store }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// [`Refused`].
    pub fn submit(&self, submission: Submission) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        // Under the lock, so that nothing comes in behind what `stall` takes out.
        if self.store.is_stalled() {
            return Err(Refused::Stalled);
        }
        state.entries.push_back(Entry::Submission(submission));
        state.submissions += 1;
        if state.is_waiting {
            self.news.notify_one();
        }
        Ok(())
    }

    /// Whether the decision was taken: not after the end.
    pub fn offer(&self, offered: Offered) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            return false;
        }
        // The writer begins to count the delay with the first one.
        if state.is_waiting && state.entries.is_empty() {
            self.news.notify_one();
        }
        state.entries.push_back(Entry::Decision(Box::new(offered)));
        true
    }

    /// Waits for something to write; `None` when all is written and nothing comes any
    /// more.
    pub fn next(&self) -> Option<Gathered> {
        let mut state = self.lock();
        while state.submissions == 0 && !state.is_closed {
            let left = match state.entries.front() {
                Some(Entry::Decision(first)) => {
                    Some(DECISION_DELAY.saturating_sub(first.at.elapsed()))
                }
                Some(Entry::Submission(_)) | None => None,
            };
            if left == Some(Duration::ZERO) {
                break;
            }
            state.is_waiting = true;
            state = match left {
                Some(left) => {
                    let waited = self.news.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.is_waiting = false;
        }
        let gathered = state.gather();
        (!gathered.is_empty()).then_some(gathered)
    }

    /// Takes out what callers wait for, as the commit that runs does not end. Decisions
    /// stay, nobody waits for them.
    pub fn stall(&self) -> Vec<Submission> {
        let mut state = self.lock();
        // It may have ended just now.
        if !self.store.is_stalled() {
            return Vec::new();
        }
        state.submissions = 0;
        let (mut refused, mut kept) = (Vec::new(), VecDeque::new());
        for entry in std::mem::take(&mut state.entries) {
            match entry {
                Entry::Submission(submission) => refused.push(submission),
                decision @ Entry::Decision(_) => kept.push_back(decision),
            }
        }
        state.entries = kept;
        refused
    }

    /// Entries that wait.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Takes nothing any more; what is there is still given out.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_one();
    }
}

impl State {
    /// The entries that came first, as many as one commit holds; at least one.
    fn gather(&mut self) -> Gathered {
        let (mut gathered, mut records, mut bytes) = (Gathered::default(), 0, 0);
        while let Some(entry) = self.entries.pop_front() {
            let (more_records, more_bytes) = entry.size();
            records += more_records;
            bytes += more_bytes;
            let is_full = records > COMMIT_RECORDS || bytes > COMMIT_BYTES;
            if is_full && !gathered.is_empty() {
                self.entries.push_front(entry);
                break;
            }
            match entry {
                Entry::Submission(submission) => {
                    self.submissions -= 1;
                    gathered.submissions.push(submission);
                }
                Entry::Decision(offered) => gathered.decisions.push(*offered),
            }
        }
        gathered
    }
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.decisions.is_empty() && self.submissions.is_empty()
    }
}
