//! Instants in milliseconds, always passed in, never read from a clock here.

use serde::Deserialize;
use serde::Serialize;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const HOUR_MS: i64 = 3_600_000;
    pub const DAY_MS: i64 = 24 * Self::HOUR_MS;

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Hours from `earlier` to `self`; negative when `self` comes first.
    pub fn hours_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / Self::HOUR_MS as f64
    }

    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Day of the week (0 is Monday) and hour of the day (0..24) at an offset
    /// from UTC in minutes.
    pub fn day_and_hour(self, utc_offset_minutes: i32) -> (u8, u8) {
        let local = self.0.saturating_add(i64::from(utc_offset_minutes) * 60_000);
        let days = local.div_euclid(Self::DAY_MS);
        let hour = local.rem_euclid(Self::DAY_MS) / Self::HOUR_MS;
        // 1970-01-01 was a Thursday, day 3 of a week that starts on Monday.
        ((days + 3).rem_euclid(7) as u8, hour as u8)
    }

    /// Month of the Gregorian year (0 is January) at an offset from UTC in minutes.
    ///
    /// Years are taken to begin in March, so that a leap day is the last day of its
    /// year and months have a linear pattern of lengths (Hinnant, "chrono-compatible
    /// low-level date algorithms").
    pub fn month(self, utc_offset_minutes: i32) -> u8 {
        const DAYS_PER_ERA: i64 = 146_097;
        // 1970-01-01 is 719,468 days after 0000-03-01.
        const EPOCH: i64 = 719_468;
        let local = self.0.saturating_add(i64::from(utc_offset_minutes) * 60_000);
        let day_of_era = (local.div_euclid(Self::DAY_MS) + EPOCH).rem_euclid(DAYS_PER_ERA);
        let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        ((month_from_march + 2) % 12) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_a_thursday_at_midnight() {
        assert_eq!(Timestamp::from_millis(0).day_and_hour(0), (3, 0));
    }

    #[test]
    fn months_follow_the_gregorian_calendar() {
        let days = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        // 2024-01-01; 2024 is a leap year.
        let mut day = Timestamp::from_seconds(1_704_067_200);
        for (month, days) in days.into_iter().enumerate() {
            for _ in 0..days {
                assert_eq!(usize::from(day.month(0)), month);
                day = day.plus_millis(Timestamp::DAY_MS);
            }
        }
        assert_eq!(day.month(-60), 11);
        // 1900 had no leap day, 2000 had one.
        assert_eq!(Timestamp::from_seconds(-2_203_891_200).month(0), 2);
        assert_eq!(Timestamp::from_seconds(951_782_400).month(0), 1);
    }

    #[test]
    fn an_offset_moves_the_hour_across_midnight_and_the_week() {
        // 2024-01-01 was a Monday.
        let monday = Timestamp::from_seconds(1_704_067_200);
        assert_eq!(monday.day_and_hour(0), (0, 0));
        assert_eq!(monday.day_and_hour(-60), (6, 23));
        assert_eq!(monday.day_and_hour(90), (0, 1));
    }
}
