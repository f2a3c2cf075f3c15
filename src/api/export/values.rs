//! Instants and attributes as JSON.

use serde::Serialize;
use serde::Serializer;

use engine::domain::AttributeValue;
use engine::domain::Attributes;
use engine::domain::Timestamp;

/// As text by RFC 3339, in UTC with milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Instant(pub Timestamp);

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339())
    }
}

/// As an object.
#[derive(Debug, Clone, Copy)]
pub struct AttributesJson<'a>(pub &'a Attributes);

impl AttributesJson<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AttributesJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, AttributeJson(value))))
    }
}

struct AttributeJson<'a>(&'a AttributeValue);

impl Serialize for AttributeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttributeValue::Text(text) => serializer.serialize_str(text),
            AttributeValue::Number(number) => serializer.serialize_f64(*number),
            AttributeValue::Flag(flag) => serializer.serialize_bool(*flag),
            AttributeValue::List(list) => serializer.collect_seq(list),
        }
    }
}
