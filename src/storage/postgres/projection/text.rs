//! Text and JSON as PostgreSQL can hold them.
//!
//! - PostgreSQL's text cannot hold U+0000, also not escaped within jsonb. The tables
//!   hold U+FFFD instead; the log keeps what was sent.
//! - Numbers come back from their digits to the bit, so that what is read, changed and written again
//!   any number of times does not drift.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;

use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::LanguageTag;
use engine::domain::LocalizedText;
use engine::domain::UserRules;

pub fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Attributes as an object; `None` when there are none.
pub fn attributes_json(attributes: &Attributes) -> Option<String> {
    (!attributes.is_empty()).then(|| object(attributes))
}

/// Attributes as an object, also when there are none.
pub fn object(attributes: &Attributes) -> String {
    let members =
        attributes.iter().map(|(name, attribute)| (storable(name).into_owned(), value(attribute)));
    Value::Object(members.collect::<Map<_, _>>()).to_string()
}

/// The attributes of an object that [`object`] made; `None` for another.
pub fn attributes_of(json: &str) -> Option<Attributes> {
    let members: BTreeMap<String, Value> = serde_json::from_str(json).ok()?;
    let attributes = members.into_iter().map(|(name, value)| Some((name, attribute(value)?)));
    Attributes::new(attributes.collect::<Option<_>>()?).ok()
}

fn attribute(value: Value) -> Option<AttributeValue> {
    let text = |value: Value| value.as_str().map(str::to_owned);
    match value {
        Value::String(text) => Some(AttributeValue::Text(text)),
        Value::Number(number) => number.as_f64().map(AttributeValue::Number),
        Value::Bool(flag) => Some(AttributeValue::Flag(flag)),
        Value::Array(list) => {
            list.into_iter().map(text).collect::<Option<_>>().map(AttributeValue::List)
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// The rules of a user as an object.
pub fn rules_json(rules: &UserRules) -> String {
    let value = serde_json::to_value(rules).expect("rules have text keys only");
    storable_value(value).to_string()
}

fn storable_value(value: Value) -> Value {
    match value {
        Value::String(text) => storable(&text).into(),
        Value::Array(list) => list.into_iter().map(storable_value).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, storable_value(value)));
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// Texts by language as an object; `None` when there are none.
pub fn localized_json(localized: &BTreeMap<LanguageTag, LocalizedText>) -> Option<String> {
    let members = localized.iter().map(|(tag, text)| {
        let text = serde_json::json!({
            "title": storable(&text.title),
            "content": storable(&text.content),
        });
        (tag.as_str().to_owned(), text)
    });
    let object = Value::Object(members.collect::<Map<_, _>>());
    (!localized.is_empty()).then(|| object.to_string())
}

fn value(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::Text(text) => storable(text).into(),
        AttributeValue::Number(number) => number_value(*number),
        AttributeValue::Flag(flag) => (*flag).into(),
        AttributeValue::List(list) => list.iter().map(|text| storable(text)).collect(),
    }
}

/// Whole numbers without a fraction, as queries write them.
fn number_value(number: f64) -> Value {
    const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    if number.fract() == 0.0 && number.abs() < EXACT {
        (number as i64).into()
    } else {
        // JSON has no NaN: that becomes null.
        number.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::domain::ScoreChange;

    fn json(name: &str, value: AttributeValue) -> String {
        object(&Attributes::new(BTreeMap::from([(name.to_owned(), value)])).unwrap())
    }

    #[test]
    fn no_escaped_nul_is_left() {
        let list = AttributeValue::List(vec!["\0".to_owned(), "\"\\u0000".to_owned()]);
        assert_eq!(json("k", list), "{\"k\":[\"\u{fffd}\",\"\\\"\\\\u0000\"]}");
    }

    #[test]
    fn whole_numbers_have_no_fraction() {
        let number = |number| json("n", AttributeValue::Number(number));
        assert_eq!(number(3.0), r#"{"n":3}"#);
        assert_eq!(number(-0.0), r#"{"n":0}"#);
        assert_eq!(number(0.5), r#"{"n":0.5}"#);
        assert_eq!(number(f64::MAX).replace("e+", "e"), r#"{"n":1.7976931348623157e308}"#);
    }

    #[test]
    fn attributes_come_back_from_their_object() {
        let values = BTreeMap::from([
            ("text".to_owned(), AttributeValue::Text("\"a\"".to_owned())),
            ("whole".to_owned(), AttributeValue::Number(3.0)),
            ("number".to_owned(), AttributeValue::Number(-0.1)),
            ("flag".to_owned(), AttributeValue::Flag(false)),
            ("list".to_owned(), AttributeValue::List(vec!["a".to_owned(), String::new()])),
        ]);
        let attributes = Attributes::new(values).unwrap();
        assert_eq!(attributes_of(&object(&attributes)), Some(attributes));
        assert_eq!(attributes_of("[]"), None);
    }

    #[test]
    fn numbers_come_back_from_their_digits_to_the_bit() {
        let tenths = (1..4_000).map(|n| 0.1 * f64::from(n) + 0.2);
        let thirds = (1..4_000).map(|n| f64::from(n).powi(7) / 3e9);
        for number in tenths.chain(thirds).chain([f64::MAX, f64::MIN_POSITIVE]) {
            let values = BTreeMap::from([("n".to_owned(), AttributeValue::Number(number))]);
            let attributes = Attributes::new(values).unwrap();
            assert_eq!(attributes_of(&object(&attributes)), Some(attributes));
            let boost = serde_json::json!({
                "target": { "topic": "a" }, "change": { "add": number }, "until": null,
            });
            let rules = serde_json::json!({
                "blocked_items": [], "blocked_sources": [], "blocked_topics": [], "mutes": [],
                "boosts": [boost], "non_profiled": false,
            });
            let rules: UserRules = serde_json::from_value(rules).unwrap();
            let [boost] = rules.boosts.entries() else { panic!("one boost: {rules:?}") };
            assert_eq!(boost.change, ScoreChange::Add(number));
            assert_eq!(serde_json::from_str::<UserRules>(&rules_json(&rules)).unwrap(), rules);
        }
    }

    #[test]
    fn no_attributes_are_no_object() {
        assert_eq!(attributes_json(&Attributes::default()), None);
        assert_eq!(object(&Attributes::default()), "{}");
    }
}
