//! What an interaction changes: the user, the item, and what all users have in common.

use std::sync::Arc;

use crate::Engine;
use crate::consumption;
use crate::domain::Interaction;
use crate::domain::InteractionType;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::features::FeatureMatrix;
use crate::features::UserContext;
use crate::models::collaborative;
use crate::models::collaborative::RECENT;
use crate::models::contexts::Occasion;
use crate::state::interner::name_key;

/// Time from which on the same again is a repetition and no slip of the finger.
const REPEAT_GAP_MINUTES: f64 = 1.0;
/// Topics that an event gives to an item of which nothing else is known.
const STUB_TOPICS_MAX: usize = 8;

impl Engine {
    pub(super) fn apply_interaction(
        &mut self,
        event: &Interaction,
        sequence: u64,
        recorded_at: Timestamp,
    ) {
        // An event from the future must not age everything else.
        let at = event.occurred_at.min(recorded_at);
        let user = self.intern_user(event.user_id.as_str());
        let item = self.intern_item(event.item_id.as_str(), sequence);
        self.describe_stub(item, event);
        let occasion = self.occasion(event, at);
        let session_id = event.session_id.as_ref().map(|id| id.as_str());
        let state = Arc::make_mut(self.view.users.states.get_mut(user as usize));
        let in_session = state.session.enter(session_id, at);
        let settings = self.view.settings.clone();
        let confidence = settings.confidence(event.kind, event.value);
        self.view.counts.interactions += 1;
        self.view.clock = self.view.event_times.advance(self.view.clock, at);

        if confidence > 0.0 {
            self.count_positive(user, item, event.kind, at);
            // What all users share learns nothing of a time that the clock does not believe.
            let believed = Occasion { now: at.min(self.view.clock), ..occasion };
            self.test_before_learning(user, item, &believed, sequence);
            self.learn_positive(user, item, confidence, &believed);
        } else {
            match event.kind {
                InteractionType::Impression => self.view.items.popularity.count_impression(item),
                _ => self.view.items.popularity.count_interaction(item),
            }
        }
        if event.kind == InteractionType::Impression && event.decision_id.is_none() {
            let item = name_key(event.item_id.as_str());
            self.note_shown(user, std::iter::once(item), at, 0);
        }
        let entry = self.view.items.entries[item as usize].clone();
        let noted = consumption::Event {
            item,
            kind: event.kind,
            confidence,
            topics: &entry.topics,
            source: entry.source,
            occasion: &occasion,
            in_session,
        };
        let state = Arc::make_mut(self.view.users.states.get_mut(user as usize));
        state.note(&noted, self.view.decays.profile.at(at.min(self.view.clock)));
        state.changed_at = sequence;
        self.credit_decision(event, item, confidence);
    }

    /// Counts a positive interaction, and whether it repeats one of at least a minute ago.
    pub(super) fn count_positive(
        &mut self,
        user: u32,
        item: u32,
        kind: InteractionType,
        at: Timestamp,
    ) {
        let before = self.view.users.states[user as usize].history.find(item);
        let repeats = before.is_some_and(|before| {
            before.kind() == kind && at.hours_since(before.at()) * 60.0 >= REPEAT_GAP_MINUTES
        });
        self.view.counts.positives += 1;
        self.view.counts.repeats += u64::from(repeats);
    }

    /// When and where an event took place.
    pub(super) fn occasion(&mut self, event: &Interaction, at: Timestamp) -> Occasion {
        let context = &event.context;
        let device = context.device_type.as_ref();
        let device = device.map(|name| self.view.devices.note(name));
        let location = context.location.as_ref();
        let location = location.map(|location| self.view.locations.note(location));
        let utc_offset_minutes = context.utc_offset_minutes.unwrap_or(0);
        Occasion { now: at, utc_offset_minutes, device, location }
    }

    /// Everything that a wanted item changes beside the person's own state, which
    /// still is that of before.
    pub(super) fn learn_positive(
        &mut self,
        user: u32,
        item: u32,
        confidence: f32,
        occasion: &Occasion,
    ) {
        let at = occasion.now;
        let view = &mut self.view;
        view.items.popularity.count_interaction(item);
        view.learn_popularity(item, confidence, at);
        view.recent_positives.note(item, view.counts.positives);

        let state = view.users.states[user as usize].clone();
        let recent: Vec<u32> =
            state.history.positives().take(RECENT).map(|entry| entry.item).collect();
        let together = view.decays.cooccurrence.at(at);
        collaborative::note(&mut view.items.cooccurrence, item, &recent, together);
        collaborative::note_succession(&mut view.items.successors, item, &recent, together);
        let shares = view.decays.shares.at(at);
        if let Some(location) = occasion.location {
            view.locations.add(location, item, confidence, shares);
        }
        let due = view.cohorts.add(&state.cohorts, item, confidence, shares);
        let entry = view.items.entries[item as usize].clone();
        let contexts = &view.decays.contexts;
        view.contexts.note(&entry.topics, occasion, contexts);
        if let Some(published_at) = entry.item.as_ref().and_then(|item| item.published_at) {
            let age = at.hours_since(published_at);
            view.aging.note(&entry.topics, age, contexts.at(at), contexts.at(view.clock));
        }
        if due {
            self.estimate_cohorts();
        }
        self.observe_new_item(&state, item, confidence);
    }

    /// How hard cohorts are shrunk, from how much they differ by now.
    pub(super) fn estimate_cohorts(&mut self) {
        let view = &mut self.view;
        let (popularity, now) = (&view.items.popularity, view.decays.shares.at(view.clock));
        view.cohorts.estimate(|item| popularity.share(item), now);
    }

    /// Ranks the item among sampled others before it is learnt, and lets the hybrid
    /// learn from the choice.
    pub(super) fn test_before_learning(
        &mut self,
        user: u32,
        item: u32,
        occasion: &Occasion,
        sequence: u64,
    ) {
        let known = self.view.users.states[user as usize].history.find(item).is_some();
        if known && !self.view.recommends_seen() {
            return;
        }
        if !Arc::make_mut(&mut self.view.prequential).next_is_test() {
            return;
        }
        let view = &self.view;
        let state = view.users.states[user as usize].clone();
        let choice = crate::learning::sampling::choice_set(view, &state, item, sequence);
        let indices = &choice.items;
        if indices.len() < 2 {
            return;
        }
        let candidates: Vec<Candidate<'_>> =
            indices.iter().map(|&index| Candidate::known(view, index)).collect();
        let context = UserContext::new(view, Some(&state));
        let features = FeatureMatrix::describe(view, Some(&state), &context, occasion, &candidates);
        let scores = features.rows().map(|row| self.view.hybrid.score(row));
        let hybrid_rank = crate::learning::sampling::rank_of_first(scores);
        let now = view.popularity_scales();
        let popularity = indices
            .iter()
            .map(|&index| f64::from(now.popularity(&view.items.popularity.items[index as usize])));
        let popularity_rank = crate::learning::sampling::rank_of_first(popularity);
        Arc::make_mut(&mut self.view.prequential).note(hybrid_rank, popularity_rank);
        Arc::make_mut(&mut self.view.hybrid).learn_choice(&features, &choice.offsets);
    }

    /// An item that is not in the catalogue gets its topics from the interaction.
    pub(super) fn describe_stub(&mut self, item: u32, event: &Interaction) {
        let context = &event.context;
        let entry = &self.view.items.entries[item as usize];
        let wanting = entry.item.is_none() && entry.topics.is_empty() && entry.source.is_none();
        if !wanting || (context.topics.is_empty() && context.source.is_none()) {
            return;
        }
        let topics = context.topics.iter().take(STUB_TOPICS_MAX);
        let topics = topics.map(|topic| self.view.topics.note(topic)).collect();
        let source = context.source.as_ref().map(|source| self.view.sources.note(source));
        let entry = Arc::make_mut(self.view.items.entries.get_mut(item as usize));
        (entry.topics, entry.source) = (topics, source);
    }
}
