//! The number of candidates that a choice needs.

use crate::features::Candidate;
use crate::ranking::choose::Choice;
use crate::retrieval::Boost;
use crate::retrieval::Supply;

/// Candidates needed per position of the list.
const CANDIDATES_PER_POSITION: usize = 5;

impl<'a> Supply<'a> {
    /// What a choice from the catalogue needs below the items of earlier pages.
    pub fn of(choice: &Choice, above: &'a [Candidate<'a>], boosts: &'a [Boost]) -> Self {
        Self {
            needed: choice.positions * CANDIDATES_PER_POSITION,
            positions: choice.positions,
            max_per_topic: choice.max_per_topic,
            max_per_source: choice.max_per_source,
            above,
            boosts,
        }
    }
}
