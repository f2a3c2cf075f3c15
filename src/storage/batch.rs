//! A log batch as backends store it: numbers, event hashes and payload, each
//! under a checksum.
//!
//! - A batch holds up to [`RECORDS_MAX`] records and ends when its payload has
//!   reached [`PAYLOAD_BYTES`], so one record of any size fits.
//! - The hashes are stored next to the payload, so that a dedup window is filled again
//!   without reading payloads.

use super::batch_head::BatchHead;
use super::batch_head::put_event_hash;
use super::chain::Chain;
use super::chain::Seal;
use super::codec;
use engine::domain::Record;
use engine::domain::Sequence;
use engine::domain::Timestamp;

pub const RECORDS_MAX: u32 = 10_000;
pub const PAYLOAD_BYTES: usize = 1 << 20;

/// Builds one batch after another in the same memory.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    count: u32,
    recorded_at: Timestamp,
    payload: Vec<u8>,
    event_hashes: Vec<u8>,
}

impl BatchBuilder {
    /// Begins an empty batch.
    pub fn begin(&mut self, recorded_at: Timestamp) {
        self.count = 0;
        self.recorded_at = recorded_at;
        self.event_hashes.clear();
        codec::begin(&mut self.payload, recorded_at);
        // A published model must not hold on to its memory for ever.
        self.payload.shrink_to(2 * PAYLOAD_BYTES);
    }

    /// Adds a record with the hash of its event id. The batch must not be full.
    pub fn push(&mut self, record: &Record, event_hash: Option<u128>) {
        if let Some(hash) = event_hash {
            put_event_hash(&mut self.event_hashes, hash, self.count);
        }
        codec::put(&mut self.payload, record, self.recorded_at);
        self.count += 1;
    }

    pub fn is_full(&self) -> bool {
        self.count >= RECORDS_MAX || self.payload.len() >= PAYLOAD_BYTES
    }

    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch when its last record has sequence `last` and it comes after the batch
    /// with chain `before`.
    pub fn seal(&self, last: Sequence, before: Chain) -> Seal {
        let first = last + 1 - u64::from(self.count);
        let head = BatchHead { first, count: self.count, recorded_at: self.recorded_at };
        let payload_checksum = head.checksum(&self.payload);
        Seal::new(before, head, payload_checksum, head.checksum(&self.event_hashes))
    }

    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub fn event_hashes(&self) -> &[u8] {
        &self.event_hashes
    }
}
