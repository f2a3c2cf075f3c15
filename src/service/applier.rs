//! Follows a namespace's log and keeps its published view up to date.
//!
//! - Records come from the log only, never from the memory of the ingest path: one
//!   road for the process that wrote them and for every other.
//! - It wakes at every commit, so what was acknowledged is learnt within
//!   milliseconds; a view is published after each batch.
//! - A record that cannot be read stops it for good: serving goes on with the last
//!   view and says so.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::namespace::Namespace;
use crate::storage;
use crate::storage::InteractionLog;
use crate::telemetry::Metrics;
use engine::Effect;
use engine::Engine;
use engine::Unreadable;
use engine::domain::Sequence;

/// Records between two published views while catching up.
pub const BATCH: usize = 4_096;

/// Pause when the log is said to go on, and does not yet for us.
const NOTHING_YET: Duration = Duration::from_millis(10);
/// Pause after the log could not be read.
const UNREADABLE: Duration = Duration::from_millis(200);

/// Why a namespace's state cannot follow its log any further.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// The engine of one namespace; locked by its applier only.
pub type SharedEngine = Arc<Mutex<Engine>>;

/// Follows the log until cancelled.
pub async fn run(
    namespace: Arc<Namespace>,
    engine: SharedEngine,
    log: Arc<dyn InteractionLog>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) {
    let mut end = namespace.tail.subscribe();
    // Also between batches: a stop does not wait for what the next start can replay.
    while !shutdown.is_cancelled() && !namespace.closed.is_cancelled() {
        end.mark_unchanged();
        if namespace.lag() > 0 {
            let (namespace_, engine, log) = (namespace.clone(), engine.clone(), log.clone());
            let metrics = metrics.clone();
            let step = move || catch_up(&namespace_, &engine, &*log, &metrics);
            match tokio::task::spawn_blocking(step).await {
                Ok(Ok(0)) => tokio::time::sleep(NOTHING_YET).await,
                Ok(Ok(_learnt)) => {}
                // A namespace that is gone is closed by the follower.
                Ok(Err(Stopped::Storage(
                    error @ (storage::Error::Unavailable { .. }
                    | storage::Error::NoNamespace { .. }),
                ))) => {
                    tracing::debug!(namespace = %namespace.name(), %error, "log unreadable for now");
                    tokio::time::sleep(UNREADABLE).await;
                }
                Ok(Err(error)) => return stop(&namespace, &error),
                Err(panicked) => return stop(&namespace, &panicked),
            }
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = namespace.closed.cancelled() => return,
            changed = end.changed() => if changed.is_err() { return },
        }
    }
}

fn stop(namespace: &Namespace, error: &dyn std::fmt::Display) {
    tracing::error!(namespace = %namespace.name(), %error, "learning stopped");
    namespace.set_stopped(error.to_string());
}

/// Reads and learns one batch, then publishes; returns how many records.
fn catch_up(
    namespace: &Namespace,
    engine: &Mutex<Engine>,
    log: &dyn InteractionLog,
    metrics: &Metrics,
) -> Result<usize, Stopped> {
    let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
    let records = log.read_after(namespace.name(), engine.state().watermark(), BATCH)?;
    let started = std::time::Instant::now();
    let applied = engine.apply(&records);
    namespace.publish(engine.view());
    metrics.apply_seconds.observe(started.elapsed().as_secs_f64());
    metrics.applied_records.inc_by(records.len() as u64);
    for effect in applied? {
        match effect {
            Effect::ModelSwitched { version } => {
                tracing::info!(namespace = %namespace.name(), version, "model switched");
            }
            Effect::ModelRefused { version, fault } => {
                tracing::warn!(namespace = %namespace.name(), version, %fault, "model refused");
            }
            Effect::TakeoverFellBack { against } => {
                let against = against.name();
                tracing::warn!(
                    namespace = %namespace.name(), against,
                    "the ranker earns less: the takeover is given back"
                );
                metrics.takeover_fallbacks.inc();
            }
        }
    }
    Ok(records.len())
}

/// Applies everything up to and including record `end`, before a namespace is opened.
///
/// # Errors
/// [`Stopped`].
pub fn replay(
    engine: &mut Engine,
    log: &dyn InteractionLog,
    name: &engine::domain::NamespaceName,
    end: Sequence,
) -> Result<(), Stopped> {
    while engine.state().watermark() < end {
        let mut records = log.read_after(name, engine.state().watermark(), BATCH)?;
        records.truncate(records.partition_point(|record| record.sequence <= end));
        if records.is_empty() {
            break;
        }
        engine.apply(&records)?;
    }
    Ok(())
}
