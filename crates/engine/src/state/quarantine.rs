//! Slots whose name was forgotten, but to which other state may still refer.
//!
//! A sweep visits all references to slots, a few with each record, and drops those to forgotten
//! slots. Slots that were forgotten before the sweep began are then free. So no record waits for
//! a walk over the whole state, and no reference ever changes its meaning.

use serde::Deserialize;
use serde::Serialize;

/// Forgotten slots of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Forgotten since the present sweep began.
    waiting: Vec<u32>,
    /// Forgotten before it.
    swept: Vec<u32>,
}

impl Quarantine {
    pub fn add(&mut self, slots: impl IntoIterator<Item = u32>) {
        self.waiting.extend(slots);
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.swept.is_empty()
    }

    /// All slots that are held back.
    pub fn slots(&self) -> Vec<u32> {
        self.waiting.iter().chain(&self.swept).copied().collect()
    }

    fn begin(&mut self) {
        self.swept.append(&mut self.waiting);
    }

    /// The slots that nothing refers to any more.
    pub fn end(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.swept)
    }
}

/// What a sweep visits, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Users,
    Items,
    Cohorts,
    Locations,
    Topics,
}

impl Phase {
    pub const ALL: [Self; 5] =
        [Self::Users, Self::Items, Self::Cohorts, Self::Locations, Self::Topics];

    pub fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

/// Forgotten slots of every kind, and the position of the sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    pub items: Quarantine,
    pub topics: Quarantine,
    pub sources: Quarantine,
    pub devices: Quarantine,
    pub locations: Quarantine,
    pub cohorts: Quarantine,
    /// Forgotten terms that the model refers to; free with the next model.
    pub terms_in_model: Vec<u32>,
    /// The next to visit; `None` between two sweeps.
    at: Option<(Phase, u32)>,
}

impl Sweep {
    fn kinds(&mut self) -> [&mut Quarantine; 6] {
        let Self { items, topics, sources, devices, locations, cohorts, .. } = self;
        [items, topics, sources, devices, locations, cohorts]
    }

    /// Whether no forgotten slot is held back.
    pub fn is_idle(&self) -> bool {
        let Self { items, topics, sources, devices, locations, cohorts, .. } = self;
        [items, topics, sources, devices, locations, cohorts].iter().all(|kind| kind.is_empty())
    }

    /// The position of the sweep, which begins if needed; `None` when there is nothing to do.
    pub fn at(&mut self) -> Option<(Phase, u32)> {
        if self.at.is_none() && !self.is_idle() {
            self.kinds().into_iter().for_each(Quarantine::begin);
            self.at = Some((Phase::Users, 0));
        }
        self.at
    }

    pub fn go_to(&mut self, at: Option<(Phase, u32)>) {
        self.at = at;
    }
}
