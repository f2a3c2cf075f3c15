//! How wanted each item is, over the long run and just now.
//!
//! Forward decay with one landmark for all items: an event at `t` adds
//! `w * 2^((t - landmark) / half_life)`, and one scale turns the stored sums of all
//! items into those of any instant. So ranking many items computes no exponential,
//! and an event touches its own item only. When an exponent grows large, the
//! landmark moves and every stored sum is scaled once.
//! Source: Cormode et al., "Forward Decay" (ICDE 2009).

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::numeric::math;
use crate::state::column::Column;

/// Exponent at which a landmark moves; f32 reaches to 2^127.
const EXPONENT_MAX: f64 = 60.0;
/// Exponent of a candidate's own mass in the co-occurrence score.
const CANDIDATE_EXPONENT: f64 = 0.3;
/// Activity counts half after this many further positives of everybody: the same for a
/// catalogue of ten events a day as for one of ten a second.
const ACTIVITY_HALF_LIFE: f64 = 2_000.0;

/// Evidence about one item, or about all of them together. The decayed sums are as
/// of the landmarks of [`Popularity`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ItemStatistics {
    popularity: f32,
    trend: f32,
    cooccurrence: f32,
    activity: f32,
    /// `cooccurrence^-0.3`, 0 for none.
    cooccurrence_weight: f32,
    /// `ln(1 + positives)`.
    pub log_positives: f32,
    /// Positive interactions ever.
    pub positives: u32,
    /// Interactions of every type but impressions.
    pub interactions: u32,
    pub impressions: u32,
    /// Places in answers.
    pub shown: u32,
    /// Places in answers that led to a reward.
    pub rewarded: u32,
}

impl ItemStatistics {
    fn add(&mut self, weight: f32, starts: bool, growth: [f32; 4]) {
        self.popularity += weight * growth[0];
        self.trend += weight * growth[1];
        if !starts {
            return;
        }
        self.cooccurrence += growth[2];
        self.activity += growth[3];
        self.positives = self.positives.saturating_add(1);
        self.log_positives = math::log1p_f32(self.positives as f32);
        self.weigh();
    }

    fn scale(&mut self, by: [f32; 3]) {
        self.popularity *= by[0];
        self.trend *= by[1];
        self.cooccurrence *= by[2];
        self.weigh();
    }

    fn weigh(&mut self) {
        let mass = f64::from(self.cooccurrence);
        self.cooccurrence_weight =
            if mass > 0.0 { math::pow(mass, -CANDIDATE_EXPONENT) as f32 } else { 0.0 };
    }
}

/// Statistics of all items on common landmarks.
#[derive(Debug, Clone, Default)]
pub struct Popularity {
    pub items: Column<ItemStatistics>,
    pub totals: ItemStatistics,
    /// Of popularity, trend and co-occurrence.
    pub landmarks: [Timestamp; 3],
    /// Positives at which the stored activity stands.
    pub activity_landmark: u32,
}

/// What turns stored sums into those of an instant.
#[derive(Debug, Clone, Copy)]
pub struct Scales {
    popularity: f32,
    trend: f32,
    cooccurrence: f32,
    cooccurrence_weight: f32,
    activity: f32,
}

fn half_lives(settings: &Settings) -> [f32; 3] {
    [
        settings.popularity_half_life_hours,
        settings.trend_half_life_hours,
        settings.cooccurrence_half_life_hours,
    ]
}

impl Popularity {
    /// Adds a rise of evidence. `starts`: whether it begins a positive, which counts as one.
    pub fn add_rise(
        &mut self,
        item: u32,
        weight: f32,
        starts: bool,
        at: Timestamp,
        settings: &Settings,
    ) {
        if self.totals.positives == 0 {
            self.landmarks = [at; 3];
        }
        let half_lives = half_lives(settings);
        let exponents: [f64; 3] = std::array::from_fn(|place| {
            at.hours_since(self.landmarks[place]) / f64::from(half_lives[place])
        });
        if exponents.iter().any(|&exponent| exponent > EXPONENT_MAX) {
            self.move_landmarks(at, settings);
            return self.add_rise(item, weight, starts, at, settings);
        }
        let [popularity, trend, cooccurrence] =
            exponents.map(|exponent| math::exp2_f32(exponent as f32));
        let growth = [popularity, trend, cooccurrence, self.activity_growth()];
        self.items.get_mut(item as usize).add(weight, starts, growth);
        self.totals.add(weight, starts, growth);
    }

    /// What the next positive adds to activity; moves its landmark now and then.
    fn activity_growth(&mut self) -> f32 {
        let since = f64::from(self.totals.positives - self.activity_landmark) / ACTIVITY_HALF_LIFE;
        if since <= EXPONENT_MAX {
            return math::exp2_f32(since as f32);
        }
        let by = math::exp2_f32(-since as f32);
        for item in 0..self.items.len() {
            self.items.get_mut(item).activity *= by;
        }
        self.totals.activity *= by;
        self.activity_landmark = self.totals.positives;
        1.0
    }

    /// Makes `at` the landmark; every sum keeps its value. Also what a change of
    /// half-lives needs before and nothing after.
    pub fn move_landmarks(&mut self, at: Timestamp, settings: &Settings) {
        let half_lives = half_lives(settings);
        let by: [f32; 3] = std::array::from_fn(|place| {
            let hours = at.hours_since(self.landmarks[place]);
            math::exp2_f32((-hours / f64::from(half_lives[place])) as f32)
        });
        for item in 0..self.items.len() {
            self.items.get_mut(item).scale(by);
        }
        self.totals.scale(by);
        self.landmarks = [at; 3];
    }

    /// The item's share of everybody's decayed positive weights, 0 to 1.
    pub fn share(&self, item: u32) -> f32 {
        let total = self.totals.popularity;
        if total > 0.0 { self.items[item as usize].popularity / total } else { 0.0 }
    }

    /// The scales of an instant.
    pub fn scales(&self, now: Timestamp, settings: &Settings) -> Scales {
        let half_lives = half_lives(settings);
        let exponents: [f64; 3] = std::array::from_fn(|place| {
            -now.hours_since(self.landmarks[place]) / f64::from(half_lives[place])
        });
        let [popularity, trend, cooccurrence] =
            exponents.map(|exponent| math::exp2_f32(exponent as f32));
        let weight = math::exp2_f32((-CANDIDATE_EXPONENT * exponents[2]) as f32);
        let since = self.totals.positives - self.activity_landmark;
        let activity = math::exp2_f32((-f64::from(since) / ACTIVITY_HALF_LIFE) as f32);
        Scales { popularity, trend, cooccurrence, cooccurrence_weight: weight, activity }
    }
}

impl Scales {
    /// Decayed sum of positive weights, long half-life.
    pub fn popularity(&self, statistics: &ItemStatistics) -> f32 {
        statistics.popularity * self.popularity
    }

    /// Decayed sum of positive weights, short half-life.
    pub fn trend(&self, statistics: &ItemStatistics) -> f32 {
        statistics.trend * self.trend
    }

    /// Number of positive interactions, each counting half after 2,000 further ones.
    pub fn activity(&self, statistics: &ItemStatistics) -> f32 {
        statistics.activity * self.activity
    }

    /// Decayed number of positive interactions, on the time scale of the
    /// co-occurrence counts that it normalises.
    pub fn cooccurrence_mass(&self, statistics: &ItemStatistics) -> f32 {
        statistics.cooccurrence * self.cooccurrence
    }

    /// That number to the power of -0.3; 0 for none.
    pub fn cooccurrence_weight(&self, statistics: &ItemStatistics) -> f32 {
        statistics.cooccurrence_weight * self.cooccurrence_weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_millis(number * Timestamp::DAY_MS)
    }

    fn two_items() -> Popularity {
        Popularity { items: (0..2).map(|_| Default::default()).collect(), ..Default::default() }
    }

    #[test]
    fn the_trend_forgets_faster_than_popularity() {
        let (settings, mut popularity) = (Settings::default(), two_items());
        popularity.add_rise(0, 1.0, true, day(0), &settings);
        let month = popularity.scales(day(30), &settings);
        let item = &popularity.items[0];
        assert!(month.trend(item) < 0.01);
        assert!(month.popularity(item) > 0.7);
        assert_eq!(item.positives, 1);
    }

    #[test]
    fn the_order_of_two_events_does_not_matter() {
        let settings = Settings::default();
        let trend = |days: [i64; 2]| {
            let mut popularity = two_items();
            for at in days {
                popularity.add_rise(0, 1.0, true, day(at), &settings);
            }
            popularity.scales(day(3), &settings).trend(&popularity.items[0])
        };
        assert!((trend([0, 3]) - trend([3, 0])).abs() < 1e-6);
    }

    #[test]
    fn moving_the_landmarks_over_decades_changes_no_value() {
        let (settings, mut popularity) = (Settings::default(), two_items());
        popularity.add_rise(0, 2.0, true, day(0), &settings);
        popularity.add_rise(1, 1.0, true, day(9_000), &settings);
        let now = popularity.scales(day(9_000), &settings);
        assert_eq!(now.popularity(&popularity.items[1]), 1.0);
        assert_eq!(now.trend(&popularity.items[0]), 0.0);
        assert_eq!(popularity.landmarks, [day(9_000); 3]);
    }

    #[test]
    fn the_candidate_weight_is_the_documented_power() {
        let (settings, mut popularity) = (Settings::default(), two_items());
        for at in [0, 10, 20] {
            popularity.add_rise(0, 1.0, true, day(at), &settings);
        }
        let now = popularity.scales(day(25), &settings);
        let item = &popularity.items[0];
        let expected = now.cooccurrence_mass(item).powf(-0.3);
        assert!((now.cooccurrence_weight(item) - expected).abs() < 1e-5);
        assert_eq!(now.cooccurrence_weight(&popularity.items[1]), 0.0);
    }
}
