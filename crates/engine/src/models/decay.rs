//! Exponentially decayed sums over named things, by forward decay.
//!
//! Time is counted in half-lives: a [`DecayTime`] is the number of half-lives from 1970 to
//! an instant. [`HalfLives`] converts a timestamp. It knows which half-life applied
//! when, so a new setting counts from its day on and does not change stored values.
//!
//! A row keeps each value as of a common landmark: an event at time `t` adds
//! `w * 2^(t - landmark)`. No value is updated as time passes, events may come late or out
//! of order, and the values of a row compare at any instant. The landmark moves when an
//! exponent grows large.
//! Source: Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay" (ICDE 2009).
//!
//! - Every exponent of every decay goes through [`power`], which clamps it. So no time makes a
//!   sum infinite or all sums 0.
//! - Entries are rounded so that small weights are not lost when added to a large sum
//!   (`numeric::rounding`).
//!
//! Cost: 8 bytes an entry and 40 a row; one binary search and one `exp2` an event.
//! A [`HalfLives`] remembers its last 16 changes.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Timestamp;
use crate::numeric::math;
use crate::numeric::rounding;

/// Exponent at which the landmark of a row moves: f32 keeps 24 bits around it either way.
const EXPONENT_MAX: f64 = 32.0;
/// What is left of a sum, as a share of what was taken back, that may be rounding.
const ROUNDING_LEFT: f32 = 1e-3;
/// Half-lives after which a weight counts as forgotten; also the largest exponent.
pub const FORGOTTEN: f64 = 60.0;
/// Changes of a half-life that are remembered.
const CHANGES_MAX: usize = 16;

/// `2^half_lives`, with the exponent clamped to plus or minus [`FORGOTTEN`]; 1 for one that
/// is not a number.
pub fn power(half_lives: f64) -> f64 {
    if half_lives.is_nan() {
        return 1.0;
    }
    math::exp2(half_lives.clamp(-FORGOTTEN, FORGOTTEN))
}

/// The factor of a weight from `from` to `to`: 1 at the same instant, half
/// after one half-life.
pub fn decay(from: Timestamp, to: Timestamp, half_life_hours: f32) -> f32 {
    if from == to {
        return 1.0;
    }
    power(-to.hours_since(from) / f64::from(half_life_hours)) as f32
}

/// An instant, counted in half-lives from 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct DecayTime(f64);

impl DecayTime {
    /// Half-lives may count anything that only grows, for example events.
    pub const fn from_half_lives(half_lives: f64) -> Self {
        Self(half_lives)
    }

    /// Half-lives from `earlier` to `self`; negative when `self` comes first.
    pub fn since(self, earlier: Self) -> f64 {
        self.0 - earlier.0
    }

    /// The same instant for sums that decay this many times as fast.
    #[must_use]
    pub fn faster(self, times: f64) -> Self {
        Self(self.0 * times)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Segment {
    since: Timestamp,
    /// Half-lives up to `since`.
    passed: f64,
    hours: f32,
}

/// The half-lives of one kind of sums, and when each applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HalfLives {
    /// In the order of time, never empty, at most [`CHANGES_MAX`].
    segments: Vec<Segment>,
}

impl HalfLives {
    pub fn new(hours: f32) -> Self {
        Self { segments: vec![Segment { since: Timestamp::default(), passed: 0.0, hours }] }
    }

    /// The present half-life, in hours.
    pub fn hours(&self) -> f32 {
        self.last().hours
    }

    /// From `since` on another half-life holds: a time that lies before none that was asked for.
    pub fn change(&mut self, hours: f32, since: Timestamp) {
        let last = self.last();
        if last.hours == hours {
            return;
        }
        let since = since.max(last.since);
        let next = Segment { since, passed: self.at(since).0, hours };
        if since == last.since {
            self.segments.pop();
        }
        if self.segments.len() == CHANGES_MAX {
            self.segments.remove(0);
        }
        self.segments.push(next);
    }

    pub fn at(&self, time: Timestamp) -> DecayTime {
        let held = self.segments.partition_point(|segment| segment.since <= time);
        let segment = &self.segments[held.saturating_sub(1)];
        let hours = time.hours_since(segment.since);
        DecayTime(segment.passed + hours / f64::from(segment.hours))
    }

    fn last(&self) -> Segment {
        *self.segments.last().expect("there is a first half-life")
    }
}

/// Decayed sums by key.
///
/// - Entries are in the order of their keys, at most the capacity given to `add`.
/// - `total` is the decayed sum of all absolute weights ever added, dropped
///   entries included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecayedRow<K = u32> {
    landmark: DecayTime,
    total: f64,
    entries: Vec<(K, f32)>,
}

impl<K> Default for DecayedRow<K> {
    fn default() -> Self {
        Self { landmark: DecayTime::default(), total: 0.0, entries: Vec::new() }
    }
}

impl<K: Copy + Ord> DecayedRow<K> {
    /// Adds `weight` to `key` at time `at`. Over `capacity` entries the one of
    /// least absolute value is dropped.
    pub fn add(&mut self, key: K, weight: f32, at: DecayTime, capacity: usize) {
        let weight = f64::from(weight) * self.growth(at);
        self.total += weight.abs();
        match self.entries.binary_search_by_key(&key, |entry| entry.0) {
            Ok(found) => {
                let sum = &mut self.entries[found].1;
                *sum = rounding::add(*sum, weight, self.total.to_bits());
            }
            Err(index) => {
                let sum = rounding::add(0.0, weight, self.total.to_bits());
                self.entries.insert(index, (key, sum));
                if self.entries.len() > capacity {
                    self.drop_least(Some(key));
                }
            }
        }
    }

    /// Takes back a weight above 0 that was added to `key` at time `at`. An entry of which nothing but
    /// rounding is left is dropped. What was lost by dropping entries is not restored.
    pub fn take_back(&mut self, key: K, weight: f32, at: DecayTime) {
        let Ok(found) = self.entries.binary_search_by_key(&key, |entry| entry.0) else {
            return;
        };
        let weight = (f64::from(weight) * power(at.since(self.landmark))) as f32;
        let sum = &mut self.entries[found].1;
        *sum -= weight;
        if *sum <= weight * ROUNDING_LEFT {
            self.entries.remove(found);
        }
        self.total = (self.total - f64::from(weight)).max(0.0);
    }

    /// Multiplies all sums.
    pub fn scale_by(&mut self, factor: f32) {
        self.entries.iter_mut().for_each(|entry| entry.1 *= factor);
        self.total *= f64::from(factor);
    }

    /// Adds the sums of another row, as if all of its weights had been added here. Over
    /// `capacity` entries those of least absolute value are dropped.
    pub fn absorb(&mut self, other: &Self, capacity: usize) {
        if other.entries.is_empty() {
            return;
        }
        let mut other = other.clone();
        let landmark = if self.entries.is_empty() || other.landmark > self.landmark {
            other.landmark
        } else {
            self.landmark
        };
        for row in [&mut *self, &mut other] {
            row.move_to(landmark);
        }
        self.total += other.total;
        for (key, weight) in other.entries {
            match self.entries.binary_search_by_key(&key, |entry| entry.0) {
                Ok(found) => {
                    let sum = &mut self.entries[found].1;
                    *sum = (*sum + weight).clamp(f32::MIN, f32::MAX);
                }
                Err(index) => self.entries.insert(index, (key, weight)),
            }
        }
        while self.entries.len() > capacity {
            self.drop_least(None);
        }
    }

    /// Stores all sums as of this landmark; an empty row has none yet.
    fn move_to(&mut self, landmark: DecayTime) {
        if self.entries.is_empty() {
            self.total = 0.0;
        }
        let scale = power(-landmark.since(self.landmark));
        for entry in &mut self.entries {
            entry.1 = (f64::from(entry.1) * scale) as f32;
        }
        self.total *= scale;
        self.landmark = landmark;
    }

    /// 2^(at - landmark), after moving the landmark if need be.
    fn growth(&mut self, at: DecayTime) -> f64 {
        if self.entries.is_empty() {
            self.landmark = at;
            self.total = 0.0;
            return 1.0;
        }
        let exponent = at.since(self.landmark);
        if exponent <= EXPONENT_MAX {
            return power(exponent);
        }
        self.move_to(at);
        1.0
    }

    /// Drops the smallest entry but never `newest`: a new entry must be able to grow.
    fn drop_least(&mut self, newest: Option<K>) {
        let least = (0..self.entries.len())
            .filter(|&index| Some(self.entries[index].0) != newest)
            .min_by(|&a, &b| self.entries[a].1.abs().total_cmp(&self.entries[b].1.abs()));
        if let Some(least) = least {
            self.entries.remove(least);
        }
    }

    /// Factor that turns a stored value into its value at `now`, at most 1: before its
    /// landmark a row is read as of its landmark.
    pub fn scale(&self, now: DecayTime) -> f32 {
        power(-now.since(self.landmark).max(0.0)) as f32
    }

    /// The stored value of `key`, to be multiplied with [`Self::scale`].
    pub fn stored(&self, key: K) -> f32 {
        self.entries
            .binary_search_by_key(&key, |entry| entry.0)
            .map_or(0.0, |index| self.entries[index].1)
    }

    /// Drops the entries of keys that `keeps` denies; the total stays.
    pub fn retain(&mut self, keeps: impl Fn(K) -> bool) {
        self.entries.retain(|entry| keeps(entry.0));
    }

    /// Stored values by key.
    pub fn entries(&self) -> &[(K, f32)] {
        &self.entries
    }

    /// Stored sum of all absolute weights, to be multiplied with [`Self::scale`].
    pub fn total(&self) -> f32 {
        self.total as f32
    }

    /// [`Self::share`] of every key, by key.
    pub fn shares(&self, now: DecayTime, prior_mass: f32) -> Vec<(K, f32)> {
        let scale = self.scale(now);
        let total = self.total() * scale + prior_mass;
        self.entries.iter().map(|&(key, stored)| (key, stored * scale / total)).collect()
    }

    /// Share of `key` in the total, shrunk towards 0 by a prior mass: in -1..=1.
    pub fn share(&self, key: K, now: DecayTime, prior_mass: f32) -> f32 {
        if self.entries.is_empty() {
            return 0.0;
        }
        let scale = self.scale(now);
        self.stored(key) * scale / (self.total() * scale + prior_mass)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_millis(number * Timestamp::DAY_MS)
    }

    /// With a half-life of a day.
    fn at(number: i64) -> DecayTime {
        HalfLives::new(24.0).at(day(number))
    }

    fn value(row: &DecayedRow, key: u32, now: DecayTime) -> f32 {
        row.stored(key) * row.scale(now)
    }

    #[test]
    fn a_weight_halves_with_every_half_life() {
        let mut row = DecayedRow::default();
        row.add(7, 1.0, at(0), 10);
        assert_eq!(value(&row, 7, at(0)), 1.0);
        assert_eq!(value(&row, 7, at(3)), 0.125);
    }

    #[test]
    fn a_late_event_counts_as_much_as_if_it_had_come_in_time() {
        let mut row = DecayedRow::default();
        row.add(1, 1.0, at(5), 10);
        row.add(1, 1.0, at(4), 10);
        assert_eq!(value(&row, 1, at(5)), 1.5);
    }

    #[test]
    fn moving_the_landmark_over_decades_never_makes_a_sum_zero() {
        let mut row = DecayedRow::default();
        row.add(1, 1.0, at(0), 10);
        row.add(3, 2.0, at(0), 10);
        row.add(2, 4.0, at(10_000), 10);
        assert_eq!(value(&row, 2, at(10_001)), 2.0);
        assert!(value(&row, 1, at(10_001)) < 1e-17);
        assert!(value(&row, 3, at(10_001)) > value(&row, 1, at(10_001)));
    }

    #[test]
    fn the_least_entry_is_dropped_but_never_the_new_one() {
        let mut row = DecayedRow::default();
        for (key, weight) in [(1, 3.0), (2, 1.0), (3, 2.0), (4, 0.5)] {
            row.add(key, weight, at(0), 3);
        }
        let keys: Vec<u32> = row.entries().iter().map(|entry| entry.0).collect();
        assert_eq!(keys, [1, 3, 4]);
    }

    #[test]
    fn a_row_that_takes_in_another_is_as_if_all_had_been_added_to_it() {
        let added = |events: &[(u32, f32, i64)]| {
            let mut row = DecayedRow::default();
            events.iter().for_each(|&(key, weight, day)| row.add(key, weight, at(day), 10));
            row
        };
        let (one, other) = ([(1, 4.0, 0), (2, -1.0, 3)], [(2, 2.0, 5), (3, 1.0, 2)]);
        let whole = added(&[one, other].concat());
        for (first, second) in [(&one, &other), (&other, &one)] {
            let mut row = added(first);
            row.absorb(&added(second), 10);
            for key in 1..4 {
                assert_eq!(value(&row, key, at(6)), value(&whole, key, at(6)), "{key}");
            }
            assert_eq!(row.total() * row.scale(at(6)), whole.total() * whole.scale(at(6)));
        }
        let mut row = DecayedRow::default();
        row.absorb(&whole, 10);
        assert_eq!(row, whole);
        row.absorb(&DecayedRow::default(), 10);
        assert_eq!(row, whole);
        row.absorb(&added(&[(9, 5.0, 5)]), 2);
        let keys: Vec<u32> = row.entries().iter().map(|entry| entry.0).collect();
        assert_eq!(keys, [2, 9], "the least are dropped");
        // Across decades nothing becomes infinite or loses its sign.
        let mut row = added(&[(1, 1.0, 0)]);
        row.absorb(&added(&[(1, -1.0, 100_000)]), 10);
        assert!(row.stored(1) < 0.0 && row.total().is_finite());
    }

    #[test]
    fn a_changed_half_life_changes_no_stored_value_and_applies_from_its_day_on() {
        let mut half_lives = HalfLives::new(240.0);
        let mut row = DecayedRow::default();
        row.add(1, 2.0, half_lives.at(day(100)), 10);
        // Ten days are one half-life of the old setting; after them it is a day.
        half_lives.change(24.0, day(110));
        let at = |number| value(&row, 1, half_lives.at(day(number)));
        assert!((at(110) - 1.0).abs() < 1e-6, "{}", at(110));
        assert!((at(112) - 0.25).abs() < 1e-6, "{}", at(112));
        for (hours, from) in [(0.1, 120), (1e6, 121)] {
            half_lives.change(hours, day(from));
        }
        assert_eq!(half_lives.hours(), 1e6);
        assert!(value(&row, 1, half_lives.at(day(130))) < 1e-17);
    }

    #[test]
    fn a_late_event_is_weighed_by_the_half_life_of_its_own_time() {
        let mut half_lives = HalfLives::new(24.0);
        half_lives.change(240.0, day(10));
        let mut row = DecayedRow::default();
        row.add(1, 1.0, half_lives.at(day(10)), 10);
        row.add(2, 1.0, half_lives.at(day(8)), 10);
        assert_eq!(value(&row, 2, half_lives.at(day(20))), 0.125);
    }

    #[test]
    fn a_row_counts_past_what_f32_can() {
        let mut row = DecayedRow::default();
        row.add(1, 134_217_728.0, DecayTime::default(), 1);
        for _ in 0..200_000 {
            row.add(1, 1.0, DecayTime::default(), 1);
        }
        let counted = (f64::from(row.stored(1)) - 134_217_728.0) / 200_000.0;
        assert!((counted - 1.0).abs() < 0.01, "{counted}");
    }

    proptest! {
        #[test]
        fn a_share_lies_between_minus_one_and_one(
            events in prop::collection::vec((0..5_u32, -300..300_i32, 0..400_i64), 1..60)
        ) {
            let mut row = DecayedRow::default();
            for (key, weight, on) in events {
                row.add(key, weight as f32 / 100.0, at(on), 4);
            }
            for key in 0..5 {
                let share = row.share(key, at(400), 1.0);
                prop_assert!((-1.0..=1.0).contains(&share), "{share}");
            }
        }

        #[test]
        fn time_in_half_lives_only_grows_however_often_the_half_life_changes(
            changes in prop::collection::vec((prop::sample::select(vec![0.1_f32, 1.0, 24.0, 2_160.0, 1e6]), 0..20_000_i64), 0..40),
            mut days in prop::collection::vec(0..30_000_i64, 2..10),
        ) {
            let mut half_lives = HalfLives::new(24.0);
            for (hours, from) in changes {
                half_lives.change(hours, day(from));
            }
            prop_assert!(half_lives.segments.len() <= CHANGES_MAX);
            days.sort_unstable();
            let times: Vec<DecayTime> =
                days.iter().map(|&number| half_lives.at(day(number))).collect();
            prop_assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= 0.0));
        }

        #[test]
        fn no_time_and_no_weight_spoils_a_row(
            events in prop::collection::vec((0..5_u32, -9..9_i32, prop::sample::select(vec![0.1_f32, 1.0, 24.0, 2_160.0, 1e6]), 0..25_000_i64), 1..80),
        ) {
            let (mut half_lives, mut newest) = (HalfLives::new(0.1), day(0));
            let mut row = DecayedRow::default();
            for (key, magnitude, hours, on) in events {
                newest = newest.max(day(on));
                half_lives.change(hours, newest);
                row.add(key, 10_f32.powi(magnitude), half_lives.at(day(on)), 4);
                let scale = row.scale(half_lives.at(day(on)));
                prop_assert!(scale.is_finite() && scale > 0.0 && row.total().is_finite());
                prop_assert!(row.entries().iter().all(|entry| entry.1.is_finite()));
            }
            let now = half_lives.at(day(30_000));
            for _ in 0..20 {
                row.add(9, 1.0, now, 4);
            }
            prop_assert!((value(&row, 9, now) - 20.0).abs() < 1e-3);
        }
    }
}
