//! One pass over the bytes of a message, as strict as the decoder that comes after it.

use super::schema::Fields;
use super::schema::Kind;
use super::schema::Schema;

/// Messages inside of messages; attributes, the deepest, are far from it.
const DEPTH: usize = 64;

/// What is wrong with a message. Fields are paths, `interactions.context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is no message.
    Malformed { field: String, what: &'static str },
    /// It would take too much memory, by this field at the latest.
    TooMuch { field: String },
}

impl Fault {
    fn inside(self, outer: &str) -> Self {
        let join = |field: String| match field.as_str() {
            "" => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        match self {
            Self::Malformed { field, what } => Self::Malformed { field: join(field), what },
            Self::TooMuch { field } => Self::TooMuch { field: join(field) },
        }
    }
}

fn malformed(what: &'static str) -> Fault {
    Fault::Malformed { field: String::new(), what }
}

/// Checks a message; returns the bytes of memory that it takes when it is decoded.
///
/// # Errors
/// When it cannot be decoded, or would take more than `most`.
pub fn check(schema: &Schema, message: usize, bytes: &[u8], most: usize) -> Result<usize, Fault> {
    let mut walk = Walk { schema, most, taken: 0 };
    walk.message(schema.fields(message), bytes, DEPTH)?;
    Ok(walk.taken)
}

struct Walk<'a> {
    schema: &'a Schema,
    most: usize,
    taken: usize,
}

impl Walk<'_> {
    fn message(&mut self, fields: &Fields, bytes: &[u8], depth: usize) -> Result<(), Fault> {
        if depth == 0 {
            return Err(malformed("is nested too deeply"));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, wire) = key(&mut rest)?;
            match fields.get(&number) {
                None => skip(&mut rest, number, wire, depth)?,
                Some(field) => {
                    let walked = self.value(field, wire, &mut rest, depth);
                    walked.map_err(|fault| fault.inside(&field.name))?;
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        field: &super::schema::Field,
        wire: u8,
        rest: &mut &[u8],
        depth: usize,
    ) -> Result<(), Fault> {
        match (field.kind, wire) {
            (Kind::Varint, VARINT) => varint(rest).map(drop)?,
            (Kind::Fixed32, FIXED32) => take(rest, 4).map(drop)?,
            (Kind::Fixed64, FIXED64) => take(rest, 8).map(drop)?,
            (Kind::Varint | Kind::Fixed32 | Kind::Fixed64, DELIMITED) if field.repeated => {
                return self.packed(field.kind, field.cost, delimited(rest)?);
            }
            (Kind::Text, DELIMITED) => {
                let text = delimited(rest)?;
                if std::str::from_utf8(text).is_err() {
                    return Err(malformed("must be UTF-8"));
                }
                self.takes(text.len())?;
            }
            (Kind::Bytes, DELIMITED) => self.takes(delimited(rest)?.len())?,
            (Kind::Message(message), DELIMITED) => {
                // Counted before what is inside of it: many empty ones end here.
                self.takes(field.cost)?;
                let inner = delimited(rest)?;
                return self.message(self.schema.fields(message), inner, depth - 1);
            }
            _ => return Err(malformed("is not encoded as its type is")),
        }
        self.takes(field.cost)
    }

    fn packed(&mut self, kind: Kind, cost: usize, mut values: &[u8]) -> Result<(), Fault> {
        while !values.is_empty() {
            match kind {
                Kind::Fixed32 => take(&mut values, 4).map(drop)?,
                Kind::Fixed64 => take(&mut values, 8).map(drop)?,
                _ => varint(&mut values).map(drop)?,
            }
            self.takes(cost)?;
        }
        Ok(())
    }

    fn takes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.taken += bytes;
        if self.taken > self.most {
            return Err(Fault::TooMuch { field: String::new() });
        }
        Ok(())
    }
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const DELIMITED: u8 = 2;
const GROUP: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// Number and encoding of the next field.
fn key(rest: &mut &[u8]) -> Result<(u32, u8), Fault> {
    let key = u32::try_from(varint(rest)?).map_err(|_large| malformed("has a bad field"))?;
    match (key >> 3, (key & 7) as u8) {
        (0, _) | (_, 6 | 7) => Err(malformed("has a bad field")),
        key => Ok(key),
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0_u64;
    for (position, &byte) in rest.iter().take(10).enumerate() {
        if position == 9 && byte > 1 {
            return Err(malformed("has a number that is too long"));
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            *rest = &rest[position + 1..];
            return Ok(value);
        }
    }
    Err(malformed(if rest.len() < 10 { "ends too early" } else { "has a number that is too long" }))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], Fault> {
    let (taken, left) = rest.split_at_checked(count).ok_or_else(|| malformed("ends too early"))?;
    *rest = left;
    Ok(taken)
}

fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let length = varint(rest)?;
    let length = usize::try_from(length).map_err(|_large| malformed("ends too early"))?;
    take(rest, length)
}

/// Passes over an unknown field.
fn skip(rest: &mut &[u8], number: u32, wire: u8, depth: usize) -> Result<(), Fault> {
    if depth == 0 {
        return Err(malformed("is nested too deeply"));
    }
    match wire {
        VARINT => varint(rest).map(drop),
        FIXED64 => take(rest, 8).map(drop),
        DELIMITED => delimited(rest).map(drop),
        FIXED32 => take(rest, 4).map(drop),
        GROUP => loop {
            match key(rest)? {
                (end, GROUP_END) if end == number => return Ok(()),
                (inner, wire) => skip(rest, inner, wire, depth - 1)?,
            }
        },
        _ => Err(malformed("has a bad field")),
    }
}
