//! Group commit: many callers, one transaction at a time.
//!
//! - An acknowledgement is sent after the commit, never before.
//! - While one commit is on its way to the disk the next group gathers, so the size of a
//!   group follows the load and nobody waits for a timer.
//! - The writer has a thread of its own: no other work can keep it from writing.
//! - Decisions are queued apart: no call waits for them. They are written in the order in which
//!   they came, so that a decision precedes every interaction that names it; without
//!   traffic they are written after a short delay. When their budget is used up they are dropped
//!   and counted.
//! - Memory is bounded by bytes, of events and of decisions apart. They are held by the
//!   records and not by the call: a caller who goes away frees nothing before the commit.
//! - While a commit does not end, nobody queues behind it: what waits and what comes is
//!   refused at once.

mod commit;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::commit::Writer;
use self::queue::Offered;
use self::queue::Queue;
use self::queue::Refused;
use self::queue::Submission;
use super::blocking::caught;
use super::clock::Clock;
use super::error::Error;
use super::store_health::StoreMonitor;
use crate::storage;
use crate::storage::Appended;
use crate::storage::Fence;
use crate::storage::InteractionLog;
use crate::storage::Partition;
use crate::telemetry::Metrics;
use engine::domain::Decision;
use engine::domain::Exposure;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;

/// Memory of records accepted but not yet committed, over all callers. A record that is
/// larger has all of it for itself.
const EVENT_BYTES: usize = 64 * 1024 * 1024;
/// Memory of decisions waiting for the writer.
const DECISION_BYTES: usize = 32 * 1024 * 1024;
/// Memory of one decision. Its record is bounded before (`limits::DECISION_BYTES`), so that
/// only a list of hundreds of items with long features comes near.
const DECISION_BYTES_EACH: usize = 1024 * 1024;
/// Longest wait for budget.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the last commits when the process stops: longer than a store takes to
/// give up, and not for ever.
const END_TIMEOUT: Duration = Duration::from_secs(15);

/// The end of one namespace's log, as its followers see it.
#[derive(Debug)]
pub struct LogTail {
    pub partition: Partition,
    end: watch::Sender<Sequence>,
}

impl LogTail {
    pub fn new(partition: Partition, end: Sequence) -> Self {
        Self { partition, end: watch::Sender::new(end) }
    }

    pub fn namespace(&self) -> &NamespaceName {
        &self.partition.namespace
    }

    /// The last durable sequence.
    pub fn end(&self) -> Sequence {
        *self.end.borrow()
    }

    pub fn subscribe(&self) -> watch::Receiver<Sequence> {
        self.end.subscribe()
    }

    /// Forgets how far the log reached: it is another one now. What it has is told by
    /// `advance` again.
    pub(super) fn rewind(&self) {
        self.end.send_replace(0);
    }

    /// Tells followers that the log reaches this far.
    pub fn advance(&self, end: Sequence) {
        self.end.send_if_modified(|current| {
            let further = end > *current;
            *current = end.max(*current);
            further
        });
    }
}

/// The writer's thread. It writes what was submitted before the token of `run` is
/// cancelled, and ends.
#[derive(Debug)]
pub struct Service {
    queue: Arc<Queue>,
    store: Arc<StoreMonitor>,
    end: oneshot::Receiver<()>,
}

/// Submits records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    queue: Arc<Queue>,
    event_budget: Arc<Semaphore>,
    decision_budget: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    store: Arc<StoreMonitor>,
}

/// Waits for the outcome of a submission.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Appended, Error>>);

impl Pending {
    /// # Errors
    /// What kept the records from being written.
    pub async fn outcome(self) -> Result<Appended, Error> {
        let lost = |_dropped| Err(Error::internal("a submission was never answered"));
        self.0.await.unwrap_or_else(lost)
    }
}

/// A writer and its handle.
///
/// # Panics
/// When the system gives no thread.
pub fn log_writer(
    log: Arc<dyn InteractionLog>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    store: Arc<StoreMonitor>,
) -> (Service, Handle) {
    let queue = Arc::new(Queue::new(store.clone()));
    let writer = Writer { log, clock, metrics: metrics.clone(), store: store.clone() };
    let (ended, end) = oneshot::channel();
    let gathered = queue.clone();
    let thread = std::thread::Builder::new().name("log-writer".to_owned());
    let write = move || {
        while let Some(next) = gathered.next() {
            // The panic is logged; callers that wait get an error.
            let _logged = caught(|| writer.commit(next));
        }
        let _unheard = ended.send(());
    };
    thread.spawn(write).expect("the system has threads left");
    let handle = Handle {
        queue: queue.clone(),
        event_budget: Arc::new(Semaphore::new(EVENT_BYTES)),
        decision_budget: Arc::new(Semaphore::new(DECISION_BYTES)),
        metrics,
        store: store.clone(),
    };
    (Service { queue, store, end }, handle)
}

impl Handle {
    /// Hands records over; waits a little while too many are in flight.
    ///
    /// # Errors
    /// `Storage` while the log is away or does not answer; `Overloaded`, or `Storage` when
    /// the log refuses writes, after the wait; `ShuttingDown` when the writer has ended.
    pub async fn submit(
        &self,
        tail: &Arc<LogTail>,
        records: Vec<Record>,
    ) -> Result<Pending, Error> {
        self.hand_over(tail, records, None).await
    }

    async fn hand_over(
        &self,
        tail: &Arc<LogTail>,
        records: Vec<Record>,
        fence: Option<Fence>,
    ) -> Result<Pending, Error> {
        self.check_store()?;
        let bytes: usize = records.iter().map(Record::bytes).sum();
        let budget = self.event_budget.clone().acquire_many_owned(permits(bytes, EVENT_BYTES));
        let in_flight = tokio::time::timeout(QUEUE_TIMEOUT, budget).await;
        let in_flight = in_flight.map_err(|_elapsed| self.full())?;
        let in_flight = in_flight.map_err(|_closed| Error::ShuttingDown)?;
        let (reply, outcome) = oneshot::channel();
        let tail = tail.clone();
        let submission = Submission { tail, records, bytes, fence, reply, in_flight };
        match self.queue.submit(submission) {
            Ok(()) => Ok(Pending(outcome)),
            Err(Refused::Stalled) => Err(self.full()),
            Err(Refused::Closed) => Err(Error::ShuttingDown),
        }
    }

    /// Refuses at once what would only wait for a timeout: the follower asks on and on,
    /// and what cannot be read cannot be written either.
    ///
    /// # Errors
    /// `Storage` while the log is away or does not answer.
    pub(super) fn check_store(&self) -> Result<(), Error> {
        if self.store.is_away() { Err(self.full()) } else { Ok(()) }
    }

    /// Why the budget is used up: the store does not take what is queued, or not fast enough.
    fn full(&self) -> Error {
        match self.store.health().degraded() {
            Some(degraded) => unavailable(&degraded.text),
            None => Error::Overloaded("the queue of records to write is full"),
        }
    }

    /// Writes records and waits for the commit.
    ///
    /// # Errors
    /// What kept the records from being written.
    pub async fn append(
        &self,
        tail: &Arc<LogTail>,
        records: Vec<Record>,
    ) -> Result<Appended, Error> {
        self.submit(tail, records).await?.outcome().await
    }

    /// Writes records under a lease, and only if it is still held.
    ///
    /// # Errors
    /// As `append`; `Storage(Fenced)` when the lease has passed on.
    pub async fn append_fenced(
        &self,
        tail: &Arc<LogTail>,
        records: Vec<Record>,
        fence: Fence,
    ) -> Result<Appended, Error> {
        self.hand_over(tail, records, Some(fence)).await?.outcome().await
    }

    /// Leaves a decision to be written; never waits. Returns whether the budget allowed it. If not
    /// it is dropped, and so is one that is too large.
    pub fn offer_decision(&self, tail: &Arc<LogTail>, decision: Decision) -> bool {
        let bytes = decision.bytes();
        self.offer(tail, Record::Decision(decision), bytes)
    }

    /// Leaves an exposure to be written where no decision says it; as decisions.
    pub fn offer_exposure(&self, tail: &Arc<LogTail>, exposure: Exposure) -> bool {
        let record = Record::UserExposed(exposure);
        let bytes = record.bytes();
        self.offer(tail, record, bytes)
    }

    fn offer(&self, tail: &Arc<LogTail>, record: Record, bytes: usize) -> bool {
        let budget = self.decision_budget.clone();
        let in_flight = (bytes <= DECISION_BYTES_EACH)
            .then(|| budget.try_acquire_many_owned(permits(bytes, DECISION_BYTES)).ok())
            .flatten();
        let is_taken = in_flight.is_some_and(|in_flight| {
            let (tail, at) = (tail.clone(), Instant::now());
            self.queue.offer(Offered { tail, record, bytes, at, in_flight })
        });
        if !is_taken {
            self.metrics.decisions_dropped.inc();
        }
        is_taken
    }
}

/// A permit is a byte; what is larger than all of them takes all of them.
fn permits(bytes: usize, budget: usize) -> u32 {
    u32::try_from(bytes.clamp(1, budget)).expect("budgets are below 4 GiB")
}

fn unavailable(reason: &str) -> Error {
    Error::Storage(storage::Error::Unavailable { reason: reason.to_owned() })
}

impl Service {
    /// Lets the thread write until the token is cancelled, then what is left; refuses what
    /// waits behind a commit that does not end.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = self.store.next_stall() => self.refuse_waiting(),
            }
        }
        self.queue.close();
        if tokio::time::timeout(END_TIMEOUT, self.written()).await.is_err() {
            tracing::error!("the store does not answer: the last records are given up");
        }
    }

    async fn written(&mut self) {
        loop {
            tokio::select! {
                biased;
                _written = &mut self.end => return,
                () = self.store.next_stall() => self.refuse_waiting(),
            }
        }
    }

    fn refuse_waiting(&self) {
        let refused = self.queue.stall();
        tracing::warn!(refused = refused.len(), "the store does not answer: records are refused");
        for submission in refused {
            let _gone = submission.reply.send(Err(unavailable("the store does not answer")));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Its thread must not wait for ever.
        self.queue.close();
    }
}
