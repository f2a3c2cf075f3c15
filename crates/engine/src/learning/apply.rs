//! What each kind of record does to the state.
//!
//! Deterministic: the outcome is a function of the records and their order alone,
//! however they were split into batches. Work that is done every so often is done
//! at fixed sequence numbers.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::Engine;
use crate::models::collaborative;
use crate::models::collaborative::ItemAccumulator;
use crate::models::collaborative::ItemSolve;
use crate::models::collaborative::RECENT;
use crate::models::contexts::Occasion;
use crate::state::factors::ItemFactors;
use crate::state::interner::name_key;
use crate::models::published;
use crate::models::published::ModelFault;
use crate::consumption;
use crate::features::Candidate;
use crate::features::FeatureMatrix;
use crate::features::UserContext;
use crate::state::Entry;
use crate::state::document;
use crate::domain::Attributes;
use crate::domain::Interaction;
use crate::domain::InteractionType;
use crate::domain::Item;
use crate::domain::ItemId;
use crate::domain::ListOrigin;
use crate::domain::LogRecord;
use crate::domain::PublishedModel;
use crate::domain::Record;
use crate::domain::Settings;
use crate::domain::Timestamp;

/// New items with evidence get new factors at every sequence that this divides.
const SOLVE_EVERY: u64 = 16;
/// Time from which on the same again is a repetition and no slip of the finger.
const REPEAT_GAP_MINUTES: f64 = 1.0;
/// Kinds of devices that are told apart: what comes later is none.
const DEVICES_MAX: usize = 256;
/// Topics that an event gives to an item of which nothing else is known.
const STUB_TOPICS_MAX: usize = 8;
/// Observations from which on an item waits for the next training.
const ONLINE_OBSERVATIONS_MAX: u32 = 200;

/// Something the shell may act on after a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// From here on this model serves.
    ModelSwitched { version: u64 },
    /// A published model does not fit the state, which stays as it was.
    ModelRefused { version: u64, fault: ModelFault },
    /// From here on the takeover is given back: the ranker earned less than this.
    TakeoverFellBack { against: ListOrigin },
}

/// Records that are not the next of this log; applying must stop at them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("record {found} follows record {watermark}: the log has a gap or was reordered")]
    OutOfOrder { watermark: u64, found: u64 },
}

/// What names a decision in the state.
pub fn decision_key(decision_id: &str) -> u128 {
    xxh3_128(decision_id.as_bytes())
}

impl Engine {
    /// Learns from records that follow the watermark, in order.
    ///
    /// # Errors
    /// [`Unreadable`]; the records before the one at fault are learnt.
    pub fn apply(&mut self, batch: &[LogRecord]) -> Result<Vec<Effect>, Unreadable> {
        let mut effects = Vec::new();
        for record in batch {
            let watermark = self.view.watermark;
            if record.sequence != watermark + 1 {
                return Err(Unreadable::OutOfOrder { watermark, found: record.sequence });
            }
            if watermark == 0 {
                self.view.began = record.recorded_at;
            }
            self.apply_record(record, &mut effects);
            self.view.watermark = record.sequence;
            if record.sequence.is_multiple_of(SOLVE_EVERY) {
                self.solve_new_items();
            }
        }
        if !batch.is_empty() {
            self.view.top_lists = Arc::default();
        }
        Ok(effects)
    }

    fn apply_record(&mut self, record: &LogRecord, effects: &mut Vec<Effect>) {
        let at = record.recorded_at;
        self.settle_decisions(at, effects);
        match &record.record {
            Record::Interaction(interaction) => {
                self.apply_interaction(interaction, record.sequence, at);
            }
            Record::Decision(decision) => self.apply_decision(decision, at, effects),
            Record::ItemUpserted(item) => self.upsert_item(item, at),
            Record::ItemDeleted(item_id) => self.delete_item(item_id, at),
            Record::UserAttributesSet { user_id, attributes } => {
                self.set_attributes(user_id.as_str(), attributes, record.sequence);
            }
            Record::SettingsSet(settings) => self.set_settings(settings),
            Record::ModelPublished(published) => {
                effects.push(self.switch_model(published, record.sequence, at));
            }
            Record::ArmSelected(selection) => {
                let half_life = self.view.settings.arms.half_life_selections;
                self.view.arms.learn_selection(selection, half_life);
            }
            Record::ArmRewarded(reward) => self.view.arms.learn_reward(reward),
            Record::TakeoverChanged(change) => {
                Arc::make_mut(&mut self.view.takeover).change(change);
            }
        }
    }

    fn apply_interaction(&mut self, event: &Interaction, sequence: u64, recorded_at: Timestamp) {
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
    fn count_positive(&mut self, user: u32, item: u32, kind: InteractionType, at: Timestamp) {
        let before = self.view.users.states[user as usize].history.find(item);
        let repeats = before.is_some_and(|before| {
            before.kind() == kind && at.hours_since(before.at()) * 60.0 >= REPEAT_GAP_MINUTES
        });
        self.view.counts.positives += 1;
        self.view.counts.repeats += u64::from(repeats);
    }

    /// When and where an event took place.
    fn occasion(&mut self, event: &Interaction, at: Timestamp) -> Occasion {
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
    fn learn_positive(&mut self, user: u32, item: u32, confidence: f32, occasion: &Occasion) {
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
    fn estimate_cohorts(&mut self) {
        let view = &mut self.view;
        let (popularity, half_life) = (&view.items.popularity, view.settings.popularity_half_life_hours);
        view.cohorts.estimate(|item| popularity.share(item), view.clock, half_life);
    }

    /// Ranks the item among sampled others before it is learnt, and lets the hybrid
    /// learn from the choice.
    fn test_before_learning(&mut self, user: u32, item: u32, occasion: &Occasion, sequence: u64) {
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
    fn observe_new_item(&mut self, state: &consumption::User, item: u32, confidence: f32) {
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

    /// Gives items with new evidence their factors: an exact item-side solve, as
    /// in training, with the user side fixed.
    fn solve_new_items(&mut self) {
        let unsolved = std::mem::take(&mut self.view.unsolved);
        let Some(model) = self.view.model.clone().filter(|_| !unsolved.is_empty()) else {
            return;
        };
        let mut solver = ItemSolve::new(model.k);
        let mut row = vec![0.0; model.k];
        let mut updated = model.as_ref().clone();
        for item in unsolved {
            let Some(sums) = &self.view.items.accumulators[item as usize] else {
                continue;
            };
            let prior = self.view.foretold_factors(item);
            let (gram, weights) = (&model.user_gram, &model.regularization);
            solver.solve(sums, gram, weights, prior.as_deref(), &mut row);
            let old =
                self.view.items.factors.row(item).map_or_else(|| vec![0.0; model.k], <[f32]>::to_vec);
            collaborative::update_gram(&mut updated.item_gram, &old, &row);
            self.view.items.factors.set_row(item, &row);
        }
        self.view.model = Some(Arc::new(updated));
    }

    fn upsert_item(&mut self, item: &Item, at: Timestamp) {
        let index = self.intern_item(item.item_id.as_str());
        self.remove_from_catalogue(index);
        let topics = item.topics.iter().map(|topic| self.view.topics.intern(topic)).collect();
        let source = item.source.as_ref().map(|source| self.view.sources.intern(source));
        let counts = self.view.vocabulary.count_document(&document(item));
        let refit = self.view.vocabulary.add(&counts);
        *self.view.items.terms.get_mut(index as usize) = self.view.vocabulary.weigh(&counts);
        let before = self.view.items.entries[index as usize].added_at;
        let added_at = if before == Timestamp::default() { at } else { before };
        let item = Some(Arc::new(item.clone()));
        let entry = Entry { item, topics, source, counts, updated_at: at, added_at };
        *self.view.items.entries.get_mut(index as usize) = Arc::new(entry);
        self.view.counts.catalogue += 1;
        if refit {
            self.weigh_all_terms();
        } else {
            self.embed_item(index);
        }
        self.foretell(index);
    }

    fn delete_item(&mut self, item_id: &ItemId, at: Timestamp) {
        let Some(index) = self.view.items.ids.find(item_id.as_str()) else {
            return;
        };
        self.remove_from_catalogue(index);
        Arc::make_mut(self.view.items.entries.get_mut(index as usize)).updated_at = at;
    }

    /// Takes an item out of the catalogue; what was learnt about it stays.
    fn remove_from_catalogue(&mut self, index: u32) {
        if self.view.items.entries[index as usize].item.is_none() {
            return;
        }
        let entry = Arc::make_mut(self.view.items.entries.get_mut(index as usize));
        entry.item = None;
        let counts = std::mem::take(&mut entry.counts);
        self.view.vocabulary.remove(&counts);
        *self.view.items.terms.get_mut(index as usize) = Default::default();
        self.view.items.embeddings.set(index, None);
        self.view.counts.catalogue -= 1;
    }

    /// An item that is not in the catalogue gets its topics from the interaction.
    fn describe_stub(&mut self, item: u32, event: &Interaction) {
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

    fn set_attributes(&mut self, user_id: &str, attributes: &Attributes, sequence: u64) {
        let user = self.intern_user(user_id);
        let cohorts = self.view.cohorts.of(attributes);
        let state = Arc::make_mut(self.view.users.states.get_mut(user as usize));
        state.attributes = attributes.clone();
        state.cohorts = cohorts;
        state.changed_at = sequence;
    }

    fn set_settings(&mut self, settings: &Settings) {
        let view = &mut self.view;
        view.vocabulary.set_max_features(settings.tfidf_max_features as usize);
        // Sums made under the old half-lives keep their present value under the new.
        let old = view.settings.clone();
        view.items.popularity.move_landmarks(view.clock, &old);
        view.settings = Arc::new(settings.clone());
        if old.embedding_dimension != settings.embedding_dimension {
            self.embed_all();
        }
    }

    /// Everything is checked before anything is changed.
    fn switch_model(&mut self, published: &PublishedModel, sequence: u64, at: Timestamp) -> Effect {
        let version = published.version;
        let decoded = match published::decode(&self.view, published, sequence, at) {
            Ok(decoded) => decoded,
            Err(fault) => return Effect::ModelRefused { version, fault },
        };
        self.view.items.factors = ItemFactors::new(decoded.model.k, &decoded.item_factors);
        self.view.item_item = decoded.item_item;
        self.view.model = Some(decoded.model);
        // A good moment to weigh terms anew: doublings grow rare in old catalogues.
        self.view.vocabulary.refit();
        self.weigh_all_terms();
        // Sums over the old user factors mean nothing beside the new ones.
        self.view.items.accumulators = std::iter::repeat_n(None, self.view.items.entries.len()).collect();
        self.view.unsolved.clear();
        self.foretell_all();
        Effect::ModelSwitched { version }
    }

    fn intern_user(&mut self, user_id: &str) -> u32 {
        let user = self.view.users.ids.intern(user_id);
        if user as usize == self.view.users.states.len() {
            self.view.users.states.push(Arc::default());
            self.note_shown_before(user, user_id);
        }
        user
    }

    fn intern_item(&mut self, item_id: &str) -> u32 {
        self.view.items.intern(item_id)
    }

    /// Derives the term vectors and the places in content again after the vocabulary's weights changed.
    pub(crate) fn weigh_all_terms(&mut self) {
        let vocabulary = &self.view.vocabulary;
        self.view.items.terms =
            self.view.items.entries.iter().map(|entry| vocabulary.weigh(&entry.counts)).collect();
        self.embed_all();
    }
}
