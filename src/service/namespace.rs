//! One open namespace, as requests share it: its published view and what hangs on it.
//!
//! - Readers take the view and never wait. Only the owner publishes.
//! - A handle stays usable when its namespace is put to sleep or deleted: the view stays,
//!   and what is submitted is written or refused by the log.
//! - What is kept here dies with the handle. A state that was rebuilt from another log
//!   has another handle, so nothing derived of the old one is ever used with it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;

use super::degradation::Degradation;
use super::degradation::DegradedReason;
use super::error::Error;
use super::error::Progress;
use super::known_decisions::KnownDecisions;
use super::limiter::RateWindows;
use super::log_writer::LogTail;
use super::owner::Command;
use super::trainings::Training;
use super::unlearnt_costs::UnlearntCosts;
use super::unlearnt_impressions::UnlearntImpressions;
use super::unlearnt_pages::UnlearntPages;
use super::user_contexts::UserContexts;
use crate::storage::Position;
use engine::View;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// When a namespace was last used, in seconds since the process began.
#[derive(Debug)]
pub struct LastUse {
    began: Instant,
    seconds: AtomicU64,
}

impl LastUse {
    pub fn new(began: Instant) -> Self {
        let last_use = Self { began, seconds: AtomicU64::new(0) };
        last_use.touch();
        last_use
    }

    /// Notes a use.
    pub fn touch(&self) {
        self.seconds.fetch_max(self.began.elapsed().as_secs(), Ordering::Relaxed);
    }

    pub fn at(&self) -> Instant {
        self.began + Duration::from_secs(self.seconds.load(Ordering::Relaxed))
    }
}

/// The condition of a namespace, without its view. Only its owner writes it.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// Why what is learnt falls behind the log.
    pub impairment: Option<Degradation>,
    pub training: bool,
    /// Whether this process does the namespace's duties.
    pub leads: bool,
    /// Put to sleep, deleted, or replaced by another handle.
    pub closed: bool,
    /// What was learnt is of a log that no longer exists.
    pub discarded: bool,
}

/// What requests share of a namespace.
#[derive(Debug)]
pub struct Namespace {
    pub tail: Arc<LogTail>,
    pub created_at: Timestamp,
    view: ArcSwap<View>,
    /// Where the view stands in the log.
    position: watch::Sender<Position>,
    condition: watch::Sender<Condition>,
    pub user_contexts: UserContexts,
    pub unlearnt_costs: UnlearntCosts,
    pub unlearnt_impressions: UnlearntImpressions,
    pub unlearnt_pages: UnlearntPages,
    pub known_decisions: KnownDecisions,
    /// The handle that has taken the place of this one: who waits here goes on there.
    successor: OnceLock<Arc<Namespace>>,
    /// A user was erased since the owner looked last.
    pub(super) user_erased: AtomicBool,
    /// Wakes the training that runs here: a caller asks for its end.
    pub(super) training_end: Notify,
    /// Held by who changes the settings.
    pub(super) settings_changes: Mutex<()>,
    /// Held by who changes an experiment.
    pub(super) experiment_changes: Mutex<()>,
    /// What it has used of the second under rate limits.
    pub rates: RateWindows,
    pub(super) last_use: Arc<LastUse>,
    commands: mpsc::Sender<Command>,
}

impl Namespace {
    pub(super) fn new(
        tail: Arc<LogTail>,
        created_at: Timestamp,
        view: Arc<View>,
        position: Position,
        user_contexts: UserContexts,
        last_use: Arc<LastUse>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self {
            rates: RateWindows::new(tail.partition.clone()),
            tail,
            created_at,
            view: ArcSwap::new(view),
            position: watch::Sender::new(position),
            condition: watch::Sender::default(),
            user_contexts,
            unlearnt_costs: UnlearntCosts::default(),
            unlearnt_impressions: UnlearntImpressions::default(),
            unlearnt_pages: UnlearntPages::default(),
            known_decisions: KnownDecisions::default(),
            successor: OnceLock::new(),
            user_erased: AtomicBool::new(false),
            training_end: Notify::new(),
            settings_changes: Mutex::default(),
            experiment_changes: Mutex::default(),
            last_use,
            commands,
        }
    }

    pub fn name(&self) -> &NamespaceName {
        self.tail.namespace()
    }

    /// The newest published view.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub(super) fn publish(&self, view: Arc<View>, position: Position) {
        self.view.store(view);
        self.position.send_if_modified(|at| {
            // What was being learnt of a log that no longer exists comes too late.
            let counts = !self.condition.borrow().discarded;
            if counts {
                *at = position;
            }
            counts
        });
    }

    /// Where the view stands in the log.
    pub(super) fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Records known to be durable and not yet learnt.
    pub fn lag(&self) -> u64 {
        self.tail.end().saturating_sub(self.view.load().watermark())
    }

    /// Waits until the view holds `requested`. Cancel safe.
    ///
    /// # Errors
    /// `WatermarkNotReached` after `timeout`; `Opening` when this handle is closed, so
    /// that another one must be asked for.
    pub async fn view_at(
        &self,
        requested: Sequence,
        timeout: Duration,
    ) -> Result<Arc<View>, Error> {
        if requested > 0 {
            let (mut position, mut condition) =
                (self.position.subscribe(), self.condition.subscribe());
            let reached = async {
                tokio::select! {
                    biased;
                    reached = position.wait_for(|at| at.sequence >= requested) => reached.is_ok(),
                    _closed = condition.wait_for(|condition| condition.closed) => false,
                }
            };
            match tokio::time::timeout(timeout, reached).await {
                Ok(true) => {}
                Ok(false) => {
                    if let Some(successor) = self.successor.get() {
                        return Box::pin(successor.view_at(requested, timeout)).await;
                    }
                    let (name, progress) = (self.name().clone(), Progress::default());
                    return Err(Error::Opening { name, progress });
                }
                Err(_elapsed) => {
                    let watermark = self.view().watermark();
                    return Err(Error::WatermarkNotReached { requested, watermark });
                }
            }
        }
        Ok(self.view())
    }

    /// Waits until a view satisfies a condition; gives the newest one after `timeout` or when this
    /// handle is closed. Cancel safe.
    pub async fn view_where(&self, is_met: impl Fn(&View) -> bool, timeout: Duration) -> Arc<View> {
        let (mut position, mut condition) = (self.position.subscribe(), self.condition.subscribe());
        let met = async {
            tokio::select! {
                _met = position.wait_for(|_at| is_met(&self.view.load())) => {}
                _closed = condition.wait_for(|condition| condition.closed) => {}
            }
        };
        let _in_time = tokio::time::timeout(timeout, met).await;
        self.view()
    }

    /// Why learning falls behind the log, when it does.
    pub fn impairment(&self) -> Option<Degradation> {
        self.condition.borrow().impairment.clone()
    }

    pub fn is_training(&self) -> bool {
        self.condition.borrow().training
    }

    /// Whether this process does the namespace's duties.
    pub(super) fn leads(&self) -> bool {
        self.condition.borrow().leads
    }

    pub(super) fn is_closed(&self) -> bool {
        self.condition.borrow().closed
    }

    /// For the owner.
    pub(super) fn change(&self, change: impl FnOnce(&mut Condition)) {
        self.condition.send_modify(change);
    }

    /// Ends the use of this handle: nothing is published by it any more, and nobody waits
    /// for that.
    pub(super) fn close(&self) {
        self.change(|condition| condition.closed = true);
    }

    /// While the state is rebuilt: callers must not learn that the old one holds what they wrote.
    pub(super) fn discard(&self) {
        let text = "the log lost records that were learnt: the model is rebuilt";
        self.change(|condition| {
            condition.impairment = Some(Degradation::new(DegradedReason::LogReplaced, text));
            condition.discarded = true;
        });
        self.position.send_replace(Position::default());
    }

    /// Another handle takes the place of this one.
    pub(super) fn is_followed_by(&self, successor: &Arc<Self>) {
        self.successor.get_or_init(|| successor.clone());
    }

    /// Records of the log were replaced, and those to come follow what was learnt all the same.
    pub(super) fn adopt_revision(&self, revision: u64) {
        self.position.send_modify(|position| *position = position.of_revision(revision));
    }

    /// Asks the owner to train now; returns the training once it has begun. Who gives this up
    /// gives up the answer only.
    ///
    /// # Errors
    /// `TrainingRuns`, here or in another process; `TooLittleData`; `Opening` when this handle is
    /// closed; storage errors.
    pub(super) async fn train(&self) -> Result<Training, Error> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.try_send(Command::Train(reply));
        let closed = || Error::Opening { name: self.name().clone(), progress: Progress::default() };
        sent.map_err(|failure| match failure {
            mpsc::error::TrySendError::Full(_) => {
                Error::Overloaded("the namespace has too much to do")
            }
            mpsc::error::TrySendError::Closed(_) => closed(),
        })?;
        answer.await.map_err(|_dropped| closed())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Partition;
    use engine::Engine;
    use engine::domain::Settings;

    pub fn handle() -> Namespace {
        let partition = Partition { namespace: NamespaceName::default(), incarnation: 1 };
        let engine = Engine::new(Settings::default());
        Namespace::new(
            Arc::new(LogTail::new(partition, 0)),
            Timestamp::default(),
            engine.view(),
            Position::default(),
            UserContexts::within(&Arc::default()),
            Arc::new(LastUse::new(Instant::now())),
            mpsc::channel(1).0,
        )
    }

    #[tokio::test]
    async fn who_waits_for_a_watermark_learns_of_it_of_the_end_and_of_the_time() {
        let namespace = Arc::new(handle());
        let timeout = Duration::from_millis(300);
        let late = namespace.view_at(3, timeout).await;
        assert!(matches!(late, Err(Error::WatermarkNotReached { requested: 3, watermark: 0 })));
        let waiting = tokio::spawn({
            let namespace = namespace.clone();
            async move { namespace.view_at(3, timeout).await }
        });
        tokio::task::yield_now().await;
        let at = Position { sequence: 3, ..Position::default() };
        namespace.publish(namespace.view(), at);
        assert!(waiting.await.unwrap().is_ok());
        namespace.discard();
        assert!(namespace.view_at(1, timeout).await.is_err(), "the old state says nothing");
        assert!(namespace.view_at(0, timeout).await.is_ok());
        namespace.close();
        let closed = namespace.view_at(9, timeout).await;
        assert!(matches!(closed, Err(Error::Opening { .. })));
    }

    #[test]
    fn a_use_counts_from_when_it_was_to_the_second() {
        let began = Instant::now().checked_sub(Duration::from_secs(90)).unwrap();
        let last_use = LastUse::new(began);
        assert_eq!(last_use.at() - began, Duration::from_secs(90));
        assert!(last_use.at().elapsed() < Duration::from_secs(2));
    }
}
