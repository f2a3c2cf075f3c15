//! How wanted each item is, over the long run and just now.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::engine::decay::decay;

/// Evidence about one item, or about all of them together.
///
/// The decayed sums hold as of `at`; all three move to a later event's time at
/// once, and a late event adds what it would be worth by `at`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemStatistics {
    at: Timestamp,
    popularity: f32,
    trend: f32,
    cooccurrence: f32,
    /// Positive interactions ever.
    pub positives: u32,
    /// Interactions of every type but impressions.
    pub interactions: u32,
    pub impressions: u32,
}

impl ItemStatistics {
    /// Counts a positive interaction of the given weight.
    pub fn add_positive(&mut self, weight: f32, at: Timestamp, settings: &Settings) {
        if at > self.at {
            self.popularity *= decay(self.at, at, settings.popularity_half_life_hours);
            self.trend *= decay(self.at, at, settings.trend_half_life_hours);
            self.cooccurrence *= decay(self.at, at, settings.cooccurrence_half_life_hours);
            self.at = at;
        }
        self.popularity += weight * decay(at, self.at, settings.popularity_half_life_hours);
        self.trend += weight * decay(at, self.at, settings.trend_half_life_hours);
        self.cooccurrence += decay(at, self.at, settings.cooccurrence_half_life_hours);
        self.positives = self.positives.saturating_add(1);
    }

    /// Decayed sum of positive weights at `now`, long half-life.
    pub fn popularity(&self, now: Timestamp, settings: &Settings) -> f32 {
        self.popularity * decay(self.at, now, settings.popularity_half_life_hours)
    }

    /// Decayed sum of positive weights at `now`, short half-life.
    pub fn trend(&self, now: Timestamp, settings: &Settings) -> f32 {
        self.trend * decay(self.at, now, settings.trend_half_life_hours)
    }

    /// Decayed number of positive interactions at `now`, on the time scale of the
    /// co-occurrence counts that it normalises.
    pub fn cooccurrence_mass(&self, now: Timestamp, settings: &Settings) -> f32 {
        self.cooccurrence * decay(self.at, now, settings.cooccurrence_half_life_hours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trend_forgets_faster_than_popularity() {
        let settings = Settings::default();
        let mut statistics = ItemStatistics::default();
        statistics.add_positive(1.0, Timestamp::from_millis(0), &settings);
        let month = Timestamp::from_millis(30 * Timestamp::DAY_MS);
        assert!(statistics.trend(month, &settings) < 0.01);
        assert!(statistics.popularity(month, &settings) > 0.7);
        assert_eq!(statistics.positives, 1);
    }

    #[test]
    fn the_order_of_two_events_does_not_matter() {
        let settings = Settings::default();
        let (early, late) =
            (Timestamp::from_millis(0), Timestamp::from_millis(3 * Timestamp::DAY_MS));
        let sum = |times: [Timestamp; 2]| {
            let mut statistics = ItemStatistics::default();
            for at in times {
                statistics.add_positive(1.0, at, &settings);
            }
            statistics.trend(late, &settings)
        };
        assert!((sum([early, late]) - sum([late, early])).abs() < 1e-6);
    }
}
