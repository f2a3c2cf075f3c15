//! What units lack in columns that came later, and how far that is computed from the log.
//!
//! - From the change on that added them, columns are measured of all units. What came before it comes in
//!   chunks. A chunk is taken in where the one before it ended and nowhere else: so each value counts
//!   once, whichever process writes it and how often.
//! - Changes are dealt with in their order, and columns one after the other.

use std::ops::Range;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::BackfillChunk;
use crate::domain::Sequence;
use crate::domain::limits;

/// Of one change that added columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The record of the change.
    pub since: Sequence,
    /// Units that there were.
    pub rows: usize,
    /// Its columns.
    columns: Range<usize>,
    /// The next value is of this column and of this unit.
    column: usize,
    row: usize,
}

impl Backfill {
    pub fn new(since: Sequence, columns: Range<usize>, rows: usize) -> Self {
        let column = columns.start;
        Self { since, rows, columns, column, row: 0 }
    }

    /// Columns before this one lack nothing.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The columns that lack values.
    pub fn open_columns(&self) -> Range<usize> {
        self.column..self.columns.end
    }

    /// The units that lack a value in a column of it.
    pub fn open_rows(&self, column: usize) -> Range<usize> {
        match column {
            column if column < self.column => self.rows..self.rows,
            column if column == self.column => self.row..self.rows,
            _ => 0..self.rows,
        }
    }

    /// The share of a column's values that is there.
    pub fn share_of(&self, column: usize) -> f64 {
        1.0 - self.open_rows(column).len() as f64 / self.rows.max(1) as f64
    }

    /// Whether a chunk goes on where the one before it ended.
    pub fn takes(&self, chunk: &BackfillChunk) -> bool {
        let values = chunk.values.len();
        chunk.since == self.since
            && (chunk.column as usize, chunk.first_row as usize) == (self.column, self.row)
            && (1..=limits::BACKFILL_VALUES).contains(&values)
            && values <= self.rows - self.row
            && chunk.values.iter().all(|value| value.is_finite())
    }

    /// So many values were taken in.
    pub fn advance(&mut self, values: usize) {
        self.row += values;
        if self.row >= self.rows {
            (self.column, self.row) = (self.column + 1, 0);
        }
    }

    pub fn is_done(&self) -> bool {
        self.column >= self.columns.end
    }

    /// Whether what was read from a snapshot can be, with columns up to this one.
    pub fn is_sound(&self, columns_end: usize) -> bool {
        self.columns.contains(&self.column)
            && self.columns.end <= columns_end
            && self.row < self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(since: Sequence, column: u32, first_row: u32, values: usize) -> BackfillChunk {
        BackfillChunk { experiment: 0, since, column, first_row, values: vec![1.0; values] }
    }

    #[test]
    fn only_the_chunk_that_goes_on_where_the_last_one_ended_is_taken() {
        let mut backfill = Backfill::new(7, 3..5, 10);
        assert!(backfill.takes(&chunk(7, 3, 0, 4)) && backfill.takes(&chunk(7, 3, 0, 10)));
        let others = [chunk(8, 3, 0, 4), chunk(7, 4, 0, 4), chunk(7, 3, 4, 4), chunk(7, 3, 0, 11)];
        assert!(others.iter().all(|other| !backfill.takes(other)));
        let endless = BackfillChunk { values: vec![1.0, f32::INFINITY], ..chunk(7, 3, 0, 0) };
        assert!(!backfill.takes(&endless) && !backfill.takes(&chunk(7, 3, 0, 0)));
        backfill.advance(4);
        assert!(!backfill.takes(&chunk(7, 3, 0, 4)) && backfill.takes(&chunk(7, 3, 4, 6)));
        assert_eq!((backfill.share_of(3), backfill.share_of(4)), (0.4, 0.0));
        backfill.advance(6);
        assert_eq!((backfill.open_columns(), backfill.is_done()), (4..5, false));
        backfill.advance(10);
        assert!(backfill.is_done());
    }
}
