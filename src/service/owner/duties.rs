//! What an owner begins, and when: learning, settings, snapshots, the projection, trainings, backfills.

use std::time::Duration;

use tokio::time::Instant;

use super::backfilling;
use super::ending::snapshot;
use super::erasing;
use super::keeping;
use super::learning::Stopped;
use super::schedule::Attempt;
use super::schedule::Due;
use super::serving::Done;
use super::serving::Serving;
use super::training;
use crate::service::error::Error;
use crate::storage;
use engine::Effort;
use engine::Staleness;
use engine::domain::Record;
use engine::domain::Sequence;

/// Longest wait for the settings of a namespace that is being opened.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);

/// When something is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Now,
    At(Instant),
    Later,
}

impl When {
    fn from(at: Option<Instant>) -> Self {
        match at {
            Some(at) if at > Instant::now() => Self::At(at),
            _ => Self::Now,
        }
    }
}

/// A duty that is done again and again.
#[derive(Debug, Default)]
pub struct Duty {
    pub running: bool,
    not_before: Option<Instant>,
    /// How far it was done.
    pub done_to: Option<Sequence>,
}

impl Duty {
    pub fn ended(&mut self, done: Option<Sequence>, pause: Duration) {
        self.running = false;
        self.done_to = done.or(self.done_to);
        self.not_before = Some(Instant::now() + pause);
    }
}

/// What begins, and when.
impl Serving {
    /// Begins what is due; returns when the next thing is.
    pub(super) fn begin(&mut self) -> Option<Instant> {
        let mut alarm = self.may_sleep().then(|| self.idle_at());
        let mut wait = |when| match when {
            When::Now => true,
            When::At(at) => {
                alarm = Some(alarm.map_or(at, |alarm: Instant| alarm.min(at)));
                false
            }
            When::Later => false,
        };
        // Learning last: it takes the learner, and the others look at its view.
        if wait(self.settings_when()) {
            self.set_settings();
        }
        if wait(self.snapshot_when()) {
            self.store_snapshot();
        }
        if wait(self.projection_when()) {
            self.project();
        }
        if wait(self.training_when()) {
            self.train(None);
        }
        if wait(self.backfill_when()) {
            self.backfill();
        }
        if wait(self.erasing_when()) {
            self.erase();
        }
        if wait(self.learning_when()) {
            self.learn();
        }
        alarm
    }

    fn learning_when(&mut self) -> When {
        let end = *self.end.borrow_and_update();
        match &self.learner {
            Some(learner) if self.look || end > learner.position.sequence => {
                When::from(self.read_not_before)
            }
            _ => When::Later,
        }
    }

    fn settings_when(&self) -> When {
        let written = self.settings_job.done_to.unwrap_or(0);
        let sees = self.learner.as_ref().is_some_and(|it| it.position.sequence >= written);
        if self.settings_due && sees && !self.settings_job.running {
            When::from(self.settings_job.not_before)
        } else {
            When::Later
        }
    }

    fn snapshot_when(&self) -> When {
        let every = self.registry.with.options.snapshot_every_records;
        let due = self.learner.as_ref().is_some_and(|learner| {
            learner.position.sequence.saturating_sub(self.snapshot_at) >= every.max(1)
        });
        if due && self.leads() && !self.snapshots.running {
            When::from(self.snapshots.not_before)
        } else {
            When::Later
        }
    }

    fn projection_when(&self) -> When {
        let with = &self.registry.with;
        let done_to = self.projecting.done_to;
        let behind = self
            .learner
            .as_ref()
            .is_some_and(|learner| done_to.is_none_or(|to| to < learner.position.sequence));
        let is_there = with.stores.projection.is_some();
        if is_there && behind && self.leads() && !self.projecting.running {
            When::from(self.projecting.not_before)
        } else {
            When::Later
        }
    }

    fn training_when(&self) -> When {
        let with = &self.registry.with;
        let Some(learner) = &self.learner else { return When::Later };
        if !with.options.auto_retrain || !self.leads() || self.is_training {
            return When::Later;
        }
        let now = with.clock.now();
        match self.schedule.due(Staleness::of(learner.engine.state()), self.model_due, now) {
            Due::Now => When::Now,
            Due::At(at) => {
                let wait = at.as_millis().saturating_sub(now.as_millis());
                let wait = Duration::from_millis(wait.unsigned_abs());
                When::At(Instant::now() + wait)
            }
            Due::Later => When::Later,
        }
    }

    fn backfill_when(&self) -> When {
        let lacks = self
            .learner
            .as_ref()
            .is_some_and(|learner| learner.engine.state().experiments().with_backfill().is_some());
        if lacks && self.leads() && !self.backfilling.running {
            When::from(self.backfilling.not_before)
        } else {
            When::Later
        }
    }

    fn erasing_when(&self) -> When {
        if self.erasing_due && self.learner.is_some() && self.leads() && !self.erasing.running {
            When::from(self.erasing.not_before)
        } else {
            When::Later
        }
    }

    fn erase(&mut self) {
        let Some(learner) = &self.learner else { return };
        self.erasing.running = true;
        self.erasing_due = false;
        let learnt = (learner.engine.view(), learner.position);
        let (registry, namespace) = (self.registry.clone(), self.namespace.clone());
        let stop = self.duties.clone();
        self.jobs.spawn(async move {
            Done::Erased(erasing::erase(&registry, &namespace, learnt, &stop).await)
        });
    }

    fn learn(&mut self) {
        let Some(mut learner) = self.learner.take() else { return };
        self.look = false;
        let with = &self.registry.with;
        with.metrics.set_lag(self.slot.name.as_str(), self.namespace.lag());
        let (pool, log) = (with.workers.learning.clone(), with.stores.log.clone());
        let (namespace, metrics) = (self.namespace.clone(), with.metrics.clone());
        self.jobs.spawn(async move {
            let work = move || {
                let learnt = learner.learn_some(&namespace, &*log, &metrics);
                (learner, learnt)
            };
            match pool.run(work).await {
                Ok((learner, learnt)) => Done::Learnt(Some(learner), learnt),
                Err(_panicked) => Done::Learnt(None, Err(Stopped::Panicked)),
            }
        });
    }

    fn set_settings(&mut self) {
        let Some(learner) = &self.learner else { return };
        let Some(change) = self.due_settings(learner) else {
            self.settings_due = false;
            return;
        };
        self.settings_job.running = true;
        let records = vec![Record::SettingsSet(change)];
        let (writer, tail) = (self.registry.with.writer.clone(), self.namespace.tail.clone());
        self.jobs.spawn(async move {
            let written = tokio::time::timeout(SETTINGS_TIMEOUT, writer.append(&tail, records));
            Done::Settings(match written.await {
                Ok(written) => written.map(|appended| appended.log_end),
                Err(_elapsed) => Err(Error::Overloaded("the settings were not written in time")),
            })
        });
    }

    fn store_snapshot(&mut self) {
        let Some(learner) = &self.learner else { return };
        self.snapshots.running = true;
        let storing = snapshot(&self.registry, &self.namespace, learner, None);
        self.jobs.spawn(async move { Done::Snapshot(storing.await) });
    }

    fn project(&mut self) {
        self.projecting.running = true;
        let with = &self.registry.with;
        let (pool, stores) = (with.workers.projecting.clone(), with.stores.clone());
        let partition = self.namespace.tail.partition.clone();
        let (duties, shutdown) = (self.duties.clone(), with.shutdown.clone());
        let clear = std::mem::take(&mut self.projection_is_wrong);
        self.jobs.spawn(async move {
            let work = move || {
                if clear {
                    keeping::clear_projection(&stores, &partition)?;
                }
                keeping::project_all(&stores, &partition, || {
                    duties.is_cancelled() || shutdown.is_cancelled()
                })
            };
            Done::Projected(pool.run(work).await.unwrap_or_else(|panicked| Err(failed(&panicked))))
        });
    }

    fn backfill(&mut self) {
        let Some(fence) = self.lead.fence() else { return };
        self.backfilling.running = true;
        let (registry, namespace) = (self.registry.clone(), self.namespace.clone());
        let stop = self.duties.clone();
        self.jobs.spawn(async move {
            Done::Backfilled(backfilling::backfill(registry, namespace, fence, stop).await)
        });
    }

    /// Trains: because it is due, or because a caller waits for the reply.
    pub(super) fn train(&mut self, reply: Option<training::Reply>) {
        let now = self.registry.with.clock.now();
        let positives = self.namespace.view().counts().positives;
        let attempt = Attempt { positives, at: now };
        self.set_training(true);
        let (registry, namespace) = (self.registry.clone(), self.namespace.clone());
        // What was asked for goes on when the lead is lost.
        let stop = if reply.is_some() { &self.asked } else { &self.duties };
        let stop = stop.child_token();
        let effort = match (&reply, self.model_due) {
            (Some(_), _) => Effort::Search,
            (None, Some(due)) if due <= now => Effort::Replace,
            (None, _) => Effort::WhenDue,
        };
        self.jobs.spawn(async move {
            Done::Trained(attempt, training::train(registry, namespace, stop, reply, effort).await)
        });
    }

    pub(super) fn set_training(&mut self, training: bool) {
        self.is_training = training;
        self.namespace.change(|condition| condition.training = training);
    }
}

/// The error of a duty that panicked.
pub fn failed(panicked: &Error) -> storage::Error {
    storage::Error::Unavailable { reason: panicked.to_string() }
}
