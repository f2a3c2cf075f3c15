//! How the primary metric came to where it is: its sums at growing numbers of units, for plots.
//!
//! Points are a tenth further apart each time, so a million units have a hundred of them.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use statistics::Pairs;

use crate::domain::Timestamp;

/// The first point.
const UNITS_FIRST: u64 = 20;
/// The next point has so many units more than the last one, divided by this.
const GROWTH: u64 = 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub at: Timestamp,
    /// By variant.
    pub arms: Vec<Pairs>,
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
    pub fn note(&mut self, at: Timestamp, arms: &[Pairs]) {
        let units: u64 = arms.iter().map(|arm| arm.metric.units).sum();
        if units >= (self.units + self.units / GROWTH).max(UNITS_FIRST) && units > self.units {
            self.units = units;
            Arc::make_mut(&mut self.points).push(Point { at, arms: arms.to_vec() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_units_have_about_a_hundred_points() {
        let (mut series, mut arms) = (Series::default(), [Pairs::default(); 2]);
        for number in 0..1_000_000_usize {
            arms[number % 2].add(1.0, 0.0);
            series.note(Timestamp::from_seconds(number as i64), &arms);
        }
        assert!((90..130).contains(&series.points.len()), "{}", series.points.len());
    }
}
