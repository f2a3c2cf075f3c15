//! Whether the store answers: learnt from the calls that are made anyway, told to
//! health checks and to callers meanwhile.
//!
//! - Reading and writing fail apart: a full disk is read, a standby too.
//! - A store that refused a write is believed again when it takes one, or after a
//!   quiet moment: with no ingest sent to us nothing else would find out.
//! - A commit that does not end is a failure before it has failed: it is noticed while it
//!   runs. Nothing is looked at while none does.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::watch;

use super::degradation::Degradation;
use super::degradation::DegradedReason;

/// How long after the last refused write, with no other tried, writing is believed
/// to work again.
const BELIEVED_AGAIN: Duration = Duration::from_secs(5);

/// How long the log must have been out of reach for new work to be refused at once:
/// a server that restarts is worth a short wait.
const AWAY: Duration = Duration::from_secs(3);

/// How long a commit may run until the store counts as not answering; a slow disk takes
/// tenths of a second.
const STALLED: Duration = Duration::from_millis(1_500);

/// What works now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHealth {
    pub reads: bool,
    pub writes: bool,
}

impl StoreHealth {
    /// Why answers may be stale, for operators.
    pub fn degraded(self) -> Option<Degradation> {
        let (reason, text) = match self {
            Self { reads: false, .. } => {
                (DegradedReason::LogUnreachable, "the interaction log cannot be reached")
            }
            Self { writes: false, .. } => {
                (DegradedReason::LogNotWritable, "the interaction log cannot be written")
            }
            Self { reads: true, writes: true } => return None,
        };
        Some(Degradation::new(reason, text))
    }
}

#[derive(Debug, Default)]
struct Seen {
    write_refused: Option<Instant>,
    /// Since when the log could not be read.
    unread_since: Option<Instant>,
    /// When the commit that runs began.
    commit_since: Option<Instant>,
    /// That commit has been running for too long.
    is_stalled: bool,
}

impl Seen {
    fn health(&self) -> StoreHealth {
        StoreHealth {
            reads: self.unread_since.is_none(),
            writes: self.write_refused.is_none() && !self.is_stalled,
        }
    }
}

/// The newest observations.
#[derive(Debug)]
pub struct StoreMonitor {
    health: watch::Sender<StoreHealth>,
    seen: Mutex<Seen>,
    commit_begun: Notify,
}

impl Default for StoreMonitor {
    fn default() -> Self {
        let seen = Seen::default();
        let health = watch::Sender::new(seen.health());
        Self { health, seen: Mutex::new(seen), commit_begun: Notify::new() }
    }
}

/// A commit, until it is dropped.
#[derive(Debug)]
pub struct RunningCommit<'a>(&'a StoreMonitor);

impl Drop for RunningCommit<'_> {
    fn drop(&mut self) {
        self.0.update(|seen| (seen.commit_since, seen.is_stalled) = (None, false));
    }
}

impl StoreMonitor {
    pub fn health(&self) -> StoreHealth {
        *self.health.borrow()
    }

    pub fn subscribe(&self) -> watch::Receiver<StoreHealth> {
        self.health.subscribe()
    }

    /// Whether trying is of no use: the log has been out of reach for so long, or the
    /// commit that runs does not end.
    pub fn is_away(&self) -> bool {
        let seen = self.lock();
        seen.is_stalled || seen.unread_since.is_some_and(|since| since.elapsed() >= AWAY)
    }

    /// Whether the commit that runs does not end.
    pub fn is_stalled(&self) -> bool {
        self.lock().is_stalled
    }

    /// Notes whether the log could be asked.
    pub fn saw_read(&self, worked: bool) {
        self.update(|seen| {
            let before = seen.unread_since;
            seen.unread_since = if worked { None } else { before.or_else(|| Some(Instant::now())) };
            if worked && seen.write_refused.is_some_and(|at| at.elapsed() >= BELIEVED_AGAIN) {
                seen.write_refused = None;
            }
        });
    }

    /// Notes whether the log took what it was given.
    pub fn saw_write(&self, worked: bool) {
        self.update(|seen| seen.write_refused = (!worked).then(Instant::now));
    }

    /// Notes that a commit runs until what is returned is dropped; one at a time.
    pub fn commit_begins(&self) -> RunningCommit<'_> {
        self.lock().commit_since = Some(Instant::now());
        self.commit_begun.notify_one();
        RunningCommit(self)
    }

    /// Whether a commit runs.
    #[cfg(test)]
    pub fn commit_runs(&self) -> bool {
        self.lock().commit_since.is_some()
    }

    /// Waits until a commit has been running for too long, and records it.
    pub async fn next_stall(&self) {
        loop {
            let running = {
                let seen = self.lock();
                seen.commit_since.filter(|_since| !seen.is_stalled)
            };
            let Some(since) = running else {
                self.commit_begun.notified().await;
                continue;
            };
            tokio::time::sleep(STALLED.saturating_sub(since.elapsed())).await;
            if self.record_stall(since) {
                return;
            }
        }
    }

    /// Whether that commit still runs.
    fn record_stall(&self, since: Instant) -> bool {
        let mut stalls = false;
        self.update(|seen| {
            stalls = seen.commit_since == Some(since) && since.elapsed() >= STALLED;
            seen.is_stalled |= stalls;
        });
        stalls
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.lock();
        change(&mut seen);
        let now = seen.health();
        // Under the lock, so that the newest is told last.
        self.health.send_if_modified(|health| {
            let is_news = *health != now;
            if is_news {
                *health = now;
                tracing::warn!(reads = now.reads, writes = now.writes, "store health changed");
            }
            is_news
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(monitor: &StoreMonitor) -> Option<DegradedReason> {
        monitor.health().degraded().map(|degraded| degraded.reason)
    }

    #[test]
    fn reading_and_writing_fail_apart_and_the_worse_is_reported() {
        let monitor = StoreMonitor::default();
        assert_eq!(monitor.health().degraded(), None);
        monitor.saw_write(false);
        monitor.saw_read(true);
        assert_eq!(monitor.health(), StoreHealth { reads: true, writes: false });
        assert_eq!(reason(&monitor), Some(DegradedReason::LogNotWritable));
        monitor.saw_read(false);
        assert_eq!(reason(&monitor), Some(DegradedReason::LogUnreachable));
        monitor.saw_write(true);
        monitor.saw_read(true);
        assert_eq!(monitor.health().degraded(), None);
    }

    #[test]
    fn watchers_see_changes_only() {
        let monitor = StoreMonitor::default();
        let mut watcher = monitor.subscribe();
        watcher.mark_unchanged();
        monitor.saw_read(true);
        assert!(!watcher.has_changed().unwrap());
        monitor.saw_read(false);
        assert!(watcher.has_changed().unwrap());
    }

    #[tokio::test]
    async fn a_commit_that_does_not_end_is_noticed_within_two_seconds_and_healthy_again_at_its_end()
    {
        let monitor = StoreMonitor::default();
        let mut watcher = monitor.subscribe();
        let begun = Instant::now();
        let commit = monitor.commit_begins();
        assert_eq!(monitor.health().degraded(), None);
        tokio::time::timeout(Duration::from_secs(2), monitor.next_stall()).await.unwrap();
        assert!(begun.elapsed() >= STALLED, "{:?}", begun.elapsed());
        assert!(watcher.has_changed().unwrap() && !watcher.borrow_and_update().writes);
        assert!(monitor.is_away());
        drop(commit);
        assert!(watcher.borrow().writes && !monitor.is_away());
    }

    #[tokio::test]
    async fn short_commits_one_after_the_other_are_no_stall() {
        let monitor = StoreMonitor::default();
        let busy = async {
            for _ in 0..18 {
                let _commit = monitor.commit_begins();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = busy => {}
            () = monitor.next_stall() => panic!("no commit ran for so long"),
        }
        assert_eq!(monitor.health().degraded(), None);
    }
}
