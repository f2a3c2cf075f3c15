//! One person's state: history, decayed preferences, attributes.
//!
//! Preferences are decayed sums of the signed confidences of what the person did,
//! so a dislike lowers a topic as a like raises it. Each list is bounded: with the
//! default bounds a person costs 80 bytes and 8 more per preference plus 16 per
//! item of history.

use serde::Deserialize;
use serde::Serialize;

use super::history::History;
use crate::domain::Attributes;
use crate::domain::InteractionType;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::engine::decay::DecayedRow;

pub const TOPICS_MAX: usize = 64;
pub const SOURCES_MAX: usize = 32;
pub const DEVICES_MAX: usize = 8;
/// Hours of the week.
pub const SLOTS_MAX: usize = 168;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub history: History,
    /// Interactions by type, in the order of [`InteractionType::ALL`].
    pub counts: [u32; InteractionType::ALL.len()],
    pub topics: DecayedRow,
    pub sources: DecayedRow,
    pub devices: DecayedRow,
    /// By hour of the week, UTC: day * 24 + hour, Monday is day 0.
    pub slots: DecayedRow,
    pub attributes: Attributes,
    /// Cohorts the attributes put this person in.
    pub cohorts: Vec<u32>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Sequence of the last record that changed this person: with the model's
    /// version, the key of everything derived from both.
    pub changed_at: Sequence,
}

/// Where and when an interaction took place, as indices of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub topics: &'a [u32],
    pub source: Option<u32>,
    pub device: Option<u32>,
    pub at: Timestamp,
}

impl User {
    /// Learns from one interaction of the given signed confidence.
    pub fn note(
        &mut self,
        item: u32,
        kind: InteractionType,
        confidence: f32,
        occasion: Occasion<'_>,
        half_life_hours: f32,
    ) {
        let at = occasion.at;
        let first = self.counts.iter().all(|&count| count == 0);
        if first || at < self.first_seen {
            self.first_seen = at;
        }
        self.last_seen = self.last_seen.max(at);
        let count = &mut self.counts[kind.index()];
        *count = count.saturating_add(1);
        if kind == InteractionType::Impression {
            return;
        }
        self.history.note(item, kind, confidence, at);
        let (day, hour) = at.day_and_hour(0);
        let slot = u32::from(day) * 24 + u32::from(hour);
        self.slots.add(slot, 1.0, at, half_life_hours, SLOTS_MAX);
        if let Some(device) = occasion.device {
            self.devices.add(device, 1.0, at, half_life_hours, DEVICES_MAX);
        }
        if confidence == 0.0 {
            return;
        }
        for &topic in occasion.topics {
            self.topics.add(topic, confidence, at, half_life_hours, TOPICS_MAX);
        }
        if let Some(source) = occasion.source {
            self.sources.add(source, confidence, at, half_life_hours, SOURCES_MAX);
        }
    }

    /// All interactions but impressions.
    pub fn interactions(&self) -> u64 {
        InteractionType::ALL
            .iter()
            .filter(|&&kind| kind != InteractionType::Impression)
            .map(|kind| u64::from(self.counts[kind.index()]))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_LIFE: f32 = 24.0;

    fn occasion(topics: &[u32]) -> Occasion<'_> {
        Occasion { topics, source: Some(1), device: None, at: Timestamp::from_seconds(1_000) }
    }

    #[test]
    fn likes_raise_a_topic_and_dislikes_lower_it() {
        let mut user = User::default();
        user.note(1, InteractionType::Like, 2.0, occasion(&[4]), HALF_LIFE);
        user.note(2, InteractionType::Dislike, -1.0, occasion(&[5]), HALF_LIFE);
        assert!(user.topics.stored(4) > 0.0);
        assert!(user.topics.stored(5) < 0.0);
    }

    #[test]
    fn an_impression_is_counted_but_is_no_taste() {
        let mut user = User::default();
        user.note(1, InteractionType::Impression, 0.0, occasion(&[4]), HALF_LIFE);
        assert_eq!(user.counts[InteractionType::Impression.index()], 1);
        assert_eq!(user.interactions(), 0);
        assert!(user.history.is_empty());
    }
}
