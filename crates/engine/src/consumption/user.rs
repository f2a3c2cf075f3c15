//! One user's state: history, decayed preferences, attributes, rules.
//!
//! Preferences are decayed sums of how much the evidence for and against items rose
//! ([`Change::taste`]). A dislike lowers a topic as a like raises it. A repeated event without new
//! evidence changes nothing. Each list is bounded: with the default bounds a user costs 300 bytes,
//! 8 more per preference, 30 per item of history and 12 per position of lists, of which 48 are kept.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::columns::index::ItemIndex;
use crate::consumption::activity::Activity;
use crate::consumption::folding::Change;
use crate::consumption::folding::Consumption;
use crate::consumption::history::History;
use crate::consumption::responses::Responses;
use crate::consumption::session::Session;
use crate::consumption::weighing::OUTGROWN;
use crate::domain::Attributes;
use crate::domain::InteractionType;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::models::contexts::RequestContext;
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
    /// Shared, so that other changes copy no history.
    pub history: Arc<History>,
    /// Events by type but impressions, in the order of [`InteractionType::ALL`]; saturating.
    pub counts: [u32; InteractionType::ALL.len()],
    pub activity: Activity,
    pub topics: DecayedRow,
    pub sources: DecayedRow,
    /// Sessions of items by device.
    pub devices: DecayedRow,
    /// The same by hour of the local week: day * 24 + hour, Monday is day 0.
    pub slots: DecayedRow,
    /// Positives by topic and part of the week: topic * [`SLOTS`] + slot.
    pub topic_slots: DecayedRow,
    pub session: Session,
    /// What the user did with positions of lists. Shared as the history is; nothing that is derived of the user once per
    /// change reads it.
    pub responses: Arc<Responses>,
    pub attributes: Attributes,
    /// What the user has set. Changed by the store of users, which counts its bytes.
    pub rules: Arc<UserRules>,
    /// Cohorts the attributes put this user in.
    pub cohorts: Vec<u32>,
    /// Of the first event but impressions.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// Sequence of the last record that changed this user: with the model's
    /// version, the key of everything derived from both. Impressions change nothing here.
    pub changed_at: Sequence,
}

/// One event, folded and as indices of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    pub kind: InteractionType,
    pub value: Option<f32>,
    /// What the event changed in the item's entry.
    pub consumption: Consumption,
    pub change: Change,
    pub topics: &'a [u32],
    pub source: Option<u32>,
    pub request_context: &'a RequestContext,
    /// Whether it belongs to the user's session.
    pub in_session: bool,
}

/// Which indices still have a name.
pub struct Live<'a> {
    pub item: &'a dyn Fn(ItemIndex) -> bool,
    pub topic: &'a dyn Fn(u32) -> bool,
    pub source: &'a dyn Fn(u32) -> bool,
    pub device: &'a dyn Fn(u32) -> bool,
    pub cohort: &'a dyn Fn(u32) -> bool,
}

impl User {
    /// Whether any of it refers to something forgotten.
    pub fn refers_to_dead(&self, live: &Live<'_>) -> bool {
        let Live { item, topic, source, device, cohort } = live;
        let is_dead = |row: &DecayedRow, is_live: &dyn Fn(u32) -> bool| {
            row.entries().iter().any(|entry| !is_live(entry.0))
        };
        self.history.entries().iter().any(|entry| !item(entry.item))
            || self.session.refers_to(&|index| !item(index))
            || self.responses.refers_to(&|index| !item(index))
            || is_dead(&self.topics, topic)
            || is_dead(&self.topic_slots, &|key| topic(key / SLOTS))
            || is_dead(&self.sources, source)
            || is_dead(&self.devices, device)
            || self.cohorts.iter().any(|&index| !cohort(index))
    }

    /// Drops what refers to something forgotten.
    pub fn drop_dead(&mut self, live: &Live<'_>) {
        let Live { item, topic, source, device, cohort } = live;
        Arc::make_mut(&mut self.history).retain(item);
        self.session.retain(item);
        Arc::make_mut(&mut self.responses).retain(item);
        self.topics.retain(topic);
        self.topic_slots.retain(|key| topic(key / SLOTS));
        self.sources.retain(source);
        self.devices.retain(device);
        self.cohorts.retain(|&index| cohort(index));
    }

    /// Learns from one event that is no impression; preferences are decayed as of `decayed_at`.
    pub fn note(&mut self, event: &Event<'_>, decayed_at: DecayTime) {
        let Event { kind, consumption, change, request_context, .. } = *event;
        let at = request_context.now;
        let first = self.counts.iter().all(|&count| count == 0);
        if first || at < self.first_seen {
            self.first_seen = at;
        }
        self.last_seen = self.last_seen.max(at);
        let count = &mut self.counts[kind.index()];
        *count = count.saturating_add(1);
        self.activity.note(kind, event.value, at);
        Arc::make_mut(&mut self.history).put(consumption);
        if event.in_session && change.is_current {
            self.session.note(consumption.item, consumption.net());
        }
        if change.opened {
            let (day, hour) = at.day_and_hour(request_context.utc_offset_minutes);
            let slot = u32::from(day) * 24 + u32::from(hour);
            self.slots.add(slot, 1.0, decayed_at, SLOTS_MAX);
            if let Some(device) = request_context.device {
                self.devices.add(device, 1.0, decayed_at, DEVICES_MAX);
            }
        }
        let taste = change.taste();
        if taste == 0.0 {
            return;
        }
        for &topic in event.topics {
            self.topics.add(topic, taste, decayed_at, TOPICS_MAX);
            if change.is_positive() {
                let key = topic * SLOTS + request_context.slot();
                self.topic_slots.add(key, 1.0, decayed_at, TOPIC_SLOTS_MAX);
            }
        }
        if let Some(source) = event.source {
            self.sources.add(source, taste, decayed_at, SOURCES_MAX);
        }
    }

    /// From `at` on the taste is another one: preferences of before keep [`OUTGROWN`] of their weight, as the items of
    /// before do.
    pub fn turn(&mut self, at: Timestamp) {
        Arc::make_mut(&mut self.history).turn(at);
        for row in [&mut self.topics, &mut self.sources, &mut self.topic_slots] {
            row.scale_by(OUTGROWN);
        }
    }

    /// Bytes of what is set for the user.
    pub fn set_bytes(&self) -> u64 {
        (self.rules.bytes() + self.attributes.bytes()) as u64
    }

    /// Whether what was learnt about the user may be used, and more be learnt.
    pub fn is_profiled(&self) -> bool {
        !self.rules.non_profiled
    }

    /// The state of both, of two users who turn out at `at` to be one: as if this one had done it
    /// all. Attributes of its own win. Cohorts follow from attributes; the caller sets them.
    #[must_use]
    pub fn merged_with(&self, other: &Self, gap_seconds: u32, at: Timestamp) -> Self {
        let mut merged = self.clone();
        // Each field is named: a new one does not compile before it is said what becomes of it.
        let Self {
            history,
            counts,
            activity,
            topics,
            sources,
            devices,
            slots,
            topic_slots,
            session,
            responses,
            attributes,
            rules,
            cohorts,
            first_seen,
            last_seen,
            changed_at,
        } = &mut merged;
        *history = Arc::new(history.merged_with(&other.history, gap_seconds));
        *first_seen = match (self.interactions(), other.interactions()) {
            (_, 0) => *first_seen,
            (0, _) => other.first_seen,
            _ => other.first_seen.min(*first_seen),
        };
        *last_seen = other.last_seen.max(*last_seen);
        for (count, more) in counts.iter_mut().zip(other.counts) {
            *count = count.saturating_add(more);
        }
        *activity = activity.merged_with(&other.activity);
        topics.absorb(&other.topics, TOPICS_MAX);
        sources.absorb(&other.sources, SOURCES_MAX);
        devices.absorb(&other.devices, DEVICES_MAX);
        slots.absorb(&other.slots, SLOTS_MAX);
        topic_slots.absorb(&other.topic_slots, TOPIC_SLOTS_MAX);
        *session = session.or_later(&other.session);
        *responses = Arc::new(responses.merged_with(&other.responses));
        *attributes = attributes.completed_with(&other.attributes);
        *rules = Arc::new(rules.merged_with(&other.rules, at));
        cohorts.clear();
        *changed_at = other.changed_at.max(*changed_at);
        merged
    }

    /// All interactions but impressions.
    pub fn interactions(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumption::folding::Evidence;
    use crate::models::contexts::RequestValues;

    const NOW: DecayTime = DecayTime::from_half_lives(1.0);
    const GAP: u32 = 4 * 3_600;

    const CONTEXT: RequestContext = RequestContext {
        now: Timestamp::from_seconds(1_000),
        utc_offset_minutes: 0,
        device: Some(2),
        values: RequestValues::NONE,
    };

    fn note(user: &mut User, item: u32, kind: InteractionType, confidence: f32, topics: &[u32]) {
        let evidence = Evidence { kind, confidence, at: CONTEXT.now };
        let item = ItemIndex::new(item);
        let (consumption, change) = user.history.folded(item, &evidence, GAP);
        let (source, request_context, in_session) = (Some(1), &CONTEXT, true);
        let event = Event {
            kind,
            value: None,
            consumption,
            change,
            topics,
            source,
            request_context,
            in_session,
        };
        user.note(&event, NOW);
    }

    #[test]
    fn likes_raise_a_topic_and_dislikes_lower_it() {
        let mut user = User::default();
        note(&mut user, 1, InteractionType::Like, 2.0, &[4]);
        note(&mut user, 2, InteractionType::Dislike, -1.0, &[5]);
        assert!(user.topics.stored(4) > 0.0);
        assert!(user.topics.stored(5) < 0.0);
        assert_eq!(user.interactions(), 2);
    }

    #[test]
    fn heartbeats_and_a_like_after_a_click_are_one_use_in_every_preference() {
        let (mut plain, mut chatty) = (User::default(), User::default());
        note(&mut plain, 1, InteractionType::Like, 2.0, &[4]);
        note(&mut chatty, 1, InteractionType::Click, 1.0, &[4]);
        for _ in 0..5 {
            note(&mut chatty, 1, InteractionType::Dwell, 1.0, &[4]);
        }
        note(&mut chatty, 1, InteractionType::Like, 2.0, &[4]);
        let preferences = |user: &User| {
            let User { topics, sources, devices, slots, topic_slots, session, .. } = user.clone();
            (topics, sources, devices, slots, topic_slots, session)
        };
        assert_eq!(preferences(&plain), preferences(&chatty));
        assert_eq!((plain.interactions(), chatty.interactions()), (1, 7), "counts are raw");
    }

    #[test]
    fn of_two_ids_of_one_user_the_state_is_that_of_one_who_did_it_all() {
        let named = |name: &str, value: f64| {
            let value = crate::domain::AttributeValue::Number(value);
            Attributes::new([(name.to_owned(), value)].into()).unwrap()
        };
        let (mut visitor, mut account) = (User::default(), User::default());
        note(&mut visitor, 1, InteractionType::Like, 2.0, &[4]);
        note(&mut visitor, 2, InteractionType::Click, 1.0, &[5]);
        let mut whole = visitor.clone();
        for user in [&mut account, &mut whole] {
            note(user, 3, InteractionType::Dislike, -1.0, &[4]);
            note(user, 2, InteractionType::Like, 2.0, &[5]);
        }
        visitor.attributes = named("age", 30.0);
        account.attributes = named("plan", 1.0);
        let merged = account.merged_with(&visitor, GAP, CONTEXT.now);
        let times = |user: &User| (user.counts, user.first_seen, user.last_seen);
        assert_eq!(times(&merged), times(&whole));
        let net = |user: &User, item| user.history.find(ItemIndex::new(item)).unwrap().net();
        for item in 1..4 {
            assert_eq!(net(&merged, item), net(&whole, item), "item {item}");
        }
        assert!(merged.topics.stored(4) > 0.0 && merged.topics.stored(5) > 0.0);
        assert!(merged.attributes.get("age").is_some() && merged.attributes.get("plan").is_some());
        let unseen = User::default().merged_with(&visitor, GAP, CONTEXT.now);
        assert_eq!(times(&unseen), times(&visitor));
        let alone = visitor.merged_with(&User::default(), GAP, CONTEXT.now);
        assert_eq!(times(&alone), times(&visitor));
    }
}
