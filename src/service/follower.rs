//! Follows what other processes append to a shared log, for all open namespaces.
//!
//! - The store is the truth, asked again and again; the tail feed only makes it
//!   sooner, and asking rarer.
//! - A namespace that was deleted, deleted and created again, or whose log lost
//!   records is closed: its next use opens what is there now.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Service;
use crate::storage::LogEnd;

/// How often the store is asked when no feed tells of news.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// The same with a connected feed: then it is only a safeguard.
const ASK_EVERY_WITH_FEED: Duration = Duration::from_millis(500);
/// After a failure, so that a store that comes back is not met by a crowd.
const ASK_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Follows until cancelled. Nothing to do where this process alone writes the log,
/// but to believe in a store again that once refused a write.
pub async fn run(service: Service, shutdown: CancellationToken) {
    let stores = service.namespaces.stores().clone();
    let shared = stores.log.is_shared();
    // Without a feed nothing ever changes here.
    let (_silent, quiet) = watch::channel(0);
    let mut news = stores.feed.as_ref().map_or(quiet, |feed| feed.changes());
    let mut ask_at = Instant::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep_until(ask_at) => {}
            Ok(()) = news.changed() => {
                listen(&service);
                continue;
            }
        }
        let worked = if shared { ask(&service).await } else { true };
        service.store.saw_read(worked);
        let fed = stores.feed.as_ref().is_some_and(|feed| feed.is_connected());
        let pause = match (worked, fed || !shared) {
            (false, _) => ASK_AFTER_FAILURE,
            (true, true) => ASK_EVERY_WITH_FEED,
            (true, false) => ASK_EVERY,
        };
        ask_at = Instant::now() + pause;
    }
}

/// Tells the namespaces what the feed heard of their logs.
fn listen(service: &Service) {
    let Some(feed) = &service.namespaces.stores().feed else {
        return;
    };
    for namespace in service.namespaces.opened() {
        if let Some(end) = feed.newest(&namespace.tail.partition) {
            namespace.tail.advance(end.sequence);
        }
    }
}

/// Asks the store for the ends of the open namespaces' logs; whether it answered.
async fn ask(service: &Service) -> bool {
    // Watermarks before the question: what was learnt by now must be in the answer. No
    // namespace is held while waiting, or none would ever count as unused.
    let opened = service.namespaces.opened().into_iter();
    let learnt: Vec<_> =
        opened.map(|namespace| (namespace.tail.clone(), namespace.view().watermark())).collect();
    let partitions: Vec<_> = learnt.iter().map(|(tail, _)| tail.partition.clone()).collect();
    let log = service.namespaces.stores().log.clone();
    let ends = match tokio::task::spawn_blocking(move || log.log_ends(&partitions)).await {
        Ok(Ok(ends)) => ends,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the log's end cannot be asked for");
            return false;
        }
        Err(_panicked) => return false,
    };
    for (tail, learnt) in learnt {
        match ends.iter().find(|end| end.partition == tail.partition) {
            Some(LogEnd { end, .. }) if end.sequence >= learnt => tail.advance(end.sequence),
            Some(LogEnd { end, .. }) => {
                // Another log, for instance one restored from a backup.
                let end = end.sequence;
                tracing::error!(namespace = %tail.namespace(), end, learnt, "the log lost records");
                service.namespaces.close(&tail);
            }
            None => service.namespaces.close(&tail),
        }
    }
    true
}
