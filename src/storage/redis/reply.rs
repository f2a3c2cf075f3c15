//! Answers of Redis about the stream, taken apart without trusting them.

use std::fmt;

use fred::types::Value;

/// The id of a stream entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    millis: u64,
    number: u64,
}

impl EntryId {
    /// Before the first entry.
    pub const ZERO: Self = Self { millis: 0, number: 0 };

    pub fn parse(value: &Value) -> Option<Self> {
        let text = value.as_bytes()?;
        let (millis, number) = str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { millis: millis.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

/// The entries in the answer to an `XREAD` of one stream, each with its id; `None`
/// when the answer is none.
pub fn entries(answer: &Value) -> Option<Vec<(EntryId, &[Value])>> {
    if answer.is_null() {
        return Some(Vec::new());
    }
    let [stream] = array(answer)? else { return None };
    let [_key, entries] = array(stream)? else { return None };
    array(entries)?
        .iter()
        .map(|entry| {
            let [id, fields] = array(entry)? else { return None };
            Some((EntryId::parse(id)?, array(fields).unwrap_or_default()))
        })
        .collect()
}

/// The value of an entry's only field, if it has this name.
pub fn only_field<'a>(fields: &'a [Value], name: &str) -> Option<&'a [u8]> {
    match fields {
        [field, value] if field.as_bytes()? == name.as_bytes() => value.as_bytes(),
        _ => None,
    }
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}
