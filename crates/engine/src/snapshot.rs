//! The state as bytes, and its digest.
//!
//! Both are made of the same canonical encoding, so equal digests mean equal
//! snapshots. What is derived (lookup tables, term vectors, places of decisions) is
//! in neither and is made again on restore.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Engine;
use super::aging::Ages;
use super::aging::Aging;
use super::bandit::Ranker;
use super::bandit::arms::Arms;
use super::cold_start::Cohorts;
use super::cold_start::Estimates;
use super::cold_start::ItemStatistics;
use super::cold_start::Locations;
use super::cold_start::Made;
use super::cold_start::Popularity;
use super::column::Column;
use super::column::Digest;
use super::column::encode;
use super::content::Vocabulary;
use super::contexts::Lifts;
use super::contexts::TopicContexts;
use super::decay::DecayedRow;
use super::factors::ItemFactors;
use super::interner::Interner;
use super::model::Model;
use super::prequential::Prequential;
use super::ranking::Hybrid;
use super::sampling::RecentlyWanted;
use super::takeover::Takeover;
use super::view::Counts;
use super::view::View;
use crate::domain::Sequence;
use crate::domain::Settings;
use crate::domain::Timestamp;

/// What the sections mean and how records are learnt. Raised with every change of
/// either: snapshots of another revision are passed over and the log is replayed.
pub const ENGINE_REVISION: u32 = 4;

/// Everything that is not a column.
#[derive(Serialize, Deserialize)]
struct Head {
    settings: Settings,
    watermark: Sequence,
    clock: Timestamp,
    counts: Counts,
    totals: ItemStatistics,
    landmarks: [Timestamp; 3],
    activity_landmark: u32,
    contexts: ContextsHead,
    cohorts: (Arc<Made>, Estimates),
    model: Option<Arc<Model>>,
    factors: (usize, Vec<f32>),
    unsolved: Vec<u32>,
    hybrid: Arc<Hybrid>,
    ranker: Arc<Ranker>,
    prequential: Arc<Prequential>,
    recently_wanted: RecentlyWanted,
    arm_selections: u64,
    takeover: Arc<Takeover>,
}

/// What the contexts know of all topics together.
#[derive(Serialize, Deserialize)]
struct ContextsHead {
    cells: Arc<DecayedRow>,
    months: Arc<DecayedRow>,
    devices: Arc<DecayedRow>,
    locations: Arc<DecayedRow>,
    since: Option<Timestamp>,
    ages: Arc<Ages>,
}

/// Sections that are not a snapshot of this revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("snapshot section {section} cannot be read: {reason}")]
pub struct Unrestorable {
    section: &'static str,
    reason: String,
}

impl View {
    /// BLAKE3 of the state. Costs what changed since a digest of an earlier view.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&encode(&self.head(Vec::new())));
        for part in [
            self.user_ids.digest(),
            self.users.digest(),
            self.showings.digest(),
            self.item_ids.digest(),
            self.entries.digest(),
            self.popularity.items.digest(),
            self.cooccurrence.digest(),
            self.successors.digest(),
            self.item_item.digest(),
            self.topics.digest(),
            self.sources.digest(),
            self.devices.digest(),
            self.vocabulary.digest(),
            self.contexts.cells.topics.digest(),
            self.contexts.months.topics.digest(),
            self.contexts.devices.topics.digest(),
            self.contexts.locations.topics.digest(),
            self.aging.topics.digest(),
            self.cohorts.names.digest(),
            self.cohorts.rows.digest(),
            self.locations.names.digest(),
            self.locations.rows.digest(),
            self.factors.digest(),
            self.accumulators.digest(),
            self.decisions.digest(),
            self.arms.names.digest(),
            self.arms.sets.digest(),
            self.arms.pending.digest(),
        ] {
            hasher.update(&part);
        }
        *hasher.finalize().as_bytes()
    }

    /// The state as named sections.
    pub fn sections(&self) -> Vec<(String, Vec<u8>)> {
        let mut sections = vec![("head".to_owned(), encode(&self.head(self.factors.to_vec())))];
        for mut part in [
            self.user_ids.names().sections("user_ids"),
            self.users.sections("users"),
            self.showings.sections("showings"),
            self.item_ids.names().sections("item_ids"),
            self.entries.sections("entries"),
            self.popularity.items.sections("statistics"),
            self.cooccurrence.sections("cooccurrence"),
            self.successors.sections("successors"),
            vec![("item_item".to_owned(), encode(self.item_item.as_ref()))],
            self.topics.names().sections("topics"),
            self.sources.names().sections("sources"),
            self.devices.names().sections("devices"),
            self.vocabulary.sections("vocabulary"),
            self.contexts.cells.topics.sections("context_cells"),
            self.contexts.months.topics.sections("context_months"),
            self.contexts.devices.topics.sections("context_devices"),
            self.contexts.locations.topics.sections("context_locations"),
            self.aging.topics.sections("ages"),
            self.cohorts.names.names().sections("cohort_names"),
            self.cohorts.rows.sections("cohort_rows"),
            self.locations.names.names().sections("location_names"),
            self.locations.rows.sections("location_rows"),
            self.accumulators.sections("accumulators"),
            self.decisions.sections("decisions"),
            self.arms.names.names().sections("arm_set_names"),
            self.arms.sets.sections("arm_sets"),
            self.arms.pending.sections("pending_selections"),
        ] {
            sections.append(&mut part);
        }
        sections
    }

    fn head(&self, factors: Vec<f32>) -> Head {
        Head {
            settings: self.settings.as_ref().clone(),
            watermark: self.watermark,
            clock: self.clock,
            counts: self.counts,
            totals: self.popularity.totals,
            landmarks: self.popularity.landmarks,
            activity_landmark: self.popularity.activity_landmark,
            contexts: ContextsHead {
                cells: self.contexts.cells.all.clone(),
                months: self.contexts.months.all.clone(),
                devices: self.contexts.devices.all.clone(),
                locations: self.contexts.locations.all.clone(),
                since: self.contexts.since,
                ages: self.aging.all.clone(),
            },
            cohorts: (self.cohorts.made.clone(), self.cohorts.estimates),
            model: self.model.clone(),
            factors: (self.factors.k(), factors),
            unsolved: self.unsolved.clone(),
            hybrid: self.hybrid.clone(),
            ranker: self.ranker.clone(),
            prequential: self.prequential.clone(),
            recently_wanted: self.recently_wanted.clone(),
            arm_selections: self.arms.selections,
            takeover: self.takeover.clone(),
        }
    }
}

impl Engine {
    /// An engine that continues where the one of the snapshot was.
    ///
    /// # Errors
    /// [`Unrestorable`] when the sections are not of this revision.
    pub fn restore(sections: &[(String, Vec<u8>)]) -> Result<Self, Unrestorable> {
        let sections = Sections(sections);
        let head: Head = sections.value("head")?;
        let named = |section| sections.column(section).map(Interner::from_names);
        let mut view = View::new(head.settings);
        view.watermark = head.watermark;
        view.clock = head.clock;
        view.counts = head.counts;
        view.user_ids = named("user_ids")?;
        view.users = sections.column("users")?;
        view.showings = sections.column("showings")?;
        view.item_ids = named("item_ids")?;
        view.entries = sections.column("entries")?;
        view.popularity = Popularity {
            items: sections.column("statistics")?,
            totals: head.totals,
            landmarks: head.landmarks,
            activity_landmark: head.activity_landmark,
        };
        view.cooccurrence = sections.column("cooccurrence")?;
        view.successors = sections.column("successors")?;
        view.item_item = Arc::new(sections.value("item_item")?);
        view.topics = named("topics")?;
        view.sources = named("sources")?;
        view.devices = named("devices")?;
        view.vocabulary = sections.vocabulary()?;
        (view.contexts, view.aging) = sections.contexts(head.contexts)?;
        let (made, estimates) = head.cohorts;
        let (names, rows) = (named("cohort_names")?, sections.column("cohort_rows")?);
        view.cohorts = Cohorts { names, rows, made, estimates };
        let (names, rows) = (named("location_names")?, sections.column("location_rows")?);
        view.locations = Locations { names, rows };
        view.model = head.model;
        if head.factors.0 > 0 {
            view.factors = ItemFactors::new(head.factors.0, &head.factors.1);
        }
        view.accumulators = sections.column("accumulators")?;
        view.unsolved = head.unsolved;
        view.hybrid = head.hybrid;
        view.ranker = head.ranker;
        view.decisions = sections.column("decisions")?;
        view.prequential = head.prequential;
        view.recently_wanted = head.recently_wanted;
        view.arms = Arms {
            names: named("arm_set_names")?,
            sets: sections.column("arm_sets")?,
            pending: sections.column("pending_selections")?,
            selections: head.arm_selections,
        };
        view.takeover = head.takeover;
        let decision_places: BTreeMap<u128, usize> = view
            .decisions
            .iter()
            .enumerate()
            .map(|(place, pending)| (pending.key, place))
            .collect();
        let arm_places = view.arms.places();
        let mut engine = Self { view, decision_places, arm_places };
        engine.weigh_all_terms();
        Ok(engine)
    }
}

struct Sections<'a>(&'a [(String, Vec<u8>)]);

impl Sections<'_> {
    fn value<T: DeserializeOwned>(&self, section: &'static str) -> Result<T, Unrestorable> {
        let found = self.0.iter().find(|(name, _)| name == section);
        let bytes = &found.ok_or_else(|| unrestorable(section, "it is missing"))?.1;
        postcard::from_bytes(bytes).map_err(|error| unrestorable(section, &error.to_string()))
    }

    /// All numbered sections of a column, in the order they were stored.
    fn column<T: DeserializeOwned>(
        &self,
        section: &'static str,
    ) -> Result<Column<T>, Unrestorable> {
        let numbered =
            |name: &str| name.strip_prefix(section).is_some_and(|number| number.starts_with('/'));
        let parts = self.0.iter().filter(|(name, _)| numbered(name));
        Column::from_sections(parts.map(|(_, bytes)| bytes.as_slice()))
            .map_err(|error| unrestorable(section, &error.to_string()))
    }

    fn contexts(&self, head: ContextsHead) -> Result<(TopicContexts, Aging), Unrestorable> {
        let lifts = |section, all| self.column(section).map(|topics| Lifts { topics, all });
        let contexts = TopicContexts {
            cells: lifts("context_cells", head.cells)?,
            months: lifts("context_months", head.months)?,
            devices: lifts("context_devices", head.devices)?,
            locations: lifts("context_locations", head.locations)?,
            since: head.since,
        };
        Ok((contexts, Aging { topics: self.column("ages")?, all: head.ages }))
    }

    fn vocabulary(&self) -> Result<Vocabulary, Unrestorable> {
        let all = self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        Vocabulary::from_sections("vocabulary", all)
            .map_err(|error| unrestorable("vocabulary", &error.to_string()))
    }
}

fn unrestorable(section: &'static str, reason: &str) -> Unrestorable {
    Unrestorable { section, reason: reason.to_owned() }
}
