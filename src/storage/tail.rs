//! The tail feed: carries the newest batches of the log to other processes sooner
//! than they would ask for them.
//!
//! - A shortcut only: a batch may be missing, late, twice or out of order, and a
//!   reader that finds a gap, or a batch that does not continue the chain it follows,
//!   reads the log. Nothing is published before its commit.

use std::sync::Arc;

use tokio::sync::watch;

use super::chain::Position;
use super::chain::Seal;
use super::partition::Partition;

/// One committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailBatch {
    pub partition: Partition,
    /// How often records of the log had been replaced when it was written.
    pub revision: u64,
    pub seal: Seal,
    /// As in the log; `None` when it was too large to carry.
    pub payload: Option<Vec<u8>>,
}

pub trait TailFeed: Send + Sync {
    /// Sends batches to the other processes. Never waits; drops what it cannot take.
    fn publish(&self, batches: Vec<TailBatch>);

    /// Batches received that continue the chain of `after`, payloads included, of the same
    /// revision; empty when the next one is not here.
    fn recent(&self, partition: &Partition, after: Position) -> Vec<Arc<TailBatch>>;

    /// The furthest known end.
    fn newest(&self, partition: &Partition) -> Option<Position>;

    /// Drops what is known of a partition, here and on its way to others: records in it were
    /// replaced. Never waits.
    fn forget(&self, partition: &Partition);

    /// Changes with every batch received, and when the connection comes or goes.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Whether the feed is connected, so that news arrive by themselves.
    fn is_connected(&self) -> bool;
}
