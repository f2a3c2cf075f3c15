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
use crate::models::collaborative::ItemAccumulator;
use crate::models::collaborative::RECENT;
use crate::models::contexts::Occasion;
use crate::state::interner::name_key;

/// Time from which on the same again is a repetition and no slip of the finger.
const REPEAT_GAP_MINUTES: f64 = 1.0;
/// Kinds of devices that are told apart: what comes later is none.
const DEVICES_MAX: usize = 256;
/// Topics that an event gives to an item of which nothing else is known.
const STUB_TOPICS_MAX: usize = 8;
/// Observations from which on an item waits for the next training.
const ONLINE_OBSERVATIONS_MAX: u32 = 200;

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
        let item = self.intern_item(event.item_id.as_str());
        self.describe_stub(item, event);
        let occasion = self.occasion(event, at);
        let session_id = event.session_id.as_ref().map(|id| id.as_str());
        let state = Arc::make_mut(self.view.users.states.get_mut(user as usize));
        let in_session = state.session.enter(session_id, at);
        let settings = self.view.settings.clone();
        let confidence = settings.confidence(event.kind, event.value);
        self.view.counts.interactions += 1;
        self.view.leaders.touch(item);
        self.view.clock = self.view.clock.max(at);

        if confidence > 0.0 {
            self.count_positive(user, item, event.kind, at);
            self.test_before_learning(user, item, &occasion, sequence);
            self.learn_positive(user, item, confidence, &occasion);
        } else {
            let statistics = self.view.items.popularity.items.get_mut(item as usize);
            match event.kind {
                InteractionType::Impression => {
                    statistics.impressions += 1;
                    self.view.items.popularity.totals.impressions += 1;
                }
                _ => statistics.interactions += 1,
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
        state.note(&noted, settings.profile_half_life_hours);
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
        let device = device.and_then(|name| self.view.devices.intern_within(DEVICES_MAX, name));
        let location = context.location.as_ref();
        let location = location.and_then(|location| self.view.locations.intern(location));
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
        let settings = &view.settings;
        view.items.popularity.items.get_mut(item as usize).interactions += 1;
        view.items.popularity.add_positive(item, confidence, at, settings);
        view.recent_positives.note(item, view.counts.positives);

        let state = view.users.states[user as usize].clone();
        let recent: Vec<u32> =
            state.history.positives().take(RECENT).map(|entry| entry.item).collect();
        let half_life = settings.cooccurrence_half_life_hours;
        collaborative::note(&mut view.items.cooccurrence, item, &recent, at, half_life);
        collaborative::note_succession(&mut view.items.successors, item, &recent, at, half_life);
        let half_life = settings.popularity_half_life_hours;
        if let Some(location) = occasion.location {
            view.locations.add(location, item, confidence, at, half_life);
        }
        let due = view.cohorts.add(&state.cohorts, item, confidence, at, half_life);
        let entry = view.items.entries[item as usize].clone();
        view.contexts.note(&entry.topics, occasion, settings);
        if let Some(published_at) = entry.item.as_ref().and_then(|item| item.published_at) {
            view.aging.note(&entry.topics, at.hours_since(published_at), at, settings);
        }
        if due {
            self.estimate_cohorts();
        }
        self.observe_new_item(&state, item, confidence);
    }

    /// How hard cohorts are shrunk, from how much they differ by now.
    pub(super) fn estimate_cohorts(&mut self) {
        let view = &mut self.view;
        let (popularity, half_life) =
            (&view.items.popularity, view.settings.popularity_half_life_hours);
        view.cohorts.estimate(|item| popularity.share(item), view.clock, half_life);
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
        let now = view.items.popularity.scales(view.clock, &view.settings);
        let popularity = indices
            .iter()
            .map(|&index| f64::from(now.popularity(&view.items.popularity.items[index as usize])));
        let popularity_rank = crate::learning::sampling::rank_of_first(popularity);
        Arc::make_mut(&mut self.view.prequential).note(hybrid_rank, popularity_rank);
        Arc::make_mut(&mut self.view.hybrid).learn_choice(&features, &choice.offsets);
    }

    /// Gathers evidence for an item the model does not know or barely knows.
    pub(super) fn observe_new_item(
        &mut self,
        state: &consumption::User,
        item: u32,
        confidence: f32,
    ) {
        let Some(model) = self.view.model.clone() else {
            return;
        };
        if model.is_trained(item) {
            return;
        }
        let Some(user_factors) = self.view.fold_in(state) else {
            return;
        };
        let slot = self.view.items.accumulators.get_mut(item as usize);
        let sums = slot.get_or_insert_with(|| Arc::new(ItemAccumulator::new(model.k)));
        if sums.count() < ONLINE_OBSERVATIONS_MAX {
            Arc::make_mut(sums).add(&user_factors, confidence);
            if let Err(place) = self.view.unsolved.binary_search(&item) {
                self.view.unsolved.insert(place, item);
            }
        }
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
        let topics = topics.map(|topic| self.view.topics.intern(topic)).collect();
        let source = context.source.as_ref().map(|source| self.view.sources.intern(source));
        let entry = Arc::make_mut(self.view.items.entries.get_mut(item as usize));
        (entry.topics, entry.source) = (topics, source);
    }

    pub(super) fn intern_user(&mut self, user_id: &str) -> u32 {
        let user = self.view.users.ids.intern(user_id);
        if user as usize == self.view.users.states.len() {
            self.view.users.states.push(Arc::default());
            self.note_shown_before(user, user_id);
        }
        user
    }

    pub(super) fn intern_item(&mut self, item_id: &str) -> u32 {
        self.view.items.intern(item_id)
    }
}
