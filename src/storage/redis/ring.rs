//! The newest batches of each partition, in memory.
//!
//! - Bounded in bytes over all partitions and for each, and in age; the oldest go
//!   first, and a partition goes with its last batch.
//! - Contiguous or not: a hole is seen by who asks.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::storage::tail::Partition;
use crate::storage::tail::TailBatch;
use engine::domain::Sequence;

const BYTES_MAX: usize = 32 << 20;
const PARTITION_BYTES_MAX: usize = 16 << 20;
/// About what an entry takes beside its payload.
const ENTRY_BYTES: usize = 256;
/// Whoever has not read a batch by then reads the log.
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
        self.remove(&batch.partition, batch.head.first);
        self.arrived += 1;
        let arrival = self.arrived;
        let size = size_of(&batch);
        self.bytes += size;
        self.arrivals.insert(arrival, (now, batch.clone()));
        let partition = batch.partition.clone();
        let batches = self.partitions.entry(partition.clone()).or_default();
        batches.bytes += size;
        batches.by_first.insert(batch.head.first, Kept { arrival, batch });
        self.shrink(&partition);
        self.expire(now);
    }

    /// Drops what is too old.
    pub fn expire(&mut self, now: Instant) {
        while let Some((_, (at, batch))) = self.arrivals.first_key_value()
            && (self.bytes > BYTES_MAX || now.saturating_duration_since(*at) > AGE_MAX)
        {
            let batch = batch.clone();
            self.remove(&batch.partition, batch.head.first);
        }
    }

    /// Batches without a hole from the one that holds `after + 1` on.
    pub fn recent(&self, partition: &Partition, after: Sequence) -> Vec<Arc<TailBatch>> {
        let mut found = Vec::new();
        let Some(batches) = self.partitions.get(partition) else { return found };
        let mut wanted = after.saturating_add(1);
        while found.len() < ANSWER_MAX {
            // One that begins with the wanted record or before it may hold it.
            let holder = batches.by_first.range(..=wanted).next_back();
            match holder.map(|(_, kept)| &kept.batch) {
                Some(batch) if batch.head.last() >= wanted && batch.payload.is_some() => {
                    wanted = batch.head.last().saturating_add(1);
                    found.push(batch.clone());
                }
                _ => break,
            }
        }
        found
    }

    pub fn newest(&self, partition: &Partition) -> Option<Sequence> {
        let (_, kept) = self.partitions.get(partition)?.by_first.last_key_value()?;
        Some(kept.batch.head.last())
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
    use crate::storage::batch::BatchHead;
    use engine::domain::NamespaceName;
    use engine::domain::Timestamp;

    fn partition(incarnation: u64) -> Partition {
        Partition { namespace: NamespaceName::parse("shop").unwrap(), incarnation }
    }

    fn batch(incarnation: u64, first: Sequence, count: u32, bytes: usize) -> Arc<TailBatch> {
        let head = BatchHead { first, count, recorded_at: Timestamp::from_millis(0) };
        let payload = Some(vec![0; bytes]);
        Arc::new(TailBatch {
            partition: partition(incarnation),
            head,
            payload,
            payload_checksum: 0,
        })
    }

    fn firsts(ring: &Ring, after: Sequence) -> Vec<Sequence> {
        ring.recent(&partition(1), after).iter().map(|batch| batch.head.first).collect()
    }

    #[test]
    fn an_answer_begins_at_the_batch_that_holds_the_next_record_and_ends_at_a_hole() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        for first in [21, 1, 11, 41] {
            ring.insert(batch(1, first, 10, 8), now);
        }
        assert_eq!(firsts(&ring, 0), [1, 11, 21]);
        assert_eq!(firsts(&ring, 9), [1, 11, 21]);
        assert_eq!(firsts(&ring, 10), [11, 21]);
        assert_eq!(firsts(&ring, 30), [] as [u64; 0]);
        assert_eq!(firsts(&ring, 40), [41]);
        assert_eq!(firsts(&ring, 50), [] as [u64; 0]);
        assert_eq!(firsts(&ring, u64::MAX), [] as [u64; 0]);
        assert_eq!(ring.newest(&partition(1)), Some(50));
        assert_eq!(ring.newest(&partition(2)), None);
        ring.insert(batch(1, 26, 15, 8), now);
        assert_eq!(firsts(&ring, 0), [1, 11, 21, 26, 41], "overlapping batches follow each other");
    }

    #[test]
    fn a_batch_without_its_payload_ends_an_answer() {
        let (mut ring, now) = (Ring::default(), Instant::now());
        ring.insert(batch(1, 1, 10, 8), now);
        let large = TailBatch { payload: None, ..TailBatch::clone(&batch(1, 11, 10, 0)) };
        ring.insert(Arc::new(large), now);
        assert_eq!(firsts(&ring, 0), [1]);
        assert_eq!(firsts(&ring, 10), [] as [u64; 0]);
        assert_eq!(ring.newest(&partition(1)), Some(20));
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
        assert_eq!(ring.newest(&partition(1)), Some(100));
        assert_eq!(ring.newest(&partition(2)), None, "a partition goes with its last batch");
        assert_eq!(ring.newest(&partition(100)), Some(100));
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
