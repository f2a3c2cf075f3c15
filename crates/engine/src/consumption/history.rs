//! A person's items, the most recent last.
//!
//! - One entry per item: a repeated interaction moves it to the end.
//! - An entry is at once the mark that the item was seen, a training example of
//!   the matrix factorization (its confidence) and a step of the recent path.
//! - Bounded: the oldest entry makes room. 16 bytes an entry.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::InteractionType;
use crate::domain::Timestamp;

/// Entries of a history: more than nearly everybody's lifetime of distinct items,
/// and 64 KiB at most.
pub const HISTORY_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub item: u32,
    /// Seconds since 1970 of the latest interaction.
    at_seconds: u32,
    /// Signed: above 0 the person wants the item, below 0 not, 0 is undecided.
    pub confidence: f32,
    /// Interactions with the item, saturating.
    pub count: u16,
    kind: u8,
}

impl HistoryEntry {
    pub fn at(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.at_seconds))
    }

    /// Type of the latest interaction.
    pub fn kind(&self) -> InteractionType {
        InteractionType::from_code(self.kind).expect("the code was taken from an InteractionType")
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History(Vec<HistoryEntry>);

impl History {
    /// Notes an interaction. Evidence of one sign keeps its strongest value;
    /// evidence of the other sign replaces it, since tastes change.
    pub fn note(&mut self, item: u32, kind: InteractionType, confidence: f32, at: Timestamp) {
        let at_seconds = u32::try_from(at.as_millis() / 1_000).unwrap_or(u32::MAX);
        let found = self.0.iter().rposition(|entry| entry.item == item);
        let mut entry = match found {
            Some(place) => self.0.remove(place),
            None => HistoryEntry { item, at_seconds, confidence: 0.0, count: 0, kind: 0 },
        };
        let same_sign = entry.confidence * confidence > 0.0;
        if same_sign && confidence.abs() < entry.confidence.abs() || confidence == 0.0 {
            // Weaker evidence of the same kind adds nothing.
        } else {
            entry.confidence = confidence;
        }
        entry.count = entry.count.saturating_add(1);
        entry.at_seconds = entry.at_seconds.max(at_seconds);
        entry.kind = kind.code();
        if self.0.len() >= HISTORY_MAX {
            self.0.remove(0);
        }
        self.0.push(entry);
    }

    /// All entries, the latest last.
    pub fn entries(&self) -> &[HistoryEntry] {
        &self.0
    }

    pub fn find(&self, item: u32) -> Option<&HistoryEntry> {
        self.0.iter().rfind(|entry| entry.item == item)
    }

    /// Wanted items, the latest first.
    pub fn positives(&self) -> impl Iterator<Item = &HistoryEntry> {
        self.0.iter().rev().filter(|entry| entry.confidence > 0.0)
    }

    /// Drops the entries of items that `keeps` denies.
    pub fn retain(&mut self, keeps: impl Fn(u32) -> bool) {
        self.0.retain(|entry| keeps(entry.item));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_repeated_item_moves_to_the_end_and_counts() {
        let mut history = History::default();
        history.note(1, InteractionType::Click, 1.0, at(1));
        history.note(2, InteractionType::Click, 1.0, at(2));
        history.note(1, InteractionType::Click, 1.0, at(3));
        let items: Vec<_> =
            history.entries().iter().map(|entry| (entry.item, entry.count)).collect();
        assert_eq!(items, [(2, 1), (1, 2)]);
    }

    #[test]
    fn the_strongest_evidence_of_a_sign_stays_and_the_other_sign_replaces_it() {
        let mut history = History::default();
        history.note(1, InteractionType::Like, 2.0, at(1));
        history.note(1, InteractionType::Click, 1.0, at(2));
        assert_eq!(history.entries()[0].confidence, 2.0);
        history.note(1, InteractionType::Rating, 0.0, at(3));
        assert_eq!(history.entries()[0].confidence, 2.0);
        history.note(1, InteractionType::Dislike, -1.0, at(4));
        assert_eq!(history.entries()[0].confidence, -1.0);
    }

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut history = History::default();
        for item in 0..=HISTORY_MAX as u32 {
            history.note(item, InteractionType::Click, 1.0, at(i64::from(item)));
        }
        assert_eq!(history.entries().len(), HISTORY_MAX);
        assert!(history.find(0).is_none());
    }
}
