//! Appending: one transaction for all groups, duplicates left out.
//!
//! - What this process knows of a partition runs ahead of the transaction once
//!   sequences are decided, and is forgotten when it fails.
//! - What fails before COMMIT is sent is tried again where that may help. When the
//!   answer to COMMIT is lost the append is in doubt. The next attempt then waits for
//!   the partitions' locks, which says that the transaction has ended, and looks for
//!   its rows: there, it was committed; else it is done again. Rows are better evidence
//!   than `pg_xact_status`: a standby that took over uses transaction ids again.
//! - All of it, connecting and waiting for locks included, ends within the statement
//!   timeout, as `Unavailable`. While the server has nothing to say, the next ones find
//!   that out sooner: a caller that has waited for the one before must not wait as long again.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio::time::timeout_at;

use super::column::id_of;
use super::decided::Decided;
use super::failure;
use super::known::Known;
use super::known::Refused;
use super::partition::Behind;
use super::partition::KnownPartition;
use super::session::Session;
use super::session::Sessions;
use super::session::jittered;
use super::session::no_answer;
use super::transaction;
use super::transaction::State;
use crate::storage::error::Error;
use crate::storage::log::Appended;
use crate::storage::log::LogAppend;
use crate::storage::partition::Partition;
use crate::storage::tail::TailFeed;
use engine::domain::Timestamp;

/// Something to be committed, so that this commit waits for whatever an append waits for.
const COMMIT_AGAIN: &str = "SELECT pg_logical_emit_message(true, 'personalization', ''); COMMIT";

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What an append may take after one that has used up its time for nothing.
const PROBE: Duration = Duration::from_secs(1);

/// Appends of this process, one at a time.
pub struct Appender {
    dedup_horizon: u64,
    known: Mutex<Known>,
    /// Whether the last append has used up its time.
    silent: AtomicBool,
    event_hashes_rebuilt: AtomicU64,
}

/// What is asked for, and until when.
pub struct Call<'a> {
    sessions: &'a Sessions,
    pub groups: &'a [LogAppend],
    pub now: Timestamp,
    give_up: Instant,
}

/// An append whose COMMIT was sent and not answered.
pub struct InDoubt {
    pub xid: String,
    pub decided: Decided,
}

/// An attempt that wrote nothing, or left an [`InDoubt`].
pub struct Failed {
    pub error: Error,
    /// Whether the next attempt may go well.
    pub passing: bool,
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        let passing = failure::is_passing(&error);
        Self { error: error.into(), passing }
    }
}

/// Whether trying went on until there was no time left for another attempt.
fn is_silence(error: &Error, give_up: Instant) -> bool {
    matches!(error, Error::Unavailable { .. }) && Instant::now() + LONGEST_PAUSE >= give_up
}

impl Appender {
    pub fn new(dedup_horizon: u64) -> Self {
        Self {
            dedup_horizon,
            known: Mutex::default(),
            silent: AtomicBool::new(false),
            event_hashes_rebuilt: AtomicU64::new(0),
        }
    }

    /// See `InteractionLog::append`.
    pub fn append(
        &self,
        sessions: &Sessions,
        feed: Option<&dyn TailFeed>,
        groups: &[LogAppend],
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, Error>>, Error> {
        let mut timeout = sessions.limits().statement_timeout;
        if self.silent.load(Ordering::Relaxed) {
            timeout = timeout.min(PROBE);
        }
        let give_up = Instant::now() + timeout;
        let call = Call { sessions, groups, now, give_up };
        sessions.block_on(async {
            let known = timeout_at(give_up, self.known.lock());
            let mut known = known.await.map_err(|_| no_answer())?;
            let written = timeout_at(give_up, self.until_written(&mut known, &call)).await;
            self.count_rebuilt(std::mem::take(&mut known.event_hashes_rebuilt));
            let mut decided = match written {
                Ok(Ok(decided)) => decided,
                Ok(Err(error)) => {
                    self.silent.store(is_silence(&error, give_up), Ordering::Relaxed);
                    return Err(error);
                }
                Err(_elapsed) => {
                    self.silent.store(true, Ordering::Relaxed);
                    return Err(no_answer());
                }
            };
            self.silent.store(false, Ordering::Relaxed);
            if let Some(feed) = feed {
                decided.publish(feed);
            }
            Ok(decided.outcomes)
        })
    }

    pub const fn dedup_horizon(&self) -> u64 {
        self.dedup_horizon
    }

    pub fn count_rebuilt(&self, batches: u64) {
        self.event_hashes_rebuilt.fetch_add(batches, Ordering::Relaxed);
    }

    pub fn event_hashes_rebuilt(&self) -> u64 {
        self.event_hashes_rebuilt.load(Ordering::Relaxed)
    }

    async fn until_written(&self, known: &mut Known, call: &Call<'_>) -> Result<Decided, Error> {
        let mut in_doubt = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let failed = match self.attempt(known, call, &mut in_doubt).await {
                Ok(decided) => return Ok(decided),
                Err(failed) => failed,
            };
            let pause_ends = Instant::now() + jittered(pause);
            if failed.passing && pause_ends < call.give_up {
                tokio::time::sleep_until(pause_ends).await;
                pause = LONGEST_PAUSE.min(2 * pause);
            } else if in_doubt.is_some() {
                let reason = format!("whether it was written is not known: {}", failed.error);
                return Err(Error::Unavailable { reason });
            } else {
                return Err(failed.error);
            }
        }
    }

    async fn attempt(
        &self,
        known: &mut Known,
        call: &Call<'_>,
        in_doubt: &mut Option<InDoubt>,
    ) -> Result<Decided, Failed> {
        let session = match known.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => {
                let session = call.sessions.session().await;
                session.map_err(|(error, passing)| Failed { error, passing })?
            }
        };
        if let Some(earlier) = in_doubt {
            transaction::end_idle(&session, &earlier.xid).await?;
        }
        transaction::prepare(&session).await?;
        let mut refused = Refused::new();
        let Some(state) = self.lock(&session, known, call, &mut refused).await? else {
            session.give_back();
            let rejections =
                call.groups.iter().map(|group| Err(refused[&group.partition].of(group)));
            return Ok(Decided { outcomes: rejections.collect(), batches: Vec::new() });
        };
        if let Some(earlier) = in_doubt.take() {
            match transaction::is_written(&session, &earlier.decided.batches).await {
                Ok(true) => {
                    // It is there; that the standbys have it, where that is configured, is known
                    // when a later commit has waited for them.
                    if let Err(error) = session.batch_execute(COMMIT_AGAIN).await {
                        *in_doubt = Some(earlier);
                        return Err(error.into());
                    }
                    session.give_back();
                    return Ok(earlier.decided);
                }
                Ok(false) => {}
                Err(error) => {
                    *in_doubt = Some(earlier);
                    return Err(error.into());
                }
            }
        }
        known.write(session, call, &refused, state, in_doubt).await
    }

    /// Begins the transaction, up to date with all partitions that can be used; the
    /// others are refused. `None`, and no transaction, when there is no such partition.
    async fn lock(
        &self,
        session: &Session,
        known: &mut Known,
        call: &Call<'_>,
        refused: &mut Refused,
    ) -> Result<Option<State>, Failed> {
        let requested: BTreeSet<_> = call.groups.iter().map(|group| &group.partition).collect();
        let fences = call.groups.iter().filter_map(|group| group.fence.as_ref());
        let leases: Vec<_> = fences.map(|fence| &fence.lease).collect();
        let mut again = false;
        loop {
            for partition in requested.iter().filter(|requested| !refused.contains_key(**requested))
            {
                if !known.partitions.contains_key(*partition) {
                    let id = id_of(partition);
                    let mut begun = KnownPartition::begin(session, id, self.dedup_horizon).await?;
                    // One at a time and before the locks. What is wrong is found again under
                    // them.
                    if let Err(Behind::Unanswered(error)) = begun.catch_up(session).await {
                        return Err(error.into());
                    }
                    known.partitions.insert((*partition).clone(), begun);
                }
            }
            let mut partitions: Vec<_> =
                requested.iter().filter_map(|requested| known.partitions.get(*requested)).collect();
            if partitions.is_empty() {
                return Ok(None);
            }
            partitions.sort_unstable_by_key(|partition| partition.id);
            let state = transaction::begin(session, &partitions, &leases).await?;
            if known.update(session, &requested, &state, refused, again).await? {
                return Ok(Some(state));
            }
            again = true;
        }
    }

    /// Frees what is known of a partition. Waits for the append that runs, which ends in
    /// its time.
    pub fn release(&self, sessions: &Sessions, partition: &Partition) {
        sessions.block_on(async { self.known.lock().await.partitions.remove(partition) });
    }
}
