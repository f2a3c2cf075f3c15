//! The record of values that units lack in the columns of a metric that was added later.

use crate::domain::sequence::Sequence;

/// A piece of a column: what the log says of units from before the column was there.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillChunk {
    /// The number of the experiment in its namespace.
    pub experiment: u32,
    /// The record of the change that added the column.
    pub since: Sequence,
    /// Which column of the units.
    pub column: u32,
    /// Which unit the first value is of.
    pub first_row: u32,
    /// At most [`BACKFILL_VALUES`](crate::domain::limits::BACKFILL_VALUES).
    pub values: Vec<f32>,
}
