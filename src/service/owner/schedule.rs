//! When a training is due.
//!
//! - By what is new since the last attempt, whatever came of it, as the engine counts it; at
//!   least daily when anything is.
//! - Each failure in a row doubles what must be new and the time to wait. A namespace
//!   without enough to train on is not tried at all.
//! - Pure: time comes from outside.

use engine::Staleness;
use engine::domain::Timestamp;

/// The wait after the first failure, and the longest.
const RETRY_MS: i64 = 30_000;
const RETRY_MS_MAX: i64 = Timestamp::DAY_MS;
/// Doublings of what must be new, at most.
const DOUBLINGS_MAX: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Now,
    /// Then, if nothing more comes.
    At(Timestamp),
    /// Not before something comes.
    Later,
}

/// A training that began.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// Positives learnt by then.
    pub positives: u64,
    pub at: Timestamp,
}

/// What was tried here, and what came of it.
#[derive(Debug)]
pub struct Schedule {
    opened_at: Timestamp,
    last: Option<Attempt>,
    failures: u32,
    not_before: Timestamp,
    cause: Option<&'static str>,
}

impl Schedule {
    pub fn new(opened_at: Timestamp) -> Self {
        let not_before = Timestamp::from_millis(i64::MIN);
        Self { opened_at, last: None, failures: 0, not_before, cause: None }
    }

    /// `model_due`: when a model must replace the serving one, whatever is new.
    pub fn due(&self, stale: Staleness, model_due: Option<Timestamp>, now: Timestamp) -> Due {
        let due = self.due_by_news(stale, now);
        let Some(at) = model_due.filter(|_| stale.is_trainable()) else { return due };
        let at = at.max(self.not_before);
        match due {
            Due::Now => Due::Now,
            _ if now >= at => Due::Now,
            Due::At(sooner) if sooner < at => due,
            Due::At(_) | Due::Later => Due::At(at),
        }
    }

    fn due_by_news(&self, stale: Staleness, now: Timestamp) -> Due {
        let fresh = self.fresh(stale);
        if !stale.is_trainable() || fresh == 0 {
            return Due::Later;
        }
        let enough = stale.enough().saturating_mul(1 << self.failures.min(DOUBLINGS_MAX));
        let at = if fresh >= enough {
            self.not_before
        } else {
            let last = self.last.map(|attempt| attempt.at).max(stale.published_at);
            self.not_before.max(Staleness::due_by_age(last.unwrap_or(self.opened_at)))
        };
        if now >= at { Due::Now } else { Due::At(at) }
    }

    /// Positives that no attempt has seen; before the first one here, what came since
    /// the serving model.
    fn fresh(&self, stale: Staleness) -> u64 {
        let since_attempt = self.last.map_or(0, |attempt| attempt.positives.min(stale.positives));
        stale.new_positives.min(stale.positives - since_attempt)
    }

    pub fn succeeded(&mut self, attempt: Attempt) {
        self.last = Some(attempt);
        (self.failures, self.cause) = (0, None);
        self.not_before = attempt.at;
    }

    /// Returns whether the cause is another one than that of the failure before.
    pub fn failed(&mut self, attempt: Attempt, cause: &'static str, now: Timestamp) -> bool {
        self.last = Some(attempt);
        let wait = RETRY_MS.saturating_mul(1 << self.failures.min(20)).min(RETRY_MS_MAX);
        self.not_before = now.plus_millis(wait);
        self.failures = self.failures.saturating_add(1);
        self.cause.replace(cause) != Some(cause)
    }

    /// Waits a little, without having tried: another replica does it now.
    pub fn postpone(&mut self, now: Timestamp) {
        self.not_before = self.not_before.max(now.plus_millis(RETRY_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000 + seconds)
    }

    /// So many positives, all of them new.
    fn facts(positives: u64) -> Staleness {
        Staleness {
            positives,
            new_positives: positives,
            mass: positives as f64,
            published_at: None,
        }
    }

    #[test]
    fn without_positives_nothing_is_ever_tried() {
        let schedule = Schedule::new(at(0));
        let facts = Staleness { positives: 19, ..facts(1_000_000) };
        assert_eq!(schedule.due(facts, None, at(100 * 86_400)), Due::Later);
    }

    #[test]
    fn five_hundred_new_positives_are_due_and_a_tenth_of_many() {
        let schedule = Schedule::new(at(0));
        assert_eq!(schedule.due(facts(499), None, at(1)), Due::At(at(86_400)));
        assert_eq!(schedule.due(facts(500), None, at(1)), Due::Now);
        let many = |new_positives| Staleness { new_positives, ..facts(50_000) };
        assert_ne!(schedule.due(many(4_999), None, at(1)), Due::Now);
        assert_eq!(schedule.due(many(5_000), None, at(1)), Due::Now);
    }

    #[test]
    fn anything_new_is_due_a_day_after_the_last_training_and_nothing_new_never() {
        let schedule = Schedule::new(at(0));
        let model = |new_positives| Staleness {
            new_positives,
            published_at: Some(at(500)),
            ..facts(100_000)
        };
        assert_eq!(schedule.due(model(1), None, at(600)), Due::At(at(500 + 86_400)));
        assert_eq!(schedule.due(model(1), None, at(500 + 86_400)), Due::Now);
        assert_eq!(schedule.due(model(0), None, at(500 + 86_400)), Due::Later);
    }

    #[test]
    fn each_failure_doubles_the_records_and_the_time() {
        let mut schedule = Schedule::new(at(0));
        let mut now = at(0);
        let mut positives = 1_000;
        let mut waits = Vec::new();
        for _ in 0..3 {
            assert_eq!(schedule.due(facts(positives), None, now), Due::Now);
            schedule.failed(Attempt { positives, at: now }, "not_better", now);
            // Enough is new, but the time is not over.
            let Due::At(next) = schedule.due(facts(1_000_000_000), None, now) else { panic!() };
            waits.push((next.as_millis() - now.as_millis()) / 1_000);
            // The time is over, but not enough is new.
            let needed = 500 << waits.len();
            assert_ne!(schedule.due(facts(positives + needed - 1), None, next), Due::Now);
            positives += needed;
            now = next;
        }
        assert_eq!(waits, [30, 60, 120]);
        schedule.succeeded(Attempt { positives, at: now });
        let after = Staleness { new_positives: 10, ..facts(positives + 10) };
        assert_eq!(schedule.due(after, None, now), Due::At(now.plus_millis(86_400_000)));
        assert_eq!(schedule.due(facts(positives + 10_000), None, now), Due::Now);
    }

    #[test]
    fn in_a_thousand_seconds_of_failures_few_trainings_are_tried() {
        let mut schedule = Schedule::new(at(0));
        let mut tried = 0;
        let mut positives = 1_200;
        for second in 0..1_000 {
            positives += 5;
            if schedule.due(facts(positives), None, at(second)) == Due::Now {
                tried += 1;
                schedule.failed(Attempt { positives, at: at(second) }, "not_better", at(second));
            }
        }
        assert!((1..=3).contains(&tried), "{tried}");
    }

    #[test]
    fn the_same_cause_is_news_once() {
        let mut schedule = Schedule::new(at(0));
        let attempt = Attempt { positives: 1, at: at(0) };
        let told: Vec<bool> = ["not_better", "not_better", "diverged", "diverged"]
            .map(|cause| schedule.failed(attempt, cause, at(0)))
            .to_vec();
        assert_eq!(told, [true, false, true, false]);
    }
}
