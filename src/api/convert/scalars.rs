//! Texts, numbers, times and lists of them.
//!
//! Checks return the reason alone; who knows the field's path adds it.

use engine::domain::LanguageTag;
use engine::domain::Timestamp;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::check_text;
use engine::domain::limits;
use engine::domain::out_of_range;

/// Wrong entries of one repeated field that are described: with more, the list as a
/// whole was made wrongly.
const ENTRIES_DESCRIBED: usize = 16;
/// 9999-12-31T23:59:59Z, the last second that Protobuf and RFC 3339 can express.
const LAST_SECOND: i64 = 253_402_300_799;
const NANOS_PER_MILLI: i32 = 1_000_000;

pub fn timestamp_message(time: Timestamp) -> prost_types::Timestamp {
    let millis = time.as_millis();
    let nanos = millis.rem_euclid(1_000) as i32 * NANOS_PER_MILLI;
    prost_types::Timestamp { seconds: millis.div_euclid(1_000), nanos }
}

/// A time from 1970 to 9999, cut to milliseconds.
pub(super) fn timestamp(message: prost_types::Timestamp) -> Result<Timestamp, String> {
    if !(0..1_000_000_000).contains(&message.nanos) {
        return Err("must have 0 to 999,999,999 nanos".to_owned());
    }
    if message.seconds < 0 {
        return Err("must not be before 1970-01-01T00:00:00Z".to_owned());
    }
    if message.seconds > LAST_SECOND {
        return Err("must not be after 9999-12-31T23:59:59Z".to_owned());
    }
    let millis = i64::from(message.nanos / NANOS_PER_MILLI);
    Ok(Timestamp::from_seconds(message.seconds).plus_millis(millis))
}

/// A time that may lie ahead of `now` by what clocks and time zones explain, no more.
pub(super) fn timestamp_near(
    message: prost_types::Timestamp,
    now: Timestamp,
) -> Result<Timestamp, String> {
    let time = timestamp(message)?;
    if time > now.plus_millis(limits::FUTURE_MS) {
        let hours = limits::FUTURE_MS / Timestamp::HOUR_MS;
        return Err(format!("must be at most {hours} hours after the server's clock"));
    }
    Ok(time)
}

/// A share or probability.
pub(super) fn share(value: f64) -> Result<f64, String> {
    within(value, 0.0, 1.0)
}

/// A number of a range, ends included.
pub(super) fn within(value: f64, min: f64, max: f64) -> Result<f64, String> {
    // Written so that NaN fails, too.
    if (min..=max).contains(&value) { Ok(value) } else { Err(out_of_range(value, min, max)) }
}

/// The shortest decimal number that reads as `value`: 0.3 stays 0.3, where a plain
/// cast would give 0.30000001 and allow a topic one position less of ten.
pub(super) fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// A parameter of strategies: what is set, else what holds otherwise; 0 when it is wrong.
pub(super) fn strategy_parameter(
    violations: &mut Violations,
    field: &str,
    set: Option<f64>,
    otherwise: f32,
    (min, max): (f32, f32),
) -> f64 {
    let value = set.unwrap_or_else(|| decimal(otherwise));
    violations.take(field, within(value, decimal(min), decimal(max))).unwrap_or_default()
}

/// A free text: bounded, any characters but NUL.
pub(super) fn prose(text: String, bytes_max: usize) -> Result<String, String> {
    if text.len() > bytes_max {
        return Err(format!("must be at most {bytes_max} bytes long, is {}", text.len()));
    }
    if text.contains('\0') {
        return Err("must not contain the character NUL".to_owned());
    }
    Ok(text)
}

/// The id of an item in a list of names.
pub(super) fn listed_id(id: String) -> Result<Box<str>, String> {
    check_text(&id, limits::ID_BYTES)?;
    Ok(id.into_boxed_str())
}

/// A topic, source, device type or location; empty is a violation.
pub(super) fn label(text: String) -> Result<Box<str>, String> {
    check_text(&text, limits::LABEL_BYTES)?;
    Ok(text.into_boxed_str())
}

/// The same where empty means that there is none.
pub(super) fn optional_label(text: String) -> Result<Option<Box<str>>, String> {
    if text.is_empty() { Ok(None) } else { label(text).map(Some) }
}

/// The tag of a language; empty means that there is none.
pub(super) fn optional_language(text: &str) -> Result<Option<LanguageTag>, String> {
    let tag = (!text.is_empty()).then(|| LanguageTag::parse(text)).transpose();
    tag.map_err(|reason| format!("{reason}, or empty"))
}

/// The variant of an experiment, if there is one.
pub(super) fn variant(text: String) -> Result<Option<Box<str>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    check_text(&text, limits::VARIANT_BYTES)?;
    Ok(Some(text.into_boxed_str()))
}

/// Minutes between UTC and a local time.
pub(super) fn utc_offset(minutes: i32) -> Result<i32, String> {
    let most = limits::UTC_OFFSET_MINUTES;
    if (-most..=most).contains(&minutes) {
        Ok(minutes)
    } else {
        Err(out_of_range(minutes.into(), (-most).into(), most.into()))
    }
}

/// Topics of an item or an interaction: bounded in number, each once, in the order
/// of their first mention.
pub(super) fn topics(texts: Vec<String>) -> Result<Vec<Box<str>>, Vec<Violation>> {
    if texts.len() > limits::TOPICS {
        let reason = format!("must hold at most {}, holds {}", limits::TOPICS, texts.len());
        return Err(vec![Violation::new("topics", reason)]);
    }
    let mut topics: Vec<Box<str>> = Vec::with_capacity(texts.len());
    for topic in each("topics", texts, label)? {
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    Ok(topics)
}

/// Refuses texts that are too long together: they are kept with the request's decision.
///
/// # Errors
/// A violation of `field`.
pub(super) fn bounded<'a>(
    field: &str,
    texts: impl Iterator<Item = &'a String>,
    bytes_max: usize,
) -> Result<(), Vec<Violation>> {
    let found: usize = texts.map(String::len).sum();
    if found <= bytes_max {
        return Ok(());
    }
    let reason = format!("must be at most {bytes_max} bytes long together, are {found}");
    Err(vec![Violation::new(field, reason)])
}

/// Converts every entry of a repeated field, or names the first wrong ones.
pub(super) fn each<S, T>(
    field: &str,
    entries: Vec<S>,
    convert: impl Fn(S) -> Result<T, String>,
) -> Result<Vec<T>, Vec<Violation>> {
    each_message(field, entries, |entry| {
        convert(entry).map_err(|reason| vec![Violation::new("", reason)])
    })
}

/// The same for entries that have fields of their own.
pub(super) fn each_message<S, T>(
    field: &str,
    entries: Vec<S>,
    convert: impl Fn(S) -> Result<T, Vec<Violation>>,
) -> Result<Vec<T>, Vec<Violation>> {
    let mut wrong = Vec::new();
    let mut wrong_entries = 0;
    let mut converted = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        match convert(entry) {
            Ok(value) => converted.push(value),
            Err(violations) => {
                let path = format!("{field}[{index}]");
                wrong.extend(violations.into_iter().map(|violation| under(&path, violation)));
                wrong_entries += 1;
            }
        }
        if wrong_entries == ENTRIES_DESCRIBED {
            break;
        }
    }
    if wrong.is_empty() { Ok(converted) } else { Err(wrong) }
}

/// The violation as the enclosing message sees it; without a field of its own it is
/// that of the whole entry.
fn under(path: &str, violation: Violation) -> Violation {
    if violation.field.is_empty() {
        Violation::new(path, violation.reason)
    } else {
        violation.within(path)
    }
}

/// Adds the violations of a part whose paths start where those of the whole do.
pub(super) fn merge<T>(
    violations: &mut Violations,
    checked: Result<T, Vec<Violation>>,
) -> Option<T> {
    match checked {
        Ok(value) => Some(value),
        Err(inner) => {
            for violation in inner {
                violations.add(violation.field, violation.reason);
            }
            None
        }
    }
}

/// Names the first numbers of an embedding that are not finite.
pub(super) fn check_finite(field: &str, numbers: &[f32], violations: &mut Violations) {
    let wrong = numbers.iter().enumerate().filter(|(_, number)| !number.is_finite());
    for (index, _) in wrong.take(ENTRIES_DESCRIBED) {
        violations.add(format!("{field}[{index}]"), "must be finite");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: i32) -> prost_types::Timestamp {
        prost_types::Timestamp { seconds, nanos }
    }

    #[test]
    fn times_are_cut_to_milliseconds_and_come_back() {
        let time = timestamp(at(1_700_000_000, 123_999_999)).unwrap();
        assert_eq!(time, Timestamp::from_millis(1_700_000_000_123));
        assert_eq!(timestamp_message(time), at(1_700_000_000, 123_000_000));
        assert_eq!(timestamp_message(Timestamp::from_millis(-1)), at(-1, 999_000_000));
    }

    #[test]
    fn times_outside_the_calendar_or_with_bad_nanos_are_refused() {
        for bad in [
            at(-1, 0),
            at(-1, 999_999_999),
            at(i64::MIN, 0),
            at(i64::MAX, 999_999_999),
            at(LAST_SECOND + 1, 0),
            at(0, -1),
            at(0, 1_000_000_000),
        ] {
            assert!(timestamp(bad).is_err(), "{bad:?}");
        }
        assert!(timestamp(at(LAST_SECOND, 999_999_999)).is_ok());
        assert_eq!(timestamp(at(0, 0)), Ok(Timestamp::from_millis(0)));
    }

    #[test]
    fn a_time_a_day_ahead_of_the_clock_is_accepted_and_a_millisecond_more_is_refused() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let latest = now.plus_millis(limits::FUTURE_MS);
        assert_eq!(timestamp_near(timestamp_message(latest), now), Ok(latest));
        assert!(timestamp_near(timestamp_message(latest.plus_millis(1)), now).is_err());
    }

    #[test]
    fn a_setting_of_single_precision_means_the_decimal_number_that_was_written() {
        assert_eq!(decimal(0.3), 0.3);
        let mut violations = Violations::default();
        let floor = strategy_parameter(&mut violations, "floor", None, 0.01, (1e-4, 1.0));
        assert_eq!((floor, violations.is_empty()), (0.01, true));
        let least = strategy_parameter(&mut violations, "floor", Some(1e-4), 0.01, (1e-4, 1.0));
        assert_eq!((least, violations.is_empty()), (1e-4, true));
    }

    #[test]
    fn a_share_lies_between_0_and_1() {
        assert_eq!((share(0.0), share(0.3), share(1.0)), (Ok(0.0), Ok(0.3), Ok(1.0)));
        for bad in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_long_list_of_wrong_entries_is_described_by_its_first() {
        let violations = each("ids", vec![String::new(); 5_000], label).unwrap_err();
        assert_eq!(violations.len(), ENTRIES_DESCRIBED);
        assert_eq!(violations[15].field, "ids[15]");
    }

    #[test]
    fn repeated_topics_are_dropped() {
        let texts = ["b", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(topics(texts).unwrap(), ["b", "a"].map(Box::<str>::from));
    }
}
