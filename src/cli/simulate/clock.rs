//! When things happen: rounds as times before now, so that the server takes them for what just was.

use engine::domain::Timestamp;
use engine::evaluation::simulation::Item;
use engine::evaluation::simulation::Kind;
use engine::evaluation::simulation::Settings;
use engine::evaluation::simulation::Visit;

/// How long ago goods appeared that are there from the start.
const LONG_AGO_MS: i64 = 365 * Timestamp::DAY_MS;

/// The time of each round; the last one ends now.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    kind: Kind,
    start: Timestamp,
    round_ms: i64,
}

impl Clock {
    pub fn ending(now: Timestamp, settings: &Settings) -> Self {
        let round_ms = match settings.kind {
            Kind::News => Timestamp::DAY_MS / 4,
            Kind::Shop => Timestamp::DAY_MS,
        };
        let start = now.plus_millis(-round_ms * i64::from(settings.rounds));
        Self { kind: settings.kind, start, round_ms }
    }

    pub fn visit(&self, visit: &Visit) -> Timestamp {
        let within = (visit.moment * self.round_ms as f64) as i64;
        self.start.plus_millis(self.round_ms * i64::from(visit.round) + within)
    }

    pub fn published(&self, item: &Item) -> Timestamp {
        if self.kind == Kind::Shop && item.published == 0 {
            return self.start.plus_millis(-LONG_AGO_MS);
        }
        self.start.plus_millis(self.round_ms * item.published)
    }

    /// When the item is taken away, if ever.
    pub fn expires(&self, item: &Item) -> Option<Timestamp> {
        let life = i64::from(self.kind.life()?);
        Some(self.published(item).plus_millis(self.round_ms * life))
    }
}
