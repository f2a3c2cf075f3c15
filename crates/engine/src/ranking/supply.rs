//! The number of candidates that a choice needs.

use crate::features::Candidate;
use crate::ranking::choose::Cap;
use crate::ranking::choose::Choice;
use crate::retrieval::Boost;
use crate::retrieval::Caps;
use crate::retrieval::Supply;

/// Candidates needed per position of the list.
const CANDIDATES_PER_POSITION: usize = 5;

impl<'a> Supply<'a> {
    /// What a choice from the catalogue needs below the items of earlier pages.
    pub fn of(choice: &Choice, above: &'a [Candidate<'a>], boosts: &'a [Boost]) -> Self {
        let caps = Caps { per_topic: choice.max_per_topic, per_source: choice.max_per_source };
        let positions = above.len() + choice.positions;
        let share = |threshold: f64, most: u32| Cap::new(threshold, most, positions).share();
        let shares = Caps {
            per_topic: share(choice.topic_threshold, caps.per_topic),
            per_source: share(choice.source_threshold, caps.per_source),
        };
        Self {
            needed: choice.positions * CANDIDATES_PER_POSITION,
            positions: choice.positions,
            caps,
            // Where they say no more, they need not be looked at.
            shares: if shares == caps { Caps::NONE } else { shares },
            above,
            boosts,
        }
    }
}
