//! What an append has decided and is about to write: outcomes and batches.

use super::partition::KnownPartition;
use crate::storage::batch::BatchBuilder;
use crate::storage::chain::Seal;
use crate::storage::dedup::event_hash;
use crate::storage::error::Error;
use crate::storage::log::AppendOutcome;
use crate::storage::log::Appended;
use crate::storage::log::LogAppend;
use crate::storage::partition::Partition;
use crate::storage::tail::TailBatch;
use crate::storage::tail::TailFeed;
use engine::domain::Timestamp;

/// Batches with more of it are not published: readers fetch them.
const PUBLISHED_BYTES: usize = 256 << 10;

/// A batch as it is written.
#[derive(Debug)]
pub struct Batch {
    pub partition: Partition,
    /// Of the log when it was written.
    pub revision: u64,
    pub seal: Seal,
    pub payload: Vec<u8>,
    pub event_hashes: Vec<u8>,
}

/// The answer to an append, valid once the batches are committed.
#[derive(Debug, Default)]
pub struct Decided {
    pub outcomes: Vec<Result<Appended, Error>>,
    pub batches: Vec<Batch>,
}

impl Decided {
    /// Hands out the next sequences of the partition to those of the records that are new.
    pub fn add(
        &mut self,
        group: &LogAppend,
        known: &mut KnownPartition,
        now: Timestamp,
        builder: &mut BatchBuilder,
    ) {
        // Clocks of processes differ, and may be set back; the log's time never is.
        let recorded_at = now.max(known.recorded_at);
        let mut outcomes = Vec::with_capacity(group.records.len());
        builder.begin(recorded_at);
        for record in &group.records {
            if known.suppressed.holds(record) {
                outcomes.push(AppendOutcome::Suppressed);
                continue;
            }
            let sequence = known.end.sequence + 1;
            let hash = record.event_id().map(event_hash);
            if hash.is_some_and(|hash| !known.window.insert(hash, sequence)) {
                outcomes.push(AppendOutcome::Duplicate);
                continue;
            }
            builder.push(record, hash);
            known.end.sequence = sequence;
            outcomes.push(AppendOutcome::Accepted(sequence));
            if builder.is_full() {
                self.close(&group.partition, known, builder);
                builder.begin(recorded_at);
            }
        }
        if !builder.is_empty() {
            self.close(&group.partition, known, builder);
        }
        self.outcomes.push(Ok(Appended { outcomes, log_end: known.end.sequence }));
    }

    fn close(&mut self, partition: &Partition, known: &mut KnownPartition, builder: &BatchBuilder) {
        // Behind the batch before; `end` is at the last record of this one already.
        let seal = builder.seal(known.end.sequence, known.end.chain);
        self.batches.push(Batch {
            partition: partition.clone(),
            revision: known.revision,
            seal,
            payload: builder.payload().to_vec(),
            event_hashes: builder.event_hashes().to_vec(),
        });
        known.end = seal.end(0);
        known.recorded_at = seal.head.recorded_at;
        known.newest = Some(seal);
    }

    /// Announces it to the other processes. Only to be called after the commit.
    pub fn publish(&mut self, feed: &dyn TailFeed) {
        let batches = std::mem::take(&mut self.batches);
        let published = batches.into_iter().map(|batch| {
            let Batch { partition, revision, seal, payload, .. } = batch;
            let payload = (payload.len() <= PUBLISHED_BYTES).then_some(payload);
            TailBatch { partition, revision, seal, payload }
        });
        feed.publish(published.collect());
    }
}
