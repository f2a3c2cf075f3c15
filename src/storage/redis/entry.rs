//! One batch as one stream entry: a single field with one binary value.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version of this format |
//! | 16 | the process that wrote it, so that it need not read its own batches |
//! | 8, 8, 8, 4, 8 | incarnation, revision, first sequence, count, recorded at |
//! | 4, 4, 8, 8 | checksums of payload and event hashes, stamp, chain |
//! | 1 | length of the namespace's name |
//! | .. | the name |
//! | 1 | whether the payload follows |
//! | .. | the payload, to the end |

use crate::storage::batch::RECORDS_MAX;
use crate::storage::batch_head::BatchHead;
use crate::storage::chain::Chain;
use crate::storage::chain::Seal;
use crate::storage::chain::Stamp;
use crate::storage::partition::Partition;
use crate::storage::tail::TailBatch;
use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;

/// Name of the field.
pub const FIELD: &str = "b";
/// Larger payloads are left to the log.
pub const PAYLOAD_MAX: usize = 256 << 10;

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 1 + 16 + (8 + 8 + 8 + 4 + 8) + (4 + 4 + 8 + 8) + 1 + 1;

/// Identifies a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessId(pub [u8; 16]);

/// What an entry turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    Own,
    Foreign(TailBatch),
}

pub fn encode(batch: &TailBatch, writer: ProcessId) -> Vec<u8> {
    let payload = batch.payload.as_deref().filter(|payload| payload.len() <= PAYLOAD_MAX);
    let name = batch.partition.namespace.as_str();
    let name_bytes = u8::try_from(name.len()).expect("a namespace name has 63 characters at most");
    let size = FIXED_BYTES + name.len() + payload.map_or(0, <[u8]>::len);
    let (seal, head) = (&batch.seal, &batch.seal.head);
    let mut bytes = Vec::with_capacity(size);
    bytes.push(VERSION);
    bytes.extend_from_slice(&writer.0);
    bytes.extend_from_slice(&batch.partition.incarnation.to_le_bytes());
    bytes.extend_from_slice(&batch.revision.to_le_bytes());
    bytes.extend_from_slice(&head.first.to_le_bytes());
    bytes.extend_from_slice(&head.count.to_le_bytes());
    bytes.extend_from_slice(&head.recorded_at.as_millis().to_le_bytes());
    bytes.extend_from_slice(&seal.payload_checksum.to_le_bytes());
    bytes.extend_from_slice(&seal.event_hashes_checksum.to_le_bytes());
    bytes.extend_from_slice(&seal.stamp.to_bytes());
    bytes.extend_from_slice(&seal.chain.to_bytes());
    bytes.push(name_bytes);
    bytes.extend_from_slice(name.as_bytes());
    bytes.push(payload.is_some().into());
    bytes.extend_from_slice(payload.unwrap_or_default());
    bytes
}

/// Checks everything; `None` for what [`encode`] does not write.
pub fn decode(bytes: &[u8], reader: ProcessId) -> Option<Entry> {
    let mut rest = bytes;
    if take::<1>(&mut rest)? != [VERSION] {
        return None;
    }
    if ProcessId(take(&mut rest)?) == reader {
        return Some(Entry::Own);
    }
    let incarnation = u64::from_le_bytes(take(&mut rest)?);
    let revision = u64::from_le_bytes(take(&mut rest)?);
    let head = BatchHead {
        first: Sequence::from_le_bytes(take(&mut rest)?),
        count: u32::from_le_bytes(take(&mut rest)?),
        recorded_at: Timestamp::from_millis(i64::from_le_bytes(take(&mut rest)?)),
    };
    let seal = Seal {
        head,
        payload_checksum: u32::from_le_bytes(take(&mut rest)?),
        event_hashes_checksum: u32::from_le_bytes(take(&mut rest)?),
        stamp: Stamp::from_bytes(take(&mut rest)?),
        chain: Chain::from_bytes(take(&mut rest)?),
    };
    let [name_bytes] = take(&mut rest)?;
    let (name, after_name) = rest.split_at_checked(name_bytes.into())?;
    let namespace = NamespaceName::parse(str::from_utf8(name).ok()?).ok()?;
    let payload = match after_name.split_first()? {
        (0, []) => None,
        (1, payload) if payload.len() <= PAYLOAD_MAX => Some(payload.to_vec()),
        _ => return None,
    };
    if !(1..=RECORDS_MAX).contains(&head.count)
        || head.first == 0
        || head.first.checked_add(head.count.into()).is_none()
        || payload.as_deref().is_some_and(|payload| head.checksum(payload) != seal.payload_checksum)
    {
        return None;
    }
    let partition = Partition { namespace, incarnation };
    Some(Entry::Foreign(TailBatch { partition, revision, seal, payload }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    const WRITER: ProcessId = ProcessId([1; 16]);
    const READER: ProcessId = ProcessId([2; 16]);

    fn batch(payload: Vec<u8>) -> TailBatch {
        let head = BatchHead { first: 7, count: 3, recorded_at: Timestamp::from_millis(-5) };
        let namespace = NamespaceName::parse("shop").unwrap();
        TailBatch {
            partition: Partition { namespace, incarnation: 9 },
            revision: 2,
            seal: Seal::new(Chain::default(), head, head.checksum(&payload), 5),
            payload: Some(payload),
        }
    }

    #[test]
    fn a_batch_comes_back_as_it_was() {
        let sent = batch(vec![1, 2, 3]);
        assert_eq!(decode(&encode(&sent, WRITER), READER), Some(Entry::Foreign(sent.clone())));
        assert_eq!(decode(&encode(&sent, WRITER), WRITER), Some(Entry::Own));
        let empty = batch(Vec::new());
        assert_eq!(decode(&encode(&empty, WRITER), READER), Some(Entry::Foreign(empty.clone())));
        let large = batch(vec![0; PAYLOAD_MAX + 1]);
        let bytes = encode(&large, WRITER);
        let without = TailBatch { payload: None, ..large };
        assert_eq!(decode(&bytes, READER), Some(Entry::Foreign(without)));
    }

    #[test]
    fn an_entry_that_was_cut_or_changed_is_none() {
        let sent = batch(vec![1, 2, 3]);
        let bytes = encode(&sent, WRITER);
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length], READER), None, "cut to {length}");
        }
        // Not the writer, the incarnation, the revision, the event hashes' checksum, the stamp and the chain: any
        // value of theirs is one, and who reads on compares the chain.
        let any = |position: &usize| (1..33).contains(position) || (57..77).contains(position);
        for position in (0..bytes.len()).filter(|position| !any(position)) {
            let mut changed = bytes.clone();
            changed[position] ^= 0x80;
            assert_eq!(decode(&changed, READER), None, "changed at {position}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(bytes in any::<Vec<u8>>()) {
            let mut versioned = vec![VERSION];
            versioned.extend_from_slice(&bytes);
            if let Some(Entry::Foreign(batch)) = decode(&versioned, READER) {
                let writer = ProcessId(bytes[..16].try_into().unwrap());
                prop_assert_eq!(encode(&batch, writer), versioned);
            }
        }
    }
}
