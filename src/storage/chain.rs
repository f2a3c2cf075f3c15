//! The chain of batches: what distinguishes one log from another of the same length.
//!
//! - Each batch carries a hash of the one before it and of itself. A server that was
//!   restored from a backup, or a standby that lagged and took over, may go on from an
//!   earlier end: its log then has other chains from there on.

use super::batch_head::BatchHead;
use super::error::Error;
use engine::domain::Sequence;

/// Running hash over all batches up to one. Equal chains at a sequence mean equal logs
/// up to it. That of the empty log is the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Chain(u64);

impl Chain {
    /// As stored: databases have signed numbers only.
    pub const fn from_column(stored: i64) -> Self {
        Self(stored.cast_unsigned())
    }

    pub const fn to_column(self) -> i64 {
        self.0.cast_signed()
    }

    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

/// Where a reader stands: always the end of a batch. The default is before the first
/// record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Position {
    pub sequence: Sequence,
    pub chain: Chain,
}

/// The numbers and checksums of a batch, and the chain up to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    pub head: BatchHead,
    pub payload_checksum: u32,
    pub event_hashes_checksum: u32,
    pub chain: Chain,
}

impl Seal {
    /// Seals a batch that follows the one with chain `before`.
    pub fn new(
        before: Chain,
        head: BatchHead,
        payload_checksum: u32,
        event_hashes_checksum: u32,
    ) -> Self {
        let mut bytes = [0; 36];
        let (numbers, checksums) = bytes.split_at_mut(28);
        let (from, rest) = numbers.split_at_mut(8);
        let (first, rest) = rest.split_at_mut(8);
        let (count, recorded_at) = rest.split_at_mut(4);
        from.copy_from_slice(&before.to_bytes());
        first.copy_from_slice(&head.first.to_le_bytes());
        count.copy_from_slice(&head.count.to_le_bytes());
        recorded_at.copy_from_slice(&head.recorded_at.as_millis().to_le_bytes());
        checksums[..4].copy_from_slice(&payload_checksum.to_le_bytes());
        checksums[4..].copy_from_slice(&event_hashes_checksum.to_le_bytes());
        let chain = Chain(xxhash_rust::xxh3::xxh3_64(&bytes));
        Self { head, payload_checksum, event_hashes_checksum, chain }
    }

    /// Whether this batch comes right after `before` in one log.
    pub fn follows(&self, before: Position) -> bool {
        let Self { head, payload_checksum, event_hashes_checksum, .. } = *self;
        head.first.checked_sub(1) == Some(before.sequence)
            && *self == Self::new(before.chain, head, payload_checksum, event_hashes_checksum)
    }

    /// This batch with the event hashes of its records, whatever was stored of them.
    ///
    /// # Errors
    /// `Corrupt` when that does not make it follow `before` either.
    pub fn with_event_hashes(&self, before: Position, hashes: &[u8]) -> Result<Self, Error> {
        let head = self.head;
        let repaired = Self::new(before.chain, head, self.payload_checksum, head.checksum(hashes));
        if repaired.chain == self.chain && repaired.follows(before) {
            return Ok(repaired);
        }
        Err(head.corrupt("it does not continue the batch before it"))
    }

    /// Where a reader stands behind it.
    pub fn end(&self) -> Position {
        Position { sequence: self.head.last(), chain: self.chain }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use engine::domain::Timestamp;

    fn seal(before: Position, count: u32, payload_checksum: u32) -> Seal {
        let recorded_at = Timestamp::from_millis(5);
        let head = BatchHead { first: before.sequence + 1, count, recorded_at };
        Seal::new(before.chain, head, payload_checksum, 7)
    }

    fn ends(batches: &[(u32, u32)]) -> Vec<Position> {
        let mut position = Position::default();
        let mut ends = Vec::new();
        for (count, checksum) in batches {
            let seal = seal(position, *count, *checksum);
            assert!(seal.follows(position));
            position = seal.end();
            ends.push(position);
        }
        ends
    }

    #[test]
    fn a_batch_follows_no_other_position_and_none_that_was_changed() {
        let before = Position { sequence: 10, chain: Chain(3) };
        let good = seal(before, 5, 1);
        assert!(!good.follows(Position { sequence: 9, ..before }));
        assert!(!good.follows(Position { chain: Chain(4), ..before }));
        assert!(!good.follows(Position::default()));
        assert!(!Seal { payload_checksum: 2, ..good }.follows(before));
        assert!(!Seal { event_hashes_checksum: 8, ..good }.follows(before));
        assert!(!Seal { chain: Chain(0), ..good }.follows(before));
        let head = BatchHead { recorded_at: Timestamp::from_millis(6), ..good.head };
        assert!(!Seal { head, ..good }.follows(before));
    }

    proptest! {
        /// Once two logs differ in a batch they differ for ever.
        #[test]
        fn logs_that_differ_once_never_agree_again(
            batches in prop::collection::vec((1_u32..50, any::<u32>()), 1..30),
            at in any::<prop::sample::Index>(),
        ) {
            let at = at.index(batches.len());
            let mut other = batches.clone();
            other[at].1 ^= 1;
            let (one, two) = (ends(&batches), ends(&other));
            prop_assert_eq!(&one[..at], &two[..at]);
            for (one, two) in one[at..].iter().zip(&two[at..]) {
                prop_assert_eq!(one.sequence, two.sequence);
                prop_assert_ne!(one.chain, two.chain);
            }
        }
    }
}
