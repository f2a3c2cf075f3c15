//! What is consumed where, and under which attributes of the request context: popularity by value of
//! the context.
//!
//! A value is a location (`DE`) or an attribute in the words of groups (`page=home`,
//! `temperature=20..30`). Its preference for an item is the log ratio of the item's share there to
//! its share overall, shrunk towards 0 by pseudo-observations.
//!
//! - Bounded: 4,096 values and 1,024 items of each. Those with the fewest uses are evicted.

use std::sync::Arc;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::columns::labels::Labels;
use crate::columns::part::Part;
use crate::domain::Attributes;
use crate::models::cold_start::groups;
use crate::models::cold_start::shrinkage::STRENGTH_DEFAULT;
use crate::models::cold_start::shrinkage::shrunk;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::numeric::math;

const VALUES_MAX: usize = 4_096;
const ITEMS_MAX: usize = 1_024;
/// An item without positives.
const SHARE_MIN: f32 = 1e-6;

/// Between a name and its value in a label. No name has it, so no two values share a label; a
/// location has no name.
const SEPARATOR: char = '\u{1f}';

const PARTS_OF_NAMES: [&str; 3] =
    ["context_value_names", "context_value_uses", "context_value_items"];

/// Decayed positive interactions by value and item.
#[derive(Debug, Clone)]
pub struct ContextValues {
    pub names: Labels,
    pub rows: Column<Arc<DecayedRow<ItemIndex>>>,
}

impl Default for ContextValues {
    fn default() -> Self {
        Self { names: Labels::new(VALUES_MAX), rows: Column::default() }
    }
}

impl ContextValues {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        let Self { names, rows } = self;
        let mut parts: Vec<(&'static str, &dyn Part)> = vec![("context_value_rows", rows)];
        parts.extend(PARTS_OF_NAMES.into_iter().zip(names.parts()));
        parts
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        let Self { names, rows } = self;
        let mut parts: Vec<(&'static str, &mut dyn Part)> = vec![("context_value_rows", rows)];
        parts.extend(PARTS_OF_NAMES.into_iter().zip(names.parts_mut()));
        parts
    }

    /// The label of a location.
    pub fn location_label(location: &str) -> String {
        format!("{SEPARATOR}{location}")
    }

    /// The labels of attributes: the first in the order of their names.
    pub fn attribute_labels(attributes: &Attributes) -> impl Iterator<Item = String> {
        groups::values(attributes)
            .into_iter()
            .map(|(name, value)| format!("{name}{SEPARATOR}{value}"))
    }

    /// A location, or an attribute with its value.
    pub fn name(&self, value: u32) -> Option<String> {
        let (name, value) = self.names.name(value)?.split_once(SEPARATOR)?;
        Some(if name.is_empty() { value.to_owned() } else { format!("{name}={value}") })
    }

    /// The index of a value that an event names; `None` where there is no space for a new one.
    pub fn note(&mut self, label: &str) -> Option<u32> {
        let index = self.names.note(label)?;
        self.rows.grow(index as usize + 1, &Arc::default());
        Some(index)
    }

    /// Evicts the values with the fewest uses when there are more than the budget.
    pub fn evict(&mut self) -> Vec<u32> {
        let evicted = self.names.evict();
        for &value in &evicted {
            *self.rows.get_mut(value as usize) = Arc::default();
        }
        evicted
    }

    pub fn add(&mut self, value: u32, item: ItemIndex, weight: f32, at: DecayTime) {
        let row = Arc::make_mut(self.rows.get_mut(value as usize));
        row.add(item, weight, at, ITEMS_MAX);
    }

    /// Drops entries of items that `is_live` denies.
    pub fn drop_dead(&mut self, value: u32, is_live: impl Fn(ItemIndex) -> bool) {
        if self.rows[value as usize].entries().iter().any(|entry| !is_live(entry.0)) {
            Arc::make_mut(self.rows.get_mut(value as usize)).retain(is_live);
        }
    }

    /// The preferences of a value as of `now`.
    pub fn at(&self, value: u32, now: DecayTime) -> ValueScorer<'_> {
        let row: &DecayedRow<ItemIndex> = &self.rows[value as usize];
        ValueScorer { row, scale: row.scale(now) }
    }
}

/// Scores items for one value.
#[derive(Debug)]
pub struct ValueScorer<'v> {
    row: &'v DecayedRow<ItemIndex>,
    scale: f32,
}

impl ValueScorer<'_> {
    /// Log ratio of the item's share here to its share overall, which is in 0..=1.
    pub fn preference(&self, item: ItemIndex, overall_share: f32) -> f32 {
        let overall = overall_share.max(SHARE_MIN);
        let (k, n) = (self.row.stored(item) * self.scale, self.row.total() * self.scale);
        math::ln_f32(shrunk(k, n, overall, STRENGTH_DEFAULT) / overall)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::AttributeValue;

    const NOW: DecayTime = DecayTime::from_half_lives(1.0);

    #[test]
    fn a_value_prefers_what_is_consumed_there_and_an_empty_one_is_neutral() {
        let mut values = ContextValues::default();
        let mut note = |town| values.note(&ContextValues::location_label(town)).unwrap();
        let (here, there) = (note("Kiel"), note("Bonn"));
        for _ in 0..20 {
            values.add(here, ItemIndex::new(3), 1.0, NOW);
        }
        let preference = |value, item| values.at(value, NOW).preference(ItemIndex::new(item), 0.01);
        assert!(preference(here, 3) > 1.0);
        assert!(preference(here, 4) < 0.0);
        assert!(preference(there, 3).abs() < 1e-6);
    }

    #[test]
    fn a_location_is_not_an_attribute_of_that_name_and_names_do_not_run_into_values() {
        let attribute = |name: &str, value: &str| {
            let value = AttributeValue::Text(value.to_owned());
            let attributes = Attributes::new([(name.to_owned(), value)].into()).unwrap();
            ContextValues::attribute_labels(&attributes).next().unwrap()
        };
        let mut values = ContextValues::default();
        let labels = [
            ContextValues::location_label("DE"),
            attribute("location", "DE"),
            attribute("a=b", "c"),
            attribute("a", "b=c"),
        ];
        let indices: BTreeSet<u32> = labels.iter().filter_map(|label| values.note(label)).collect();
        assert_eq!(indices.len(), 4);
        assert_eq!(values.name(0).as_deref(), Some("DE"));
        assert_eq!(values.name(1).as_deref(), Some("location=DE"));
    }

    #[test]
    fn values_that_are_named_once_do_not_evict_one_that_is_named_often() {
        let mut values = ContextValues::default();
        for number in 0..3 * VALUES_MAX {
            values.note("Kiel");
            values.note(&number.to_string());
            values.evict().into_iter().for_each(|slot| values.names.names.release(slot));
        }
        assert!(values.rows.len() <= VALUES_MAX + 2 && values.names.find("Kiel").is_some());
    }
}
