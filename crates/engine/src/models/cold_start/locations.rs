//! What is wanted where: popularity by location.
//!
//! A location's preference for an item is the log ratio of the item's share there to
//! its share overall, shrunk towards 0 by pseudo-observations.
//!
//! - Bounded: the first locations to be named are learnt about, and 1,024 items of
//!   each.

use std::sync::Arc;

use crate::models::cold_start::shrinkage::STRENGTH_DEFAULT;
use crate::models::cold_start::shrinkage::shrunk;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::numeric::math;
use crate::state::column::Column;
use crate::state::interner::Interner;
use crate::state::parts::Part;

const LOCATIONS_MAX: usize = 4_096;
const ITEMS_MAX: usize = 1_024;
/// An item nobody wanted yet.
const SHARE_MIN: f32 = 1e-6;

/// Decayed positive interactions by location and item.
#[derive(Debug, Clone, Default)]
pub struct Locations {
    pub names: Interner,
    pub rows: Column<Arc<DecayedRow>>,
}

impl Locations {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        vec![("location_names", &self.names), ("location_rows", &self.rows)]
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        vec![("location_names", &mut self.names), ("location_rows", &mut self.rows)]
    }

    /// The location's index; `None` for one that came too late.
    pub fn intern(&mut self, name: &str) -> Option<u32> {
        let index = self.names.intern_within(LOCATIONS_MAX, name)?;
        self.rows.grow(index as usize + 1, &Arc::default());
        Some(index)
    }

    pub fn add(&mut self, location: u32, item: u32, weight: f32, at: DecayTime) {
        let row = Arc::make_mut(self.rows.get_mut(location as usize));
        row.add(item, weight, at, ITEMS_MAX);
    }

    /// Drops what a location says of items that `is_live` denies.
    pub fn drop_dead(&mut self, location: u32, is_live: impl Fn(u32) -> bool) {
        if self.rows[location as usize].entries().iter().any(|entry| !is_live(entry.0)) {
            Arc::make_mut(self.rows.get_mut(location as usize)).retain(is_live);
        }
    }

    /// The preferences of a location as of `now`.
    pub fn at(&self, location: u32, now: DecayTime) -> LocationScorer<'_> {
        let row: &DecayedRow = &self.rows[location as usize];
        LocationScorer { row, scale: row.scale(now) }
    }
}

/// Scores items for one location.
#[derive(Debug)]
pub struct LocationScorer<'v> {
    row: &'v DecayedRow,
    scale: f32,
}

impl LocationScorer<'_> {
    /// Log ratio of the item's share here to its share overall, which is in 0..=1.
    pub fn preference(&self, item: u32, overall_share: f32) -> f32 {
        let overall = overall_share.max(SHARE_MIN);
        let (k, n) = (self.row.stored(item) * self.scale, self.row.total() * self.scale);
        math::ln_f32(shrunk(k, n, overall, STRENGTH_DEFAULT) / overall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DecayTime = DecayTime::from_half_lives(1.0);

    #[test]
    fn a_location_prefers_what_is_wanted_there_and_an_empty_one_is_neutral() {
        let mut locations = Locations::default();
        let here = locations.intern("Kiel").unwrap();
        let there = locations.intern("Bonn").unwrap();
        for _ in 0..20 {
            locations.add(here, 3, 1.0, NOW);
        }
        let preference = |location, item| locations.at(location, NOW).preference(item, 0.01);
        assert!(preference(here, 3) > 1.0);
        assert!(preference(here, 4) < 0.0);
        assert!(preference(there, 3).abs() < 1e-6);
    }

    #[test]
    fn locations_beyond_the_bound_are_unknown() {
        let mut locations = Locations::default();
        for number in 0..LOCATIONS_MAX {
            assert!(locations.intern(&number.to_string()).is_some());
        }
        assert_eq!(locations.intern("one more"), None);
        assert_eq!(locations.intern("7"), Some(7));
    }
}
