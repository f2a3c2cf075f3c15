//! Lengths of time: messages to the units in which they are kept, and back.
//!
//! Checks return the reason alone; who knows the field's path adds it.

use std::time::Duration;

use super::scalars::decimal;
use engine::domain::RankerSettings;
use engine::domain::SettingsRange;
use engine::domain::Violation;

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 24.0 * HOUR_MS;
/// Ten thousand years, the longest that Protobuf defines.
const LONGEST_SECONDS: i64 = 315_576_000_000;
const NANOS_PER_MILLI: i32 = 1_000_000;
/// Between two looks at results that are watched.
const WATCH_SECONDS: (u32, u32) = (1, 3_600);
const WATCH_SECONDS_DEFAULT: u32 = 5;

/// Milliseconds; what is shorter is cut off.
pub(super) fn millis(message: prost_types::Duration) -> Result<i64, String> {
    let prost_types::Duration { seconds, nanos } = message;
    if seconds < 0 || nanos < 0 {
        return Err("must not be negative".to_owned());
    }
    if nanos > 999_999_999 {
        return Err("must have 0 to 999,999,999 nanos".to_owned());
    }
    if seconds > LONGEST_SECONDS {
        return Err("must not be longer than 10,000 years".to_owned());
    }
    Ok(seconds * 1_000 + i64::from(nanos / NANOS_PER_MILLI))
}

/// Whole seconds.
pub(super) fn seconds(message: prost_types::Duration) -> Result<u32, String> {
    if message.nanos != 0 {
        return Err("must be whole seconds".to_owned());
    }
    let seconds = millis(message)? / 1_000;
    u32::try_from(seconds).map_err(|_| format!("must be at most {} seconds", u32::MAX))
}

/// Hours within the range, as they are stored.
pub(super) fn hours(message: prost_types::Duration, range: SettingsRange) -> Result<f32, String> {
    units(message, range, HOUR_MS, "hours")
}

fn units(
    message: prost_types::Duration,
    range: SettingsRange,
    unit_ms: f64,
    name: &str,
) -> Result<f32, String> {
    let found = millis(message)? as f64 / unit_ms;
    let within = range.check(found).map(|found| found as f32);
    let SettingsRange { min, max, .. } = range;
    within.map_err(|_| format!("must be {min} to {max} {name}, is {found}"))
}

/// Days within the range, as they are stored.
pub(super) fn days(message: prost_types::Duration, range: SettingsRange) -> Result<f32, String> {
    units(message, range, DAY_MS, "days")
}

/// Whole hours of those for which decisions can be kept.
pub(super) fn whole_hours(message: prost_types::Duration) -> Result<u32, String> {
    let (least, most) = RankerSettings::CREDIT_HOURS;
    let hours = f64::from(seconds(message)?) * 1_000.0 / HOUR_MS;
    if hours.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&hours) {
        Ok(hours as u32)
    } else {
        Err(format!("must be {least} to {most} whole hours, is {hours}"))
    }
}

/// How long a stream of results waits between two looks.
///
/// # Errors
/// A violation of `interval`.
pub fn watch_interval(message: Option<prost_types::Duration>) -> Result<Duration, Vec<Violation>> {
    let found = message.map_or(Ok(WATCH_SECONDS_DEFAULT), seconds);
    let (least, most) = WATCH_SECONDS;
    let within = found.and_then(|found| match (least..=most).contains(&found) {
        true => Ok(Duration::from_secs(found.into())),
        false => Err(format!("must be {least} to {most} seconds, is {found}")),
    });
    within.map_err(|reason| vec![Violation::new("interval", reason)])
}

pub fn seconds_message(seconds: u32) -> prost_types::Duration {
    prost_types::Duration { seconds: i64::from(seconds), nanos: 0 }
}

pub(super) fn hours_message(hours: f32) -> prost_types::Duration {
    millis_message(decimal(hours) * HOUR_MS)
}

pub(super) fn days_message(days: f32) -> prost_types::Duration {
    millis_message(decimal(days) * DAY_MS)
}

pub(super) fn whole_hours_message(hours: u32) -> prost_types::Duration {
    seconds_message(hours * 3_600)
}

fn millis_message(millis: f64) -> prost_types::Duration {
    let millis = millis.round() as i64;
    let nanos = (millis % 1_000) as i32 * NANOS_PER_MILLI;
    prost_types::Duration { seconds: millis / 1_000, nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duration(seconds: i64, nanos: i32) -> prost_types::Duration {
        prost_types::Duration { seconds, nanos }
    }

    #[test]
    fn hours_come_back_as_they_were_written() {
        let range = SettingsRange::SEEN_COOLDOWN;
        for (seconds, nanos) in [(0, 0), (1, 0), (3_661, 0), (90, 500_000_000), (3_600_000_000, 0)]
        {
            let written = duration(seconds, nanos);
            assert_eq!(hours_message(hours(written, range).unwrap()), written);
        }
        assert_eq!(hours(duration(9_000, 0), range), Ok(2.5));
    }

    #[test]
    fn what_is_no_duration_or_out_of_range_is_refused() {
        for bad in [
            duration(-1, 0),
            duration(0, -1),
            duration(0, 1_000_000_000),
            duration(i64::MAX, 0),
            duration(i64::MIN, i32::MIN),
            duration(3_600_000_360, 0),
        ] {
            assert!(hours(bad, SettingsRange::SEEN_COOLDOWN).is_err(), "{bad:?}");
        }
        let reason = hours(duration(36, 0), SettingsRange::TREND_HALF_LIFE).unwrap_err();
        assert_eq!(reason, "must be 0.1 to 1000000 hours, is 0.01");
    }

    #[test]
    fn decisions_are_kept_for_whole_hours() {
        assert_eq!(whole_hours(duration(86_400, 0)), Ok(24));
        assert_eq!(whole_hours_message(24), duration(86_400, 0));
        for bad in [duration(0, 0), duration(3_601, 0), duration(169 * 3_600, 0)] {
            assert!(whole_hours(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn days_come_back_as_they_were_written() {
        let fortnight = duration(14 * 86_400, 0);
        assert_eq!(days(fortnight, SettingsRange::NEW_ITEM_DAYS), Ok(14.0));
        assert_eq!(days_message(14.0), fortnight);
    }

    #[test]
    fn seconds_are_whole() {
        assert_eq!(seconds(duration(1_800, 0)), Ok(1_800));
        assert_eq!(seconds_message(1_800), duration(1_800, 0));
        for bad in [duration(1, 1), duration(-1, 0), duration(1 << 33, 0), duration(i64::MAX, 0)] {
            assert!(seconds(bad).is_err(), "{bad:?}");
        }
    }
}
