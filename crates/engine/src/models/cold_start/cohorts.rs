//! What users with common attributes consume: the taste of a user of whom only attributes
//! are known.
//!
//! Cohorts form a hierarchy: all users, users with one attribute value
//! (`country=DE`), with two (`age=30..40 & country=DE`), with all attributes of a user.
//! A cohort's share of an item is shrunk towards the mean of its parent cohorts, and these
//! towards that of all users (`shrinkage`). So the most specific cohort decides where it has
//! enough evidence, and adds no noise where it has not. A preference is the log ratio of the
//! share to the share among all users: 0 means no difference.
//!
//! - Sums are of confidences, decayed like the popularity in use. Observations are counted as
//!   `(sum w)^2 / sum w^2`, the effective number of observations of equal weight.
//! - The strengths of shrinkage are estimated again at fixed numbers of observations.
//! - Bounded: [`COHORTS_MAX`] cohorts, at most 16 KiB each. Beyond that, those with the fewest uses
//!   are evicted: mostly the values of an attribute that is an id, not a group.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::column::Column;
use crate::columns::index::ItemIndex;
use crate::columns::labels::Labels;
use crate::columns::part::Part;
use crate::domain::Attributes;
use crate::models::cold_start::groups;
use crate::models::cold_start::shrinkage::Moments;
use crate::models::cold_start::shrinkage::STRENGTH_DEFAULT;
use crate::models::cold_start::shrinkage::shrunk;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;
use crate::numeric::math;

const COHORTS_MAX: usize = 4_096;
/// Attributes whose pairs are cohorts: the first in name order.
const PAIRED_ATTRIBUTES: usize = 3;
/// Single attributes, pairs, all together.
const LEVELS: usize = 3;
/// Items that a cohort of each level remembers.
const ITEMS_MAX: [usize; LEVELS] = [2_048, 1_024, 512];
/// Cohorts of each level that the strengths are estimated from: the first ones.
const ESTIMATED_FROM: usize = 256;
/// Strengths are estimated when this many observations were made, and at each
/// doubling; from the second number on at each multiple of it.
const FIRST_ESTIMATE: u64 = 256;
const ESTIMATE_EVERY: u64 = 65_536;
/// An item without positives.
const SHARE_MIN: f32 = 1e-6;
const PARTS_OF_NAMES: [&str; 3] = ["cohort_names", "cohort_uses", "cohort_items"];

/// Users with the same values of one or more attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cohort {
    /// 0 for one attribute, 1 for two, 2 for all.
    level: u8,
    /// The parent cohorts; none for those below all users.
    parents: Vec<u32>,
    items: DecayedRow<ItemIndex>,
    /// Sum of squared weights, which decays twice as fast.
    squares: DecayedRow,
}

impl Cohort {
    /// What turns stored sums into effective observations at `now`.
    fn scale(&self, now: DecayTime) -> f32 {
        let scale = self.items.scale(now);
        let squares = self.squares.total() * self.squares.scale(now.faster(2.0));
        if squares > 0.0 { self.items.total() * scale / squares * scale } else { 0.0 }
    }
}

/// What changes with each observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    observations: u64,
    strengths: [f32; LEVELS],
}

impl Default for Estimates {
    fn default() -> Self {
        Self { observations: 0, strengths: [STRENGTH_DEFAULT; LEVELS] }
    }
}

/// All cohorts.
#[derive(Debug, Clone)]
pub struct Cohorts {
    pub names: Labels,
    pub rows: Column<Arc<Cohort>>,
    pub estimates: Estimates,
}

impl Default for Cohorts {
    fn default() -> Self {
        Self {
            names: Labels::new(COHORTS_MAX),
            rows: Column::default(),
            estimates: Estimates::default(),
        }
    }
}

impl Cohorts {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        let Self { names, rows, estimates: _ } = self;
        let mut parts: Vec<(&'static str, &dyn Part)> = vec![("cohort_rows", rows)];
        parts.extend(PARTS_OF_NAMES.into_iter().zip(names.parts()));
        parts
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        let Self { names, rows, estimates: _ } = self;
        let mut parts: Vec<(&'static str, &mut dyn Part)> = vec![("cohort_rows", rows)];
        parts.extend(PARTS_OF_NAMES.into_iter().zip(names.parts_mut()));
        parts
    }

    /// Evicts the cohorts with the fewest uses when there are more than the budget.
    pub fn evict(&mut self) -> Vec<u32> {
        let evicted = self.names.evict();
        for &cohort in &evicted {
            *self.rows.get_mut(cohort as usize) = Arc::default();
        }
        evicted
    }

    /// The cohorts of a user with these attributes, the general ones first.
    pub fn of(&mut self, attributes: &Attributes) -> Vec<u32> {
        let values = groups::values(attributes);
        let name = |(attribute, value): &(_, _)| format!("{attribute}={value}");
        let singles: Vec<Option<u32>> =
            values.iter().map(|value| self.make(&name(value), 0, Vec::new())).collect();
        let mut found: Vec<u32> = singles.iter().flatten().copied().collect();
        let paired = values.len().min(PAIRED_ATTRIBUTES);
        let mut above_all = singles.clone();
        for (left, right) in (0..paired).flat_map(|l| (l + 1..paired).map(move |r| (l, r))) {
            let (Some(one), Some(other)) = (singles[left], singles[right]) else {
                continue;
            };
            let pair = self.combination(1, vec![one, other]);
            found.extend(pair);
            above_all.push(pair);
            (above_all[left], above_all[right]) = (None, None);
        }
        let parts: Vec<u32> = above_all.into_iter().flatten().collect();
        if parts.len() >= 2 && values.len() > 2 {
            found.extend(self.combination(2, parts));
        }
        found
    }

    fn combination(&mut self, level: u8, parents: Vec<u32>) -> Option<u32> {
        let name = self.name_of(&parents);
        self.make(&name, level, parents)
    }

    /// All parts of the names of `cohorts`, each once, in the order of names.
    fn name_of(&self, cohorts: &[u32]) -> String {
        let names = cohorts.iter().filter_map(|&cohort| self.name(cohort));
        let mut parts: Vec<&str> = names.flat_map(|name| name.split(" & ")).collect();
        parts.sort_unstable();
        parts.dedup();
        parts.join(" & ")
    }

    /// The cohort of a name, made where there is none and space for one.
    fn make(&mut self, name: &str, level: u8, parents: Vec<u32>) -> Option<u32> {
        let is_new = self.names.find(name).is_none();
        let cohort = self.names.note(name)?;
        self.rows.grow(cohort as usize + 1, &Arc::default());
        if is_new {
            let row = Arc::new(Cohort { level, parents, ..Cohort::default() });
            *self.rows.get_mut(cohort as usize) = row;
        }
        Some(cohort)
    }

    /// `None` for a cohort that was forgotten.
    pub fn name(&self, cohort: u32) -> Option<&str> {
        self.names.name(cohort)
    }

    pub fn items(&self, cohort: u32) -> &DecayedRow<ItemIndex> {
        &self.rows[cohort as usize].items
    }

    /// Drops entries of items that `is_live` denies, and of forgotten cohorts.
    pub fn drop_dead(&mut self, cohort: u32, is_live: impl Fn(ItemIndex) -> bool) {
        let Self { names, rows, .. } = self;
        let row = &rows[cohort as usize];
        let is_whole = row.items.entries().iter().all(|entry| is_live(entry.0))
            && row.parents.iter().all(|&parent| names.is_live(parent));
        if !is_whole {
            let row = Arc::make_mut(rows.get_mut(cohort as usize));
            row.items.retain(is_live);
            row.parents.retain(|&parent| names.is_live(parent));
        }
    }

    /// Those of a user's cohorts that are no parent of another of them.
    pub fn most_specific(&self, cohorts: &[u32]) -> Vec<u32> {
        let is_parent = |cohort: &u32| {
            cohorts.iter().any(|&other| self.rows[other as usize].parents.contains(cohort))
        };
        cohorts.iter().copied().filter(|cohort| !is_parent(cohort)).collect()
    }

    /// Counts a positive for an item by a user of these cohorts. True when it is time to
    /// estimate the strengths.
    pub fn add(&mut self, cohorts: &[u32], item: ItemIndex, weight: f32, at: DecayTime) -> bool {
        for &cohort in cohorts {
            let row = Arc::make_mut(self.rows.get_mut(cohort as usize));
            row.items.add(item, weight, at, ITEMS_MAX[usize::from(row.level)]);
            row.squares.add(0, weight * weight, at.faster(2.0), 1);
        }
        if cohorts.is_empty() {
            return false;
        }
        let observations = &mut self.estimates.observations;
        *observations += 1;
        let doubled = *observations >= FIRST_ESTIMATE && observations.is_power_of_two();
        if *observations < ESTIMATE_EVERY {
            doubled
        } else {
            observations.is_multiple_of(ESTIMATE_EVERY)
        }
    }

    /// Takes back what was added for an item.
    pub fn take_back(&mut self, cohorts: &[u32], item: ItemIndex, weight: f32, at: DecayTime) {
        for &cohort in cohorts {
            let row = Arc::make_mut(self.rows.get_mut(cohort as usize));
            row.items.take_back(item, weight, at);
        }
    }

    /// Estimates the strengths of shrinkage, level by level from the top, against the
    /// shares of all users.
    pub fn estimate(&mut self, overall: impl Fn(ItemIndex) -> f32, now: DecayTime) {
        for level in 0..LEVELS {
            let mut moments = Moments::default();
            let of_level = self.rows.iter().filter(|row| usize::from(row.level) == level);
            for cohort in of_level.take(ESTIMATED_FROM) {
                let scale = f64::from(cohort.scale(now));
                let parents = self.with_parents(&cohort.parents);
                let above = self.scorer(&parents, now);
                moments.add(cohort.items.entries().iter().map(|&(item, stored)| {
                    let share = above.share(item, overall(item));
                    (f64::from(stored) * scale, f64::from(share))
                }));
            }
            if let Some(strength) = moments.strength() {
                self.estimates.strengths[level] = strength;
            }
        }
    }

    /// `cohorts` and all above them, the general ones first.
    fn with_parents(&self, cohorts: &[u32]) -> Vec<u32> {
        let mut all: Vec<u32> = cohorts.to_vec();
        for &cohort in cohorts {
            all.extend(&self.rows[cohort as usize].parents);
        }
        all.sort_by_key(|&cohort| (self.rows[cohort as usize].level, cohort));
        all.dedup();
        all
    }

    /// Shares of items among users of these cohorts, the general ones first.
    pub fn scorer(&self, cohorts: &[u32], now: DecayTime) -> CohortScorer<'_> {
        let specific = self.most_specific(cohorts);
        let members = cohorts.iter().map(|&index| {
            let cohort: &Cohort = &self.rows[index as usize];
            let scale = cohort.scale(now);
            let position = |parent: &u32| cohorts.iter().position(|known| known == parent);
            Member {
                items: &cohort.items,
                scale,
                observations: cohort.items.total() * scale,
                strength: self.estimates.strengths[usize::from(cohort.level)],
                parents: cohort.parents.iter().filter_map(position).collect(),
                is_specific: specific.contains(&index),
            }
        });
        CohortScorer { members: members.collect() }
    }
}

#[derive(Debug)]
struct Member<'v> {
    items: &'v DecayedRow<ItemIndex>,
    scale: f32,
    observations: f32,
    strength: f32,
    /// Indices of the parent cohorts among the members.
    parents: Vec<usize>,
    is_specific: bool,
}

/// Scores items for the cohorts of one user.
#[derive(Debug)]
pub struct CohortScorer<'v> {
    /// Parents come before their children.
    members: Vec<Member<'v>>,
}

/// A user's cohorts: six single ones, three pairs, one of all.
const MEMBERS_MAX: usize = 10;

impl CohortScorer<'_> {
    /// The item's share in the most specific cohorts; `overall` without any.
    fn share(&self, item: ItemIndex, overall: f32) -> f32 {
        let mut shares = [0.0_f32; MEMBERS_MAX];
        let (mut sum, mut specific) = (0.0, 0.0);
        for (position, member) in self.members.iter().take(MEMBERS_MAX).enumerate() {
            let above = member.parents.iter().map(|&parent| shares[parent]).sum::<f32>();
            let parents = member.parents.len() as f32;
            let parent = if parents > 0.0 { above / parents } else { overall };
            let k = member.items.stored(item) * member.scale;
            shares[position] = shrunk(k, member.observations, parent, member.strength);
            if member.is_specific {
                sum += shares[position];
                specific += 1.0;
            }
        }
        if specific > 0.0 { sum / specific } else { overall }
    }

    /// Log ratio of the item's share in the most specific cohorts to its share
    /// overall, which is in 0..=1. 0 without cohorts.
    pub fn preference(&self, item: ItemIndex, overall_share: f32) -> f32 {
        if self.members.is_empty() {
            return 0.0;
        }
        let overall = overall_share.max(SHARE_MIN);
        math::ln_f32(self.share(item, overall) / overall)
    }
}

#[cfg(test)]
mod tests;
