//! Group commit: many callers, one transaction at a time.
//!
//! - An acknowledgement is sent after the commit, never before.
//! - While one commit is on its way to the disk the next group gathers, so the
//!   size of a group follows the load and nobody waits for a timer.
//! - Decisions travel beside: they never wait and never make anybody wait. They are
//!   written with the next group, before its other records, so that a decision
//!   precedes every interaction that names it; without traffic they are written
//!   after a short delay. When their queue is full, a decision is dropped and counted.
//! - Memory is bounded by records in flight; callers beyond wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::error::Error;
use super::store_health::StoreMonitor;
use crate::storage;
use crate::storage::AppendOutcome;
use crate::storage::Appended;
use crate::storage::Fence;
use crate::storage::InteractionLog;
use crate::storage::LogAppend;
use crate::storage::Partition;
use crate::telemetry::Metrics;
use engine::domain::Decision;
use engine::domain::NamespaceName;
use engine::domain::Record;
use engine::domain::Sequence;

/// Records accepted but not yet committed, over all callers.
const RECORDS_IN_FLIGHT: usize = 200_000;
/// Records of one commit: about 2 MiB and a few milliseconds.
const RECORDS_PER_COMMIT: usize = 20_000;
/// Longest wait for room in the queue.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);
/// Submissions waiting for the writer.
const SUBMISSIONS: usize = 4_096;
/// Decisions waiting for the writer.
const DECISIONS: usize = 16_384;
/// Longest wait of a decision when nothing else is written.
const DECISION_DELAY: Duration = Duration::from_millis(25);

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

#[derive(Debug)]
struct Submission {
    tail: Arc<LogTail>,
    records: Vec<Record>,
    fence: Option<Fence>,
    reply: oneshot::Sender<Result<Appended, Error>>,
    _in_flight: OwnedSemaphorePermit,
}

/// Runs until its handles are gone or the token is cancelled, then writes what is
/// left and ends.
#[derive(Debug)]
pub struct Service {
    submissions: mpsc::Receiver<Submission>,
    decisions: mpsc::Receiver<(Arc<LogTail>, Decision)>,
    writer: Writer,
}

/// Submits records. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    submissions: mpsc::Sender<Submission>,
    decisions: mpsc::Sender<(Arc<LogTail>, Decision)>,
    in_flight: Arc<Semaphore>,
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
        self.0.await.unwrap_or(Err(Error::ShuttingDown))
    }
}

#[derive(Clone)]
struct Writer {
    log: Arc<dyn InteractionLog>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    store: Arc<StoreMonitor>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// A writer and its handle.
pub fn log_writer(
    log: Arc<dyn InteractionLog>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    store: Arc<StoreMonitor>,
) -> (Service, Handle) {
    let (submissions, submissions_in) = mpsc::channel(SUBMISSIONS);
    let (decisions, decisions_in) = mpsc::channel(DECISIONS);
    let in_flight = Arc::new(Semaphore::new(RECORDS_IN_FLIGHT));
    let writer = Writer { log, clock, metrics: metrics.clone(), store: store.clone() };
    let service = Service { submissions: submissions_in, decisions: decisions_in, writer };
    (service, Handle { submissions, decisions, in_flight, metrics, store })
}

impl Handle {
    /// Hands records over; waits a little while too many are in flight.
    ///
    /// # Errors
    /// `Storage` while the log is away; `Overloaded`, or `Storage` when the log
    /// refuses writes, after the wait;
    /// `ShuttingDown` when the writer has ended.
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
        let weight = records.len().clamp(1, RECORDS_IN_FLIGHT) as u32;
        let room = async {
            let permit = self.in_flight.clone().acquire_many_owned(weight).await;
            let place = self.submissions.reserve().await;
            permit.ok().zip(place.ok()).ok_or(Error::ShuttingDown)
        };
        let room = tokio::time::timeout(QUEUE_PATIENCE, room).await;
        let (permit, place) = room.map_err(|_full| self.refusal())??;
        let (reply, outcome) = oneshot::channel();
        let (tail, _in_flight) = (tail.clone(), permit);
        place.send(Submission { tail, records, fence, reply, _in_flight });
        Ok(Pending(outcome))
    }

    /// Refuses at once what would only wait for a timeout: the follower asks on and on,
    /// and what cannot be read cannot be written either.
    ///
    /// # Errors
    /// `Storage` while the log is away.
    pub(super) fn check_store(&self) -> Result<(), Error> {
        if self.store.is_away() { Err(self.refusal()) } else { Ok(()) }
    }

    /// Why there is no room: the store does not take what is queued, or not fast enough.
    fn refusal(&self) -> Error {
        match self.store.health().degraded() {
            Some(reason) => {
                Error::Storage(storage::Error::Unavailable { reason: reason.to_owned() })
            }
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

    /// Leaves a decision to be written; never waits.
    pub fn offer_decision(&self, tail: &Arc<LogTail>, decision: Decision) {
        if self.decisions.try_send((tail.clone(), decision)).is_err() {
            self.metrics.decisions_dropped.inc();
        }
    }
}

impl Service {
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                first = self.submissions.recv() => match first {
                    Some(first) => self.commit(Some(first)).await,
                    None => break,
                },
                first = self.decisions.recv() => match first {
                    Some(first) => self.commit_decisions(first).await,
                    None => break,
                },
                () = shutdown.cancelled() => break,
            }
        }
        self.submissions.close();
        self.decisions.close();
        while let Ok(first) = self.submissions.try_recv() {
            self.commit(Some(first)).await;
        }
        self.commit(None).await;
    }

    /// Waits a little for company, then commits.
    async fn commit_decisions(&mut self, first: (Arc<LogTail>, Decision)) {
        let company = tokio::time::timeout(DECISION_DELAY, self.submissions.recv()).await;
        let mut group = Group::default();
        group.add_decision(first);
        self.gather_and_append(group, company.ok().flatten()).await;
    }

    async fn commit(&mut self, first: Option<Submission>) {
        self.gather_and_append(Group::default(), first).await;
    }

    async fn gather_and_append(&mut self, mut group: Group, first: Option<Submission>) {
        // Decisions first: whoever saw one has submitted after it was offered.
        let mut gathered: Vec<Submission> = first.into_iter().collect();
        let mut records: usize = gathered.iter().map(|one| one.records.len()).sum();
        while records < RECORDS_PER_COMMIT {
            let Ok(more) = self.submissions.try_recv() else {
                break;
            };
            records += more.records.len();
            gathered.push(more);
        }
        while let Ok(decision) = self.decisions.try_recv() {
            group.add_decision(decision);
        }
        for submission in gathered {
            group.add(submission);
        }
        if !group.appends.is_empty() {
            let writer = self.writer.clone();
            let written = tokio::task::spawn_blocking(move || writer.append(group)).await;
            if let Err(failure) = written {
                tracing::error!(%failure, "the log writer's commit panicked");
            }
        }
    }
}

/// The records of one commit by namespace, and who waits for which of them.
#[derive(Debug, Default)]
struct Group {
    appends: Vec<LogAppend>,
    tails: Vec<Arc<LogTail>>,
    waiting: Vec<Waiting>,
    /// How many of the records are decisions.
    decisions: u64,
}

#[derive(Debug)]
struct Waiting {
    append: usize,
    records: std::ops::Range<usize>,
    reply: oneshot::Sender<Result<Appended, Error>>,
    _in_flight: OwnedSemaphorePermit,
}

impl Group {
    fn append_of(&mut self, tail: &Arc<LogTail>, fence: Option<Fence>) -> usize {
        // By identity: a namespace that was deleted and created again has another tail,
        // and each must hear of its own records. What is fenced is refused alone.
        let mut known = self.tails.iter().zip(&self.appends);
        let found = known.position(|(known, append)| {
            Arc::ptr_eq(known, tail) && append.fence.is_none() && fence.is_none()
        });
        found.unwrap_or_else(|| {
            self.tails.push(tail.clone());
            let partition = tail.partition.clone();
            self.appends.push(LogAppend { partition, records: Vec::new(), fence });
            self.appends.len() - 1
        })
    }

    fn add_decision(&mut self, (tail, decision): (Arc<LogTail>, Decision)) {
        let append = self.append_of(&tail, None);
        self.appends[append].records.push(Record::Decision(decision));
        self.decisions += 1;
    }

    fn add(&mut self, submission: Submission) {
        let Submission { tail, records, fence, reply, _in_flight } = submission;
        let append = self.append_of(&tail, fence);
        let into = &mut self.appends[append].records;
        let start = into.len();
        into.extend(records);
        let records = start..into.len();
        self.waiting.push(Waiting { append, records, reply, _in_flight });
    }
}

impl Writer {
    /// One transaction; then everybody hears what became of theirs.
    fn append(&self, group: Group) {
        let Group { appends, tails, waiting, decisions } = group;
        let records: usize = appends.iter().map(|append| append.records.len()).sum();
        let started = std::time::Instant::now();
        let outcome = self.log.append(&appends, self.clock.now());
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics.commit_records.observe(records as f64);
        let appended = match outcome {
            Ok(appended) => appended,
            Err(error) => {
                if self.store.health().writes {
                    tracing::error!(%error, records, "commit failed");
                }
                self.store.saw_write(false);
                self.metrics.decisions_dropped.inc_by(decisions);
                let reason = error.to_string();
                for waiting in waiting {
                    let error = storage::Error::Unavailable { reason: reason.clone() };
                    // A caller that has gone away does not want to know.
                    let _gone = waiting.reply.send(Err(Error::Storage(error)));
                }
                return;
            }
        };
        let mut outcomes = appended.iter().flatten().flat_map(|appended| &appended.outcomes);
        // A group of duplicates has tried nothing.
        if outcomes.any(|outcome| matches!(outcome, AppendOutcome::Accepted(_))) {
            self.store.saw_write(true);
        }
        for (tail, outcome) in tails.iter().zip(&appended) {
            if let Ok(appended) = outcome {
                tail.advance(appended.log_end);
            }
        }
        for waiting in waiting {
            let outcome = match &appended[waiting.append] {
                Ok(appended) => Ok(Appended {
                    outcomes: appended.outcomes[waiting.records].to_vec(),
                    log_end: appended.log_end,
                }),
                Err(storage::Error::NoNamespace { namespace }) => {
                    Err(Error::NoNamespace(namespace.clone()))
                }
                Err(storage::Error::Fenced { lease }) => {
                    Err(Error::Storage(storage::Error::Fenced { lease: lease.clone() }))
                }
                Err(error) => {
                    Err(Error::Storage(storage::Error::Unavailable { reason: error.to_string() }))
                }
            };
            let _gone = waiting.reply.send(outcome);
        }
    }
}
