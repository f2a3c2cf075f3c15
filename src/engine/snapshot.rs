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
use super::bandit::Posterior;
use super::cold_start::Cohorts;
use super::cold_start::ItemStatistics;
use super::cold_start::Popularity;
use super::column::Column;
use super::column::Digest;
use super::column::encode;
use super::content::Vocabulary;
use super::contexts::TopicContexts;
use super::decay::DecayedRow;
use super::factors::ItemFactors;
use super::interner::Interner;
use super::model::Model;
use super::prequential::Prequential;
use super::ranking::Hybrid;
use super::view::Counts;
use super::view::View;
use crate::domain::Sequence;
use crate::domain::Settings;
use crate::domain::Timestamp;

/// What the sections mean and how records are learnt. Raised with every change of
/// either: snapshots of another revision are passed over and the log is replayed.
pub const ENGINE_REVISION: u32 = 2;

/// Everything that is not a column.
#[derive(Serialize, Deserialize)]
struct Head {
    settings: Settings,
    watermark: Sequence,
    clock: Timestamp,
    counts: Counts,
    totals: ItemStatistics,
    landmarks: [Timestamp; 3],
    all_slots: Arc<DecayedRow>,
    all_devices: Arc<DecayedRow>,
    model: Option<Arc<Model>>,
    factors: (usize, Vec<f32>),
    unsolved: Vec<u32>,
    hybrid: Arc<Hybrid>,
    posterior: Arc<Posterior>,
    prequential: Arc<Prequential>,
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
            self.topics.digest(),
            self.sources.digest(),
            self.devices.digest(),
            self.vocabulary.digest(),
            self.contexts.slots.digest(),
            self.contexts.devices.digest(),
            self.cohorts.names.digest(),
            self.cohorts.rows.digest(),
            self.factors.digest(),
            self.accumulators.digest(),
            self.decisions.digest(),
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
            self.topics.names().sections("topics"),
            self.sources.names().sections("sources"),
            self.devices.names().sections("devices"),
            self.vocabulary.sections("vocabulary"),
            self.contexts.slots.sections("context_slots"),
            self.contexts.devices.sections("context_devices"),
            self.cohorts.names.names().sections("cohort_names"),
            self.cohorts.rows.sections("cohort_rows"),
            self.accumulators.sections("accumulators"),
            self.decisions.sections("decisions"),
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
            all_slots: self.contexts.all_slots.clone(),
            all_devices: self.contexts.all_devices.clone(),
            model: self.model.clone(),
            factors: (self.factors.k(), factors),
            unsolved: self.unsolved.clone(),
            hybrid: self.hybrid.clone(),
            posterior: self.posterior.clone(),
            prequential: self.prequential.clone(),
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
        };
        view.cooccurrence = sections.column("cooccurrence")?;
        view.topics = named("topics")?;
        view.sources = named("sources")?;
        view.devices = named("devices")?;
        view.vocabulary = sections.vocabulary()?;
        view.contexts = TopicContexts {
            slots: sections.column("context_slots")?,
            devices: sections.column("context_devices")?,
            all_slots: head.all_slots,
            all_devices: head.all_devices,
        };
        view.cohorts =
            Cohorts { names: named("cohort_names")?, rows: sections.column("cohort_rows")? };
        view.model = head.model;
        if head.factors.0 > 0 {
            view.factors = ItemFactors::new(head.factors.0, &head.factors.1);
        }
        view.accumulators = sections.column("accumulators")?;
        view.unsolved = head.unsolved;
        view.hybrid = head.hybrid;
        view.posterior = head.posterior;
        view.decisions = sections.column("decisions")?;
        view.prequential = head.prequential;
        let decision_places: BTreeMap<u128, usize> = view
            .decisions
            .iter()
            .enumerate()
            .map(|(place, pending)| (pending.key, place))
            .collect();
        let mut engine = Self { view, decision_places };
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

    fn vocabulary(&self) -> Result<Vocabulary, Unrestorable> {
        let all = self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        Vocabulary::from_sections("vocabulary", all)
            .map_err(|error| unrestorable("vocabulary", &error.to_string()))
    }
}

fn unrestorable(section: &'static str, reason: &str) -> Unrestorable {
    Unrestorable { section, reason: reason.to_owned() }
}
