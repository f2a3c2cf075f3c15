//! How a list was divided between the variants of an experiment.

use serde::Deserialize;
use serde::Serialize;

/// Recorded with the decision; the experiment is one of its assignments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Division {
    /// Both variants filled it in turns: which of them chose each position; none: it was pinned.
    InTurns { experiment: u32, chosen_by: Vec<Option<u8>> },
    /// All of it is of one variant, drawn with these chances of all variants.
    Drawn { experiment: u32, variant: u8, chances: Vec<f32> },
}

impl Division {
    pub const fn experiment(&self) -> u32 {
        match self {
            Self::InTurns { experiment, .. } | Self::Drawn { experiment, .. } => *experiment,
        }
    }
}
