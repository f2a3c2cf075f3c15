//! The numbers of a batch, and what is read by them: payload and event hashes, each under a
//! checksum that covers the numbers, too.
//!
//! - The hashes are stored next to the payload: 16 bytes of hash and 2 of the record's position for
//!   each record that has an event id.

use super::codec;
use super::codec::Fault;
use super::dedup::event_hash;
use super::error::Error;
use engine::domain::LogRecord;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;

const HASH_BYTES: usize = 16;
const HASH_ENTRY_BYTES: usize = HASH_BYTES + size_of::<u16>();

/// The numbers of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    pub first: Sequence,
    pub count: u32,
    pub recorded_at: Timestamp,
}

impl BatchHead {
    pub fn last(&self) -> Sequence {
        self.first.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Covers the numbers as well: a batch must not be read at another position.
    pub fn checksum(&self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.first.to_le_bytes());
        hasher.update(&self.count.to_le_bytes());
        hasher.update(&self.recorded_at.as_millis().to_le_bytes());
        hasher.update(bytes);
        hasher.finalize()
    }

    /// Checks and decodes a payload onto `records`.
    ///
    /// # Errors
    /// `Corrupt`, `TooNew`.
    pub fn read(
        &self,
        payload: &[u8],
        checksum: u32,
        records: &mut Vec<LogRecord>,
    ) -> Result<(), Error> {
        if self.checksum(payload) != checksum {
            return Err(self.corrupt("the payload does not match its checksum"));
        }
        codec::read(payload, self.first, self.count, self.recorded_at, records).map_err(|fault| {
            match fault {
                Fault::Damaged(reason) => self.corrupt(reason),
                Fault::TooNew { what, found, known } => Error::TooNew { what, found, known },
            }
        })
    }

    /// Checks the stored hashes and returns each with the sequence of its record.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn event_hashes(
        &self,
        stored: &[u8],
        checksum: u32,
    ) -> Result<impl Iterator<Item = (u128, Sequence)>, Error> {
        if self.checksum(stored) != checksum {
            return Err(self.corrupt("the event hashes do not match their checksum"));
        }
        let (entries, rest) = stored.as_chunks::<HASH_ENTRY_BYTES>();
        if !rest.is_empty() {
            return Err(self.corrupt("the event hashes are cut short"));
        }
        let first = self.first;
        Ok(entries.iter().map(move |entry| {
            let (hash, position) = entry.split_first_chunk().expect("an entry holds a hash");
            let position =
                u16::from_le_bytes(position.try_into().expect("an entry holds a position"));
            (u128::from_le_bytes(*hash), first.saturating_add(position.into()))
        }))
    }

    /// The event hashes of a batch whose stored ones are damaged, from its payload.
    ///
    /// # Errors
    /// `Corrupt`, `TooNew`.
    pub fn rebuilt_event_hashes(&self, payload: &[u8], checksum: u32) -> Result<Vec<u8>, Error> {
        let mut records = Vec::new();
        self.read(payload, checksum, &mut records)?;
        Ok(event_hashes_of(records.iter().map(|record| &record.record)))
    }

    pub fn corrupt(&self, reason: impl Into<String>) -> Error {
        let what = format!("log batch at sequence {}", self.first);
        Error::Corrupt { what, reason: reason.into() }
    }
}

/// The stored form of the event hashes of a batch's records.
pub fn event_hashes_of<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<u8> {
    let mut stored = Vec::new();
    for (position, record) in (0..).zip(records) {
        if let Some(id) = record.event_id() {
            put_event_hash(&mut stored, event_hash(id), position);
        }
    }
    stored
}

pub fn put_event_hash(stored: &mut Vec<u8>, hash: u128, position: u32) {
    let position = u16::try_from(position).expect("a batch holds 10,000 records at most");
    stored.extend_from_slice(&hash.to_le_bytes());
    stored.extend_from_slice(&position.to_le_bytes());
}
