//! What an interaction changes: the user, the item, and what all users have in common.
//!
//! Events are folded into consumptions first ([`crate::consumption`]); everything here but the raw
//! counts learns from what that changed, never from an event itself. So a use of an item is one
//! positive however many events report it.
//!
//! Of a user who is not profiled nothing is read: each event counts as the first one of an unknown
//! user. What is kept is what the user hides, and what caps and rewards need: impressions, and
//! decisions that may still be rewarded.

use std::sync::Arc;

use crate::Engine;
use crate::bandit::Piece;
use crate::bandit::of_return;
use crate::columns::index::ItemIndex;
use crate::columns::index::UserIndex;
use crate::columns::interner::name_key;
use crate::consumption;
use crate::consumption::Change;
use crate::consumption::Consumption;
use crate::consumption::Evidence;
use crate::consumption::User;
use crate::domain::Interaction;
use crate::domain::InteractionType;
use crate::domain::Timestamp;
use crate::features::Candidate;
use crate::features::UserContext;
use crate::features::describe_raw;
use crate::learning::sampling;
use crate::models::cold_start::ContextValues;
use crate::models::collaborative;
use crate::models::collaborative::RECENT;
use crate::models::contexts::RequestContext;
use crate::models::contexts::RequestValues;

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
        self.view.counts.interactions += 1;
        self.view.leaders.touch(item);
        self.view.clock = self.view.event_times.advance(self.view.clock, at);
        let confidence = self.view.settings.confidence(event.kind, event.value);
        if event.kind == InteractionType::Impression {
            self.count_impression(user, item, event, at);
        } else {
            let evidence = Evidence { kind: event.kind, confidence, at };
            self.consume(user, item, event, &evidence, (sequence, recorded_at));
        }
        self.credit_decision(event, item, confidence);
        self.note_responses(event, user, sequence);
        self.measure_event(event, at, recorded_at);
    }

    /// Counts an impression. The user's own state stays as it is: an impression is
    /// no action of the user.
    fn count_impression(
        &mut self,
        user: UserIndex,
        item: ItemIndex,
        event: &Interaction,
        at: Timestamp,
    ) {
        self.view.items.popularity.count_impression(item);
        let impressions = &mut self.view.users.impressions;
        impressions.grow(user.as_usize() + 1, &Arc::default());
        Arc::make_mut(impressions.get_mut(user)).count(at);
        if event.decision_id.is_none() {
            let item = name_key(event.item_id.as_str());
            self.note_shown(user, std::iter::once(item), at, 0);
        }
    }

    /// Folds an event into its consumption and learns from what that changes.
    fn consume(
        &mut self,
        user: UserIndex,
        item: ItemIndex,
        event: &Interaction,
        evidence: &Evidence,
        (sequence, recorded_at): (u64, Timestamp),
    ) {
        // A test is what a request would have been answered, which knows no new values.
        let before = &event.context;
        let values_before =
            self.view.context_values(before.location.as_deref(), &before.attributes);
        let request_context = self.request_context(event, evidence.at);
        let state = self.view.users.states[user].clone();
        let is_profiled = state.is_profiled();
        let known = if is_profiled { state } else { Arc::default() };
        let gap = self.view.return_gap.seconds();
        let (consumption, change) = known.history.folded(item, evidence, gap);
        let returned = known.history.find(item).map_or(1.0, |before| {
            let earlier = before.sessions().saturating_sub(u16::from(!change.opened));
            of_return(earlier, evidence.at.hours_since(before.at()))
        });
        if let Some(seconds) = change.since_last {
            self.view.return_gap.note(seconds);
        }
        self.view.items.popularity.count_interaction(item);
        if is_profiled && change.is_positive() {
            self.view.counts.positives += 1;
            self.view.counts.repeats += u64::from(change.repeated);
        }
        if change.rise > 0.0 {
            // What all users share learns nothing of a time that the clock does not believe.
            let believed =
                RequestContext { now: evidence.at.min(self.view.clock), ..request_context };
            let key = self.view.user_key(event.user_id.as_str());
            let influence = &mut Arc::make_mut(&mut self.view.ranker).influence;
            let weight = influence.weigh(key, recorded_at, Piece::Choice, 1).share();
            let asked = RequestContext { values: values_before, ..believed };
            self.test_before_learning((&known, item, event), &change, &asked, sequence, weight);
            self.learn_rise(&known, item, &change, &believed, (weight as f32, returned));
        }
        drop(known);
        if !is_profiled {
            self.keep_hidden(user, item, evidence, sequence);
            return;
        }
        let entry = self.view.items.entries[item].clone();
        let state = Arc::make_mut(self.view.users.states.get_mut(user));
        let session_id = event.session_id.as_ref().map(|id| id.as_str());
        let noted = consumption::Event {
            kind: evidence.kind,
            value: event.value,
            consumption,
            change,
            topics: &entry.topics,
            source: entry.source,
            request_context: &request_context,
            in_session: state.session.enter(session_id, evidence.at),
        };
        state.note(&noted, self.view.decays.profile.at(evidence.at.min(self.view.clock)));
        state.changed_at = sequence;
    }

    /// What a user who is not profiled hides stays hidden until a later explicit yes.
    fn keep_hidden(
        &mut self,
        user: UserIndex,
        item: ItemIndex,
        evidence: &Evidence,
        sequence: u64,
    ) {
        let history = &self.view.users.states[user].history;
        let was_hidden = history.find(item).is_some_and(Consumption::is_hidden);
        if was_hidden || evidence.kind == InteractionType::Hide {
            let (consumption, _) = history.folded(item, evidence, self.view.return_gap.seconds());
            let state = Arc::make_mut(self.view.users.states.get_mut(user));
            Arc::make_mut(&mut state.history).put(consumption);
            state.changed_at = sequence;
        }
    }

    /// When and where an event happened.
    fn request_context(&mut self, event: &Interaction, at: Timestamp) -> RequestContext {
        let context = &event.context;
        let device = context.device_type.as_ref();
        let device = device.and_then(|name| self.view.devices.note(name));
        let mut note = |label: String| self.view.context_values.note(&label);
        let location =
            context.location.as_deref().map(ContextValues::location_label).and_then(&mut note);
        let attributes = ContextValues::attribute_labels(&context.attributes).filter_map(note);
        let values = RequestValues::new(location, attributes);
        let utc_offset_minutes = context.utc_offset_minutes.unwrap_or(0);
        RequestContext { now: at, utc_offset_minutes, device, values }
    }

    /// Everything that a rise of evidence for an item changes besides the user's own state, which
    /// still is that of before. Popularity takes it by the user's influence, and less of one who comes back.
    fn learn_rise(
        &mut self,
        state: &User,
        item: ItemIndex,
        change: &Change,
        request_context: &RequestContext,
        (influence, returned): (f32, f32),
    ) {
        let view = &mut self.view;
        let at = request_context.now;
        let weight = change.rise * influence * returned;
        view.learn_popularity(item, weight, change.is_positive().then_some(returned), at);
        let shares = view.decays.shares.at(at);
        for value in request_context.values.all() {
            view.context_values.add(value, item, change.rise, shares);
        }
        let due = view.cohorts.add(&state.cohorts, item, change.rise, shares);
        if change.is_positive() {
            self.learn_positive(state, item, request_context);
        }
        if due {
            self.estimate_cohorts();
        }
        self.observe_new_item(state, item, change.rise);
    }

    /// What a positive changes, once for each session of an item.
    fn learn_positive(&mut self, state: &User, item: ItemIndex, request_context: &RequestContext) {
        let view = &mut self.view;
        let at = request_context.now;
        let entry = view.items.entries[item].clone();
        if entry.item.is_some() {
            view.recent_positives.note(item);
        }
        // What came late goes with what was had before it.
        let before = state.history.positives_until(at);
        let recent: Vec<ItemIndex> = before.take(RECENT).map(|entry| entry.item).collect();
        let together = view.decays.cooccurrence.at(at);
        collaborative::note(&mut view.items.cooccurrence, item, &recent, together);
        collaborative::note_succession(&mut view.items.successors, item, &recent, together);
        let contexts = &view.decays.contexts;
        view.contexts.note(&entry.topics, request_context, contexts);
        if let Some(published_at) = entry.item.as_ref().and_then(|item| item.published_at) {
            let age = at.hours_since(published_at);
            view.aging.note(&entry.topics, age, contexts.at(at), contexts.at(view.clock));
        }
    }

    /// How hard cohorts are shrunk, from how much they differ by now.
    fn estimate_cohorts(&mut self) {
        let view = &mut self.view;
        let (popularity, now) = (&view.items.popularity, view.decays.shares.at(view.clock));
        view.cohorts.estimate(|item| popularity.share(item), now);
    }

    /// Ranks the item among sampled others before it is learnt, and lets the hybrid
    /// learn from the choice, which counts by `weight`. Only the start of a consumption is a test,
    /// of an item that could have been recommended.
    fn test_before_learning(
        &mut self,
        (state, item, event): (&User, ItemIndex, &Interaction),
        change: &Change,
        request_context: &RequestContext,
        sequence: u64,
        weight: f64,
    ) {
        let again = state.history.find(item).is_some() && !self.view.recommends_seen();
        let is_possible = sampling::can_be_shown(&self.view, state, item, request_context.now);
        if !change.opened || again || !is_possible {
            return;
        }
        if !Arc::make_mut(&mut self.view.prequential).next_is_test() {
            return;
        }
        // Events come at about the times of those before.
        self.view.postings.showing.move_to(request_context.now);
        let view = &self.view;
        let choice = sampling::choice_set(view, state, item, request_context.now, sequence);
        let indices = &choice.items;
        if indices.len() < 2 {
            return;
        }
        let candidates: Vec<Candidate<'_>> =
            indices.iter().map(|&index| Candidate::known(view, index)).collect();
        let context = UserContext::new(view, Some(state));
        let raw = describe_raw(view, Some(state), &context, request_context, &candidates);
        let mut features = raw.clone();
        view.hybrid.scale().apply(&mut features);
        let shaped = view.hybrid.shaped(&features);
        let hybrid_rank = sampling::rank_of_first(view.hybrid.scores(&shaped));
        let now = view.popularity_scales();
        let popularity = indices
            .iter()
            .map(|&index| f64::from(now.popularity(&view.items.popularity.items[index])));
        let popularity_rank = sampling::rank_of_first(popularity);
        Arc::make_mut(&mut self.view.prequential).note(hybrid_rank, popularity_rank);
        let shown = self.view.shown_with(event, state, request_context.now);
        let hybrid = Arc::make_mut(&mut self.view.hybrid);
        match shown {
            Some(shown) => {
                hybrid.observe(&raw, weight);
                hybrid.learn_among(&shown, &vec![0.0; shown.len()], weight);
            }
            None => hybrid.learn_choice(&raw, &choice.offsets, weight),
        }
    }

    /// An item that is not in the catalogue gets its topics from the interaction.
    fn describe_stub(&mut self, item: ItemIndex, event: &Interaction) {
        let context = &event.context;
        let entry = &self.view.items.entries[item];
        let wanting = entry.item.is_none() && entry.topics.is_empty() && entry.source.is_none();
        if !wanting || (context.topics.is_empty() && context.source.is_none()) {
            return;
        }
        let topics = context.topics.iter().take(STUB_TOPICS_MAX);
        let topics = topics.filter_map(|topic| self.view.topics.note(topic)).collect();
        let source = context.source.as_ref().and_then(|source| self.view.sources.note(source));
        let entry = Arc::make_mut(self.view.items.entries.get_mut(item));
        (entry.topics, entry.source) = (topics, source);
    }
}
