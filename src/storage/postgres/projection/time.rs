//! Instants and months as the tables hold them.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use engine::domain::Timestamp;

/// 0001-01-01T00:00:00Z.
const EARLIEST_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z.
const LATEST_MS: i64 = 253_402_300_799_999;

/// The nearest instant in the years 1 to 9999: PostgreSQL reaches further, the date
/// types of the clients that analysts use do not.
pub fn clamped(timestamp: Timestamp) -> Timestamp {
    Timestamp::from_millis(timestamp.as_millis().clamp(EARLIEST_MS, LATEST_MS))
}

/// The same for a query's parameter.
pub fn system_time(timestamp: Timestamp) -> SystemTime {
    let millis = clamped(timestamp).as_millis();
    let distance = Duration::from_millis(millis.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let shifted =
        if millis < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    // Every platform's clock reaches over the years of real events.
    shifted.unwrap_or(epoch)
}

/// The instant of a column, to the millisecond.
pub fn timestamp(time: SystemTime) -> Timestamp {
    let millis = |distance: Duration| i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    })
}

/// A month of the Gregorian calendar in UTC, displayed as 2024_05.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: i64,
    /// 1 to 12.
    month: i64,
}

impl Month {
    pub fn of(timestamp: Timestamp) -> Self {
        let days = clamped(timestamp).as_millis().div_euclid(Timestamp::DAY_MS);
        // Years that begin in March put the leap day last. 719,468 days lie between
        // 0000-03-01 and 1970-01-01, and 146,097 days are 400 years.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = (from_march + 2) % 12 + 1;
        Self { year: era * 400 + year + i64::from(month <= 2), month }
    }

    pub fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year + 1, month: 1 },
            month => Self { month: month + 1, ..self },
        }
    }

    /// Its first instant, as PostgreSQL reads it in any time zone.
    pub fn start(self) -> String {
        format!("{:04}-{:02}-01 00:00:00+00", self.year, self.month)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}_{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(millis: i64) -> String {
        Month::of(Timestamp::from_millis(millis)).to_string()
    }

    #[test]
    fn months_begin_and_end_at_midnight() {
        // 2024-03-01 follows a leap day.
        let march = 1_709_251_200_000;
        assert_eq!(month(march - 1), "2024_02");
        assert_eq!(month(march), "2024_03");
        assert_eq!(month(0), "1970_01");
        assert_eq!(month(-1), "1969_12");
        assert_eq!(month(951_782_400_000), "2000_02");
        assert_eq!(month(951_868_800_000), "2000_03");
    }

    #[test]
    fn the_months_of_five_centuries_are_met_in_their_order() {
        let mut expected = Month::of(Timestamp::from_millis(-6_000_000_000_000));
        for day in -69_444..120_000 {
            let found = Month::of(Timestamp::from_millis(day * Timestamp::DAY_MS));
            assert!(found == expected || found == expected.next(), "{found} after {expected}");
            expected = found;
        }
        assert_eq!(expected.to_string(), "2298_07");
    }

    #[test]
    fn what_no_calendar_reaches_is_clamped() {
        assert_eq!(month(i64::MIN), "0001_01");
        assert_eq!(month(i64::MAX), "9999_12");
        assert_eq!(
            Month::of(Timestamp::from_millis(i64::MAX)).next().start(),
            "10000-01-01 00:00:00+00"
        );
        for extreme in [i64::MIN, i64::MAX] {
            let time = Timestamp::from_millis(extreme);
            assert_eq!(system_time(time), system_time(clamped(time)));
        }
    }
}
