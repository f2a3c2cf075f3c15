//! What the registry has of a namespace: how far it is, for callers that wait for it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::error::Error;
use super::super::error::Progress;
use super::super::namespace::LastUse;
use super::super::namespace::Namespace;
use super::super::trainings::Training;
use crate::storage;
use crate::storage::Position;
use engine::domain::NamespaceName;

/// Commands that an owner may leave unread.
const COMMANDS: usize = 16;

/// Messages to an owner.
#[derive(Debug)]
pub enum Command {
    /// The log has another chain at this position, which was learnt, or ends before it.
    Broken(Position),
    /// The log may go on: a caller knows of it.
    Look,
    /// There are erasures with something left to do.
    Erase,
    /// Its capacity is needed.
    Sleep,
    Train(oneshot::Sender<Result<Training, Error>>),
}

#[derive(Debug, Clone)]
pub enum Phase {
    Opening(Progress),
    Serving(Arc<Namespace>),
    /// It could not be opened, and will be tried again.
    Stopped(storage::Error),
    /// The owner has ended.
    Closed,
}

/// A namespace of the registry.
#[derive(Debug)]
pub struct Slot {
    pub name: NamespaceName,
    pub(super) phase: watch::Sender<Phase>,
    pub last_use: Arc<LastUse>,
    pub commands: mpsc::Sender<Command>,
    /// Ends the owner at once: the namespace is to be deleted, or is gone.
    pub closed: CancellationToken,
    /// Whether it was told to free its capacity.
    pub asked_to_sleep: AtomicBool,
    /// How far the tail feed said that the log goes.
    pub feed_position: Mutex<Position>,
}

impl Slot {
    pub fn new(name: NamespaceName, began: Instant) -> (Self, mpsc::Receiver<Command>) {
        let (commands, received) = mpsc::channel(COMMANDS);
        let slot = Self {
            name,
            phase: watch::Sender::new(Phase::Opening(Progress::default())),
            last_use: Arc::new(LastUse::new(began)),
            commands,
            closed: CancellationToken::new(),
            asked_to_sleep: AtomicBool::new(false),
            feed_position: Mutex::default(),
        };
        (slot, received)
    }

    /// The handle, where the namespace is open.
    pub fn namespace(&self) -> Option<Arc<Namespace>> {
        match &*self.phase.borrow() {
            Phase::Serving(namespace) => Some(namespace.clone()),
            _ => None,
        }
    }

    pub fn is_opening(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Opening(_))
    }

    /// Waits until the opening has ended; `None` when the owner has. A caller that gives this up
    /// gives up waiting, and nothing else.
    ///
    /// # Errors
    /// `Opening` when it takes longer; what keeps the namespace from being opened.
    pub async fn opened(&self, until: Option<Instant>) -> Result<Option<Arc<Namespace>>, Error> {
        let mut phase = self.phase.subscribe();
        let settled = phase.wait_for(|phase| !matches!(phase, Phase::Opening(_)));
        let settled = match until {
            Some(until) => tokio::time::timeout_at(until, settled).await.ok(),
            None => Some(settled.await),
        };
        // The sender is in this slot, so it is not gone.
        let phase = settled.and_then(Result::ok).map(|phase| phase.clone());
        match phase {
            Some(Phase::Serving(namespace)) => Ok(Some(namespace)),
            Some(Phase::Stopped(error)) => Err(error.into()),
            Some(Phase::Closed) => Ok(None),
            Some(Phase::Opening(_)) | None => {
                let progress = match &*self.phase.borrow() {
                    Phase::Opening(progress) => *progress,
                    _ => Progress::default(),
                };
                Err(Error::Opening { name: self.name.clone(), progress })
            }
        }
    }

    /// Waits until the owner has ended.
    pub async fn ended(&self) {
        let mut phase = self.phase.subscribe();
        let over = |phase: &Phase| matches!(phase, Phase::Closed | Phase::Stopped(_));
        let _sender_is_here = phase.wait_for(over).await;
    }
}
