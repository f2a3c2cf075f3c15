//! Slots whose name was forgotten, but to which other state may still refer.
//!
//! A sweep visits all references to slots, a few with each record, and drops those to forgotten
//! slots. Slots that were forgotten before the sweep began are then free. So no record waits for
//! a walk over the whole state, and no reference ever changes its meaning.

use serde::Deserialize;
use serde::Serialize;

use crate::columns::index::ItemIndex;

/// Forgotten slots of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine<K = u32> {
    /// Forgotten since the present sweep began.
    waiting: Vec<K>,
    /// Forgotten before it.
    swept: Vec<K>,
}

impl<K> Default for Quarantine<K> {
    fn default() -> Self {
        Self { waiting: Vec::new(), swept: Vec::new() }
    }
}

impl<K: Copy> Quarantine<K> {
    pub fn add(&mut self, slots: impl IntoIterator<Item = K>) {
        self.waiting.extend(slots);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.swept.is_empty()
    }

    /// All slots that are held back.
    pub fn slots(&self) -> Vec<K> {
        self.waiting.iter().chain(&self.swept).copied().collect()
    }

    fn begin(&mut self) {
        self.swept.append(&mut self.waiting);
    }

    /// The slots that nothing refers to any more.
    pub fn end(&mut self) -> Vec<K> {
        std::mem::take(&mut self.swept)
    }
}

/// What a sweep visits, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Users,
    Items,
    Cohorts,
    ContextValues,
    Topics,
}

impl Phase {
    pub const ALL: [Self; 5] =
        [Self::Users, Self::Items, Self::Cohorts, Self::ContextValues, Self::Topics];

    pub fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

/// Forgotten slots of every kind, and the position of the sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    pub items: Quarantine<ItemIndex>,
    pub topics: Quarantine,
    pub sources: Quarantine,
    pub devices: Quarantine,
    pub context_values: Quarantine,
    pub cohorts: Quarantine,
    /// Forgotten terms that the model refers to; free with the next model.
    pub terms_in_model: Vec<u32>,
    /// The next slot of a phase to visit; `None` between two sweeps.
    at: Option<(Phase, u32)>,
}

impl Sweep {
    fn begin(&mut self) {
        let Self { items, topics, sources, devices, context_values, cohorts, .. } = self;
        items.begin();
        [topics, sources, devices, context_values, cohorts].into_iter().for_each(Quarantine::begin);
        self.at = Some((Phase::Users, 0));
    }

    /// Whether no forgotten slot is held back.
    pub fn is_idle(&self) -> bool {
        let Self { items, topics, sources, devices, context_values, cohorts, .. } = self;
        let labels = [topics, sources, devices, context_values, cohorts];
        items.is_empty() && labels.iter().all(|kind| kind.is_empty())
    }

    /// The position of the sweep, which begins if needed; `None` when there is nothing to do.
    pub fn at(&mut self) -> Option<(Phase, u32)> {
        if self.at.is_none() && !self.is_idle() {
            self.begin();
        }
        self.at
    }

    pub fn go_to(&mut self, at: Option<(Phase, u32)>) {
        self.at = at;
    }
}
