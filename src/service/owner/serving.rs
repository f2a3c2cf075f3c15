//! An open namespace in the hands of its owner.
//!
//! - The loop wakes for news, commands and what it has to do by time, and for nothing
//!   else: a namespace that nobody uses costs no work.
//! - At most one job of a kind runs at a time. When the loop ends, its jobs are given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Ending;
use super::keeping;
use super::learning::Learner;
use super::learning::Stopped;
use super::opening::Recovered;
use super::schedule::Attempt;
use super::schedule::Due;
use super::schedule::Facts;
use super::schedule::Schedule;
use super::slot::Command;
use super::slot::Phase;
use super::slot::Slot;
use super::training;
use crate::service::Stores;
use crate::service::error::Error;
use crate::service::lease_keeper::Lease;
use crate::service::log_writer::LogTail;
use crate::service::namespace::Namespace;
use crate::service::namespaces::Namespaces;
use crate::service::user_contexts::UserContexts;
use crate::storage;
use crate::storage::LeaseName;
use crate::storage::NamespaceEntry;
use crate::storage::Partition;
use crate::storage::Position;
use engine::ENGINE_REVISION;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Settings;

/// A namespace that nobody has used for so long is put to sleep.
const IDLE: Duration = Duration::from_secs(3_600);
/// Pause when the log is said to go on, and does not yet for us.
const NOTHING_YET: Duration = Duration::from_millis(10);
/// Pause after the log could not be read.
const UNREADABLE: Duration = Duration::from_millis(200);
/// Pause between two runs of the projection, and after a duty failed.
const PROJECT_EVERY: Duration = Duration::from_secs(1);
const DUTY_AGAIN: Duration = Duration::from_secs(30);
/// Longest wait for the settings of a namespace that is being opened.
const SETTINGS_PATIENCE: Duration = Duration::from_secs(10);
/// How long last snapshots may take, all together, when the process ends; and one when a
/// namespace is put to sleep.
const LAST_SNAPSHOTS: Duration = Duration::from_secs(3);
const SLEEP_PATIENCE: Duration = Duration::from_secs(60);
/// Fewer new records than these are sooner replayed than stored.
const SNAPSHOT_RECORDS_MIN: u64 = 1_000;

/// What a job came to.
#[derive(Debug)]
enum Done {
    Learnt(Option<Box<Learner>>, Result<usize, Stopped>),
    Settings(Result<Sequence, Error>),
    Snapshot(Result<Sequence, storage::Error>),
    Projected(Result<Sequence, storage::Error>),
    Trained(Attempt, Result<Option<u64>, Error>),
}

/// When something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    At(Instant),
    Later,
}

impl When {
    fn from(at: Option<Instant>) -> Self {
        match at {
            Some(at) if at > Instant::now() => Self::At(at),
            _ => Self::Now,
        }
    }
}

/// A duty that is done again and again.
#[derive(Debug, Default)]
struct Duty {
    running: bool,
    not_before: Option<Instant>,
    /// How far it was done.
    done_to: Option<Sequence>,
}

impl Duty {
    fn ended(&mut self, done: Option<Sequence>, pause: Duration) {
        self.running = false;
        self.done_to = done.or(self.done_to);
        self.not_before = Some(Instant::now() + pause);
    }
}

/// See the module.
pub struct Serving {
    registry: Arc<Namespaces>,
    slot: Arc<Slot>,
    namespace: Arc<Namespace>,
    end: watch::Receiver<Sequence>,
    /// `None` while a batch is learnt, and for good once learning stopped.
    learner: Option<Box<Learner>>,
    read_not_before: Option<Instant>,
    /// Somebody heard that the log goes on.
    look: bool,
    /// What the namespace's settings should be, until they are.
    settings: Option<Settings>,
    settings_job: Duty,
    /// Requests get the namespace once this is learnt.
    announce_at: Option<Sequence>,
    snapshot_at: Sequence,
    lead: Lease,
    snapshots: Duty,
    projecting: Duty,
    schedule: Schedule,
    is_training: bool,
    /// Rows of a log that is no more are in the projection.
    projection_is_wrong: bool,
    /// Ends duties that are under way when the lead is lost.
    duties: CancellationToken,
    jobs: JoinSet<Done>,
}

impl Serving {
    pub fn new(
        registry: &Arc<Namespaces>,
        slot: &Arc<Slot>,
        entry: NamespaceEntry,
        recovered: Recovered,
    ) -> Self {
        let with = &registry.with;
        let tail = LogTail::new(entry.partition.clone(), recovered.learner.position.sequence);
        let tail = Arc::new(tail);
        let lead = LeaseName { partition: entry.partition, duty: format!("lead/{ENGINE_REVISION}") };
        let mut serving = Self {
            namespace: Arc::new(handle(registry, slot, tail.clone(), &recovered.learner)),
            end: tail.subscribe(),
            learner: None,
            read_not_before: None,
            look: false,
            settings: Some(entry.settings.unwrap_or_else(|| with.options.settings.clone())),
            settings_job: Duty::default(),
            announce_at: None,
            snapshot_at: 0,
            lead: with.leases.want(lead),
            snapshots: Duty::default(),
            projecting: Duty::default(),
            schedule: Schedule::new(with.clock.now()),
            is_training: false,
            projection_is_wrong: false,
            duties: CancellationToken::new(),
            jobs: JoinSet::new(),
            registry: registry.clone(),
            slot: slot.clone(),
        };
        serving.take(recovered);
        serving
    }

    fn take(&mut self, recovered: Recovered) {
        let Recovered { learner, snapshot_at, .. } = recovered;
        let watermark = learner.position.sequence;
        tracing::info!(namespace = %self.slot.name, watermark, snapshot_at, "namespace opened");
        self.snapshot_at = snapshot_at;
        let wanted = self.settings.as_ref().is_some_and(|wanted| {
            learner.view.settings() != wanted || watermark == 0
        });
        if !wanted {
            self.announce_at = Some(watermark);
        }
        self.learner = Some(Box::new(learner));
    }

    /// Says that the state is of a log that is no more, and forgets it; the last view is
    /// served on.
    pub fn doubt(&mut self) -> Partition {
        let with = &self.registry.with;
        let partition = self.namespace.tail.partition.clone();
        let learnt = self.namespace.position().sequence;
        if self.learner.take().is_some() || learnt > 0 {
            tracing::error!(
                namespace = %partition.namespace, learnt,
                "the log is another one than was learnt from: the state is built anew"
            );
            with.metrics.log_chain_breaks.inc();
        }
        self.namespace.doubt("the log lost records that were learnt: the model is built anew");
        self.namespace.tail.rewind();
        with.stores.log.release(&partition);
        self.jobs.abort_all();
        self.duties.cancel();
        self.projection_is_wrong = true;
        partition
    }

    /// Goes on with a state that was built anew. What was derived of the old one stays
    /// with the old handle.
    pub fn begin_anew(&mut self, recovered: Recovered) {
        let tail = self.namespace.tail.clone();
        tail.advance(recovered.learner.position.sequence);
        let namespace = handle(&self.registry, &self.slot, tail, &recovered.learner);
        let old = std::mem::replace(&mut self.namespace, Arc::new(namespace));
        self.jobs = JoinSet::new();
        self.duties = CancellationToken::new();
        self.is_training = false;
        (self.snapshots, self.projecting) = (Duty::default(), Duty::default());
        self.settings_job = Duty::default();
        self.announce_at = None;
        self.take(recovered);
        old.close();
        // Whoever asks meanwhile gets the new state, settings or not.
        let at = self.learner.as_ref().map(|learner| learner.position.sequence);
        self.announce_at = at;
        self.announce();
    }

    /// Serves until something ends it.
    pub async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Ending {
        let shutdown = self.registry.with.shutdown.clone();
        let closed = self.slot.closed.clone();
        loop {
            self.announce();
            let alarm = self.begin();
            let Self { end, lead, jobs, .. } = self;
            let ending = tokio::select! {
                biased;
                () = shutdown.cancelled() => Some(Ending::Shutdown),
                () = closed.cancelled() => Some(Ending::Gone),
                Some(done) = jobs.join_next() => match done {
                    Ok(done) => self.ended(done),
                    Err(failure) => {
                        self.stop_learning(&failure.to_string());
                        None
                    }
                },
                Some(command) = commands.recv() => self.obey(command),
                changed = end.changed() => changed.is_err().then_some(Ending::Shutdown),
                () = lead.changed() => {
                    self.lead_changed();
                    None
                }
                () = at(alarm) => None,
            };
            if let Some(ending) = ending {
                return ending;
            }
            if self.is_idle() {
                return Ending::Asleep;
            }
        }
    }

    fn obey(&mut self, command: Command) -> Option<Ending> {
        match command {
            // One that was told of an earlier state has been dealt with.
            Command::Broken(learnt) => {
                (learnt == self.namespace.position()).then_some(Ending::Broken)
            }
            Command::Look => {
                self.look = true;
                None
            }
            Command::Sleep => Some(Ending::Asleep),
            Command::Train(reply) => {
                if self.is_training {
                    let _gone = reply.send(Err(Error::TrainingRuns));
                } else {
                    self.train(Some(reply));
                }
                None
            }
        }
    }

    fn lead_changed(&mut self) {
        let leads = self.lead.is_held();
        if leads && self.duties.is_cancelled() {
            self.duties = CancellationToken::new();
        }
        if !leads {
            self.duties.cancel();
            // Another process does it now, so what is known here grows old.
            self.projecting.done_to = None;
        }
        self.namespace.change(|condition| condition.leads = leads);
    }

    fn announce(&mut self) {
        let learnt = self.learner.as_ref().map(|learner| learner.position.sequence);
        if let (Some(at), Some(learnt)) = (self.announce_at, learnt)
            && learnt >= at
        {
            self.announce_at = None;
            self.lead_changed();
            self.slot.phase.send_replace(Phase::Serving(self.namespace.clone()));
        }
    }

    fn is_idle(&self) -> bool {
        !self.slot.name.is_default() && self.idle_at() <= Instant::now()
    }

    fn idle_at(&self) -> Instant {
        self.slot.last_use.at() + IDLE
    }

    fn leads(&self) -> bool {
        self.lead.is_held()
    }
}

fn handle(
    registry: &Namespaces,
    slot: &Slot,
    tail: Arc<LogTail>,
    learner: &Learner,
) -> Namespace {
    Namespace::new(
        tail,
        learner.view.clone(),
        learner.position,
        UserContexts::within(&registry.with.contexts),
        slot.last_use.clone(),
        slot.commands.clone(),
    )
}

async fn at(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => tokio::time::sleep_until(alarm).await,
        None => std::future::pending().await,
    }
}

/// What begins, and when.
impl Serving {
    /// Begins what is due; returns when the next thing is.
    fn begin(&mut self) -> Option<Instant> {
        let mut alarm = (!self.slot.name.is_default()).then(|| self.idle_at());
        let mut wait = |when| match when {
            When::Now => true,
            When::At(at) => {
                alarm = Some(alarm.map_or(at, |alarm: Instant| alarm.min(at)));
                false
            }
            When::Later => false,
        };
        // Learning last: it takes the learner, and the others look at its view.
        if wait(self.settings_when()) {
            self.set_settings();
        }
        if wait(self.snapshot_when()) {
            self.store_snapshot();
        }
        if wait(self.projection_when()) {
            self.project();
        }
        if wait(self.training_when()) {
            self.train(None);
        }
        if wait(self.learning_when()) {
            self.learn();
        }
        alarm
    }

    fn learning_when(&mut self) -> When {
        let end = *self.end.borrow_and_update();
        match &self.learner {
            Some(learner) if self.look || end > learner.position.sequence => {
                When::from(self.read_not_before)
            }
            _ => When::Later,
        }
    }

    fn settings_when(&self) -> When {
        match (&self.settings, &self.learner) {
            (Some(_), Some(_)) if !self.settings_job.running => {
                When::from(self.settings_job.not_before)
            }
            _ => When::Later,
        }
    }

    fn snapshot_when(&self) -> When {
        let every = self.registry.with.options.snapshot_every_records;
        let due = self.learner.as_ref().is_some_and(|learner| {
            learner.position.sequence.saturating_sub(self.snapshot_at) >= every.max(1)
        });
        if due && self.leads() && !self.snapshots.running {
            When::from(self.snapshots.not_before)
        } else {
            When::Later
        }
    }

    fn projection_when(&self) -> When {
        let with = &self.registry.with;
        let behind = self.learner.as_ref().is_some_and(|learner| {
            self.projecting.done_to != Some(learner.position.sequence)
        });
        let is_there = with.stores.projection.is_some();
        if is_there && behind && self.leads() && !self.projecting.running {
            When::from(self.projecting.not_before)
        } else {
            When::Later
        }
    }

    fn training_when(&self) -> When {
        let with = &self.registry.with;
        let Some(learner) = &self.learner else { return When::Later };
        if !with.options.auto_retrain || !self.leads() || self.is_training {
            return When::Later;
        }
        let now = with.clock.now();
        match self.schedule.due(Facts::of(&learner.view), now) {
            Due::Now => When::Now,
            Due::At(at) => {
                let wait = at.as_millis().saturating_sub(now.as_millis());
                let wait = Duration::from_millis(wait.unsigned_abs());
                When::At(Instant::now() + wait)
            }
            Due::Later => When::Later,
        }
    }

    fn learn(&mut self) {
        let Some(mut learner) = self.learner.take() else { return };
        self.look = false;
        let with = &self.registry.with;
        let (pool, log) = (with.workers.learning.clone(), with.stores.log.clone());
        let (namespace, metrics) = (self.namespace.clone(), with.metrics.clone());
        self.jobs.spawn(async move {
            let work = move || {
                let learnt = learner.learn_some(&namespace, &*log, &metrics);
                (learner, learnt)
            };
            match pool.run(work).await {
                Ok((learner, learnt)) => Done::Learnt(Some(learner), learnt),
                Err(_panicked) => Done::Learnt(None, Err(Stopped::Panicked)),
            }
        });
    }

    fn set_settings(&mut self) {
        let (Some(wanted), Some(learner)) = (&self.settings, &self.learner) else { return };
        if learner.view.settings() == wanted && learner.position.sequence > 0 {
            self.settings = None;
            return;
        }
        self.settings_job.running = true;
        let records = vec![Record::SettingsSet(wanted.clone())];
        let (writer, tail) = (self.registry.with.writer.clone(), self.namespace.tail.clone());
        self.jobs.spawn(async move {
            let written = tokio::time::timeout(SETTINGS_PATIENCE, writer.append(&tail, records));
            Done::Settings(match written.await {
                Ok(written) => written.map(|appended| appended.log_end),
                Err(_elapsed) => Err(Error::Overloaded("the settings were not written in time")),
            })
        });
    }

    fn store_snapshot(&mut self) {
        let Some(learner) = &self.learner else { return };
        self.snapshots.running = true;
        let storing = snapshot(&self.registry, &self.namespace, learner, None);
        self.jobs.spawn(async move { Done::Snapshot(storing.await) });
    }

    fn project(&mut self) {
        self.projecting.running = true;
        let with = &self.registry.with;
        let (pool, stores) = (with.workers.keeping.clone(), with.stores.clone());
        let partition = self.namespace.tail.partition.clone();
        let (duties, shutdown) = (self.duties.clone(), with.shutdown.clone());
        let clear = std::mem::take(&mut self.projection_is_wrong);
        self.jobs.spawn(async move {
            let work = move || {
                if clear {
                    keeping::clear_projection(&stores, &partition)?;
                }
                keeping::project_all(&stores, &partition, || {
                    duties.is_cancelled() || shutdown.is_cancelled()
                })
            };
            Done::Projected(pool.run(work).await.unwrap_or_else(|panicked| Err(failed(&panicked))))
        });
    }

    /// Trains: because it is due, or because somebody waits for the reply.
    fn train(&mut self, reply: Option<training::Reply>) {
        let now = self.registry.with.clock.now();
        let interactions = self.namespace.view().counts().interactions;
        let attempt = Attempt { interactions, at: now };
        self.set_training(true);
        let (registry, namespace) = (self.registry.clone(), self.namespace.clone());
        let stop = self.duties.clone();
        let end = self.slot.closed.child_token();
        self.jobs.spawn(async move {
            let outcome = match reply {
                Some(reply) => training::when_asked(registry, namespace, end, reply).await,
                None => training::when_due(registry, namespace, stop).await,
            };
            Done::Trained(attempt, outcome)
        });
    }

    fn set_training(&mut self, training: bool) {
        self.is_training = training;
        self.namespace.change(|condition| condition.training = training);
    }
}

/// What became of it.
impl Serving {
    fn ended(&mut self, done: Done) -> Option<Ending> {
        match done {
            Done::Learnt(learner, learnt) => return self.learnt(learner, learnt),
            Done::Settings(written) => return self.settings_written(written),
            Done::Snapshot(stored) => return self.snapshot_stored(stored),
            Done::Projected(Ok(position)) => {
                self.projecting.ended(Some(position), PROJECT_EVERY);
            }
            Done::Projected(Err(error)) => {
                tracing::warn!(namespace = %self.slot.name, %error, "projection waits");
                self.projecting.ended(None, DUTY_AGAIN);
            }
            Done::Trained(attempt, outcome) => self.trained(attempt, outcome),
        }
        None
    }

    fn learnt(
        &mut self,
        learner: Option<Box<Learner>>,
        learnt: Result<usize, Stopped>,
    ) -> Option<Ending> {
        self.learner = learner;
        let name = &self.slot.name;
        match learnt {
            Ok(0) => self.read_not_before = Some(Instant::now() + NOTHING_YET),
            Ok(_learnt) => {
                self.read_not_before = None;
                self.slot.last_use.touch();
                if let Some(learner) = &self.learner {
                    self.namespace.tail.advance(learner.position.sequence);
                }
            }
            Err(Stopped::Storage(error @ storage::Error::Unavailable { .. })) => {
                tracing::debug!(namespace = %name, %error, "log unreadable for now");
                self.read_not_before = Some(Instant::now() + UNREADABLE);
            }
            Err(Stopped::Storage(storage::Error::NoNamespace { .. })) => return Some(Ending::Gone),
            Err(Stopped::Storage(storage::Error::ChainBroken { .. })) => {
                return Some(Ending::Broken);
            }
            Err(stopped) => self.stop_learning(&stopped.to_string()),
        }
        None
    }

    /// Serving goes on with the last view and says so.
    fn stop_learning(&mut self, reason: &str) {
        tracing::error!(namespace = %self.slot.name, reason, "learning stopped");
        self.learner = None;
        let impairment = format!("learning stopped: {reason}");
        self.namespace.change(|condition| condition.impairment = Some(impairment.into()));
        if self.slot.is_opening() {
            self.slot.phase.send_replace(Phase::Serving(self.namespace.clone()));
        }
    }

    fn settings_written(&mut self, written: Result<Sequence, Error>) -> Option<Ending> {
        match written {
            Ok(log_end) => {
                self.settings = None;
                // The first request must not be answered by other settings.
                if self.slot.is_opening() {
                    self.announce_at = Some(log_end);
                }
                self.settings_job.ended(None, Duration::ZERO);
            }
            Err(Error::NoNamespace(_)) => return Some(Ending::Gone),
            Err(error) => {
                tracing::warn!(namespace = %self.slot.name, %error, "settings are not in force yet");
                // Better the old settings than no answers.
                if self.slot.is_opening() {
                    self.announce_at = Some(0);
                }
                self.settings_job.ended(None, SETTINGS_PATIENCE);
            }
        }
        None
    }

    fn snapshot_stored(&mut self, stored: Result<Sequence, storage::Error>) -> Option<Ending> {
        match stored {
            Ok(watermark) => {
                self.snapshot_at = watermark;
                self.snapshots.ended(None, Duration::ZERO);
            }
            Err(storage::Error::NoNamespace { .. }) => return Some(Ending::Gone),
            Err(error) => {
                tracing::warn!(namespace = %self.slot.name, %error, "no snapshot");
                self.snapshots.ended(None, DUTY_AGAIN);
            }
        }
        None
    }

    fn trained(&mut self, attempt: Attempt, outcome: Result<Option<u64>, Error>) {
        self.set_training(false);
        let with = &self.registry.with;
        let now = with.clock.now();
        let error = match outcome {
            Ok(Some(_version)) => return self.schedule.succeeded(attempt),
            Ok(None) | Err(Error::TrainingRuns) => return self.schedule.postpone(now),
            Err(error) => error,
        };
        let cause = training::cause(&error);
        with.metrics.count_training_failure(cause);
        if self.schedule.failed(attempt, cause, now) {
            tracing::warn!(namespace = %self.slot.name, cause, %error, "training failed");
        }
    }

    /// The last thing that is done: what the next start need not replay.
    pub async fn end(mut self, ending: &Ending) {
        let patience = match ending {
            Ending::Shutdown => LAST_SNAPSHOTS,
            Ending::Asleep => SLEEP_PATIENCE,
            _ => Duration::ZERO,
        };
        let until = Instant::now() + patience;
        let training = self.is_training;
        self.duties.cancel();
        // The batch that is being learnt, and a snapshot under way, may end.
        if training || self.projecting.running || self.learner.is_none() || self.snapshots.running {
            let _in_time = tokio::time::timeout_at(until, self.settle()).await;
        }
        let new = self.learner.as_ref().map_or(0, |learner| {
            learner.position.sequence.saturating_sub(self.snapshot_at)
        });
        let wanted = match ending {
            Ending::Shutdown => new >= SNAPSHOT_RECORDS_MIN,
            Ending::Asleep => new > 0,
            _ => false,
        };
        if let Some(learner) = self.learner.as_ref().filter(|_| wanted && self.leads()) {
            let storing = snapshot(&self.registry, &self.namespace, learner, Some(until));
            match tokio::time::timeout_at(until, storing).await {
                Ok(Ok(_watermark)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(namespace = %self.slot.name, %error, "no last snapshot");
                }
                Err(_elapsed) => {
                    tracing::warn!(namespace = %self.slot.name, "no time for a last snapshot");
                }
            }
        }
        self.namespace.close();
    }

    /// Waits for the learner and for a snapshot under way.
    async fn settle(&mut self) {
        while self.learner.is_none() || self.snapshots.running {
            match self.jobs.join_next().await {
                Some(Ok(Done::Learnt(learner, learnt))) => {
                    self.learner = learner.filter(|_| learnt.is_ok());
                    if self.learner.is_none() {
                        return;
                    }
                }
                Some(Ok(Done::Snapshot(stored))) => drop(self.snapshot_stored(stored)),
                Some(_other) => {}
                None => return,
            }
        }
    }
}

/// Stores the learner's state, unless it does not begin in time.
fn snapshot(
    registry: &Arc<Namespaces>,
    namespace: &Namespace,
    learner: &Learner,
    begin_until: Option<Instant>,
) -> impl Future<Output = Result<Sequence, storage::Error>> + Send + 'static {
    let registry = registry.clone();
    let (partition, position): (Partition, Position) =
        (namespace.tail.partition.clone(), learner.position);
    let view = learner.view.clone();
    async move {
        let with = &registry.with;
        let (stores, taken_at): (Stores, _) = (with.stores.clone(), with.clock.now());
        let work = move || {
            if begin_until.is_some_and(|until| Instant::now() >= until) {
                let reason = "there was no time for it".to_owned();
                return Err(storage::Error::Unavailable { reason });
            }
            keeping::store_snapshot(&stores, &partition, &view, position, taken_at)
        };
        let stored = with.workers.keeping.run(work).await;
        stored.unwrap_or_else(|panicked| Err(failed(&panicked)))?;
        with.metrics.snapshots.inc();
        tracing::debug!(watermark = position.sequence, "snapshot stored");
        Ok(position.sequence)
    }
}

fn failed(panicked: &super::super::workers::Panicked) -> storage::Error {
    storage::Error::Unavailable { reason: panicked.to_string() }
}
