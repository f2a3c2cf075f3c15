//! What a pending decision still needs of the experiment that divided its list or drew its variant.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Division;
use crate::domain::Timestamp;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingDivision {
    pub division: Division,
    /// Until when what users do is waited for, where the list is what is measured.
    pub due: Option<Timestamp>,
    /// A bit for each metric of the experiment that an event has fulfilled.
    pub fulfilled: u16,
}

impl PendingDivision {
    /// Memory, in bytes.
    pub fn bytes(&self) -> usize {
        let list = match &self.division {
            Division::InTurns { chosen_by, .. } => size_of_val(&**chosen_by),
            Division::Drawn { chances, .. } => size_of_val(&**chances),
        };
        size_of::<Self>() + list
    }

    /// The experiment and the variant that chose a position of an interleaved list.
    pub fn chosen_by(&self, position: usize) -> Option<(u32, u8)> {
        match &self.division {
            Division::InTurns { experiment, chosen_by } => {
                Some((*experiment, (*chosen_by.get(position)?)?))
            }
            Division::Drawn { .. } => None,
        }
    }
}
