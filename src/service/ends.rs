//! Notices what other processes append to a shared log, for all open namespaces.
//!
//! - The store is the truth, asked again and again, in one question for all; the tail feed
//!   only makes it sooner, and asking rarer. What the feed says is a reason to look, and
//!   no more: it may still be about a log that no longer exists.
//! - Namespaces that nobody has used for a moment are asked for less often.
//! - A namespace that is gone ends; one whose log ends before what was learnt, or has
//!   another chain there, is rebuilt. Its owner does both.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::namespace::Namespace;
use super::namespaces::Namespaces;
use super::owner::Command;
use super::owner::Slot;
use super::store_health::StoreMonitor;
use crate::storage::Partition;
use crate::storage::Position;

/// How often the store is asked when no feed reports news.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// The same with a connected feed, where it is only a safeguard, and for namespaces that
/// nobody uses.
const ASK_IDLE_EVERY: Duration = Duration::from_millis(500);
/// After a failure, so that a store that comes back is not met by a crowd.
const ASK_AFTER_FAILURE: Duration = Duration::from_millis(500);
/// How long a namespace counts as used: seconds, since uses are recorded by the second.
const IN_USE: Duration = Duration::from_secs(5);

/// Asks until cancelled. Nothing to ask where this process alone writes the log, but the
/// store is believed in again that once refused a write.
pub async fn run(
    namespaces: Arc<Namespaces>,
    store: Arc<StoreMonitor>,
    shutdown: CancellationToken,
) {
    let stores = namespaces.stores().clone();
    let shared = stores.log.is_shared();
    // Without a feed nothing ever changes here.
    let (_silent, quiet) = watch::channel(0);
    let mut news = stores.feed.as_ref().map_or(quiet, |feed| feed.changes());
    let (mut ask_at, mut ask_all_at) = (Instant::now(), Instant::now());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep_until(ask_at) => {}
            Ok(()) = news.changed() => {
                listen(&namespaces);
                continue;
            }
        }
        let now = Instant::now();
        let all = now >= ask_all_at;
        if all {
            ask_all_at = now + ASK_IDLE_EVERY;
        }
        let worked = if shared { ask(&namespaces, all).await } else { true };
        store.saw_read(worked);
        report_health(&namespaces, &store);
        let fed = stores.feed.as_ref().is_some_and(|feed| feed.is_connected());
        let pause = match (worked, fed || !shared) {
            (false, _) => ASK_AFTER_FAILURE,
            (true, true) => ASK_IDLE_EVERY,
            (true, false) => ASK_EVERY,
        };
        ask_at = Instant::now() + pause;
    }
}

fn report_health(namespaces: &Namespaces, store: &StoreMonitor) {
    let health = store.health();
    namespaces.with.metrics.set_store_up("read", health.reads);
    namespaces.with.metrics.set_store_up("write", health.writes);
}

/// Has owners look whose logs have news in the feed.
fn listen(namespaces: &Namespaces) {
    let Some(feed) = &namespaces.stores().feed else {
        return;
    };
    for (slot, namespace) in namespaces.open() {
        let Some(newest) = feed.newest(&namespace.tail.partition) else { continue };
        let mut feed_position = slot.feed_position.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = std::mem::replace(&mut *feed_position, newest) != newest;
        if is_news && newest.sequence > namespace.position().sequence {
            let _full = slot.commands.try_send(Command::Look);
        }
    }
}

/// Asks the store for the ends of the open namespaces' logs; whether it answered.
async fn ask(namespaces: &Arc<Namespaces>, all: bool) -> bool {
    // Positions before the question: what was learnt by now must be in the answer.
    let open: Vec<(Arc<Slot>, Arc<Namespace>, Position)> = namespaces
        .open()
        .into_iter()
        .filter(|(slot, _)| all || slot.last_use.at().elapsed() < IN_USE)
        .map(|(slot, namespace)| {
            let learnt = namespace.position();
            (slot, namespace, learnt)
        })
        .collect();
    if open.is_empty() && !all {
        return true;
    }
    let partitions: Vec<Partition> =
        open.iter().map(|(_, namespace, _)| namespace.tail.partition.clone()).collect();
    let log = namespaces.stores().log.clone();
    let ends = match namespaces.with.workers.asking.run(move || log.log_ends(&partitions)).await {
        Ok(Ok(ends)) => ends,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the ends of logs cannot be asked for");
            return false;
        }
        Err(_panicked) => return false,
    };
    let ends: HashMap<Partition, Position> =
        ends.into_iter().map(|end| (end.partition, end.end)).collect();
    for (slot, namespace, learnt) in open {
        match ends.get(&namespace.tail.partition) {
            None => slot.closed.cancel(),
            Some(end) if is_broken(learnt, *end) => {
                let _full = slot.commands.try_send(Command::Broken(learnt));
            }
            Some(end) => namespace.tail.advance(end.sequence),
        }
    }
    true
}

/// Whether a log that ends here cannot be the one that was learnt from.
fn is_broken(learnt: Position, end: Position) -> bool {
    let is_rewritten = learnt.sequence > 0 && end.revision != learnt.revision;
    end.sequence < learnt.sequence
        || is_rewritten
        || (end.sequence == learnt.sequence && end != learnt)
}
