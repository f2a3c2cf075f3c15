//! The newest batches of each partition, in memory.
//!
//! - Bounded in bytes over all partitions and for each, and in age; the oldest go
//!   first, and a partition goes with its last batch.
//! - Contiguous or not: an answer ends at a hole, and where one batch does not continue
//!   the chain of another.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::storage::chain::Position;
use crate::storage::partition::Partition;
use crate::storage::tail::TailBatch;
use engine::domain::Sequence;

const BYTES_MAX: usize = 32 << 20;
const PARTITION_BYTES_MAX: usize = 16 << 20;
/// About what an entry takes in addition to its payload.
const ENTRY_BYTES: usize = 256;
/// A reader that has not read a batch by then reads the log.
const AGE_MAX: Duration = Duration::from_secs(120);
/// Batches of one answer; keeps the lock short.
const ANSWER_MAX: usize = 1_024;
/// A larger payload would push out too much.
pub const PAYLOAD_MAX: usize = 2 << 20;

#[derive(Default)]
pub struct Ring {
    partitions: HashMap<Partition, Batches>,
    /// In order of arrival.
    arrivals: BTreeMap<u64, (Instant, Arc<TailBatch>)>,
    arrived: u64,
    bytes: usize,
}

#[derive(Default)]
struct Batches {
    by_first: BTreeMap<Sequence, Kept>,
    bytes: usize,
}

struct Kept {
    arrival: u64,
    batch: Arc<TailBatch>,
}

impl Ring {
    pub fn insert(&mut self, batch: Arc<TailBatch>, now: Instant) {
        self.remove(&batch.partition, batch.seal.head.first);
        self.arrived += 1;
        let arrival = self.arrived;
        let size = size_of(&batch);
        self.bytes += size;
        self.arrivals.insert(arrival, (now, batch.clone()));
        let partition = batch.partition.clone();
        let batches = self.partitions.entry(partition.clone()).or_default();
        batches.bytes += size;
        batches.by_first.insert(batch.seal.head.first, Kept { arrival, batch });
        self.shrink(&partition);
        self.expire(now);
    }

    /// Drops what is too old.
    pub fn expire(&mut self, now: Instant) {
        while let Some((_, (at, batch))) = self.arrivals.first_key_value()
            && (self.bytes > BYTES_MAX || now.saturating_duration_since(*at) > AGE_MAX)
        {
            let batch = batch.clone();
            self.remove(&batch.partition, batch.seal.head.first);
        }
    }

    /// The batches that continue the chain of `after`, without a hole.
    pub fn recent(&self, partition: &Partition, after: Position) -> Vec<Arc<TailBatch>> {
        let mut found = Vec::new();
        let Some(batches) = self.partitions.get(partition) else { return found };
        let mut end = after;
        while found.len() < ANSWER_MAX {
            let next = batches.by_first.get(&end.sequence.saturating_add(1));
            match next.map(|kept| &kept.batch) {
                Some(batch)
                    if batch.payload.is_some()
                        && batch.revision == end.revision
                        && batch.seal.follows(end) =>
                {
                    end = batch.seal.end(end.revision);
                    found.push(batch.clone());
                }
                _ => break,
            }
        }
        found
    }

    pub fn newest(&self, partition: &Partition) -> Option<Position> {
        let (_, kept) = self.partitions.get(partition)?.by_first.last_key_value()?;
        Some(kept.batch.seal.end(kept.batch.revision))
    }

    /// Drops all of a partition.
    pub fn forget(&mut self, partition: &Partition) {
        while let Some(batches) = self.partitions.get(partition)
            && let Some((&lowest, _)) = batches.by_first.first_key_value()
        {
            self.remove(partition, lowest);
        }
    }

    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn shrink(&mut self, partition: &Partition) {
        while let Some(batches) = self.partitions.get(partition)
            && batches.bytes > PARTITION_BYTES_MAX
            && let Some((&lowest, _)) = batches.by_first.first_key_value()
        {
            self.remove(partition, lowest);
        }
    }

    fn remove(&mut self, partition: &Partition, first: Sequence) {
        let Some(batches) = self.partitions.get_mut(partition) else { return };
        let Some(kept) = batches.by_first.remove(&first) else { return };
        let size = size_of(&kept.batch);
        batches.bytes -= size;
        self.bytes -= size;
        self.arrivals.remove(&kept.arrival);
        if batches.by_first.is_empty() {
            self.partitions.remove(partition);
        }
    }
}

fn size_of(batch: &TailBatch) -> usize {
    ENTRY_BYTES + batch.payload.as_ref().map_or(0, Vec::capacity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::batch_head::BatchHead;
    use crate::storage::chain::Chain;
    use crate::storage::chain::Seal;
    use engine::domain::NamespaceName;
    use engine::domain::Timestamp;

    fn partition(incarnation: u64) -> Partition {
        Partition { namespace: NamespaceName::parse("shop").unwrap(), incarnation }
    }

    fn batch(incarnation: u64, first: Sequence, count: u32, bytes: usize) -> Arc<TailBatch> {
        batch_after(Chain::default(), incarnation, first, count, bytes)
    }

    fn batch_after(
        before: Chain,
        incarnation: u64,
        first: Sequence,
        count: u32,
        bytes: usize,
    ) -> Arc<TailBatch> {
        let head = BatchHead { first, count, recorded_at: Timestamp::from_millis(0) };
        let payload = Some(vec![0; bytes]);
        let seal = Seal::new(before, head, 0, 0);
        Arc::new(TailBatch { partition: partition(incarnation), revision: 0, seal, payload })
    }

    /// Batches of ten records each that follow each other.
    fn chained(count: usize) -> Vec<Arc<TailBatch>> {
        let mut end = Position::default();
        let next = |_| {
            let batch = batch_after(end.chain, 1, end.sequence + 1, 10, 8);
            end = batch.seal.end(0);
            batch
        };
        (0..count).map(next).collect()
    }

    fn firsts(ring: &Ring, after: Position) -> Vec<Sequence> {
        ring.recent(&partition(1), after).iter().map(|batch| batch.seal.head.first).collect()
    }

    #[test]
    fn an_answer_begins_behind_the_readers_position_and_ends_at_a_hole() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        let batches = chained(5);
        for position in [2, 0, 1, 4] {
            ring.insert(batches[position].clone(), now);
        }
        let end = |position: usize| batches[position].seal.end(0);
        assert_eq!(firsts(&ring, Position::default()), [1, 11, 21]);
        assert_eq!(firsts(&ring, end(0)), [11, 21]);
        assert_eq!(firsts(&ring, Position { sequence: 9, ..end(0) }), [] as [u64; 0]);
        assert_eq!(firsts(&ring, end(2)), [] as [u64; 0]);
        assert_eq!(firsts(&ring, end(3)), [41]);
        assert_eq!(firsts(&ring, end(4)), [] as [u64; 0]);
        assert_eq!(ring.newest(&partition(1)), Some(end(4)));
        assert_eq!(ring.newest(&partition(2)), None);
    }

    #[test]
    fn an_answer_ends_where_another_log_begins() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        let batches = chained(3);
        ring.insert(batches[0].clone(), now);
        ring.insert(batches[1].clone(), now);
        // Behind the first batch came something else before.
        let other = Seal::new(batches[0].seal.chain, batches[1].seal.head, 1, 1);
        let after_other = TailBatch {
            seal: Seal::new(other.chain, batches[2].seal.head, 0, 0),
            ..TailBatch::clone(&batches[2])
        };
        ring.insert(Arc::new(after_other), now);
        assert_eq!(firsts(&ring, Position::default()), [1, 11]);
        let wrong = Position { sequence: 10, ..Position::default() };
        assert_eq!(firsts(&ring, wrong), [] as [u64; 0]);
    }

    #[test]
    fn batches_of_before_records_were_replaced_are_not_given_and_can_be_forgotten() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        chained(3).into_iter().for_each(|batch| ring.insert(batch, now));
        ring.insert(batch_after(Chain::default(), 2, 1, 10, 8), now);
        assert_eq!(firsts(&ring, Position::default().of_revision(1)), [] as [u64; 0]);
        ring.forget(&partition(1));
        assert_eq!(firsts(&ring, Position::default()), [] as [u64; 0]);
        assert_eq!(ring.bytes(), ENTRY_BYTES + 8, "the other partition stays");
    }

    #[test]
    fn a_batch_without_its_payload_ends_an_answer() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        let batches = chained(2);
        ring.insert(batches[0].clone(), now);
        let large = TailBatch { payload: None, ..TailBatch::clone(&batches[1]) };
        ring.insert(Arc::new(large), now);
        assert_eq!(firsts(&ring, Position::default()), [1]);
        assert_eq!(firsts(&ring, batches[0].seal.end(0)), [] as [u64; 0]);
        assert_eq!(ring.newest(&partition(1)), Some(batches[1].seal.end(0)));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        for first in 1..=100 {
            ring.insert(batch(1, first, 1, 1 << 20), now);
            ring.insert(batch(first, first, 1, 1 << 20), now);
            assert!(ring.bytes <= BYTES_MAX);
        }
        assert!(ring.partitions[&partition(1)].bytes <= PARTITION_BYTES_MAX);
        assert_eq!(ring.newest(&partition(1)).unwrap().sequence, 100);
        assert_eq!(ring.newest(&partition(2)), None, "a partition goes with its last batch");
        assert_eq!(ring.newest(&partition(100)).unwrap().sequence, 100);
        let kept: usize = ring.partitions.values().map(|batches| batches.by_first.len()).sum();
        assert_eq!(ring.arrivals.len(), kept);
        let bytes: usize = ring.arrivals.values().map(|(_, batch)| size_of(batch)).sum();
        assert_eq!(ring.bytes, bytes);
    }

    #[test]
    fn a_batch_that_comes_twice_is_kept_once_and_all_go_with_age() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        for _ in 0..3 {
            ring.insert(batch(1, 1, 10, 100), now);
        }
        assert_eq!(ring.bytes, ENTRY_BYTES + 100);
        ring.expire(now + AGE_MAX + Duration::from_secs(1));
        assert_eq!(ring.bytes, 0);
        assert!(ring.partitions.is_empty() && ring.arrivals.is_empty());
    }
}
