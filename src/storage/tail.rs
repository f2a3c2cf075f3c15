//! The tail feed: carries the newest batches of the log to other processes sooner
//! than they would ask for them.
//!
//! - A shortcut only: a batch may be missing, late, twice or out of order, and a
//!   reader that finds a gap reads the log. Nothing is published before its commit.

use std::sync::Arc;

use tokio::sync::watch;

use super::batch::BatchHead;
use engine::domain::NamespaceName;
use engine::domain::Sequence;

/// The log of one namespace in one life: a namespace that is deleted and created
/// again has another incarnation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    pub namespace: NamespaceName,
    pub incarnation: u64,
}

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailBatch {
    pub partition: Partition,
    pub head: BatchHead,
    /// As in the log; `None` when it was too large to carry.
    pub payload: Option<Vec<u8>>,
    pub payload_checksum: u32,
}

pub trait TailFeed: Send + Sync {
    /// Sends batches to the other processes. Never waits; drops what it cannot take.
    fn publish(&self, batches: Vec<TailBatch>);

    /// Batches received that follow each other without a gap, payloads included, from
    /// the one that holds record `after + 1` on; empty when that one is not here.
    fn recent(&self, partition: &Partition, after: Sequence) -> Vec<Arc<TailBatch>>;

    /// The highest sequence heard of.
    fn newest(&self, partition: &Partition) -> Option<Sequence>;

    /// Changes with every batch received, and when the connection comes or goes.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether the feed is connected, so that news arrive by themselves.
    fn is_connected(&self) -> bool;
}
