//! When a training is due.
//!
//! - By the positives since the serving model was trained, against those of all times with older
//!   ones counting less: of a stream of constant rate the share of the new ones does not fall as
//!   the log grows.
//! - At the latest when the serving model is a day old, if anything is new.
//! - The mass is a fold over trainings, kept with each model: that of the training before, decayed,
//!   and what was new. So it costs nothing between them.

use crate::domain::Timestamp;
use crate::models::decay::decay;
use crate::state::View;
use crate::training::progress::TRAINING_POSITIVES_MIN;

/// After which a positive counts half.
const HALF_LIFE_HOURS: f32 = 24.0 * 30.0;
/// Fewest new positives that are worth a training before the model is old.
const NEW_MIN: u64 = 500;
/// New positives as a share of the mass that are.
const NEW_SHARE: f64 = 0.1;
/// A model is old from this age on.
const AGE_MAX_MS: i64 = Timestamp::DAY_MS;

/// How far the serving model is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Staleness {
    /// Positives learnt ever.
    pub positives: u64,
    /// Of these, those since the serving model was trained; all of them without one.
    pub new_positives: u64,
    /// All of them, older ones counting less.
    pub mass: f64,
    /// When the serving model was published.
    pub published_at: Option<Timestamp>,
}

impl Staleness {
    pub fn of(view: &View) -> Self {
        let positives = view.counts.positives;
        let Some(model) = view.model() else {
            let mass = positives as f64;
            return Self { positives, new_positives: positives, mass, published_at: None };
        };
        let origin = &model.origin;
        let new_positives = positives.saturating_sub(origin.positives);
        let left = decay(origin.trained_until, view.clock, HALF_LIFE_HOURS).clamp(0.0, 1.0);
        let mass = origin.positive_mass * f64::from(left) + new_positives as f64;
        Self { positives, new_positives, mass, published_at: Some(model.published_at) }
    }

    /// New positives from which on a training is due whatever the age of the model.
    pub fn enough(&self) -> u64 {
        NEW_MIN.max((self.mass * NEW_SHARE) as u64)
    }

    /// Whether anything could come of a training.
    pub fn is_trainable(&self) -> bool {
        self.is_enough() && self.new_positives > 0
    }

    /// Whether there are enough positives to train on.
    pub fn is_enough(&self) -> bool {
        self.positives >= TRAINING_POSITIVES_MIN as u64
    }

    /// When what is new is due without anything more, for a model of this time or, without one,
    /// positives that wait since then.
    pub fn due_by_age(since: Timestamp) -> Timestamp {
        since.plus_millis(AGE_MAX_MS)
    }

    /// Whether a training is due. A namespace without a model waits for enough positives.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_old = self.published_at.is_some_and(|at| now >= Self::due_by_age(at));
        self.is_trainable() && (self.new_positives >= self.enough() || is_old)
    }
}

/// Whether a view calls for a training at `now`.
pub fn is_due(view: &View, now: Timestamp) -> bool {
    Staleness::of(view).is_due(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

    fn staleness(new_positives: u64, mass: f64) -> Staleness {
        let published_at = Some(NOW);
        Staleness { positives: 1_000_000_000, new_positives, mass, published_at }
    }

    #[test]
    fn what_is_new_is_due_by_its_share_of_what_still_counts() {
        assert!(!staleness(499, 0.0).is_due(NOW) && staleness(500, 0.0).is_due(NOW));
        assert!(!staleness(999, 10_000.0).is_due(NOW) && staleness(1_000, 10_000.0).is_due(NOW));
    }

    #[test]
    fn a_day_old_model_is_due_with_anything_new_and_never_without() {
        let later = Staleness::due_by_age(NOW);
        assert!(staleness(1, 1e9).is_due(later) && !staleness(1, 1e9).is_due(NOW));
        assert!(!staleness(0, 1e9).is_due(later));
        let first = Staleness { positives: 19, published_at: None, ..staleness(19, 19.0) };
        assert!(!first.is_due(later), "too few to train on");
    }

    #[test]
    fn trainings_of_a_steady_stream_do_not_grow_rarer() {
        // A thousand positives a day for three years, the age apart.
        let (mut mass, mut new, mut pauses, mut days) = (0.0, 0_u64, Vec::new(), 0);
        for _ in 0..3 * 365 {
            (new, days) = (new + 1_000, days + 1);
            let left = f64::from(decay(NOW, NOW.plus_millis(days * AGE_MAX_MS), HALF_LIFE_HOURS));
            let now = staleness(new, mass * left + new as f64);
            if new >= now.enough() {
                pauses.push(days);
                (mass, new, days) = (now.mass, 0, 0);
            }
        }
        let longest = pauses.iter().max().unwrap();
        assert!(*longest <= 6, "{pauses:?}");
        assert_eq!(pauses.last(), Some(longest), "it is steady in the end");
    }
}
