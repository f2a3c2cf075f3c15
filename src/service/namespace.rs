//! One open namespace: its published view and what hangs on it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::known_decisions::KnownDecisions;
use super::limiter::RateWindows;
use super::log_writer::LogTail;
use super::unlearnt_costs::UnlearntCosts;
use super::unlearnt_showings::UnlearntShowings;
use super::user_contexts::UserContexts;
use engine::View;
use engine::domain::NamespaceName;
use engine::domain::Sequence;

/// What requests share of a namespace. Readers take the view and never wait.
#[derive(Debug)]
pub struct Namespace {
    pub tail: Arc<LogTail>,
    view: ArcSwap<View>,
    watermark: watch::Sender<Sequence>,
    pub user_contexts: UserContexts,
    pub unlearnt_costs: UnlearntCosts,
    pub unlearnt_showings: UnlearntShowings,
    pub known_decisions: KnownDecisions,
    /// What it has used of the second under rate limits.
    pub rates: RateWindows,
    training: AtomicBool,
    /// Watermark of the newest stored snapshot.
    pub snapshot_at: AtomicU64,
    stopped: OnceLock<String>,
    /// Cancelled when the namespace is deleted or put to sleep.
    pub closed: CancellationToken,
}

/// Held while a training runs, so that there is one at a time.
#[derive(Debug)]
pub struct TrainingPermit(Arc<Namespace>);

impl Drop for TrainingPermit {
    fn drop(&mut self) {
        self.0.training.store(false, Ordering::Release);
    }
}

impl Namespace {
    pub fn new(tail: LogTail, view: Arc<View>, snapshot_at: Sequence) -> Self {
        Self {
            rates: RateWindows::new(tail.partition.clone()),
            tail: Arc::new(tail),
            watermark: watch::Sender::new(view.watermark()),
            view: ArcSwap::new(view),
            user_contexts: UserContexts::default(),
            unlearnt_costs: UnlearntCosts::default(),
            unlearnt_showings: UnlearntShowings::default(),
            known_decisions: KnownDecisions::default(),
            training: AtomicBool::new(false),
            snapshot_at: AtomicU64::new(snapshot_at),
            stopped: OnceLock::new(),
            closed: CancellationToken::new(),
        }
    }

    pub fn name(&self) -> &NamespaceName {
        self.tail.namespace()
    }

    /// The newest published view.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    pub fn publish(&self, view: Arc<View>) {
        let watermark = view.watermark();
        self.view.store(view);
        self.watermark.send_replace(watermark);
    }

    /// Records known to be durable and not yet learnt.
    pub fn lag(&self) -> u64 {
        self.tail.end().saturating_sub(self.view.load().watermark())
    }

    /// Waits until the view holds `wanted`.
    ///
    /// # Errors
    /// `WatermarkNotReached` after `patience`, or at once when it never will be.
    pub async fn view_at(&self, wanted: Sequence, patience: Duration) -> Result<Arc<View>, Error> {
        if wanted > 0 {
            let mut watermark = self.watermark.subscribe();
            let reached = watermark.wait_for(|&watermark| watermark >= wanted);
            let in_time = tokio::time::timeout(patience, reached).await;
            if !matches!(in_time, Ok(Ok(_))) {
                let watermark = self.view().watermark();
                return Err(Error::WatermarkNotReached { wanted, watermark });
            }
        }
        Ok(self.view())
    }

    /// Why learning stopped, when it did.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }

    pub fn set_stopped(&self, reason: String) {
        self.stopped.get_or_init(|| reason);
    }

    pub fn is_training(&self) -> bool {
        self.training.load(Ordering::Acquire)
    }

    /// # Errors
    /// `TrainingRuns` when somebody else has it.
    pub fn start_training(self: &Arc<Self>) -> Result<TrainingPermit, Error> {
        if self.training.swap(true, Ordering::AcqRel) {
            return Err(Error::TrainingRuns);
        }
        Ok(TrainingPermit(self.clone()))
    }
}
