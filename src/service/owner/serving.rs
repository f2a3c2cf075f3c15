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
use super::duties::Duty;
use super::erasing::Erased;
use super::learning::Learner;
use super::learning::Stopped;
use super::opening::Recovered;
use super::schedule::Attempt;
use super::schedule::Schedule;
use super::slot::Command;
use super::slot::Phase;
use super::slot::Slot;
use crate::service::degradation::Degradation;
use crate::service::degradation::DegradedReason;
use crate::service::error::Error;
use crate::service::lease_keeper::Lease;
use crate::service::log_writer::LogTail;
use crate::service::namespace::Namespace;
use crate::service::namespaces::Namespaces;
use crate::service::settings;
use crate::service::user_contexts::UserContexts;
use crate::storage;
use crate::storage::LeaseName;
use crate::storage::NamespaceEntry;
use crate::storage::Position;
use crate::telemetry::Counted;
use engine::ENGINE_REVISION;
use engine::domain::Sequence;
use engine::domain::Settings;
use engine::domain::SettingsChange;
use engine::domain::Timestamp;

/// A namespace that nobody has used for so long is put to sleep.
const IDLE: Duration = Duration::from_secs(3_600);
/// What a job came to.
#[derive(Debug)]
pub enum Done {
    Learnt(Option<Box<Learner>>, Result<usize, Stopped>),
    Settings(Result<Sequence, Error>),
    Snapshot(Result<Sequence, storage::Error>),
    Projected(Result<Sequence, storage::Error>),
    Backfilled(Result<(), Error>),
    Trained(Attempt, Result<Option<u64>, Error>),
    Erased(Result<Erased, Error>),
    BuiltAgain(Result<Box<Recovered>, Stopped>),
}

/// See the module.
pub struct Serving {
    pub(super) registry: Arc<Namespaces>,
    pub(super) slot: Arc<Slot>,
    pub(super) namespace: Arc<Namespace>,
    pub(super) end: watch::Receiver<Sequence>,
    /// `None` while a batch is learnt, and for good once learning stopped.
    pub(super) learner: Option<Box<Learner>>,
    pub(super) read_not_before: Option<Instant>,
    /// The log is known to have grown.
    pub(super) look: bool,
    /// The settings that the namespace was created with, until its log has some; and whether
    /// it may have to record others.
    pub(super) created_with: Option<Settings>,
    pub(super) settings_due: bool,
    pub(super) settings_job: Duty,
    /// Requests get the namespace once this is learnt.
    pub(super) announce_at: Option<Sequence>,
    pub(super) snapshot_at: Sequence,
    pub(super) lead: Lease,
    led: Option<Counted>,
    _open: Counted,
    pub(super) snapshots: Duty,
    pub(super) projecting: Duty,
    pub(super) backfilling: Duty,
    /// The state knows users who were erased: one of this revision of the log is being built.
    pub(super) outdated_by: Option<u64>,
    pub(super) building: Duty,
    pub(super) erasing: Duty,
    /// There may be erasures with something left to do.
    pub(super) erasing_due: bool,
    /// When a model must replace one that knows users who were erased.
    pub(super) model_due: Option<Timestamp>,
    pub(super) schedule: Schedule,
    pub(super) is_training: bool,
    /// Rows of a log that is no more are in the projection.
    pub(super) projection_is_wrong: bool,
    /// Ends duties that are under way when the lead is lost.
    pub(super) duties: CancellationToken,
    /// Ends trainings that callers asked for, with the owner.
    pub(super) asked: CancellationToken,
    pub(super) jobs: JoinSet<Done>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.namespace.close();
    }
}

impl Serving {
    pub fn new(
        registry: &Arc<Namespaces>,
        slot: &Arc<Slot>,
        entry: NamespaceEntry,
        tail: Arc<LogTail>,
        recovered: Recovered,
    ) -> Self {
        let with = &registry.with;
        let created_at = entry.created_at;
        tail.advance(recovered.learner.position.sequence);
        let lead =
            LeaseName { partition: entry.partition, duty: format!("lead/{ENGINE_REVISION}") };
        let mut serving = Self {
            namespace: Arc::new(handle(
                registry,
                slot,
                tail.clone(),
                created_at,
                &recovered.learner,
            )),
            end: tail.subscribe(),
            learner: None,
            read_not_before: None,
            look: false,
            created_with: entry.settings,
            settings_due: false,
            settings_job: Duty::default(),
            announce_at: None,
            snapshot_at: 0,
            lead: with.leases.request(lead),
            led: None,
            _open: Counted::new(&with.metrics.namespaces_open),
            snapshots: Duty::default(),
            projecting: Duty::default(),
            backfilling: Duty::default(),
            outdated_by: None,
            building: Duty::default(),
            erasing: Duty::default(),
            erasing_due: false,
            model_due: None,
            schedule: Schedule::new(with.clock.now()),
            is_training: false,
            projection_is_wrong: false,
            duties: CancellationToken::new(),
            asked: CancellationToken::new(),
            jobs: JoinSet::new(),
            registry: registry.clone(),
            slot: slot.clone(),
        };
        serving.take(recovered);
        serving
    }

    /// Ends the use of the handle: nothing more is learnt behind it.
    pub fn close(&self) {
        self.namespace.close();
    }

    fn take(&mut self, recovered: Recovered) {
        let Recovered { learner, snapshot_at, damaged_hashes, .. } = recovered;
        if damaged_hashes > 0 {
            tracing::error!(
                namespace = %self.slot.name, batches = damaged_hashes,
                "event hashes are damaged: nothing can be recorded"
            );
            let text = "event hashes of the log are damaged: nothing can be recorded";
            let damaged = Degradation::new(DegradedReason::EventHashesDamaged, text);
            self.namespace.change(|condition| condition.impairment = Some(damaged));
        }
        let watermark = learner.position.sequence;
        tracing::info!(namespace = %self.slot.name, watermark, snapshot_at, "namespace opened");
        self.snapshot_at = snapshot_at;
        self.settings_due = self.due_settings(&learner).is_some();
        self.announce_at = (!self.settings_due).then_some(watermark);
        self.learner = Some(learner);
    }

    /// What the namespace has to record about its settings.
    pub(super) fn due_settings(&self, learner: &Learner) -> Option<SettingsChange> {
        let server = &self.registry.with.options.settings;
        settings::due(learner.engine.state(), self.created_with.as_ref(), server)
    }

    /// Where the published view stands in the log.
    pub fn position(&self) -> Position {
        self.namespace.position()
    }

    /// Goes on with a log of a new revision, in which records of users who were erased are replaced.
    /// This state knows them: it serves and learns until another one is built, and nothing
    /// else comes of it.
    pub fn rebuild_meanwhile(&mut self, revision: u64) {
        let with = &self.registry.with;
        let partition = self.namespace.tail.partition.clone();
        let learnt = self.namespace.position().sequence;
        tracing::info!(
            namespace = %partition.namespace, learnt, revision,
            "users were erased: the state is built again"
        );
        with.stores.feed.iter().for_each(|feed| feed.forget(&partition));
        self.outdated_by = Some(revision);
        self.adopt_revision();
        for stop in [&mut self.duties, &mut self.asked] {
            std::mem::take(stop).cancel();
        }
    }

    /// Where records were replaced, those to come follow this state as they follow the new one.
    /// Returns whether the learner stood on the log of before.
    pub(super) fn adopt_revision(&mut self) -> bool {
        let Some(revision) = self.outdated_by else { return false };
        self.namespace.adopt_revision(revision);
        let Some(learner) = &mut self.learner else { return false };
        let before = learner.position;
        learner.position = before.of_revision(revision);
        learner.position != before
    }

    /// Discards the state, which is of a log that no longer exists. The last view is still
    /// served.
    pub fn discard(&mut self) {
        let with = &self.registry.with;
        let partition = self.namespace.tail.partition.clone();
        let learnt = self.namespace.position().sequence;
        tracing::error!(
            namespace = %partition.namespace, learnt,
            "the log is not the one that was learnt from: the state is rebuilt"
        );
        with.metrics.log_chain_breaks.inc();
        self.projection_is_wrong = true;
        self.outdated_by = None;
        self.learner = None;
        self.namespace.discard();
        self.namespace.tail.rewind();
        self.jobs.abort_all();
        self.duties.cancel();
    }

    /// Goes on with a state that was rebuilt. What was derived of the old one stays
    /// with the old handle.
    pub fn restart(&mut self, recovered: Recovered) {
        let tail = self.namespace.tail.clone();
        tail.advance(recovered.learner.position.sequence);
        let created_at = self.namespace.created_at;
        let namespace = handle(&self.registry, &self.slot, tail, created_at, &recovered.learner);
        let old = std::mem::replace(&mut self.namespace, Arc::new(namespace));
        if self.outdated_by.is_some() {
            // The same records: a call that waits for one of them waits on at the new handle.
            old.is_followed_by(&self.namespace);
        }
        self.jobs = JoinSet::new();
        self.duties = CancellationToken::new();
        self.is_training = false;
        (self.snapshots, self.projecting) = (Duty::default(), Duty::default());
        (self.settings_job, self.backfilling) = (Duty::default(), Duty::default());
        (self.erasing, self.erasing_due) = (Duty::default(), true);
        self.building = Duty::default();
        self.outdated_by = None;
        // What was counted since the last attempt was counted in another log.
        self.schedule = Schedule::new(self.registry.with.clock.now());
        self.take(recovered);
        old.close();
        // Callers meanwhile get the new state, settings or not.
        self.announce_at = Some(0);
        self.announce();
    }

    /// Serves until something ends it.
    pub async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) -> Ending {
        let shutdown = self.registry.with.shutdown.clone();
        let closed = self.slot.closed.clone();
        loop {
            self.announce();
            let alarm = self.begin();
            let may_learn = self.learner.is_some();
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
                () = lead.changed() => {
                    self.lead_changed();
                    None
                }
                () = at(alarm) => None,
                // Last, since it is always so while much is written.
                changed = end.changed(), if may_learn => {
                    changed.is_err().then_some(Ending::Shutdown)
                }
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
            Command::Erase => {
                self.erasing_due = true;
                None
            }
            Command::Sleep => Some(Ending::Asleep),
            Command::Train(reply) => {
                if self.is_training || self.outdated_by.is_some() {
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
        let gauge = &self.registry.with.metrics.namespaces_led;
        self.led = leads.then(|| self.led.take().unwrap_or_else(|| Counted::new(gauge)));
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
        self.may_sleep() && self.idle_at() <= Instant::now()
    }

    /// Whether the namespace is put to sleep when nobody uses it.
    pub(super) fn may_sleep(&self) -> bool {
        let is_erasing = self.erasing_due || self.erasing.running || self.model_due.is_some();
        let is_busy = self.is_training || self.outdated_by.is_some() || self.leads() && is_erasing;
        !self.slot.name.is_default() && !is_busy
    }

    pub fn idle_at(&self) -> Instant {
        self.slot.last_use.at() + IDLE
    }

    pub fn leads(&self) -> bool {
        self.lead.is_held()
    }
}

fn handle(
    registry: &Namespaces,
    slot: &Slot,
    tail: Arc<LogTail>,
    created_at: Timestamp,
    learner: &Learner,
) -> Namespace {
    Namespace::new(
        tail,
        created_at,
        learner.engine.view(),
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
