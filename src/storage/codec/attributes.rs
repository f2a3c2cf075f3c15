//! Attributes: their number, then name, tag and value of each.
//!
//! Binary rather than JSON, because numbers must come back with the same bits
//! and serde_json reads some of them one bit off.

use std::collections::BTreeMap;

use super::wire::Fault;
use super::wire::Reader;
use super::wire::put_text;
use super::wire::put_texts;
use super::wire::put_varint;
use engine::domain::AttributeValue;
use engine::domain::Attributes;

const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const FLAG: u8 = 3;
const LIST: u8 = 4;

pub fn put(out: &mut Vec<u8>, attributes: &Attributes) {
    put_varint(out, attributes.iter().count() as u64);
    for (name, value) in attributes.iter() {
        put_text(out, name);
        match value {
            AttributeValue::Text(text) => {
                out.push(TEXT);
                put_text(out, text);
            }
            AttributeValue::Number(number) => {
                out.push(NUMBER);
                out.extend_from_slice(&number.to_le_bytes());
            }
            AttributeValue::Flag(flag) => {
                out.push(FLAG);
                out.push(u8::from(*flag));
            }
            AttributeValue::List(list) => {
                out.push(LIST);
                put_texts(out, list);
            }
        }
    }
}

pub fn read(reader: &mut Reader<'_>) -> Result<Attributes, Fault> {
    let mut values = BTreeMap::new();
    // A name, a tag and a value take three bytes at least.
    for _ in 0..reader.count(3)? {
        let name = reader.text()?.to_owned();
        let value = match reader.byte()? {
            TEXT => AttributeValue::Text(reader.text()?.to_owned()),
            NUMBER => AttributeValue::Number(reader.f64()?),
            FLAG => AttributeValue::Flag(reader.byte()? != 0),
            LIST => AttributeValue::List(reader.texts()?),
            tag => {
                let found = u64::from(tag);
                return Err(Fault::TooNew { what: "attribute type", found, known: LIST.into() });
            }
        };
        if values.insert(name, value).is_some() {
            return Err(Fault::damaged("an attribute appears twice"));
        }
    }
    Attributes::new(values).map_err(Fault::Damaged)
}
