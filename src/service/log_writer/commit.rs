//! One commit: the records of many callers in one transaction, and the outcome of each.
//!
//! - Decisions stand before the other records of their namespace.
//! - A decision never takes other records down with it: when the store refuses them
//!   together, the others are tried alone.
//! - All callers get the kind of the error that kept their records from being written.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use super::LogTail;
use super::queue::Gathered;
use super::queue::Submission;
use crate::service::blocking::caught;
use crate::service::clock::Clock;
use crate::service::error::Error;
use crate::service::store_health::StoreMonitor;
use crate::storage;
use crate::storage::AppendOutcome;
use crate::storage::Appended;
use crate::storage::Fence;
use crate::storage::InteractionLog;
use crate::storage::LogAppend;
use crate::telemetry::Metrics;

type Outcome = Result<Vec<Result<Appended, storage::Error>>, Error>;

/// Writes groups of records.
pub struct Writer {
    pub log: Arc<dyn InteractionLog>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub store: Arc<StoreMonitor>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// The records of one commit by namespace, and who waits for which of them.
#[derive(Debug, Default)]
struct Group {
    appends: Vec<LogAppend>,
    /// Of each append its log, and how many of its records are decisions.
    parts: Vec<(Arc<LogTail>, usize)>,
    waiting: Vec<Waiting>,
    /// Held until the commit has ended.
    decision_bytes: Vec<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Waiting {
    append: usize,
    /// Among the records of the append that are not decisions.
    records: Range<usize>,
    reply: oneshot::Sender<Result<Appended, Error>>,
    _in_flight: OwnedSemaphorePermit,
}

impl Group {
    fn of(gathered: Gathered) -> Self {
        let mut group = Self::default();
        // By identity: a namespace that was deleted and created again has another tail,
        // and each must get the outcome of its own records.
        let mut known: HashMap<*const LogTail, usize> = HashMap::new();
        for offered in gathered.decisions {
            let log = Arc::as_ptr(&offered.tail);
            let append = *known.entry(log).or_insert_with(|| group.begin(&offered.tail, None));
            group.appends[append].records.push(offered.record);
            group.parts[append].1 += 1;
            group.decision_bytes.push(offered.in_flight);
        }
        for submission in gathered.submissions {
            let log = Arc::as_ptr(&submission.tail);
            let append = match &submission.fence {
                None => *known.entry(log).or_insert_with(|| group.begin(&submission.tail, None)),
                // What is fenced is refused alone.
                Some(fence) => group.begin(&submission.tail, Some(fence.clone())),
            };
            group.add(append, submission);
        }
        group
    }

    fn begin(&mut self, tail: &Arc<LogTail>, fence: Option<Fence>) -> usize {
        let partition = tail.partition.clone();
        self.appends.push(LogAppend { partition, records: Vec::new(), fence });
        self.parts.push((tail.clone(), 0));
        self.appends.len() - 1
    }

    fn add(&mut self, append: usize, submission: Submission) {
        let decisions = self.parts[append].1;
        let into = &mut self.appends[append].records;
        let start = into.len() - decisions;
        into.extend(submission.records);
        let records = start..into.len() - decisions;
        let (reply, _in_flight) = (submission.reply, submission.in_flight);
        self.waiting.push(Waiting { append, records, reply, _in_flight });
    }

    fn records(&self) -> usize {
        self.appends.iter().map(|append| append.records.len()).sum()
    }

    fn decisions(&self) -> usize {
        self.parts.iter().map(|(_tail, decisions)| decisions).sum()
    }

    fn drop_decisions(&mut self) {
        for (append, (_tail, decisions)) in self.appends.iter_mut().zip(&mut self.parts) {
            append.records.drain(..std::mem::take(decisions));
        }
    }
}

impl Writer {
    /// One transaction; then all callers get their outcomes.
    pub fn commit(&self, gathered: Gathered) {
        let mut group = Group::of(gathered);
        let mut outcome = self.append(&group);
        let dropped = match &outcome {
            Err(_) => group.decisions() as u64,
            Ok(appended) => refused_decisions(&group, appended),
        };
        self.metrics.decisions_dropped.inc_by(dropped);
        if let Err(error) = &outcome
            && may_be_of_decisions(error)
            && dropped > 0
            && !group.waiting.is_empty()
        {
            tracing::error!(%error, dropped, "a commit failed and is tried without its decisions");
            group.drop_decisions();
            outcome = self.append(&group);
        }
        self.reply(group, outcome);
    }

    fn append(&self, group: &Group) -> Outcome {
        let _running = self.store.commit_begins();
        let records = group.records();
        let started = Instant::now();
        let outcome = caught(|| self.log.append(&group.appends, self.clock.now()));
        self.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics.commit_records.observe(records as f64);
        let appended = match outcome? {
            Ok(appended) => appended,
            Err(error) => {
                if self.store.health().writes {
                    tracing::error!(%error, records, "commit failed");
                }
                self.store.saw_write(false);
                return Err(error.into());
            }
        };
        let mut outcomes = appended.iter().flatten().flat_map(|appended| &appended.outcomes);
        // A group of duplicates has tried nothing.
        if outcomes.any(|outcome| matches!(outcome, AppendOutcome::Accepted(_))) {
            self.store.saw_write(true);
        }
        Ok(appended)
    }

    fn reply(&self, group: Group, outcome: Outcome) {
        if let Ok(appended) = &outcome {
            for ((tail, _decisions), appended) in group.parts.iter().zip(appended) {
                if let Ok(appended) = appended {
                    tail.advance(appended.log_end);
                }
            }
        }
        for waiting in group.waiting {
            let decisions = group.parts[waiting.append].1;
            let Range { start, end } = waiting.records;
            let own = match &outcome {
                Err(error) => Err(error.clone()),
                Ok(appended) => match &appended[waiting.append] {
                    Err(error) => Err(error.clone().into()),
                    Ok(appended) => Ok(Appended {
                        outcomes: appended.outcomes[start + decisions..end + decisions].to_vec(),
                        log_end: appended.log_end,
                    }),
                },
            };
            // A caller that has gone away needs no outcome.
            let _gone = waiting.reply.send(own);
        }
    }
}

/// Decisions of groups that were refused, as of a namespace that is gone.
fn refused_decisions(group: &Group, appended: &[Result<Appended, storage::Error>]) -> u64 {
    let parts = group.parts.iter().zip(appended).filter(|(_part, appended)| appended.is_err());
    parts.map(|((_tail, decisions), _refused)| *decisions as u64).sum()
}

/// Whether the same records may be written without their decisions. A store that
/// is away takes neither, and may have taken both: that is not tried twice.
fn may_be_of_decisions(error: &Error) -> bool {
    match error {
        Error::Internal { .. } => true,
        Error::Storage(error) => !matches!(error, storage::Error::Unavailable { .. }),
        _ => false,
    }
}
