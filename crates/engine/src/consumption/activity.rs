//! How much a user did, in a few decayed sums: what is known of a user before an experiment.
//!
//! What a user does after entering an experiment is partly explained by what the user did before,
//! which no variant can have changed: CUPED takes that part out of the variance.
//! Sums halve every 14 days of event time, so they hold for users of a day and of a year.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::InteractionType;
use crate::domain::Timestamp;
use crate::numeric::math;

const HALF_LIFE_HOURS: f64 = 14.0 * 24.0;
/// Half-lives after which nothing is left that a float could tell.
const HALF_LIVES_MAX: f64 = 120.0;

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ActivityKind {
    /// Interactions but impressions.
    Events,
    Purchases,
    /// Values of purchases.
    PurchaseValues,
    DwellSeconds,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// In the order of [`ActivityKind`], as of `at`.
    sums: [f32; 4],
    at: Timestamp,
}

impl Activity {
    pub fn note(&mut self, kind: InteractionType, value: Option<f32>, at: Timestamp) {
        let now = at.max(self.at);
        // An event from before the last one has halved since.
        let mut left = [0.0; 4];
        let amount = 1.0 / decay(at, now);
        let value = value.unwrap_or(0.0) * amount;
        left[ActivityKind::Events as usize] = amount;
        match kind {
            InteractionType::Purchase => {
                left[ActivityKind::Purchases as usize] = amount;
                left[ActivityKind::PurchaseValues as usize] = value;
            }
            InteractionType::Dwell => left[ActivityKind::DwellSeconds as usize] = value,
            _ => {}
        }
        self.add(&left, now);
    }

    fn add(&mut self, more: &[f32; 4], now: Timestamp) {
        let before = decay(self.at, now);
        for (sum, more) in self.sums.iter_mut().zip(more) {
            *sum = *sum / before + more;
        }
        self.at = now;
    }

    /// A sum as of a time.
    pub fn sum(&self, kind: ActivityKind, now: Timestamp) -> f32 {
        self.sums[kind as usize] / decay(self.at, now.max(self.at))
    }

    /// Of two ids of one user.
    #[must_use]
    pub fn merged_with(&self, other: &Self) -> Self {
        let (mut merged, now) = (*self, self.at.max(other.at));
        let left = decay(other.at, now);
        merged.add(&other.sums.map(|sum| sum / left), now);
        merged
    }
}

/// By what a sum is divided between two times: 1 or more.
fn decay(from: Timestamp, to: Timestamp) -> f32 {
    let half_lives = (to.hours_since(from) / HALF_LIFE_HOURS).clamp(0.0, HALF_LIVES_MAX);
    math::exp2(half_lives) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_seconds(day * DAY)
    }

    #[test]
    fn sums_halve_in_two_weeks_and_late_events_count_as_of_their_time() {
        let mut activity = Activity::default();
        activity.note(InteractionType::Purchase, Some(8.0), at(1));
        activity.note(InteractionType::Dwell, Some(30.0), at(15));
        activity.note(InteractionType::Click, None, at(1));
        let sum = |kind| activity.sum(kind, at(15));
        assert_eq!(sum(ActivityKind::PurchaseValues), 4.0);
        assert_eq!(sum(ActivityKind::Purchases), 0.5);
        assert_eq!(sum(ActivityKind::DwellSeconds), 30.0);
        assert_eq!(sum(ActivityKind::Events), 2.0);
        assert_eq!(activity.sum(ActivityKind::DwellSeconds, at(29)), 15.0);
        let far = Timestamp::from_millis(i64::MAX);
        assert!(activity.sum(ActivityKind::Events, far) >= 0.0);
    }

    #[test]
    fn two_ids_of_one_user_have_the_sums_of_one_who_did_it_all() {
        let events = [(1, 2.0), (8, 3.0), (30, 5.0), (22, 1.0)];
        let (mut whole, mut parts) = (Activity::default(), [Activity::default(); 2]);
        for (number, (day, value)) in events.into_iter().enumerate() {
            for activity in [&mut whole, &mut parts[number % 2]] {
                activity.note(InteractionType::Purchase, Some(value), at(day));
            }
        }
        for merged in [parts[0].merged_with(&parts[1]), parts[1].merged_with(&parts[0])] {
            let kinds =
                [ActivityKind::Events, ActivityKind::Purchases, ActivityKind::PurchaseValues];
            for kind in kinds {
                let (merged, whole) = (merged.sum(kind, at(31)), whole.sum(kind, at(31)));
                assert!((merged - whole).abs() < 1e-5, "{merged} {whole}");
            }
        }
    }
}
