//! A row in PostgreSQL's binary representation, as COPY takes it.
//!
//! - Total: every value of the domain has a representation. What a column cannot hold
//!   is brought to the nearest that it can.

use std::ops::Range;

use tokio_postgres::types::Type;

use super::text::storable;
use super::time::clamped;
use crate::storage::number::integer;
use engine::domain::Timestamp;

/// From 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_MS: i64 = 946_684_800_000;
const JSONB_VERSION: u8 = 1;

/// The fields of one row, in the order they were put. Kept from row to row for its
/// memory.
#[derive(Debug, Default)]
pub struct Row {
    bytes: Vec<u8>,
    /// Where each field lies; `None` for NULL.
    fields: Vec<Option<Range<usize>>>,
}

impl Row {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    pub fn fields(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.fields.iter().map(|field| field.clone().map(|range| &self.bytes[range]))
    }

    pub fn boolean(&mut self, value: bool) {
        self.put(|bytes| bytes.push(value.into()));
    }

    pub fn bigint(&mut self, value: i64) {
        self.put(|bytes| bytes.extend(value.to_be_bytes()));
    }

    /// A column of type bigint; the largest for what is larger.
    pub fn natural(&mut self, value: u64) {
        self.bigint(integer(value));
    }

    /// A column of type integer; the largest for what is larger.
    pub fn small(&mut self, value: u32) {
        self.integer(i32::try_from(value).unwrap_or(i32::MAX));
    }

    pub fn integer(&mut self, value: i32) {
        self.put(|bytes| bytes.extend(value.to_be_bytes()));
    }

    pub fn real(&mut self, value: f32) {
        self.put(|bytes| bytes.extend(value.to_be_bytes()));
    }

    pub fn text(&mut self, value: &str) {
        self.put(|bytes| bytes.extend(storable(value).as_bytes()));
    }

    pub fn timestamp(&mut self, value: Timestamp) {
        let micros = (clamped(value).as_millis() - EPOCH_MS) * 1_000;
        self.put(|bytes| bytes.extend(micros.to_be_bytes()));
    }

    /// `json` holds no escaped NUL.
    pub fn json(&mut self, json: impl AsRef<str>) {
        self.put(|bytes| {
            bytes.push(JSONB_VERSION);
            bytes.extend(json.as_ref().as_bytes());
        });
    }

    pub fn texts<'a>(&mut self, values: impl ExactSizeIterator<Item = &'a str>) {
        self.put(|bytes| {
            array_header(bytes, &Type::TEXT, &[values.len()], false);
            for value in values {
                array_element(bytes, Some(storable(value).as_bytes()));
            }
        });
    }

    pub fn reals(&mut self, values: impl ExactSizeIterator<Item = f32>) {
        self.put(|bytes| {
            array_header(bytes, &Type::FLOAT4, &[values.len()], false);
            for value in values {
                array_element(bytes, Some(&value.to_be_bytes()));
            }
        });
    }

    /// An array of two dimensions, as wide as the longest of `vectors`.
    pub fn vectors<'a>(&mut self, vectors: impl ExactSizeIterator<Item = &'a [f32]> + Clone) {
        let width = vectors.clone().map(<[f32]>::len).max().unwrap_or(0);
        let ragged = vectors.clone().any(|vector| vector.len() < width);
        self.put(|bytes| {
            array_header(bytes, &Type::FLOAT4, &[vectors.len(), width], ragged);
            for vector in vectors {
                for position in 0..width {
                    let value = vector.get(position).map(|value| value.to_be_bytes());
                    array_element(bytes, value.as_ref().map(<[u8; 4]>::as_slice));
                }
            }
        });
    }

    pub fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => put(self, value),
            None => self.fields.push(None),
        }
    }

    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let from = self.bytes.len();
        write(&mut self.bytes);
        self.fields.push(Some(from..self.bytes.len()));
    }
}

/// An array without elements has no dimensions either.
fn array_header(bytes: &mut Vec<u8>, element: &Type, lengths: &[usize], has_nulls: bool) {
    let lengths = if lengths.contains(&0) { &[] } else { lengths };
    bytes.extend(word(lengths.len()));
    bytes.extend(word(usize::from(has_nulls)));
    bytes.extend(element.oid().to_be_bytes());
    for length in lengths {
        bytes.extend(word(*length));
        // Subscripts begin at 1.
        bytes.extend(word(1));
    }
}

fn array_element(bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            bytes.extend(word(value.len()));
            bytes.extend(value);
        }
        None => bytes.extend((-1_i32).to_be_bytes()),
    }
}

/// A length; the server refuses what is longer than it can hold.
fn word(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(put: impl FnOnce(&mut Row)) -> Vec<Option<Vec<u8>>> {
        let mut row = Row::default();
        put(&mut row);
        row.fields().map(|field| field.map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn fields_come_back_in_the_order_they_were_put() {
        let fields = row(|row| {
            row.text("a\0b");
            row.optional(None, Row::real);
            row.optional(Some(7), Row::small);
        });
        assert_eq!(fields, [Some("a\u{fffd}b".as_bytes().to_vec()), None, Some(vec![0, 0, 0, 7])]);
    }

    #[test]
    fn numbers_too_large_for_a_column_become_its_largest() {
        let fields = row(|row| {
            row.natural(u64::MAX);
            row.small(u32::MAX);
        });
        let largest = [i64::MAX.to_be_bytes().to_vec(), i32::MAX.to_be_bytes().to_vec()];
        assert_eq!(fields, largest.map(Some));
    }

    #[test]
    fn an_array_without_elements_has_no_dimensions() {
        let no_dimensions = |oid: u8| vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, oid / 100 * 2, oid];
        let empty: [&[f32]; 2] = [&[], &[]];
        let fields = row(|row| {
            row.texts([].into_iter());
            row.vectors(empty.into_iter());
        });
        assert_eq!(fields[0], Some(no_dimensions(25)));
        let fields = fields[1].as_ref().map(|bytes| bytes[..4].to_vec());
        assert_eq!(fields, Some(vec![0; 4]));
    }

    #[test]
    fn the_shorter_of_two_vectors_ends_in_nulls() {
        let vectors: [&[f32]; 2] = [&[1.0, 2.0], &[3.0]];
        let fields = row(|row| row.vectors(vectors.into_iter()));
        let bytes = fields[0].as_ref().unwrap();
        assert_eq!(bytes[4..8], [0, 0, 0, 1]);
        assert_eq!(bytes[bytes.len() - 4..], [0xff; 4]);
    }
}
