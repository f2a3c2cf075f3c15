//! What is consumed where: popularity by location.
//!
//! A location's preference for an item is the log ratio of the item's share there to
//! its share overall, shrunk towards 0 by pseudo-observations.
//!
//! - Bounded: 4,096 locations and 1,024 items of each. Those with the fewest uses are evicted.

use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::columns::labels::Labels;
use crate::columns::part::Part;
use crate::models::cold_start::shrinkage::STRENGTH_DEFAULT;
use crate::models::cold_start::shrinkage::shrunk;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::numeric::math;

const LOCATIONS_MAX: usize = 4_096;
const ITEMS_MAX: usize = 1_024;
/// An item without positives.
const SHARE_MIN: f32 = 1e-6;

const PARTS_OF_NAMES: [&str; 3] = ["location_names", "location_uses", "location_items"];

/// Decayed positive interactions by location and item.
#[derive(Debug, Clone)]
pub struct Locations {
    pub names: Labels,
    pub rows: Column<Arc<DecayedRow<ItemIndex>>>,
}

impl Default for Locations {
    fn default() -> Self {
        Self { names: Labels::new(LOCATIONS_MAX), rows: Column::default() }
    }
}

impl Locations {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        let Self { names, rows } = self;
        let mut parts: Vec<(&'static str, &dyn Part)> = vec![("location_rows", rows)];
        parts.extend(PARTS_OF_NAMES.into_iter().zip(names.parts()));
        parts
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        let Self { names, rows } = self;
        let mut parts: Vec<(&'static str, &mut dyn Part)> = vec![("location_rows", rows)];
        parts.extend(PARTS_OF_NAMES.into_iter().zip(names.parts_mut()));
        parts
    }

    /// The index of a location that an event names.
    pub fn note(&mut self, name: &str) -> u32 {
        let index = self.names.note(name);
        self.rows.grow(index as usize + 1, &Arc::default());
        index
    }

    /// Evicts the locations with the fewest uses when there are more than the budget.
    pub fn evict(&mut self) -> Vec<u32> {
        let evicted = self.names.evict();
        for &location in &evicted {
            *self.rows.get_mut(location as usize) = Arc::default();
        }
        evicted
    }

    pub fn add(&mut self, location: u32, item: ItemIndex, weight: f32, at: DecayTime) {
        let row = Arc::make_mut(self.rows.get_mut(location as usize));
        row.add(item, weight, at, ITEMS_MAX);
    }

    /// Drops entries of items that `is_live` denies.
    pub fn drop_dead(&mut self, location: u32, is_live: impl Fn(ItemIndex) -> bool) {
        if self.rows[location as usize].entries().iter().any(|entry| !is_live(entry.0)) {
            Arc::make_mut(self.rows.get_mut(location as usize)).retain(is_live);
        }
    }

    /// The preferences of a location as of `now`.
    pub fn at(&self, location: u32, now: DecayTime) -> LocationScorer<'_> {
        let row: &DecayedRow<ItemIndex> = &self.rows[location as usize];
        LocationScorer { row, scale: row.scale(now) }
    }
}

/// Scores items for one location.
#[derive(Debug)]
pub struct LocationScorer<'v> {
    row: &'v DecayedRow<ItemIndex>,
    scale: f32,
}

impl LocationScorer<'_> {
    /// Log ratio of the item's share here to its share overall, which is in 0..=1.
    pub fn preference(&self, item: ItemIndex, overall_share: f32) -> f32 {
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
    fn a_location_prefers_what_is_consumed_there_and_an_empty_one_is_neutral() {
        let mut locations = Locations::default();
        let here = locations.note("Kiel");
        let there = locations.note("Bonn");
        for _ in 0..20 {
            locations.add(here, ItemIndex::new(3), 1.0, NOW);
        }
        let preference =
            |location, item| locations.at(location, NOW).preference(ItemIndex::new(item), 0.01);
        assert!(preference(here, 3) > 1.0);
        assert!(preference(here, 4) < 0.0);
        assert!(preference(there, 3).abs() < 1e-6);
    }

    #[test]
    fn locations_that_are_named_once_do_not_evict_one_that_is_named_often() {
        let mut locations = Locations::default();
        for number in 0..3 * LOCATIONS_MAX {
            locations.note("Kiel");
            locations.note(&number.to_string());
            locations.evict().into_iter().for_each(|slot| locations.names.names.release(slot));
        }
        assert!(
            locations.rows.len() <= LOCATIONS_MAX + 2 && locations.names.find("Kiel").is_some()
        );
    }
}
