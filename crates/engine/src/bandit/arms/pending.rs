//! Selections that may still get a reward.

use serde::Deserialize;
use serde::Serialize;

use crate::columns::window::Weighed;
use crate::domain::Sequence;
use crate::domain::Timestamp;

/// Memory of a pending selection besides its vectors, with its entries in tables.
const SELECTION_BYTES: usize = size_of::<PendingSelection>() + 64;

/// A selection that may still get a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingSelection {
    /// 128-bit hash of the decision id.
    pub key: u128,
    /// Of its record.
    pub(super) sequence: Sequence,
    pub(super) number: u64,
    pub(super) set: u32,
    pub(super) arm: u32,
    pub(super) generation: u32,
    /// Empty without a context.
    pub(super) vector: Box<[f32]>,
    /// Empty in a set without features.
    pub(super) features: Box<[f32]>,
    /// What the model predicted.
    pub(super) predicted: f64,
    pub(super) reward: f32,
    pub(super) rewarded: bool,
    pub(super) withdrawn: bool,
    /// [`ArmSet::faded`] at the selection.
    pub(super) faded: f64,
    pub(super) recorded_at: Timestamp,
}

impl Weighed for PendingSelection {
    fn bytes(&self) -> u64 {
        (SELECTION_BYTES + size_of_val(&*self.vector) + size_of_val(&*self.features)) as u64
    }
}
