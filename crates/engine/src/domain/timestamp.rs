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

    /// Whole seconds since a time, less than 0 before it.
    pub fn whole_seconds_since(self, earlier: Self) -> i64 {
        self.as_millis().saturating_sub(earlier.as_millis()).div_euclid(1_000)
    }

    /// Hours from `earlier` to `self`; negative when `self` comes first.
    pub fn hours_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / Self::HOUR_MS as f64
    }

    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// A date (midnight UTC) or a date and time by RFC 3339, in the years 1970 to 9999;
    /// fractions of a millisecond are cut off. `None` for anything else.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once(['T', 't', ' ']) {
            Some((date, time)) => (date, Some(time)),
            None => (text, None),
        };
        let days = days_since_1970(date)?;
        let millis = time.map_or(Some(0), millis_of_day)?;
        Some(Self(days * Self::DAY_MS + millis)).filter(|time| time.0 >= 0)
    }

    /// By RFC 3339 in UTC, with milliseconds; [`Self::parse_rfc3339`] reads it.
    pub fn to_rfc3339(self) -> String {
        let millis = self.0.rem_euclid(Self::DAY_MS);
        let (year, month, day) = self.date();
        let (seconds, millis) = (millis / 1_000, millis % 1_000);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i64, i64, i64) {
        date_of(self.0.div_euclid(Self::DAY_MS))
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
}

/// Days of the calendar before 1970, counted from 1 March of the year 0.
const BEFORE_1970: i64 = 719_468;

/// Of `2024-05-01`. Days from a civil date by counting from 1 March, so that the leap
/// day is the last of its year.
fn days_since_1970(date: &str) -> Option<i64> {
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || !(1..=12).contains(&month) || !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    Some(year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - BEFORE_1970)
}

/// Year, month and day in the Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms").
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + BEFORE_1970;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Of `12:30:00`, with an optional fraction and a zone, `Z` or `+02:00`, in UTC.
fn millis_of_day(time: &str) -> Option<i64> {
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let offset = match zone.as_bytes()[0] {
        b'Z' | b'z' if zone.len() == 1 => 0,
        sign @ (b'+' | b'-') => {
            let [hours, minutes] = numbers(&zone[1..], ':', [2, 2])?;
            let minutes = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
            if sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if fraction.is_empty() || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(((hour * 60 + minute - offset) * 60 + second) * 1_000 + millis)
}

/// Decimal numbers of the given widths between separators, and nothing else.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        if !part.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_of_rfc_3339_are_read_and_others_are_not() {
        let read = |text| Timestamp::parse_rfc3339(text).map(Timestamp::as_millis);
        assert_eq!(read("1970-01-01"), Some(0));
        assert_eq!(read("2024-02-29T12:30:15.1239Z"), Some(1_709_209_815_123));
        assert_eq!(read("2024-02-29T14:30:15+02:00"), Some(1_709_209_815_000));
        assert_eq!(read("9999-12-31T23:59:59Z"), Some(253_402_300_799_000));
        for wrong in [
            "",
            "2023-02-29",
            "2024-13-01",
            "2024-1-01",
            "1969-12-31",
            "2024-01-01T24:00:00Z",
            "2024-01-01T10:00:00",
            "2024-01-01T10:00:00+25:00",
            "2024-01-01T10:00:00.Z",
            "2024-01-01T10:00:00Zulu",
            "20é4-01-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn instants_are_written_as_they_are_read() {
        for text in ["1970-01-01T00:00:00.000Z", "2024-02-29T12:30:15.123Z"] {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_rfc3339(), text);
        }
        let before = Timestamp::from_millis(-1).to_rfc3339();
        assert_eq!(before, "1969-12-31T23:59:59.999Z");
        for day in 0..40_000 {
            let at = Timestamp::from_millis(day * 2 * Timestamp::DAY_MS + 86_399_999);
            assert_eq!(Timestamp::parse_rfc3339(&at.to_rfc3339()), Some(at));
        }
    }

    #[test]
    fn the_epoch_is_a_thursday_at_midnight() {
        assert_eq!(Timestamp::from_millis(0).day_and_hour(0), (3, 0));
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
