//! `google.protobuf.Struct` to flat attributes and back.

use std::collections::BTreeMap;

use prost_types::ListValue;
use prost_types::Struct;
use prost_types::Value;
use prost_types::value::Kind;

use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::Violation;
use engine::domain::Violations;
use engine::domain::check_text;
use engine::domain::limits;

const FIELD: &str = "attributes";
/// Characters of an attribute's name that a violation repeats.
const NAME_CHARS_SHOWN: usize = 40;

/// The field is named `attributes` wherever the contract has one. Unset means none.
///
/// # Errors
/// Each attribute whose name or value is not allowed.
pub fn attributes(message: Option<Struct>) -> Result<Attributes, Vec<Violation>> {
    let fields = message.unwrap_or_default().fields;
    if fields.len() > limits::ATTRIBUTES {
        let reason = format!("must hold at most {}, holds {}", limits::ATTRIBUTES, fields.len());
        return Err(vec![Violation::new(FIELD, reason)]);
    }
    let mut violations = Violations::default();
    let mut values = BTreeMap::new();
    for (name, message) in fields {
        let named = check_text(&name, limits::ATTRIBUTE_NAME_BYTES)
            .map_err(|reason| format!("has a name that {reason}"));
        match named.and_then(|()| value(message)) {
            Ok(value) => {
                values.insert(name, value);
            }
            Err(reason) => violations.add(path(&name), reason),
        }
    }
    if !violations.is_empty() {
        return Err(violations.into_vec());
    }
    Attributes::new(values).map_err(|reason| vec![Violation::new(FIELD, reason)])
}

/// Whether an attribute may have this name.
pub fn is_attribute_name(name: &str) -> bool {
    check_text(name, limits::ATTRIBUTE_NAME_BYTES).is_ok()
}

/// The field of one attribute, as violations name it.
pub(super) fn path(name: &str) -> String {
    let shown: String = name.chars().take(NAME_CHARS_SHOWN).collect();
    let cut = if shown.len() < name.len() { "..." } else { "" };
    format!("{FIELD}[{:?}]", shown + cut)
}

fn value(message: Value) -> Result<AttributeValue, String> {
    match message.kind {
        Some(Kind::StringValue(text)) => string(text).map(AttributeValue::Text),
        Some(Kind::NumberValue(number)) if !number.is_finite() => Err("must be finite".to_owned()),
        Some(Kind::NumberValue(number)) => Ok(AttributeValue::Number(number)),
        Some(Kind::BoolValue(flag)) => Ok(AttributeValue::Flag(flag)),
        Some(Kind::ListValue(list)) => strings(list).map(AttributeValue::List),
        Some(Kind::StructValue(_)) => Err("must not be a struct: attributes are flat".to_owned()),
        Some(Kind::NullValue(_)) | None => Err("must not be null".to_owned()),
    }
}

fn strings(list: ListValue) -> Result<Vec<String>, String> {
    if list.values.len() > limits::ATTRIBUTE_LIST {
        let found = list.values.len();
        return Err(format!("must list at most {} values, lists {found}", limits::ATTRIBUTE_LIST));
    }
    let strings = list.values.into_iter().map(|value| match value.kind {
        Some(Kind::StringValue(text)) => string(text),
        _ => Err("must list strings only".to_owned()),
    });
    strings.collect()
}

fn string(text: String) -> Result<String, String> {
    if text.len() > limits::ATTRIBUTE_STRING_BYTES {
        let most = limits::ATTRIBUTE_STRING_BYTES;
        return Err(format!("must be at most {most} bytes long, is {}", text.len()));
    }
    Ok(text)
}

/// Unset when there are none.
pub fn attributes_message(attributes: &Attributes) -> Option<Struct> {
    if attributes.is_empty() {
        return None;
    }
    let fields = attributes.iter().map(|(name, value)| (name.to_owned(), value_message(value)));
    Some(Struct { fields: fields.collect() })
}

fn value_message(value: &AttributeValue) -> Value {
    let text = |text: &String| Value { kind: Some(Kind::StringValue(text.clone())) };
    let kind = match value {
        AttributeValue::Text(one) => return text(one),
        AttributeValue::Number(number) => Kind::NumberValue(*number),
        AttributeValue::Flag(flag) => Kind::BoolValue(*flag),
        AttributeValue::List(list) => {
            Kind::ListValue(ListValue { values: list.iter().map(text).collect() })
        }
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(kind: Kind) -> Value {
        Value { kind: Some(kind) }
    }

    fn text(text: &str) -> Value {
        kind(Kind::StringValue(text.to_owned()))
    }

    fn list(values: Vec<Value>) -> Value {
        kind(Kind::ListValue(ListValue { values }))
    }

    fn one(name: &str, value: Value) -> Option<Struct> {
        Some(Struct { fields: BTreeMap::from([(name.to_owned(), value)]) })
    }

    #[test]
    fn every_kind_of_value_comes_back_as_it_was() {
        let fields = BTreeMap::from([
            ("text".to_owned(), text("")),
            ("number".to_owned(), kind(Kind::NumberValue(-0.1))),
            ("flag".to_owned(), kind(Kind::BoolValue(false))),
            ("list".to_owned(), list(vec![text("a"), text("b")])),
            ("none".to_owned(), list(Vec::new())),
        ]);
        let message = Some(Struct { fields });
        let read = attributes(message.clone()).unwrap();
        assert_eq!(attributes_message(&read), message);
        assert_eq!(attributes_message(&attributes(None).unwrap()), None);
    }

    #[test]
    fn nulls_structs_mixed_lists_and_bad_numbers_are_refused_by_name() {
        let nested = Struct { fields: BTreeMap::from([("a".to_owned(), text("b"))]) };
        for bad in [
            kind(Kind::NullValue(0)),
            Value { kind: None },
            kind(Kind::StructValue(nested)),
            kind(Kind::NumberValue(f64::NAN)),
            kind(Kind::NumberValue(f64::NEG_INFINITY)),
            list(vec![text("a"), kind(Kind::BoolValue(true))]),
            list(vec![list(vec![text("a")])]),
            list(vec![text("a"); limits::ATTRIBUTE_LIST + 1]),
            text(&"x".repeat(limits::ATTRIBUTE_STRING_BYTES + 1)),
        ] {
            let violations = attributes(one("color", bad.clone())).unwrap_err();
            assert_eq!(violations.len(), 1, "{bad:?}");
            assert_eq!(violations[0].field, r#"attributes["color"]"#);
        }
    }

    #[test]
    fn a_bad_name_is_shown_short_and_escaped() {
        for bad in ["", "\n", &"é".repeat(1_000_000)] {
            let violations = attributes(one(bad, text("x"))).unwrap_err();
            assert!(violations[0].to_string().len() < 250);
            assert!(!violations[0].field.contains('\n'));
        }
    }

    #[test]
    fn too_many_attributes_are_one_violation() {
        let fields = (0..=limits::ATTRIBUTES).map(|n| (n.to_string(), Value { kind: None }));
        let message = Some(Struct { fields: fields.collect() });
        let violations = attributes(message).unwrap_err();
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].field, "attributes");
    }
}
