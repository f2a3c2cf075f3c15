//! What became of what an owner began.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Ending;
use super::erasing::Erased;
use super::learning::Learner;
use super::learning::Stopped;
use super::opening::Recovered;
use super::schedule::Attempt;
use super::serving::Done;
use super::serving::Serving;
use super::slot::Phase;
use super::training;
use crate::service::degradation::Degradation;
use crate::service::degradation::DegradedReason;
use crate::service::error::Error;
use crate::storage;
use engine::TrainingError;
use engine::domain::Sequence;

/// Pause when the log is said to go on, and does not yet for us.
const NOTHING_YET: Duration = Duration::from_millis(10);
/// Pause after the log could not be read.
const UNREADABLE: Duration = Duration::from_millis(200);
/// Pause between two runs of the projection.
const PROJECT_EVERY: Duration = Duration::from_secs(1);
/// Pause between two backfills.
const BACKFILL_AGAIN: Duration = Duration::from_secs(1);
/// Pause after a duty failed.
const DUTY_AGAIN: Duration = Duration::from_secs(30);
/// Pause after erasing users failed: it is promised, and done twice without harm.
const ERASE_AGAIN: Duration = Duration::from_secs(2);
/// Pause after the settings could not be written.
const SETTINGS_AGAIN: Duration = Duration::from_secs(10);

/// What became of it.
impl Serving {
    pub(super) fn ended(&mut self, done: Done) -> Option<Ending> {
        match done {
            Done::Learnt(learner, learnt) => return self.learnt(learner, learnt),
            Done::Settings(written) => return self.settings_written(written),
            Done::Snapshot(stored) => return self.snapshot_stored(stored),
            Done::Projected(Ok(position)) => {
                self.projecting.ended(Some(position), PROJECT_EVERY);
            }
            Done::Projected(Err(error)) => {
                tracing::warn!(namespace = %self.slot.name, %error, "projection waits");
                self.projecting.ended(None, DUTY_AGAIN);
            }
            Done::Backfilled(Ok(())) => self.backfilling.ended(None, BACKFILL_AGAIN),
            Done::Backfilled(Err(Error::NoNamespace(_))) => return Some(Ending::Gone),
            // The next leader goes on.
            Done::Backfilled(Err(Error::ShuttingDown)) => {
                self.backfilling.ended(None, Duration::ZERO);
            }
            Done::Backfilled(Err(error)) => {
                tracing::warn!(namespace = %self.slot.name, %error, "added metrics wait");
                self.backfilling.ended(None, DUTY_AGAIN);
            }
            Done::Trained(attempt, outcome) => {
                self.trained(attempt, outcome);
                self.erasing_due |= self.model_due.is_some();
            }
            Done::Erased(erased) => return self.erased(erased),
            Done::BuiltAgain(built) => self.built_again(built),
        }
        None
    }

    fn learnt(
        &mut self,
        learner: Option<Box<Learner>>,
        learnt: Result<usize, Stopped>,
    ) -> Option<Ending> {
        self.learner = learner;
        let was_outdated = self.adopt_revision();
        let name = &self.slot.name;
        match learnt {
            // It was read as of the revision before.
            Err(Stopped::Storage(storage::Error::ChainBroken { .. })) if was_outdated => {}
            Ok(0) => self.read_not_before = Some(Instant::now() + NOTHING_YET),
            Ok(_learnt) => {
                self.erasing_due |= self.namespace.user_erased.swap(false, Ordering::Relaxed);
                self.read_not_before = None;
                self.slot.last_use.touch();
                if let Some(learner) = &self.learner {
                    self.namespace.tail.advance(learner.position.sequence);
                }
            }
            Err(Stopped::Storage(error @ storage::Error::Unavailable { .. })) => {
                tracing::debug!(namespace = %name, %error, "log unreadable for now");
                self.read_not_before = Some(Instant::now() + UNREADABLE);
            }
            Err(Stopped::Storage(storage::Error::NoNamespace { .. })) => return Some(Ending::Gone),
            Err(Stopped::Storage(storage::Error::ChainBroken { .. })) => {
                return Some(Ending::Broken);
            }
            Err(stopped) => self.stop_learning(&stopped.to_string()),
        }
        None
    }

    fn erased(&mut self, erased: Result<Erased, Error>) -> Option<Ending> {
        match erased {
            Ok(erased) => {
                self.erasing.ended(None, Duration::ZERO);
                match erased {
                    Erased::Settled { model_due } => self.model_due = model_due,
                    Erased::Rewritten | Erased::More => self.erasing_due = true,
                }
                let rebuilds = erased == Erased::Rewritten && self.outdated_by.is_none();
                return rebuilds.then_some(Ending::Rewritten);
            }
            Err(Error::NoNamespace(_)) => return Some(Ending::Gone),
            Err(error) => {
                tracing::warn!(namespace = %self.slot.name, %error, "erasing users waits");
                self.erasing_due = true;
                self.erasing.ended(None, ERASE_AGAIN);
            }
        }
        None
    }

    fn built_again(&mut self, built: Result<Box<Recovered>, Stopped>) {
        match built {
            Ok(recovered) if self.outdated_by == Some(recovered.learner.position.revision) => {
                self.restart(*recovered);
            }
            // Records were replaced again meanwhile.
            Ok(_) | Err(Stopped::Storage(storage::Error::ChainBroken { .. })) => {
                self.building.ended(None, Duration::ZERO);
            }
            Err(error) => {
                tracing::warn!(namespace = %self.slot.name, %error, "the state is built again later");
                self.building.ended(None, ERASE_AGAIN);
            }
        }
    }

    /// Serving goes on with the last view and says so.
    pub(super) fn stop_learning(&mut self, reason: &str) {
        tracing::error!(namespace = %self.slot.name, reason, "learning stopped");
        self.learner = None;
        let text = format!("learning stopped: {reason}");
        let stopped = Degradation::new(DegradedReason::LearningStopped, text);
        self.namespace.change(|condition| condition.impairment = Some(stopped));
        if self.slot.is_opening() {
            self.slot.phase.send_replace(Phase::Serving(self.namespace.clone()));
        }
    }

    fn settings_written(&mut self, written: Result<Sequence, Error>) -> Option<Ending> {
        match written {
            Ok(log_end) => {
                // The first request must not be answered by other settings.
                if self.slot.is_opening() {
                    self.announce_at = Some(log_end);
                }
                // Whether they are in force is seen once the record is learnt.
                self.settings_job.ended(Some(log_end), Duration::ZERO);
            }
            Err(Error::NoNamespace(_)) => return Some(Ending::Gone),
            Err(error) => {
                tracing::warn!(namespace = %self.slot.name, %error, "settings are not in force yet");
                // Better the old settings than no answers.
                if self.slot.is_opening() {
                    self.announce_at = Some(0);
                }
                self.settings_job.ended(None, SETTINGS_AGAIN);
            }
        }
        None
    }

    pub(super) fn snapshot_stored(
        &mut self,
        stored: Result<Sequence, storage::Error>,
    ) -> Option<Ending> {
        match stored {
            Ok(watermark) => {
                self.snapshot_at = watermark;
                self.snapshots.ended(None, Duration::ZERO);
            }
            Err(storage::Error::NoNamespace { .. }) => return Some(Ending::Gone),
            Err(error) => {
                tracing::warn!(namespace = %self.slot.name, %error, "no snapshot");
                self.snapshots.ended(None, DUTY_AGAIN);
            }
        }
        None
    }

    fn trained(&mut self, attempt: Attempt, outcome: Result<Option<u64>, Error>) {
        self.set_training(false);
        let with = &self.registry.with;
        let now = with.clock.now();
        let error = match outcome {
            Ok(Some(_version)) => return self.schedule.succeeded(attempt),
            Ok(None) | Err(Error::TrainingRuns | Error::Training(TrainingError::Cancelled)) => {
                return self.schedule.postpone(now);
            }
            Err(error) => error,
        };
        let cause = training::cause(&error);
        with.metrics.count_training_failure(cause);
        if self.schedule.failed(attempt, cause, now) {
            tracing::warn!(namespace = %self.slot.name, cause, %error, "training failed");
        }
    }
}
