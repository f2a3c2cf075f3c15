//! Topics, sources, devices: labels that the catalogue names, or events alone.
//!
//! - A label that a catalogue item has stays as long as the item has it.
//! - Labels that only events name have a budget. When it is exceeded, those with the fewest uses are
//!   evicted, an eighth of the budget at a time. Whenever as many as the budget were evicted, the
//!   counts of the others are halved, so that an old label does not keep out a new one.
//! - A slot of an evicted label is held until a sweep is over. While such slots fill twice the
//!   budget, no new label of an event is taken: a stream of labels that are named once cannot
//!   outgrow the sweep.

use crate::columns::column::Column;
use crate::columns::interner::Interner;
use crate::columns::part::Part;

/// Part of the budget that is freed at a time.
const EVICTED_ONE_IN: usize = 8;
/// Slots of labels of events, evicted or not, in budgets.
const BUDGETS_HELD: usize = 2;

/// Labels of one kind, with their indices.
#[derive(Debug, Clone)]
pub struct Labels {
    pub names: Interner,
    /// How often events named each.
    pub uses: Column<u32>,
    /// Catalogue items that have it.
    pub items: Column<u32>,
    /// Evicted since counts were halved.
    pub evicted: u64,
    /// Labels that a catalogue item has. Derived.
    kept: usize,
    budget: usize,
}

impl Labels {
    /// At most `budget` labels that only events name.
    pub fn new(budget: usize) -> Self {
        Self {
            names: Interner::default(),
            uses: Column::default(),
            items: Column::default(),
            evicted: 0,
            kept: 0,
            budget,
        }
    }

    /// Slots, used or not.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn find(&self, name: &str) -> Option<u32> {
        self.names.find(name)
    }

    pub fn name(&self, index: u32) -> Option<&str> {
        self.names.name(index).map(AsRef::as_ref)
    }

    pub fn is_live(&self, index: u32) -> bool {
        self.names.is_live(index)
    }

    /// The label of an event; `None` where it is new and there is no space now.
    pub fn note(&mut self, name: &str) -> Option<u32> {
        let is_full = self.names.used() - self.kept >= BUDGETS_HELD * self.budget;
        if is_full && self.find(name).is_none() {
            return None;
        }
        let index = self.intern(name);
        let uses = self.uses.get_mut(index as usize);
        *uses = uses.saturating_add(1);
        Some(index)
    }

    /// The label of an item that comes into the catalogue.
    pub fn keep(&mut self, name: &str) -> u32 {
        let index = self.intern(name);
        let items = self.items.get_mut(index as usize);
        self.kept += usize::from(*items == 0);
        *items += 1;
        index
    }

    /// An item with this label leaves the catalogue.
    pub fn let_go(&mut self, index: u32) {
        let items = self.items.get_mut(index as usize);
        *items = items.saturating_sub(1);
        self.kept -= usize::from(*items == 0);
    }

    fn intern(&mut self, name: &str) -> u32 {
        let index = self.names.intern(name);
        self.uses.grow(index as usize + 1, &0);
        self.items.grow(index as usize + 1, &0);
        index
    }

    /// Evicts the labels with the fewest uses when there are more than the budget. The caller
    /// releases their slots once nothing refers to them.
    pub fn evict(&mut self) -> Vec<u32> {
        if self.names.live() - self.kept <= self.budget {
            return Vec::new();
        }
        let is_evictable =
            |index: &u32| self.names.is_live(*index) && self.items[*index as usize] == 0;
        let mut evictable: Vec<u32> = (0..self.names.len() as u32).filter(is_evictable).collect();
        let surplus = evictable.len() - self.budget;
        evictable.sort_by_key(|&index| (self.uses[index as usize], index));
        evictable.truncate(surplus + self.budget / EVICTED_ONE_IN);
        for &index in &evictable {
            self.names.forget(index);
            *self.uses.get_mut(index as usize) = 0;
        }
        self.evicted += evictable.len() as u64;
        if self.evicted >= self.budget as u64 {
            self.evicted = 0;
            self.halve();
        }
        evictable
    }

    fn halve(&mut self) {
        for index in 0..self.uses.len() {
            if self.uses[index] > 0 {
                *self.uses.get_mut(index) /= 2;
            }
        }
    }

    /// Names, uses and items: what digests and snapshots hold.
    pub fn parts(&self) -> [&dyn Part; 3] {
        let Self { names, uses, items, evicted: _, kept: _, budget: _ } = self;
        [names, uses, items]
    }

    pub fn parts_mut(&mut self) -> [&mut dyn Part; 3] {
        let Self { names, uses, items, evicted: _, kept: _, budget: _ } = self;
        [names, uses, items]
    }

    /// Derives what is not in snapshots; `false` where the columns do not fit together.
    pub fn derive(&mut self, is_held: impl Fn(u32) -> bool) -> bool {
        self.kept = self.items.iter().filter(|&&items| items > 0).count();
        self.names.derive_free(is_held);
        self.uses.len() == self.names.len() && self.items.len() == self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_named_once_do_not_outgrow_a_sweep_that_takes_long() {
        let mut labels = Labels::new(16);
        let mut held = Vec::new();
        for number in 0..1_000 {
            labels.note("often");
            labels.note(&format!("once {number}"));
            held.extend(labels.evict());
        }
        assert!(labels.len() <= BUDGETS_HELD * 16 && labels.find("often").is_some());
        assert_eq!(labels.note("new"), None);
        held.into_iter().for_each(|slot| labels.names.release(slot));
        assert!(labels.note("new").is_some(), "once the sweep is over");
    }

    #[test]
    fn labels_with_the_fewest_uses_are_evicted_and_those_of_the_catalogue_stay() {
        let mut labels = Labels::new(16);
        let kept = labels.keep("of an item");
        for _ in 0..100 {
            labels.note("often");
        }
        let evicted: Vec<u32> = (0..100)
            .flat_map(|number| {
                labels.note(&format!("once {number}"));
                let evicted = labels.evict();
                evicted.iter().for_each(|&index| labels.names.release(index));
                evicted
            })
            .collect();
        assert!(evicted.len() > 80 && labels.len() <= 19, "{} of {}", evicted.len(), labels.len());
        assert!(labels.find("often").is_some() && labels.find("of an item") == Some(kept));
        assert!(labels.find("once 99").is_some(), "the newest is kept");
        labels.let_go(kept);
        assert!((0..40).any(|number| {
            labels.note(&format!("more {number}"));
            labels.evict().contains(&kept)
        }));
    }
}
