//! The ranker of a variant that overrides how is chosen: what it explores teaches no other variant.
//!
//! It begins as a copy of the shared one, and learns from decisions with its variant alone. Who
//! influences how much in a day, what exploring may cost, and effects of items stay shared.

use std::sync::Arc;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::Belief;
use crate::bandit::Ranker;
use crate::bandit::RankerPrior;
use crate::bandit::SEGMENTS;

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct OwnRanker {
    ranker: Ranker,
    /// Solved when first asked for.
    #[serde(skip)]
    solved: Solved,
}

#[derive(Debug, Default)]
struct Solved {
    shared: OnceLock<Belief>,
    segments: [OnceLock<Belief>; SEGMENTS],
}

impl Clone for OwnRanker {
    /// For writing: nothing is solved yet.
    fn clone(&self) -> Self {
        Self { ranker: self.ranker.clone(), solved: Solved::default() }
    }
}

impl PartialEq for OwnRanker {
    fn eq(&self, other: &Self) -> bool {
        self.ranker == other.ranker
    }
}

impl OwnRanker {
    /// A copy of the shared one.
    pub fn of(shared: &Ranker) -> Arc<Self> {
        Arc::new(Self { ranker: shared.forked(), solved: Solved::default() })
    }

    pub fn ranker(&self) -> &Ranker {
        &self.ranker
    }

    pub fn ranker_mut(&mut self) -> &mut Ranker {
        self.solved = Solved::default();
        &mut self.ranker
    }

    /// The belief of a segment; that of all users for a number that is no segment.
    pub fn belief_of(&self, segment: u8) -> &Belief {
        let shared = self.solved.shared.get_or_init(|| self.ranker.solve());
        let known = self.solved.segments.get(usize::from(segment));
        let solve = || self.ranker.solve_segment(segment, shared);
        known.map_or(shared, |known| known.get_or_init(solve))
    }

    /// With the features of this engine.
    pub fn align(&mut self, prior: RankerPrior) {
        let ranker = self.ranker_mut();
        *ranker = ranker.aligned(prior);
    }
}
