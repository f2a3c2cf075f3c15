//! The chain of batches: what distinguishes one log from another of the same length.
//!
//! - Each batch carries a hash of the one before it and of itself. A server that was
//!   restored from a backup, or a standby that lagged and took over, may go on from an
//!   earlier end: its log then has other chains from there on.
//! - The chain is over numbers and a random stamp, not over records: those of a user who is erased
//!   are replaced without breaking it. Once they are, the revision of the log rises, and who has
//!   learnt from another revision begins again.

use super::batch_head::BatchHead;
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
    /// How often records of the log had been replaced when it was read.
    pub revision: u64,
}

impl Position {
    /// The same place in a log of this revision.
    #[must_use]
    pub const fn of_revision(self, revision: u64) -> Self {
        Self { revision, ..self }
    }
}

/// Random: two logs that went on from the same batch differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().as_u128() as u64)
    }

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

/// The numbers and checksums of a batch, and the chain up to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    pub head: BatchHead,
    pub payload_checksum: u32,
    pub event_hashes_checksum: u32,
    pub stamp: Stamp,
    pub chain: Chain,
}

impl Seal {
    /// Seals a new batch that follows the one with chain `before`.
    pub fn new(
        before: Chain,
        head: BatchHead,
        payload_checksum: u32,
        event_hashes_checksum: u32,
    ) -> Self {
        let stamp = Stamp::random();
        Self::stamped(before, head, (payload_checksum, event_hashes_checksum), stamp)
    }

    /// The same with a stamp that is known.
    pub fn stamped(
        before: Chain,
        head: BatchHead,
        (payload_checksum, event_hashes_checksum): (u32, u32),
        stamp: Stamp,
    ) -> Self {
        let chain = chain_of(before, head, stamp);
        Self { head, payload_checksum, event_hashes_checksum, stamp, chain }
    }

    /// Whether this batch comes right after `before` in one log.
    pub fn follows(&self, before: Position) -> bool {
        self.head.first.checked_sub(1) == Some(before.sequence)
            && self.chain == chain_of(before.chain, self.head, self.stamp)
    }

    /// Where a reader of a log of this revision stands behind it.
    pub fn end(&self, revision: u64) -> Position {
        Position { sequence: self.head.last(), chain: self.chain, revision }
    }
}

fn chain_of(before: Chain, head: BatchHead, stamp: Stamp) -> Chain {
    let mut bytes = [0; 36];
    bytes[..8].copy_from_slice(&before.to_bytes());
    bytes[8..16].copy_from_slice(&head.first.to_le_bytes());
    bytes[16..20].copy_from_slice(&head.count.to_le_bytes());
    bytes[20..28].copy_from_slice(&head.recorded_at.as_millis().to_le_bytes());
    bytes[28..].copy_from_slice(&stamp.to_bytes());
    Chain(xxhash_rust::xxh3::xxh3_64(&bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use engine::domain::Timestamp;

    fn seal(before: Position, count: u32, stamp: u64) -> Seal {
        let recorded_at = Timestamp::from_millis(5);
        let head = BatchHead { first: before.sequence + 1, count, recorded_at };
        Seal::stamped(before.chain, head, (6, 7), Stamp(stamp))
    }

    fn ends(batches: &[(u32, u64)]) -> Vec<Position> {
        let mut position = Position::default();
        let mut ends = Vec::new();
        for (count, stamp) in batches {
            let seal = seal(position, *count, *stamp);
            assert!(seal.follows(position));
            position = seal.end(0);
            ends.push(position);
        }
        ends
    }

    #[test]
    fn a_batch_follows_no_other_position_and_none_that_was_changed() {
        let before = Position { sequence: 10, chain: Chain(3), revision: 0 };
        let good = seal(before, 5, 1);
        assert!(!good.follows(Position { sequence: 9, ..before }));
        assert!(!good.follows(Position { chain: Chain(4), ..before }));
        assert!(!good.follows(Position::default()));
        assert!(!Seal { stamp: Stamp(2), ..good }.follows(before));
        assert!(!Seal { chain: Chain(0), ..good }.follows(before));
        let head = BatchHead { recorded_at: Timestamp::from_millis(6), ..good.head };
        assert!(!Seal { head, ..good }.follows(before));
    }

    #[test]
    fn a_batch_with_replaced_records_stays_in_its_log() {
        let before = Position { sequence: 10, chain: Chain(3), revision: 0 };
        let good = Seal::new(before.chain, seal(before, 5, 1).head, 6, 7);
        let replaced = Seal { payload_checksum: 2, event_hashes_checksum: 8, ..good };
        assert!(replaced.follows(before) && replaced.end(0) == good.end(0));
        assert_ne!(replaced.end(1), good.end(0));
    }

    proptest! {
        /// Once two logs differ in a batch they differ for ever.
        #[test]
        fn logs_that_differ_once_never_agree_again(
            batches in prop::collection::vec((1_u32..50, any::<u64>()), 1..30),
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
