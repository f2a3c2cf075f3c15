//! The groups of a user, and the values of a request context, by attributes.
//!
//! Texts, flags and numbers make groups, lists do not. Numbers are banded:
//!
//! | number | band | example |
//! | --- | --- | --- |
//! | whole, 0 to 9 | itself | `children=2` |
//! | whole, 1900 to 2099 | decade, as a year | `born=1980..1990` |
//! | below 100 in size | tens | `age=30..40` |
//! | larger | 1, 2 or 5 times a power of ten | `income=20000..50000` |
//!
//! A band holds its lower end and not its upper one.

use crate::domain::AttributeValue;
use crate::domain::Attributes;

/// Attributes that make groups: the first in name order.
pub const GROUPS_MAX: usize = 6;

/// Name and value of each attribute that makes a group, in the order of names.
pub fn values(attributes: &Attributes) -> Vec<(&str, String)> {
    attributes
        .iter()
        .filter_map(|(name, value)| match value {
            AttributeValue::Text(text) => Some((name, text.clone())),
            AttributeValue::Flag(flag) => Some((name, flag.to_string())),
            AttributeValue::Number(number) => Some((name, band(*number))),
            AttributeValue::List(_) => None,
        })
        .take(GROUPS_MAX)
        .collect()
}

fn band(number: f64) -> String {
    let whole = number.fract() == 0.0;
    if whole && (0.0..10.0).contains(&number) {
        return format!("{number:.0}");
    }
    let is_year = whole && (1_900.0..2_100.0).contains(&number);
    if number.abs() < 100.0 || is_year {
        let low = (number / 10.0).floor() * 10.0 + 0.0;
        return format!("{low:.0}..{:.0}", low + 10.0);
    }
    let (low, high) = one_two_five(number.abs());
    if number > 0.0 { format!("{low}..{high}") } else { format!("-{high}..-{low}") }
}

/// The neighbours of a number of at least 100 among 1, 2 and 5 times powers of ten.
fn one_two_five(size: f64) -> (String, String) {
    // By its digits: powers of ten are exact in decimal whatever their size.
    let digits = format!("{:.0}", size.floor());
    let zeros = digits.len() - 1;
    let (low, high, carry) = match digits.as_bytes()[0] {
        b'1' => ("1", "2", 0),
        b'2'..=b'4' => ("2", "5", 0),
        _ => ("5", "1", 1),
    };
    (format!("{low}{}", "0".repeat(zeros)), format!("{high}{}", "0".repeat(zeros + carry)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn numbers_fall_into_the_documented_bands() {
        for (number, expected) in [
            (2.0, "2"),
            (2.5, "0..10"),
            (34.0, "30..40"),
            (39.9, "30..40"),
            (40.0, "40..50"),
            (-3.0, "-10..0"),
            (1_987.0, "1980..1990"),
            (1_987.5, "1000..2000"),
            (100.0, "100..200"),
            (499.0, "200..500"),
            (23_000.0, "20000..50000"),
            (-700.0, "-1000..-500"),
            (999_999.5, "500000..1000000"),
        ] {
            assert_eq!(band(number), expected, "{number}");
        }
        assert!(band(f64::MAX).len() < 700);
    }

    #[test]
    fn texts_flags_and_bands_make_groups_and_lists_do_not() {
        let attributes = Attributes::new(BTreeMap::from([
            ("age".to_owned(), AttributeValue::Number(33.0)),
            ("country".to_owned(), AttributeValue::Text("DE".to_owned())),
            ("likes".to_owned(), AttributeValue::List(vec!["tea".to_owned()])),
            ("member".to_owned(), AttributeValue::Flag(true)),
        ]))
        .unwrap();
        let expected =
            [("age", "30..40"), ("country", "DE"), ("member", "true")].map(|(n, v)| (n, v.into()));
        assert_eq!(values(&attributes), expected);
    }
}
