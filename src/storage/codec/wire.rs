//! The primitives of the record encoding: little-endian floats, LEB128 varints,
//! zigzag for signed numbers, length-prefixed text.
//!
//! - A read never looks past the end of its input and never allocates more than
//!   the input is long: every length is checked against what remains.

use engine::domain::Timestamp;

/// Why bytes could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// They are not what any version writes.
    Damaged(String),
    /// A newer version wrote them.
    TooNew { what: &'static str, found: u64, known: u64 },
}

impl Fault {
    pub fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Texts with their number before them.
pub fn put_texts<T: AsRef<str>>(out: &mut Vec<u8>, texts: &[T]) {
    put_varint(out, texts.len() as u64);
    for text in texts {
        put_text(out, text.as_ref());
    }
}

pub fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Floats with their number before them.
pub fn put_floats(out: &mut Vec<u8>, values: &[f32]) {
    put_varint(out, values.len() as u64);
    put_column(out, values);
}

/// Floats whose number is known otherwise.
pub fn put_column(out: &mut Vec<u8>, values: &[f32]) {
    out.reserve(size_of_val(values));
    for value in values {
        put_f32(out, *value);
    }
}

/// Hashes with their number before them.
pub fn put_keys(out: &mut Vec<u8>, keys: &[u64]) {
    put_varint(out, keys.len() as u64);
    keys.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
}

/// Bytes with their number before them.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// What `put` adds, with its length before it.
pub fn put_framed(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let length_at = out.len();
    // One byte holds the length of most interactions; longer bodies are moved.
    out.push(0);
    put(out);
    let body_at = length_at + 1;
    let length = out.len() - body_at;
    if length < 0x80 {
        out[length_at] = length as u8;
        return;
    }
    let length_bytes = (length.ilog2() / 7 + 1) as usize;
    out.resize(out.len() + length_bytes - 1, 0);
    out.copy_within(body_at..body_at + length, length_at + length_bytes);
    for (index, byte) in out[length_at..length_at + length_bytes].iter_mut().enumerate() {
        let more = if index + 1 < length_bytes { 0x80 } else { 0 };
        *byte = (length >> (7 * index)) as u8 & 0x7f | more;
    }
}

/// A time as its distance from `base`: mostly small, so two to four bytes.
pub fn put_time(out: &mut Vec<u8>, time: Timestamp, base: Timestamp) {
    put_signed(out, time.as_millis().wrapping_sub(base.as_millis()));
}

/// A number of either sign, small when it is near 0.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// What remains of an input.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes all that remains.
    pub const fn remainder(&mut self) -> &'a [u8] {
        let rest = self.rest;
        self.rest = &[];
        rest
    }

    pub fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(*first)
    }

    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn varint(&mut self) -> Result<u64, Fault> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds one bit only.
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::damaged("a number is longer than 64 bits"))
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        u32::try_from(self.varint()?).map_err(|_| Fault::damaged(format!("{what} is too large")))
    }

    pub fn u16(&mut self, what: &str) -> Result<u16, Fault> {
        u16::try_from(self.varint()?).map_err(|_| Fault::damaged(format!("{what} is too large")))
    }

    fn signed(&mut self) -> Result<i64, Fault> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    pub fn i32(&mut self, what: &str) -> Result<i32, Fault> {
        i32::try_from(self.signed()?).map_err(|_| Fault::damaged(format!("{what} is too large")))
    }

    /// How many entries of at least `entry_bytes` bytes follow.
    pub fn count(&mut self, entry_bytes: usize) -> Result<usize, Fault> {
        let count = usize::try_from(self.varint()?).map_err(|_| cut_short())?;
        if count > self.rest.len() / entry_bytes {
            return Err(cut_short());
        }
        Ok(count)
    }

    pub fn f32(&mut self) -> Result<f32, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(f32::from_le_bytes(*bytes))
    }

    pub fn f64(&mut self) -> Result<f64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    pub fn floats(&mut self) -> Result<Vec<f32>, Fault> {
        let count = self.count(size_of::<f32>())?;
        self.column(count)
    }

    /// So many floats.
    pub fn column(&mut self, count: usize) -> Result<Vec<f32>, Fault> {
        let length = count.checked_mul(size_of::<f32>()).ok_or_else(cut_short)?;
        let (chunks, _) = self.bytes(length)?.as_chunks();
        Ok(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    pub fn keys(&mut self) -> Result<Vec<u64>, Fault> {
        let count = self.count(size_of::<u64>())?;
        let (chunks, _) = self.bytes(count * size_of::<u64>())?.as_chunks();
        Ok(chunks.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }

    /// Bytes with their number before them.
    pub fn framed(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.count(1)?;
        self.bytes(length)
    }

    pub fn text(&mut self) -> Result<&'a str, Fault> {
        let length = self.count(1)?;
        self.text_of(length)
    }

    /// A text of so many bytes.
    pub fn text_of(&mut self, length: usize) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Fault::damaged("a text is not UTF-8"))
    }

    pub fn texts<T: From<&'a str>>(&mut self) -> Result<Vec<T>, Fault> {
        let count = self.count(1)?;
        (0..count).map(|_| self.text().map(T::from)).collect()
    }

    /// A text that must satisfy the checks of its type.
    pub fn parsed<T>(&mut self, parse: impl Fn(&'a str) -> Result<T, String>) -> Result<T, Fault> {
        parse(self.text()?).map_err(|reason| Fault::Damaged(format!("an id {reason}")))
    }

    pub fn time(&mut self, base: Timestamp) -> Result<Timestamp, Fault> {
        let delta = self.signed()?;
        Ok(Timestamp::from_millis(base.as_millis().wrapping_add(delta)))
    }
}

fn cut_short() -> Fault {
    Fault::damaged("it ends too early")
}
