//! What an append has decided and is about to write: outcomes and batches.

use std::collections::BTreeMap;

use super::partition::Partition;
use crate::storage::batch::BatchBuilder;
use crate::storage::batch::BatchHead;
use crate::storage::dedup::event_hash;
use crate::storage::error::Error;
use crate::storage::log::AppendOutcome;
use crate::storage::log::Appended;
use crate::storage::tail;
use crate::storage::tail::TailBatch;
use crate::storage::tail::TailFeed;
use engine::domain::Record;
use engine::domain::Timestamp;

/// Batches with more of it are not published: readers fetch them.
const PUBLISHED_BYTES: usize = 256 << 10;

/// A batch as it is written.
#[derive(Debug)]
pub struct Batch {
    pub namespace_id: i64,
    pub head: BatchHead,
    pub payload: Vec<u8>,
    pub event_hashes: Vec<u8>,
}

impl Batch {
    pub fn payload_checksum(&self) -> u32 {
        self.head.checksum(&self.payload)
    }

    pub fn event_hashes_checksum(&self) -> u32 {
        self.head.checksum(&self.event_hashes)
    }
}

/// The answer to an append, valid once the batches are committed.
#[derive(Debug, Default)]
pub struct Decided {
    pub outcomes: Vec<Result<Appended, Error>>,
    pub batches: Vec<Batch>,
}

impl Decided {
    /// Hands out the next sequences of the partition to the records that are new.
    pub fn add(
        &mut self,
        partition: &mut Partition,
        records: &[Record],
        now: Timestamp,
        builder: &mut BatchBuilder,
    ) {
        // Clocks of processes differ, and may be set back; the log's time never is.
        let recorded_at = now.max(partition.recorded_at);
        let mut outcomes = Vec::with_capacity(records.len());
        builder.begin(recorded_at);
        for record in records {
            let sequence = partition.end + 1;
            let hash = record.event_id().map(event_hash);
            if hash.is_some_and(|hash| !partition.window.insert(hash, sequence)) {
                outcomes.push(AppendOutcome::Duplicate);
                continue;
            }
            builder.push(record, hash);
            partition.end = sequence;
            outcomes.push(AppendOutcome::Accepted(sequence));
            if builder.is_full() {
                self.close(partition, builder);
                builder.begin(recorded_at);
            }
        }
        if !builder.is_empty() {
            self.close(partition, builder);
        }
        self.outcomes.push(Ok(Appended { outcomes, log_end: partition.end }));
    }

    fn close(&mut self, partition: &mut Partition, builder: &BatchBuilder) {
        let head = builder.head(partition.end);
        self.batches.push(Batch {
            namespace_id: partition.id,
            head,
            payload: builder.payload().to_vec(),
            event_hashes: builder.event_hashes().to_vec(),
        });
        partition.recorded_at = head.recorded_at;
        partition.newest = Some(head);
    }

    /// Tells the other processes. Only to be called after the commit.
    pub fn publish(&mut self, feed: &dyn TailFeed, partitions: &BTreeMap<i64, tail::Partition>) {
        let batches = std::mem::take(&mut self.batches);
        let published = batches.into_iter().filter_map(|batch| {
            let partition = partitions.get(&batch.namespace_id)?.clone();
            let payload_checksum = batch.payload_checksum();
            let Batch { head, payload, .. } = batch;
            let payload = (payload.len() <= PUBLISHED_BYTES).then_some(payload);
            Some(TailBatch { partition, head, payload, payload_checksum })
        });
        feed.publish(published.collect());
    }
}
