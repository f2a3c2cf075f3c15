//! Whether the store answers: learnt from the calls that are made anyway, told to
//! health checks and to whoever is answered meanwhile.
//!
//! - Reading and writing fail apart: a full disk is read, a standby too.
//! - A store that refused a write is believed again when it takes one, or after a
//!   quiet moment: with no ingest sent to us nothing else would find out.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::watch;

/// How long after the last refused write, with no other tried, writing is believed
/// to work again.
const BELIEVED_AGAIN: Duration = Duration::from_secs(5);

/// How long the log must have been out of reach for new work to be refused at once:
/// a server that restarts is worth a short wait.
const AWAY: Duration = Duration::from_secs(3);

/// What works now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHealth {
    pub reads: bool,
    pub writes: bool,
}

impl StoreHealth {
    /// Why answers may be stale, for the people who get them.
    pub fn degraded(self) -> Option<&'static str> {
        match self {
            Self { reads: false, .. } => Some("the interaction log cannot be reached"),
            Self { writes: false, .. } => Some("the interaction log cannot be written"),
            Self { reads: true, writes: true } => None,
        }
    }
}

/// The newest observations.
#[derive(Debug)]
pub struct StoreMonitor {
    health: watch::Sender<StoreHealth>,
    write_refused: Mutex<Option<Instant>>,
    /// Since when the log could not be read.
    unread_since: Mutex<Option<Instant>>,
}

impl Default for StoreMonitor {
    fn default() -> Self {
        let health = StoreHealth { reads: true, writes: true };
        let health = watch::Sender::new(health);
        Self { health, write_refused: Mutex::default(), unread_since: Mutex::default() }
    }
}

impl StoreMonitor {
    pub fn health(&self) -> StoreHealth {
        *self.health.borrow()
    }

    pub fn subscribe(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    /// Whether the log has been out of reach for so long that trying is of no use.
    pub fn is_away(&self) -> bool {
        let since = self.unread_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= AWAY)
    }

    /// Notes whether the log could be asked.
    pub fn saw_read(&self, worked: bool) {
        let mut since = self.unread_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if worked { None } else { since.or_else(|| Some(Instant::now())) };
        drop(since);
        self.set(|health| health.reads = worked);
        self.forget_old_refusal();
    }

    /// Notes whether the log took what it was given.
    pub fn saw_write(&self, worked: bool) {
        let mut refused = self.write_refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = (!worked).then(Instant::now);
        self.set(|health| health.writes = worked);
    }

    fn forget_old_refusal(&self) {
        let mut refused = self.write_refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_some_and(|at| at.elapsed() >= BELIEVED_AGAIN) {
            *refused = None;
            self.set(|health| health.writes = health.reads);
        }
    }

    fn set(&self, change: impl FnOnce(&mut StoreHealth)) {
        self.health.send_if_modified(|health| {
            let before = *health;
            change(health);
            if *health != before {
                tracing::warn!(
                    reads = health.reads,
                    writes = health.writes,
                    "store health changed"
                );
            }
            *health != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_writing_fail_apart_and_the_worse_is_told() {
        let monitor = StoreMonitor::default();
        assert_eq!(monitor.health().degraded(), None);
        monitor.saw_write(false);
        monitor.saw_read(true);
        assert_eq!(monitor.health(), StoreHealth { reads: true, writes: false });
        assert!(monitor.health().degraded().unwrap().contains("written"));
        monitor.saw_read(false);
        assert!(monitor.health().degraded().unwrap().contains("reached"));
        monitor.saw_write(true);
        monitor.saw_read(true);
        assert_eq!(monitor.health().degraded(), None);
    }

    #[test]
    fn watchers_hear_of_changes_only() {
        let monitor = StoreMonitor::default();
        let mut watcher = monitor.subscribe();
        watcher.mark_unchanged();
        monitor.saw_read(true);
        assert!(!watcher.has_changed().unwrap());
        monitor.saw_read(false);
        assert!(watcher.has_changed().unwrap());
    }
}
