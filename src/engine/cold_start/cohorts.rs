//! What people with an attribute in common want: the taste of somebody of whom
//! only attributes are known.
//!
//! A cohort is one attribute value, such as `country=DE`. Its preference for an
//! item is the item's share of the cohort's positive interactions, shrunk towards
//! the share among everybody (empirical Bayes with a fixed prior mass), as a log
//! ratio: 0 says "as everybody", above 0 "more than everybody".

use std::sync::Arc;

use crate::domain::AttributeValue;
use crate::domain::Attributes;
use crate::domain::Timestamp;
use crate::engine::column::Column;
use crate::engine::decay::DecayedRow;
use crate::engine::interner::Interner;
use crate::numeric::math;

/// Cohorts one person belongs to at most: the first attributes in name order.
const COHORTS_PER_USER: usize = 8;
/// Items a cohort remembers.
const ITEMS_PER_COHORT: usize = 2_048;
/// Pseudo-observations of everybody's taste in each cohort.
const PRIOR_MASS: f32 = 50.0;

/// Decayed positive interactions by cohort and item.
#[derive(Debug, Clone, Default)]
pub struct Cohorts {
    pub names: Interner,
    pub rows: Column<Arc<DecayedRow>>,
}

/// The cohorts that attributes put a person in. Numbers make no cohort: they are
/// as good as unique; send bands.
pub fn cohort_names(attributes: &Attributes) -> impl Iterator<Item = String> {
    attributes
        .iter()
        .filter_map(|(name, value)| match value {
            AttributeValue::Text(text) => Some(format!("{name}={text}")),
            AttributeValue::Flag(flag) => Some(format!("{name}={flag}")),
            AttributeValue::Number(_) | AttributeValue::List(_) => None,
        })
        .take(COHORTS_PER_USER)
}

impl Cohorts {
    pub fn intern(&mut self, name: &str) -> u32 {
        let cohort = self.names.intern(name);
        self.rows.grow(self.names.len(), &Arc::default());
        cohort
    }

    pub fn add(&mut self, cohort: u32, item: u32, weight: f32, at: Timestamp, half_life: f32) {
        let row = Arc::make_mut(self.rows.get_mut(cohort as usize));
        row.add(item, weight, at, half_life, ITEMS_PER_COHORT);
    }

    /// Mean log ratio of the item's share in the cohorts to its share overall.
    /// `overall_share` is in 0..=1.
    pub fn preference(
        &self,
        cohorts: &[u32],
        item: u32,
        overall_share: f32,
        now: Timestamp,
        half_life: f32,
    ) -> f32 {
        if cohorts.is_empty() {
            return 0.0;
        }
        let overall = overall_share.max(1e-6);
        let log_ratio = |&cohort: &u32| {
            let row = &self.rows[cohort as usize];
            let scale = row.scale(now, half_life);
            let (wanted, total) = (row.stored(item) * scale, row.total() * scale);
            let share = (wanted + PRIOR_MASS * overall) / (total + PRIOR_MASS);
            math::ln(f64::from(share / overall)) as f32
        };
        cohorts.iter().map(log_ratio).sum::<f32>() / cohorts.len() as f32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_cohort_prefers_what_its_members_wanted_and_an_empty_one_is_neutral() {
        let mut cohorts = Cohorts::default();
        let (young, old) = (cohorts.intern("age=young"), cohorts.intern("age=old"));
        let now = Timestamp::from_seconds(1);
        for _ in 0..20 {
            cohorts.add(young, 3, 1.0, now, 24.0);
        }
        let preference = |cohort| cohorts.preference(&[cohort], 3, 0.01, now, 24.0);
        assert!(preference(young) > 1.0);
        assert!(preference(old).abs() < 1e-6);
    }

    #[test]
    fn texts_and_flags_make_cohorts_and_numbers_do_not() {
        let attributes = Attributes::new(BTreeMap::from([
            ("age".to_owned(), AttributeValue::Number(33.0)),
            ("country".to_owned(), AttributeValue::Text("DE".to_owned())),
            ("member".to_owned(), AttributeValue::Flag(true)),
        ]))
        .unwrap();
        let names: Vec<_> = cohort_names(&attributes).collect();
        assert_eq!(names, ["country=DE", "member=true"]);
    }
}
