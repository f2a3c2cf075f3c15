//! Learning: records of the log become the next view.
//!
//! - Records come from the log only, never from the memory of the ingest path: one road
//!   for the process that wrote them and for every other.
//! - What is read at a time is bounded in records and in bytes.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::super::namespace::Namespace;
use crate::storage;
use crate::storage::InteractionLog;
use crate::storage::Partition;
use crate::storage::Position;
use crate::storage::ReadLimit;
use crate::telemetry::Metrics;
use engine::Effect;
use engine::Engine;
use engine::Unreadable;
use engine::WindowNotHeld;
use engine::domain::Sequence;

/// What is learnt between two published views while catching up.
pub const LIMIT: ReadLimit = ReadLimit { records: 4_096, bytes: 4 << 20 };

/// Why a state cannot follow its log any further.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error(transparent)]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("learning panicked")]
    Panicked,
    #[error("it was told to stop")]
    Told,
}

/// A state and where it stands in its log.
#[derive(Debug)]
pub struct Learner {
    pub engine: Engine,
    pub position: Position,
}

impl Learner {
    /// Reads and learns one batch, then publishes; returns how many records.
    ///
    /// # Errors
    /// [`Stopped`]; what was learnt before a record that cannot be is published, and the
    /// learner must not go on.
    pub fn learn_some(
        &mut self,
        namespace: &Namespace,
        log: &dyn InteractionLog,
        metrics: &Metrics,
    ) -> Result<usize, Stopped> {
        let read = log.read_after(&namespace.tail.partition, self.position, LIMIT)?;
        let started = Instant::now();
        let applied = self.engine.apply(&read.records);
        let view = self.engine.view();
        if applied.is_ok() {
            self.position = read.end;
        }
        let watermark = view.watermark();
        namespace.publish(view, Position { sequence: watermark, ..self.position });
        metrics.apply_seconds.observe(started.elapsed().as_secs_f64());
        metrics.applied_records.inc_by(read.records.len() as u64);
        metrics.set_lag(namespace.name().as_str(), namespace.lag());
        for effect in applied? {
            tell(namespace, metrics, effect);
        }
        Ok(read.records.len())
    }
}

fn tell(namespace: &Namespace, metrics: &Metrics, effect: Effect) {
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
        Effect::TakeoverWindowNotHeld(WindowNotHeld { held_seconds, window_seconds }) => {
            tracing::warn!(
                namespace = %namespace.name(), held_seconds, window_seconds,
                "decisions are held for less than the reward window of the takeover"
            );
            metrics.takeover_windows_not_held.inc();
        }
        Effect::ExperimentStopped { key, cause } => {
            tracing::warn!(
                namespace = %namespace.name(), experiment = %key, ?cause,
                "an experiment has stopped by itself"
            );
            metrics.experiments_stopped.inc();
        }
        Effect::UserErased => namespace.user_erased.store(true, Ordering::Relaxed),
    }
}

/// Learns everything up to the batch that ends at `end`, or to the end of the log.
///
/// # Errors
/// [`Stopped`].
pub fn follow(
    learner: &mut Learner,
    log: &dyn InteractionLog,
    partition: &Partition,
    end: Position,
) -> Result<(), Stopped> {
    follow_while(learner, log, partition, end, |_at| true)
}

/// The same; `goes_on` is told before each read where the learner stands.
///
/// # Errors
/// [`Stopped`].
pub fn follow_while(
    learner: &mut Learner,
    log: &dyn InteractionLog,
    partition: &Partition,
    end: Position,
    mut goes_on: impl FnMut(Sequence) -> bool,
) -> Result<(), Stopped> {
    while learner.position.sequence < end.sequence {
        if !goes_on(learner.position.sequence) {
            return Err(Stopped::Told);
        }
        let mut read = log.read_after(partition, learner.position, LIMIT)?;
        if read.records.is_empty() {
            break;
        }
        if read.end.sequence > end.sequence {
            // Written since `end` was asked for.
            let within = read.records.partition_point(|record| record.sequence <= end.sequence);
            read.records.truncate(within);
            read.end = end;
        }
        learner.engine.apply(&read.records)?;
        learner.position = read.end;
    }
    Ok(())
}

/// Learns everything up to and including record `end`, wherever batches end.
///
/// # Errors
/// [`Stopped`].
pub fn replay(
    engine: &mut Engine,
    log: &dyn InteractionLog,
    partition: &Partition,
    end: Sequence,
) -> Result<(), Stopped> {
    while engine.state().watermark() < end {
        let mut records = log.read_from(partition, engine.state().watermark(), LIMIT)?;
        records.truncate(records.partition_point(|record| record.sequence <= end));
        if records.is_empty() {
            break;
        }
        engine.apply(&records)?;
    }
    Ok(())
}
