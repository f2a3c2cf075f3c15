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

    /// Whether a position of a list in turns is the second choice of its round: whose turn it is then follows
    /// from the first one.
    pub fn is_second_choice(&self, position: usize) -> bool {
        let Self::InTurns { chosen_by, .. } = self else {
            return false;
        };
        let is_choice = |at: usize| chosen_by.get(at).is_some_and(Option::is_some);
        is_choice(position) && (0..position).filter(|&above| is_choice(above)).count() % 2 == 1
    }
}
