//! How the primary metric came to where it is: its sums at growing numbers of units, for plots.
//!
//! Points are a tenth further apart each time, so a million units have a hundred of them.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Split;
use crate::domain::Timestamp;
use crate::experiments::sums::Sums;

/// The first point.
const UNITS_FIRST: u64 = 20;
/// The next point has so many units more than the last one, divided by this.
const GROWTH: u64 = 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub at: Timestamp,
    pub sums: Sums,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Shared: taking a unit in copies no points.
    pub points: Arc<Vec<Point>>,
    /// Units of the last point.
    units: u64,
}

impl Series {
    /// Notes where the sums are, if it is time for a point.
    pub fn note(&mut self, at: Timestamp, sums: &Sums, split: Split) {
        let units = sums.units(split);
        if units >= (self.units + self.units / GROWTH).max(UNITS_FIRST) && units > self.units {
            self.units = units;
            Arc::make_mut(&mut self.points).push(Point { at, sums: sums.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_units_have_about_a_hundred_points() {
        let (mut series, mut sums) = (Series::default(), Sums::new(2, Split::Users));
        for number in 0..1_000_000_usize {
            sums.arms[number % 2].add(1.0, 0.0);
            series.note(Timestamp::from_seconds(number as i64), &sums, Split::Users);
        }
        assert!((90..130).contains(&series.points.len()), "{}", series.points.len());
    }
}
