//! A message of the API as JSON, by its descriptor: a field that is new needs no code here.
//!
//! It differs from the JSON mapping of Protobuf: names and enums as in the other lines, 64-bit
//! integers as numbers, instants with milliseconds, maps in the order of their keys.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use prost_reflect::DescriptorPool;
use prost_reflect::DynamicMessage;
use prost_reflect::EnumDescriptor;
use prost_reflect::Kind;
use prost_reflect::MapKey;
use prost_reflect::ReflectMessage as _;
use prost_reflect::Value;
use serde::Serialize;
use serde::Serializer;

use super::values::Instant;
use crate::proto;
use engine::domain::Timestamp;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(proto::DESCRIPTORS).expect("the build has compiled the descriptors")
});

/// A message with its descriptor.
#[derive(Debug)]
pub struct MessageJson(DynamicMessage);

impl MessageJson {
    /// `name`: of the message in this API.
    pub fn new(name: &str, message: &impl prost::Message) -> Self {
        let descriptor = POOL.get_message_by_name(&format!("personalization.v1.{name}"));
        let descriptor = descriptor.expect("the service has this message");
        let bytes = message.encode_to_vec();
        Self(DynamicMessage::decode(descriptor, &*bytes).expect("it was just encoded"))
    }
}

impl Serialize for MessageJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_message(&self.0, serializer)
    }
}

fn serialize_message<S: Serializer>(
    message: &DynamicMessage,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let descriptor = message.descriptor();
    let mut fields = message
        .fields()
        .map(|(field, value)| (field.name().to_owned(), ValueJson { value, kind: field.kind() }));
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => instant(message).serialize(serializer),
        // The object, the list or the value that they hold.
        "google.protobuf.Struct" | "google.protobuf.ListValue" | "google.protobuf.Value" => {
            match fields.next() {
                Some((_, value)) => value.serialize(serializer),
                None => message.serialize(serializer),
            }
        }
        name if name.starts_with("google.protobuf.") => message.serialize(serializer),
        _ => serializer.collect_map(fields),
    }
}

fn instant(message: &DynamicMessage) -> Instant {
    let at: prost_types::Timestamp = message.transcode_to().unwrap_or_default();
    let millis = at.seconds.saturating_mul(1_000).saturating_add(i64::from(at.nanos / 1_000_000));
    Instant(Timestamp::from_millis(millis))
}

/// A value of a field; of a list or a map, `kind` is that of an element.
struct ValueJson<'a> {
    value: &'a Value,
    kind: Kind,
}

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = &self.kind;
        let element = |value, kind: &Kind| ValueJson { value, kind: kind.clone() };
        match self.value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::I64(value) => serializer.serialize_i64(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::U64(value) => serializer.serialize_u64(*value),
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_bytes(value),
            Value::EnumNumber(number) => match kind {
                Kind::Enum(of) => serialize_enum(of, *number, serializer),
                _ => serializer.serialize_i32(*number),
            },
            Value::Message(message) => serialize_message(message, serializer),
            Value::List(list) => {
                serializer.collect_seq(list.iter().map(|value| element(value, kind)))
            }
            Value::Map(map) => {
                let kind = match kind {
                    Kind::Message(entry) => entry.map_entry_value_field().kind(),
                    other => other.clone(),
                };
                let entries = map.iter().map(|(key, value)| (name(key), element(value, &kind)));
                serializer.collect_map(entries.collect::<BTreeMap<String, ValueJson<'_>>>())
            }
        }
    }
}

fn name(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// `like` of `INTERACTION_TYPE_LIKE`; a number that has no name here stays one.
fn serialize_enum<S: Serializer>(
    of: &EnumDescriptor,
    number: i32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if of.full_name() == "google.protobuf.NullValue" {
        return serializer.serialize_unit();
    }
    let Some(value) = of.get_value(number) else { return serializer.serialize_i32(number) };
    let lower = value.name().to_ascii_lowercase();
    let name = lower.strip_prefix(&prefix(of.name())).unwrap_or(&lower);
    serializer.serialize_str(name)
}

/// `interaction_type_` of `InteractionType`, with which the names of its values begin.
fn prefix(enum_name: &str) -> String {
    let mut prefix = String::with_capacity(enum_name.len() + 4);
    for letter in enum_name.chars() {
        if letter.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_lowercase());
    }
    prefix.push('_');
    prefix
}
