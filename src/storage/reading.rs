//! Records on their way from stored batches to a reader: in order, without a gap, each
//! batch the continuation of the one before.

use super::batch_head::event_hashes_of;
use super::chain::Position;
use super::chain::Seal;
use super::error::Error;
use super::log::LogRead;
use super::log::ReadLimit;
use super::partition::Partition;
use engine::domain::LogRecord;
use engine::domain::Sequence;

#[derive(Debug)]
pub struct Reading {
    /// What the caller has.
    after: Sequence,
    limit: ReadLimit,
    records: Vec<LogRecord>,
    bytes: usize,
    /// The last record read, or `after`.
    last: Sequence,
    /// Where the reader stands; not known at the start of a read from anywhere.
    position: Option<Position>,
}

impl Reading {
    /// Goes on from the end of a batch.
    pub const fn following(after: Position, limit: ReadLimit) -> Self {
        Self::start(after.sequence, Some(after), limit)
    }

    /// Starts anywhere.
    pub const fn from(after: Sequence, limit: ReadLimit) -> Self {
        Self::start(after, None, limit)
    }

    const fn start(after: Sequence, position: Option<Position>, limit: ReadLimit) -> Self {
        Self { after, limit, records: Vec::new(), bytes: 0, last: after, position }
    }

    /// The next record to be read.
    pub const fn next(&self) -> Sequence {
        self.last.saturating_add(1)
    }

    pub const fn is_full(&self) -> bool {
        let begun = self.last > self.after;
        begun && (self.records.len() >= self.limit.records || self.bytes >= self.limit.bytes)
    }

    /// What is left of the limit.
    pub const fn left(&self) -> ReadLimit {
        ReadLimit {
            records: self.limit.records.saturating_sub(self.records.len()),
            bytes: self.limit.bytes.saturating_sub(self.bytes),
        }
    }

    /// # Errors
    /// `Corrupt` when the batch is damaged or not the next one, `TooNew`; nothing of it is
    /// taken then.
    pub fn take(&mut self, seal: &Seal, payload: &[u8]) -> Result<(), Error> {
        let known = self.records.len();
        let taken = self.decode(seal, payload);
        if taken.is_err() {
            self.records.truncate(known);
            return taken;
        }
        // The first batch may begin with records that the caller has.
        let after = self.after;
        let had = self.records[known..].partition_point(|record| record.sequence <= after);
        self.records.drain(known..known + had);
        self.bytes += payload.len();
        self.last = seal.head.last();
        self.position = Some(seal.end());
        Ok(())
    }

    fn decode(&mut self, seal: &Seal, payload: &[u8]) -> Result<(), Error> {
        let head = &seal.head;
        if head.first > self.next() {
            let reason = format!("the records from {} on are missing before it", self.next());
            return Err(head.corrupt(reason));
        }
        let known = self.records.len();
        head.read(payload, seal.payload_checksum, &mut self.records)?;
        if let Some(before) = self.position
            && !seal.follows(before)
        {
            // The checksum of the event hashes is part of the chain and may be damaged
            // alone: the records are what they were.
            let records = self.records[known..].iter().map(|record| &record.record);
            seal.with_event_hashes(before, &event_hashes_of(records))?;
        }
        Ok(())
    }

    /// Where the reader stands.
    pub fn end(&self) -> Position {
        self.position.unwrap_or_default()
    }

    pub fn into_records(self) -> Vec<LogRecord> {
        self.records
    }

    pub fn into_read(self) -> LogRead {
        LogRead { end: self.end(), records: self.records }
    }
}

/// Checks that a reader's position is on the log: `found` is the batch that begins
/// closest before its end.
///
/// # Errors
/// `ChainBroken`.
pub fn check_position(
    partition: &Partition,
    after: Position,
    found: Option<Position>,
) -> Result<(), Error> {
    if after == Position::default() || found == Some(after) {
        return Ok(());
    }
    Err(Error::ChainBroken { partition: partition.clone(), sequence: after.sequence })
}
