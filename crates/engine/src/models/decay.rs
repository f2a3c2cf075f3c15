//! Exponentially decayed sums over named things, by forward decay.
//!
//! A row keeps each value as it would stand at a common landmark: an event at time
//! `t` adds `w * 2^((t - landmark) / half_life)`. Nothing is swept as time passes,
//! events may come late or out of order, and the values of a row compare at any
//! instant without being touched. The landmark moves when an exponent grows large.
//! Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay" (ICDE 2009).
//!
//! Cost: 8 bytes an entry; one binary search and one `exp2` an event.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::numeric::math;

/// Exponent at which the landmark moves: f32 keeps 24 bits around it either way.
const EXPONENT_MAX: f64 = 32.0;

/// What a weight added at `from` is worth at `to`: 1 at the same instant, half
/// after one half-life.
pub fn decay(from: Timestamp, to: Timestamp, half_life_hours: f32) -> f32 {
    if from == to {
        return 1.0;
    }
    math::exp2_f32((-to.hours_since(from) / f64::from(half_life_hours)) as f32)
}

/// Decayed sums by key.
///
/// - Entries are in the order of their keys, at most the capacity given to `add`.
/// - `total` is the decayed sum of all absolute weights ever added, dropped
///   entries included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecayedRow {
    landmark: Timestamp,
    total: f32,
    entries: Vec<(u32, f32)>,
}

impl DecayedRow {
    /// Adds `weight` to `key` at time `at`. Over `capacity` entries the one of
    /// least absolute value makes room.
    pub fn add(
        &mut self,
        key: u32,
        weight: f32,
        at: Timestamp,
        half_life_hours: f32,
        capacity: usize,
    ) {
        let weight_at_landmark = weight * self.growth(at, half_life_hours);
        self.total += weight_at_landmark.abs();
        match self.entries.binary_search_by_key(&key, |entry| entry.0) {
            Ok(found) => self.entries[found].1 += weight_at_landmark,
            Err(place) => {
                self.entries.insert(place, (key, weight_at_landmark));
                if self.entries.len() > capacity {
                    self.drop_least(key);
                }
            }
        }
    }

    /// 2^((at - landmark) / half-life), after moving the landmark if need be.
    fn growth(&mut self, at: Timestamp, half_life_hours: f32) -> f32 {
        if self.entries.is_empty() {
            self.landmark = at;
            self.total = 0.0;
            return 1.0;
        }
        let exponent = at.hours_since(self.landmark) / f64::from(half_life_hours);
        if exponent <= EXPONENT_MAX {
            return math::exp2(exponent) as f32;
        }
        let scale = math::exp2(-exponent) as f32;
        for entry in &mut self.entries {
            entry.1 *= scale;
        }
        self.total *= scale;
        self.landmark = at;
        1.0
    }

    /// Drops the smallest entry but never `newest`: a newcomer gets its chance.
    fn drop_least(&mut self, newest: u32) {
        let least = (0..self.entries.len())
            .filter(|&place| self.entries[place].0 != newest)
            .min_by(|&a, &b| self.entries[a].1.abs().total_cmp(&self.entries[b].1.abs()));
        if let Some(least) = least {
            self.entries.remove(least);
        }
    }

    /// Factor that turns a stored value into its value at `now`.
    pub fn scale(&self, now: Timestamp, half_life_hours: f32) -> f32 {
        decay(self.landmark, now, half_life_hours)
    }

    /// The stored value of `key`, to be multiplied with [`Self::scale`].
    pub fn stored(&self, key: u32) -> f32 {
        self.entries
            .binary_search_by_key(&key, |entry| entry.0)
            .map_or(0.0, |place| self.entries[place].1)
    }

    /// Drops the entries of keys that `keeps` denies; the total stays.
    pub fn retain(&mut self, keeps: impl Fn(u32) -> bool) {
        self.entries.retain(|entry| keeps(entry.0));
    }

    /// Stored values by key.
    pub fn entries(&self) -> &[(u32, f32)] {
        &self.entries
    }

    /// Stored sum of all absolute weights, to be multiplied with [`Self::scale`].
    pub fn total(&self) -> f32 {
        self.total
    }

    /// [`Self::share`] of every key, by key.
    pub fn shares(&self, now: Timestamp, half_life_hours: f32, prior_mass: f32) -> Vec<(u32, f32)> {
        let scale = self.scale(now, half_life_hours);
        let total = self.total * scale + prior_mass;
        self.entries.iter().map(|&(key, stored)| (key, stored * scale / total)).collect()
    }

    /// Share of `key` in the total, shrunk towards 0 by a prior mass: in -1..=1.
    pub fn share(&self, key: u32, now: Timestamp, half_life_hours: f32, prior_mass: f32) -> f32 {
        if self.entries.is_empty() {
            return 0.0;
        }
        let scale = self.scale(now, half_life_hours);
        self.stored(key) * scale / (self.total * scale + prior_mass)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF_LIFE: f32 = 24.0;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_millis(number * Timestamp::DAY_MS)
    }

    fn value(row: &DecayedRow, key: u32, now: Timestamp) -> f32 {
        row.stored(key) * row.scale(now, HALF_LIFE)
    }

    #[test]
    fn a_weight_halves_with_every_half_life() {
        let mut row = DecayedRow::default();
        row.add(7, 1.0, day(0), HALF_LIFE, 10);
        assert_eq!(value(&row, 7, day(0)), 1.0);
        assert_eq!(value(&row, 7, day(3)), 0.125);
    }

    #[test]
    fn a_late_event_counts_for_what_it_would_be_worth_by_now() {
        let mut row = DecayedRow::default();
        row.add(1, 1.0, day(5), HALF_LIFE, 10);
        row.add(1, 1.0, day(4), HALF_LIFE, 10);
        assert_eq!(value(&row, 1, day(5)), 1.5);
    }

    #[test]
    fn moving_the_landmark_over_decades_changes_no_value() {
        let mut row = DecayedRow::default();
        row.add(1, 1.0, day(0), HALF_LIFE, 10);
        row.add(2, 4.0, day(10_000), HALF_LIFE, 10);
        assert_eq!(value(&row, 2, day(10_001)), 2.0);
        assert_eq!(value(&row, 1, day(10_001)), 0.0);
    }

    #[test]
    fn the_least_entry_makes_room_but_never_the_newcomer() {
        let mut row = DecayedRow::default();
        for (key, weight) in [(1, 3.0), (2, 1.0), (3, 2.0), (4, 0.5)] {
            row.add(key, weight, day(0), HALF_LIFE, 3);
        }
        let keys: Vec<u32> = row.entries().iter().map(|entry| entry.0).collect();
        assert_eq!(keys, [1, 3, 4]);
    }

    proptest! {
        #[test]
        fn a_share_lies_between_minus_one_and_one(
            events in prop::collection::vec((0..5_u32, -300..300_i32, 0..400_i64), 1..60)
        ) {
            let mut row = DecayedRow::default();
            for (key, weight, at) in events {
                row.add(key, weight as f32 / 100.0, day(at), HALF_LIFE, 4);
            }
            for key in 0..5 {
                let share = row.share(key, day(400), HALF_LIFE, 1.0);
                prop_assert!((-1.0..=1.0).contains(&share), "{share}");
            }
        }
    }
}
