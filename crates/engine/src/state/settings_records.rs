//! Which records have set the settings.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::Sequence;

/// Records that are remembered: the one who wrote a record asks about it within seconds.
const REMEMBERED: usize = 16;

/// The last records that changed the settings, the one in force last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsRecords(Vec<Sequence>);

impl SettingsRecords {
    /// The record whose settings are in force; 0 before the first.
    pub fn in_force(&self) -> Sequence {
        self.0.last().copied().unwrap_or(0)
    }

    /// Whether this record is known to have changed the settings.
    pub fn contains(&self, sequence: Sequence) -> bool {
        self.0.contains(&sequence)
    }

    pub(crate) fn add(&mut self, sequence: Sequence) {
        if self.0.len() == REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_records_are_remembered_and_the_newest_is_in_force() {
        let mut records = SettingsRecords::default();
        assert_eq!((records.in_force(), records.contains(0)), (0, false));
        (1..=100).for_each(|sequence| records.add(sequence));
        assert_eq!(records.in_force(), 100);
        assert!(records.contains(85) && !records.contains(84));
    }
}
