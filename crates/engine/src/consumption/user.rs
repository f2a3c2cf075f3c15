//! One person's state: history, decayed preferences, attributes.
//!
//! Preferences are decayed sums of the signed confidences of what the person did,
//! so a dislike lowers a topic as a like raises it. Each list is bounded: with the
//! default bounds a person costs 300 bytes and 8 more per preference plus 16 per
//! item of history.

use serde::Deserialize;
use serde::Serialize;

use crate::consumption::history::History;
use crate::consumption::session::Session;
use crate::domain::Attributes;
use crate::domain::InteractionType;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::models::contexts::Occasion;
use crate::models::contexts::SLOTS;
use crate::models::decay::DecayTime;
use crate::models::decay::DecayedRow;

pub const TOPICS_MAX: usize = 64;
pub const SOURCES_MAX: usize = 32;
pub const DEVICES_MAX: usize = 8;
/// Hours of the week.
pub const SLOTS_MAX: usize = 168;
/// Topics at parts of the week.
const TOPIC_SLOTS_MAX: usize = 48;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub history: History,
    /// Interactions by type, in the order of [`InteractionType::ALL`].
    pub counts: [u32; InteractionType::ALL.len()],
    pub topics: DecayedRow,
    pub sources: DecayedRow,
    pub devices: DecayedRow,
    /// By hour of the local week: day * 24 + hour, Monday is day 0.
    pub slots: DecayedRow,
    /// Wanted topics by part of the week: topic * [`SLOTS`] + slot.
    pub topic_slots: DecayedRow,
    pub session: Session,
    pub attributes: Attributes,
    /// Cohorts the attributes put this person in.
    pub cohorts: Vec<u32>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Sequence of the last record that changed this person: with the model's
    /// version, the key of everything derived from both.
    pub changed_at: Sequence,
}

/// One interaction, as indices of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    pub item: u32,
    pub kind: InteractionType,
    /// Signed: above 0 the person wants the item, below 0 not.
    pub confidence: f32,
    pub topics: &'a [u32],
    pub source: Option<u32>,
    pub occasion: &'a Occasion,
    /// Whether it belongs to the person's session.
    pub in_session: bool,
}

/// Which indices still have a name.
pub struct Live<'a> {
    pub item: &'a dyn Fn(u32) -> bool,
    pub topic: &'a dyn Fn(u32) -> bool,
    pub source: &'a dyn Fn(u32) -> bool,
    pub device: &'a dyn Fn(u32) -> bool,
    pub cohort: &'a dyn Fn(u32) -> bool,
}

impl User {
    /// Whether anything of it is about what was forgotten.
    pub fn refers_to_dead(&self, live: &Live<'_>) -> bool {
        let Live { item, topic, source, device, cohort } = live;
        let is_dead = |row: &DecayedRow, is_live: &dyn Fn(u32) -> bool| {
            row.entries().iter().any(|entry| !is_live(entry.0))
        };
        self.history.entries().iter().any(|entry| !item(entry.item))
            || self.session.refers_to(&|index| !item(index))
            || is_dead(&self.topics, topic)
            || is_dead(&self.topic_slots, &|key| topic(key / SLOTS))
            || is_dead(&self.sources, source)
            || is_dead(&self.devices, device)
            || self.cohorts.iter().any(|&index| !cohort(index))
    }

    /// Drops what is about what was forgotten.
    pub fn drop_dead(&mut self, live: &Live<'_>) {
        let Live { item, topic, source, device, cohort } = live;
        self.history.retain(item);
        self.session.retain(item);
        self.topics.retain(topic);
        self.topic_slots.retain(|key| topic(key / SLOTS));
        self.sources.retain(source);
        self.devices.retain(device);
        self.cohorts.retain(|&index| cohort(index));
    }

    /// Learns from one interaction; preferences are decayed as of `decayed_at`.
    pub fn note(&mut self, event: &Event<'_>, decayed_at: DecayTime) {
        let Event { item, kind, confidence, occasion, .. } = *event;
        let at = occasion.now;
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
        if event.in_session {
            self.session.note(item, confidence, at);
        }
        let (day, hour) = at.day_and_hour(occasion.utc_offset_minutes);
        let slot = u32::from(day) * 24 + u32::from(hour);
        self.slots.add(slot, 1.0, decayed_at, SLOTS_MAX);
        if let Some(device) = occasion.device {
            self.devices.add(device, 1.0, decayed_at, DEVICES_MAX);
        }
        if confidence == 0.0 {
            return;
        }
        for &topic in event.topics {
            self.topics.add(topic, confidence, decayed_at, TOPICS_MAX);
            if confidence > 0.0 {
                let key = topic * SLOTS + occasion.slot();
                self.topic_slots.add(key, 1.0, decayed_at, TOPIC_SLOTS_MAX);
            }
        }
        if let Some(source) = event.source {
            self.sources.add(source, confidence, decayed_at, SOURCES_MAX);
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

    const NOW: DecayTime = DecayTime::from_half_lives(1.0);

    const OCCASION: Occasion = Occasion {
        now: Timestamp::from_seconds(1_000),
        utc_offset_minutes: 0,
        device: None,
        location: None,
    };

    fn event(item: u32, kind: InteractionType, confidence: f32, topics: &[u32]) -> Event<'_> {
        let (source, occasion, in_session) = (Some(1), &OCCASION, true);
        Event { item, kind, confidence, topics, source, occasion, in_session }
    }

    #[test]
    fn likes_raise_a_topic_and_dislikes_lower_it() {
        let mut user = User::default();
        user.note(&event(1, InteractionType::Like, 2.0, &[4]), NOW);
        user.note(&event(2, InteractionType::Dislike, -1.0, &[5]), NOW);
        assert!(user.topics.stored(4) > 0.0);
        assert!(user.topics.stored(5) < 0.0);
    }

    #[test]
    fn an_impression_is_counted_but_is_no_taste() {
        let mut user = User::default();
        user.note(&event(1, InteractionType::Impression, 0.0, &[4]), NOW);
        assert_eq!(user.counts[InteractionType::Impression.index()], 1);
        assert_eq!(user.interactions(), 0);
        assert!(user.history.is_empty());
    }
}
