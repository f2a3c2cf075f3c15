//! Instants as files write them: seconds or milliseconds since 1970, ISO 8601.

use engine::domain::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// Numbers are seconds, or milliseconds when above 1e11. Texts are a date, or a date and
/// a time of the day with `T` or a blank between and an offset, `Z` or nothing behind;
/// without offset they are UTC.
///
/// # Errors
/// A phrase that says what an instant looks like.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, String> {
    /// The year 5138 in seconds, March 1973 in milliseconds.
    const SECONDS_MAX: f64 = 1e11;
    if let Ok(whole) = text.parse::<i64>() {
        let is_seconds = whole as f64 <= SECONDS_MAX;
        return Ok(if is_seconds {
            Timestamp::from_seconds(whole)
        } else {
            Timestamp::from_millis(whole)
        });
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            let scale = if number <= SECONDS_MAX { 1e3 } else { 1.0 };
            Ok(Timestamp::from_millis((number * scale).round() as i64))
        }
        _ => parse_iso(text).ok_or_else(|| {
            format!("must be seconds or milliseconds since 1970 or a date, is {text:?}")
        }),
    }
}

/// As ISO 8601 in UTC with milliseconds, as [`parse_timestamp`] reads it.
pub fn format_timestamp(at: Timestamp) -> String {
    let millis = at.as_millis();
    let rest = millis.rem_euclid(Timestamp::DAY_MS);
    let (year, month, day) = at.date();
    let (minutes, millis) = (rest / MINUTE_MS, rest % MINUTE_MS);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        minutes / 60,
        minutes % 60,
        millis / 1_000,
        millis % 1_000
    )
}

/// Such as `2010-10-19`, `2010/10/19 23:55`, `2010-10-19T23:55:27.5+02:00`.
fn parse_iso(text: &str) -> Option<Timestamp> {
    let (date, rest) = match text.split_once(['T', ' ']) {
        Some((date, rest)) => (date, rest.trim()),
        None => (text, ""),
    };
    let mut parts = date.split(['-', '/']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || parts.next().is_some() {
        return None;
    }
    let days = days_since_1970(year.parse().ok()?, number(month)?, number(day)?)?;
    let rest = rest.strip_suffix("UTC").map_or(rest, str::trim_end);
    let (clock, offset_ms) = match rest.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => match rest.rfind(['+', '-']) {
            Some(at) => (rest[..at].trim_end(), offset_ms(&rest[at..])?),
            None => (rest, 0),
        },
    };
    let day_ms = if clock.is_empty() { 0 } else { clock_ms(clock)? };
    Some(Timestamp::from_millis(days * Timestamp::DAY_MS + day_ms - offset_ms))
}

/// Days in the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms"); `None` for a month or day that no year has.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Milliseconds of `23:55`, `23:55:27` or `23:55:27.123`.
fn clock_ms(clock: &str) -> Option<i64> {
    let mut parts = clock.split(':');
    let (hours, minutes) = (number(parts.next()?)?, number(parts.next()?)?);
    let seconds: f64 = parts.next().map_or(Some(0.0), |text| text.parse().ok())?;
    let fits = hours < 24 && minutes < 60 && (0.0..61.0).contains(&seconds);
    (fits && parts.next().is_none())
        .then(|| (hours * 60 + minutes) * MINUTE_MS + (seconds * 1e3).round() as i64)
}

/// Milliseconds of `+02:00` or `-0530`.
fn offset_ms(text: &str) -> Option<i64> {
    let (sign, digits) = text.split_at(1);
    let digits = digits.replace(':', "");
    let hours = number(digits.get(..2)?)?;
    let minutes = digits.get(2..).filter(|rest| !rest.is_empty()).map_or(Some(0), number)?;
    let offset = (hours * 60 + minutes) * MINUTE_MS;
    Some(if sign == "-" { -offset } else { offset })
}

fn number(digits: &str) -> Option<i64> {
    (digits.len() <= 2).then(|| digits.parse().ok().filter(|number| *number >= 0)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        parse_timestamp(text).unwrap().as_millis()
    }

    #[test]
    fn numbers_above_1e11_are_milliseconds_and_fractions_of_seconds_count() {
        assert_eq!(millis("100000000000"), 100_000_000_000_000);
        assert_eq!(millis("1260759144123"), 1_260_759_144_123);
        assert_eq!(millis("1.5"), 1_500);
        assert_eq!(millis("1.2607591441e9"), 1_260_759_144_100);
    }

    #[test]
    fn iso_dates_and_times_are_read_with_their_offset() {
        assert_eq!(millis("1970-01-02"), Timestamp::DAY_MS);
        assert_eq!(millis("2010-10-19T23:55:27Z"), 1_287_532_527_000);
        assert_eq!(millis("2010/10/19 23:55:27"), 1_287_532_527_000);
        assert_eq!(millis("2010-10-20 01:55:27.25+02:00"), 1_287_532_527_250);
        assert_eq!(millis("2010-10-19 23:55:27 UTC"), 1_287_532_527_000);
        assert_eq!(millis("2000-02-29"), 951_782_400_000);
        assert_eq!(millis("1969-12-31T23:59"), -60_000);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = |millis| format_timestamp(Timestamp::from_millis(millis));
        assert_eq!(text(1_287_532_527_250), "2010-10-19T23:55:27.250Z");
        assert_eq!(text(951_782_400_000), "2000-02-29T00:00:00.000Z");
        for step in 0..4_000_i64 {
            let at = step * 86_399_987 * 7 - 40_000_000_000;
            assert_eq!(millis(&text(at)), at);
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in ["", "noon", "19-10-2010", "2010-13-01", "2010-10-19T25:00", "NaN", "1:2"] {
            assert!(parse_timestamp(text).is_err(), "{text}");
        }
    }
}
