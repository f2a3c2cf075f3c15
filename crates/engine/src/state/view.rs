//! The learnt state at a watermark.
//!
//! The engine works on one `View` and hands out clones of it. Everything is in copy-on-write
//! pages or behind `Arc`: a clone copies a few pointers per page, and a reader's state never
//! changes.
//!
//! - Items, users, topics, sources, devices, values of contexts and cohorts have dense indices, given in
//!   the order of the log. An index is used again only after nothing refers to it.
//! - All columns of items have the same length. So have those of users, but for impressions,
//!   which may be shorter.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::ItemEffects;
use crate::bandit::PendingDecision;
use crate::bandit::Ranker;
use crate::bandit::arms::ArmSet;
use crate::bandit::arms::Arms;
use crate::columns::aliases::Aliases;
use crate::columns::aliases::UserKey;
use crate::columns::index::ItemIndex;
use crate::columns::index::UserIndex;
use crate::columns::key_index::KeyIndex;
use crate::columns::labels::Labels;
use crate::columns::window::Window;
use crate::consumption::Impressions;
use crate::consumption::ReturnGap;
use crate::consumption::User;
use crate::domain::Attributes;
use crate::domain::Item;
use crate::domain::Sequence;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::domain::UserRules;
use crate::domain::limits;
use crate::experiments::{Registry, UnitTables};
use crate::models::aging::Aging;
use crate::models::clock::EventTimes;
use crate::models::cold_start::Cohorts;
use crate::models::cold_start::ContextValues;
use crate::models::collaborative::Associations;
use crate::models::collaborative::CooccurrenceScorer;
use crate::models::collaborative::FoldIn;
use crate::models::collaborative::Influence;
use crate::models::content::Document;
use crate::models::content::Inverted;
use crate::models::content::TermVectors;
use crate::models::content::Vocabulary;
use crate::models::contexts::RequestValues;
use crate::models::contexts::TopicContexts;
use crate::models::decays::Decays;
use crate::models::hybrid::Hybrid;
use crate::models::prequential::Prequential;
use crate::models::published::Model;
use crate::models::recent_positives::RecentPositives;
use crate::numeric::math;
use crate::state::entry::Entry;
use crate::state::items::ItemStore;
use crate::state::postings::Postings;
use crate::state::quarantine::Sweep;
use crate::state::settings_records::SettingsRecords;
use crate::state::top_lists::Leaders;
use crate::state::top_lists::TopLists;
use crate::state::users::UserStore;
use crate::takeover::Takeover;

/// The least share of repeated positives for which items are recommended again, and the fewest
/// positives for this estimate.
const REPEATS_ONE_IN: u64 = 10;
const REPEATS_POSITIVES_MIN: u64 = 200;

/// Counts of what the state has learnt from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub interactions: u64,
    pub decisions: u64,
    /// How many of these, from the first on, wait for no more rewards: as trials of the takeover.
    pub settled: u64,
    /// The same, as lists whose variant was drawn.
    pub settled_lists: u64,
    /// Rewards of decisions, and of selections of arms, that are no longer remembered.
    pub late_rewards: u64,
    pub late_arm_rewards: u64,
    /// Items in the catalogue now.
    pub catalogue: u64,
    /// Sessions of a user with an item that held evidence for it.
    pub positives: u64,
    /// Of these, those of a user with a positive of the item in an earlier session.
    pub repeats: u64,
}

/// State at a watermark.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) settings: Arc<Settings>,
    pub(crate) settings_records: SettingsRecords,
    pub(crate) watermark: Sequence,
    /// When the first record was appended. It tells logs apart.
    pub(crate) began: Timestamp,
    /// The time of the latest interactions (`models::clock`): a pause in the stream decays nothing.
    pub(crate) clock: Timestamp,
    pub(crate) event_times: EventTimes,
    pub(crate) decays: Arc<Decays>,
    pub(crate) counts: Counts,

    pub(crate) users: UserStore,
    pub(crate) items: ItemStore,

    pub(crate) topics: Labels,
    pub(crate) sources: Labels,
    pub(crate) devices: Labels,
    /// Forgotten slots that something may still refer to.
    pub(crate) sweep: Arc<Sweep>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) contexts: TopicContexts,
    pub(crate) aging: Aging,
    pub(crate) cohorts: Cohorts,
    pub(crate) context_values: ContextValues,

    pub(crate) model: Option<Arc<Model>>,
    /// Weights of the model; empty when it has none.
    pub(crate) associations: Associations<ItemIndex>,
    /// Items with evidence since their factors were last solved, in order.
    pub(crate) unsolved: Vec<ItemIndex>,

    pub(crate) hybrid: Arc<Hybrid>,
    pub(crate) ranker: Arc<Ranker>,
    /// The reward of each item beyond its features.
    pub(crate) item_effects: ItemEffects,
    pub(crate) decisions: Window<PendingDecision>,
    /// The number of each pending decision, by key. Derived.
    pub(crate) decision_index: KeyIndex,
    /// The newest decision of each user, by [`UserKey`]. Derived.
    pub(crate) user_decisions: KeyIndex,
    pub(crate) prequential: Arc<Prequential>,
    pub(crate) recent_positives: RecentPositives,
    /// The gap after which the same event is a repetition.
    pub(crate) return_gap: ReturnGap,
    pub(crate) arms: Arms,
    pub(crate) takeover: Arc<Takeover>,
    pub(crate) experiments: Arc<Registry>,
    /// Who was exposed to live experiments.
    pub(crate) units: UnitTables,
    /// Items by label and by age. Derived.
    pub(crate) postings: Postings,
    /// Items by term. Derived.
    pub(crate) inverted: Inverted,
    /// Derived.
    pub(crate) leaders: Leaders,
    pub(crate) top_lists: Arc<TopLists>,
}

impl View {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut view = Self {
            watermark: 0,
            began: Timestamp::default(),
            clock: Timestamp::default(),
            event_times: EventTimes::default(),
            decays: Arc::new(Decays::new(&settings)),
            counts: Counts::default(),
            users: UserStore::default(),
            items: ItemStore::new(settings.embedding_dimension as usize),
            topics: Labels::new(limits::EVENT_TOPICS),
            sources: Labels::new(limits::EVENT_SOURCES),
            devices: Labels::new(limits::EVENT_DEVICES),
            sweep: Arc::default(),
            vocabulary: Vocabulary::new(settings.tfidf_max_features as usize),
            contexts: TopicContexts::default(),
            aging: Aging::default(),
            cohorts: Cohorts::default(),
            context_values: ContextValues::default(),
            model: None,
            associations: Associations::default(),
            unsolved: Vec::new(),
            hybrid: Arc::default(),
            ranker: Arc::default(),
            item_effects: ItemEffects::default(),
            decisions: Window::default(),
            decision_index: KeyIndex::default(),
            user_decisions: KeyIndex::default(),
            prequential: Arc::default(),
            recent_positives: RecentPositives::default(),
            return_gap: ReturnGap::default(),
            arms: Arms::default(),
            takeover: Arc::default(),
            experiments: Arc::default(),
            units: UnitTables::default(),
            postings: Postings::default(),
            inverted: Inverted::default(),
            leaders: Leaders::default(),
            top_lists: Arc::default(),
            settings: Arc::new(settings),
            settings_records: SettingsRecords::default(),
        };
        view.begin_popularity();
        view
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The record whose settings are in force; 0 before the first.
    pub fn settings_at(&self) -> Sequence {
        self.settings_records.in_force()
    }

    /// Whether this record, one of the last few about settings, has changed them.
    pub fn has_set_settings(&self, sequence: Sequence) -> bool {
        self.settings_records.contains(sequence)
    }

    /// Whether items that a user already had are recommended again: by the settings, else by
    /// how often users repeat.
    pub fn recommends_seen(&self) -> bool {
        let Counts { positives, repeats, .. } = self.counts;
        let users_repeat =
            positives >= REPEATS_POSITIVES_MIN && repeats * REPEATS_ONE_IN >= positives;
        self.settings.recommend_seen.unwrap_or(users_repeat)
    }

    /// The settings for requests: [`Self::settings`], completed with what was learnt.
    pub fn request_settings(&self) -> &Settings {
        self.top_lists.request_settings.get_or_init(|| Settings {
            recommend_seen: Some(self.recommends_seen()),
            ..self.settings().clone()
        })
    }

    /// Sequence of the last record this state has learnt from.
    pub fn watermark(&self) -> Sequence {
        self.watermark
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// Users known.
    pub fn users_len(&self) -> usize {
        self.users.live()
    }

    /// 0 as long as no model was published.
    pub fn model_version(&self) -> u64 {
        self.model.as_ref().map_or(0, |model| model.version)
    }

    pub fn model(&self) -> Option<&Model> {
        self.model.as_deref()
    }

    pub fn prequential(&self) -> &Prequential {
        &self.prequential
    }

    pub fn hybrid(&self) -> &Hybrid {
        &self.hybrid
    }

    /// An arm set by its name; `None` before its first selection is learnt.
    pub fn arm_set(&self, name: &str) -> Option<&ArmSet> {
        self.arms.set(name)
    }

    pub fn arm_sets_len(&self) -> usize {
        self.arms.sets.len()
    }

    /// The user that an id answers as.
    pub fn user_index(&self, user_id: &str) -> Option<UserIndex> {
        self.users.find(user_id)
    }

    /// The same for what is kept of users without an index.
    pub fn user_key(&self, user_id: &str) -> UserKey {
        self.users.key(user_id)
    }

    /// Which id answers as which user.
    pub fn aliases(&self) -> &Aliases {
        self.users.aliases()
    }

    pub fn user(&self, index: UserIndex) -> &Arc<User> {
        &self.users.states[index]
    }

    /// What is known of a user that may be used to personalize; `None` for one who is not known
    /// or not to be profiled.
    pub fn profiled(&self, user_id: &str) -> Option<&User> {
        let user = self.user(self.user_index(user_id)?);
        user.is_profiled().then_some(user.as_ref())
    }

    /// The users that may be learnt from.
    pub(crate) fn profiled_users(&self) -> impl Iterator<Item = (UserIndex, &Arc<User>)> {
        let users = self.users.states.indices().zip(self.users.states.iter());
        users.filter(|(_, user)| user.is_profiled())
    }

    /// What a user has set; `None` for one who is not known.
    pub fn user_rules(&self, user_id: &str) -> Option<&UserRules> {
        self.user_index(user_id).map(|index| &*self.users.states[index].rules)
    }

    /// The recent impressions of a user with their times; `None` for a user without any.
    pub fn impressions(&self, index: UserIndex) -> Option<&Impressions> {
        self.users.impressions.get(index).map(Arc::as_ref)
    }

    pub fn item_index(&self, item_id: &str) -> Option<ItemIndex> {
        self.items.ids.find(item_id)
    }

    /// `None` for an item that was forgotten.
    pub fn item_id(&self, index: ItemIndex) -> Option<&str> {
        self.items.ids.name(index).map(AsRef::as_ref)
    }

    pub fn entry(&self, index: ItemIndex) -> &Arc<Entry> {
        &self.items.entries[index]
    }

    /// The entry of an item in the catalogue.
    pub fn catalogue_item(&self, item_id: &str) -> Option<&Arc<Entry>> {
        let entry = self.entry(self.item_index(item_id)?);
        entry.item.is_some().then_some(entry)
    }

    /// Slots of items, used or not: every index is below.
    pub fn items_len(&self) -> usize {
        self.items.len()
    }

    /// The indices of all slots of items, used or not.
    pub fn item_indices(
        &self,
    ) -> impl DoubleEndedIterator<Item = ItemIndex> + ExactSizeIterator + use<> {
        self.items.entries.indices()
    }

    /// `None` for a topic that was forgotten.
    pub fn topic_name(&self, index: u32) -> Option<&str> {
        self.topics.name(index)
    }

    /// `None` for a source that was forgotten.
    pub fn source_name(&self, index: u32) -> Option<&str> {
        self.sources.name(index)
    }

    /// `None` for a kind of device that was forgotten.
    pub fn device_name(&self, index: u32) -> Option<&str> {
        self.devices.name(index)
    }

    pub fn device_index(&self, device: &str) -> Option<u32> {
        self.devices.find(device)
    }

    /// What is known of a location and of attributes, as a request names them.
    pub fn context_values(&self, location: Option<&str>, attributes: &Attributes) -> RequestValues {
        let find = |label: String| self.context_values.names.find(&label);
        let location = location.map(ContextValues::location_label).and_then(find);
        RequestValues::new(location, ContextValues::attribute_labels(attributes).filter_map(find))
    }

    /// A location, or an attribute with its value; `None` when it was forgotten.
    pub fn context_value_name(&self, value: u32) -> Option<String> {
        self.context_values.name(value)
    }

    /// The most specific cohorts of a user's attributes: one, as long as the namespace has space
    /// for new ones.
    pub fn cohort_names(&self, user: &User) -> Vec<&str> {
        let cohorts = self.cohorts.most_specific(&user.cohorts);
        cohorts.into_iter().filter_map(|cohort| self.cohorts.name(cohort)).collect()
    }

    /// Describes an item of a request as if it were in the catalogue, without adding it. New
    /// topics and terms are unknown.
    pub fn describe_inline(&self, item: Arc<Item>) -> (Entry, TermVectors) {
        let texts = documents(&item).iter().map(|text| self.vocabulary.weigh_text(text)).collect();
        let terms = TermVectors::new(texts);
        let entry = Entry {
            topics: item.topics.iter().filter_map(|topic| self.topics.find(topic)).collect(),
            source: item.source.as_ref().and_then(|source| self.sources.find(source)),
            counts: Vec::new(),
            updated_at: Timestamp::default(),
            added_at: Timestamp::default(),
            item: Some(item),
        };
        (entry, terms)
    }

    /// How little known an item is: `-log2` of its share of all popularity, divided by that of
    /// an item without positives. 0 to 1; 1 for an item that is not known.
    pub(crate) fn self_information(
        &self,
        items: impl Iterator<Item = Option<ItemIndex>>,
    ) -> Vec<f64> {
        let scales = self.popularity_scales();
        let smoothed = |mass: f32| f64::from(mass.max(0.0)) + 1.0;
        let all = scales.popularity_of_all(self.items.popularity.totals())
            + self.items.entries.len() as f64
            + 1.0;
        let most = math::log2(all);
        let of = |index: ItemIndex| scales.popularity(&self.items.popularity.items[index]);
        let bits = |index: ItemIndex| (most - math::log2(smoothed(of(index)))) / most;
        items.map(|index| index.map_or(1.0, bits).clamp(0.0, 1.0)).collect()
    }

    pub(crate) fn cooccurrence_scorer(&self, recent: &[ItemIndex]) -> CooccurrenceScorer<'_> {
        let now = self.decays.cooccurrence.at(self.clock);
        let scales = (&self.items.popularity, self.popularity_scales());
        CooccurrenceScorer::together(&self.items.cooccurrence, scales, recent, now)
    }

    /// The scorer of items by what came next.
    pub(crate) fn succession_scorer(&self, recent: &[ItemIndex]) -> CooccurrenceScorer<'_> {
        let now = self.decays.cooccurrence.at(self.clock);
        let scales = (&self.items.popularity, self.popularity_scales());
        CooccurrenceScorer::next(&self.items.successors, scales, recent, now)
    }

    /// Examples of a user that have factors, the newest first: item, factors, signed weight.
    fn fold_in_events(&self, model: &Model, user: &User) -> Vec<(ItemIndex, &[f32], f32)> {
        let examples = model.origin.configuration.weighing.examples(&user.history).into_iter();
        let factors = |item: ItemIndex| self.items.factors.row(item);
        examples.filter_map(|(item, weight)| Some((item, factors(item)?, weight))).collect()
    }

    /// What each item of the user's history adds to collaborative scores; `None` when
    /// [`Self::fold_in`] is.
    pub(crate) fn influence(&self, user: &User) -> Option<Influence<'_>> {
        let model = self.model.as_ref()?;
        let events = self.fold_in_events(model, user);
        if events.is_empty() {
            return None;
        }
        Influence::new(&self.items.factors.gram, &model.regularization, events)
    }

    /// The user's factors against the current item factors; `None` without a model or without
    /// an item that has factors. About 100 us for 50 events, k = 64.
    pub(crate) fn fold_in(&self, user: &User) -> Option<Vec<f32>> {
        let model = self.model.as_ref()?;
        let events = self.fold_in_events(model, user);
        if events.is_empty() {
            return None;
        }
        let mut factors = vec![0.0; model.k];
        FoldIn::new(model.k).solve(
            &self.items.factors.gram,
            &model.regularization,
            events.iter().map(|&(_, factors, confidence)| (factors, confidence)),
            None,
            &mut factors,
        );
        Some(factors)
    }
}

/// The texts of an item for the vocabulary, one for each language, its own first. A language
/// without words is none, unless it is the only one.
pub fn documents(item: &Item) -> Vec<Document<'_>> {
    let own = Document {
        title: &item.title,
        content: &item.content,
        topics: &item.topics,
        language: item.language.as_deref(),
    };
    let others = item.localized.iter().map(|(tag, text)| Document {
        title: &text.title,
        content: &text.content,
        language: Some(tag.primary()),
        ..own
    });
    let mut documents: Vec<Document<'_>> = std::iter::once(own).chain(others).collect();
    documents.retain(|text| !text.title.is_empty() || !text.content.is_empty());
    if documents.is_empty() { vec![own] } else { documents }
}
