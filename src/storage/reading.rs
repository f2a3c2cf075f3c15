//! Records on their way from stored batches to a reader: in order, without a gap, each
//! batch the continuation of the one before.

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
    /// Of the log that is read.
    revision: u64,
}

impl Reading {
    /// Goes on from the end of a batch.
    pub const fn following(after: Position, limit: ReadLimit) -> Self {
        Self::start(after.sequence, Some(after), limit, after.revision)
    }

    /// Starts anywhere.
    pub const fn from(after: Sequence, limit: ReadLimit) -> Self {
        Self::start(after, None, limit, 0)
    }

    const fn start(
        after: Sequence,
        position: Option<Position>,
        limit: ReadLimit,
        revision: u64,
    ) -> Self {
        Self { after, limit, records: Vec::new(), bytes: 0, last: after, position, revision }
    }

    /// The next record to be read.
    pub const fn next(&self) -> Sequence {
        self.last.saturating_add(1)
    }

    pub const fn is_full(&self) -> bool {
        let begun = self.last > self.after;
        begun && (self.records.len() >= self.limit.records || self.bytes >= self.limit.bytes)
    }

    /// Says which revision the log has. Nothing may have been read yet.
    pub const fn is_of_revision(&mut self, revision: u64) {
        self.revision = revision;
        if let Some(position) = self.position {
            self.position = Some(position.of_revision(revision));
        }
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
        self.position = Some(seal.end(self.revision));
        Ok(())
    }

    fn decode(&mut self, seal: &Seal, payload: &[u8]) -> Result<(), Error> {
        let head = &seal.head;
        if head.first > self.next() {
            let reason = format!("the records from {} on are missing before it", self.next());
            return Err(head.corrupt(reason));
        }
        head.read(payload, seal.payload_checksum, &mut self.records)?;
        if let Some(before) = self.position
            && !seal.follows(before)
        {
            return Err(head.corrupt("it does not continue the batch before it"));
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
/// closest before its end, of a log that has this revision now.
///
/// # Errors
/// `ChainBroken`.
pub fn check_position(
    partition: &Partition,
    after: Position,
    found: Option<&Seal>,
    revision: u64,
) -> Result<(), Error> {
    let is_start = after.of_revision(0) == Position::default();
    if is_start || found.map(|seal| seal.end(revision)) == Some(after) {
        return Ok(());
    }
    Err(Error::ChainBroken { partition: partition.clone(), sequence: after.sequence })
}
