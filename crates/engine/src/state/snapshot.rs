//! The state as bytes, and its digest.
//!
//! - Both are made of the same canonical encoding, so equal digests mean equal snapshots.
//!   What is derived (lookup tables, term vectors) is in neither and is made again on restore.
//! - Sections are made one at a time and read one at a time: whoever stores or restores a
//!   state holds it once, and a section of it.
//! - A restored state is whole: every part is as long as it was, and parts that belong
//!   together are equally long. Bytes that say otherwise are refused.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Engine;
use crate::bandit::PENDING_DECISIONS_MAX;
use crate::bandit::Ranker;
use crate::domain::Sequence;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::features::Hybrid;
use crate::models::aging::Ages;
use crate::models::cold_start::Estimates;
use crate::models::cold_start::ItemStatistics;
use crate::models::cold_start::Made;
use crate::models::content::VocabularyHead;
use crate::models::decay::DecayedRow;
use crate::models::prequential::Prequential;
use crate::models::published::Model;
use crate::models::recent_positives::RecentPositives;
use crate::state::column::Digest;
use crate::state::column::encode;
use crate::state::factors::ItemFactors;
use crate::state::parts::Part;
use crate::state::postings::Postings;
use crate::state::view::Counts;
use crate::state::view::View;
use crate::takeover::Takeover;

/// What the sections mean and how records are learnt. Raised with every change of
/// either: snapshots of another revision are passed over and the log is replayed.
pub const ENGINE_REVISION: u32 = 1;

const HEAD: &str = "head";

/// Everything that is no part of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    settings: Settings,
    watermark: Sequence,
    began: Timestamp,
    clock: Timestamp,
    counts: Counts,
    totals: ItemStatistics,
    landmarks: [Timestamp; 3],
    activity_landmark: u32,
    vocabulary: VocabularyHead,
    contexts: ContextsHead,
    cohorts: (Arc<Made>, Estimates),
    model: Option<Arc<Model>>,
    unsolved: Vec<u32>,
    hybrid: Arc<Hybrid>,
    ranker: Arc<Ranker>,
    prequential: Arc<Prequential>,
    recent_positives: RecentPositives,
    arm_selections: u64,
    takeover: Arc<Takeover>,
    /// Lengths of the parts, in the order of their list.
    lengths: Vec<u64>,
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
    section: String,
    reason: String,
}

impl View {
    /// BLAKE3 of the state. Costs what changed since a digest of an earlier view.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&encode(&self.head()));
        for (_, part) in self.parts() {
            hasher.update(&part.digest());
        }
        *hasher.finalize().as_bytes()
    }

    /// The state as named sections, each made when it is asked for.
    pub fn sections(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let head = std::iter::once_with(|| (HEAD.to_owned(), encode(&self.head())));
        let parts = self.parts().into_iter().flat_map(|(name, part)| {
            let sections = part.sections().enumerate();
            sections.map(move |(number, section)| (format!("{name}/{number}"), section))
        });
        head.chain(parts)
    }

    fn head(&self) -> Head {
        Head {
            settings: self.settings.as_ref().clone(),
            watermark: self.watermark,
            began: self.began,
            clock: self.clock,
            counts: self.counts,
            totals: self.items.popularity.totals,
            landmarks: self.items.popularity.landmarks,
            activity_landmark: self.items.popularity.activity_landmark,
            vocabulary: self.vocabulary.head,
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
            unsolved: self.unsolved.clone(),
            hybrid: self.hybrid.clone(),
            ranker: self.ranker.clone(),
            prequential: self.prequential.clone(),
            recent_positives: self.recent_positives.clone(),
            arm_selections: self.arms.selections,
            takeover: self.takeover.clone(),
            lengths: self.lengths(),
        }
    }

    fn lengths(&self) -> Vec<u64> {
        self.parts().into_iter().map(|(_, part)| part.len() as u64).collect()
    }

    /// Takes over what the head of a snapshot says.
    fn take_head(&mut self, head: Head) {
        self.settings = Arc::new(head.settings);
        self.watermark = head.watermark;
        self.began = head.began;
        self.clock = head.clock;
        self.counts = head.counts;
        self.items.popularity.totals = head.totals;
        self.items.popularity.landmarks = head.landmarks;
        self.items.popularity.activity_landmark = head.activity_landmark;
        self.vocabulary.head = head.vocabulary;
        self.contexts.cells.all = head.contexts.cells;
        self.contexts.months.all = head.contexts.months;
        self.contexts.devices.all = head.contexts.devices;
        self.contexts.locations.all = head.contexts.locations;
        self.contexts.since = head.contexts.since;
        self.aging.all = head.contexts.ages;
        (self.cohorts.made, self.cohorts.estimates) = head.cohorts;
        self.model = head.model;
        self.unsolved = head.unsolved;
        self.hybrid = head.hybrid;
        self.ranker = head.ranker;
        self.prequential = head.prequential;
        self.recent_positives = head.recent_positives;
        self.arms.selections = head.arm_selections;
        self.takeover = head.takeover;
    }

    /// The first thing that does not fit together, by the name of its part.
    fn misfit(&self) -> Option<&'static str> {
        let (items, users) = (self.items.ids.len(), self.users.ids.len());
        let is_item = |item: &u32| (*item as usize) < items;
        let model_fits = match &self.model {
            None => self.items.factors.len() == 0,
            Some(model) => model.fits(&self.items.factors),
        };
        let window = self.counts.decisions.min(PENDING_DECISIONS_MAX as u64);
        let unsettled = self.counts.decisions.checked_sub(self.counts.settled);
        let checks = [
            ("users", self.users.states.len() == users && self.users.impressions.len() <= users),
            ("entries", self.items.entries.len() == items),
            ("statistics", self.items.popularity.items.len() == items),
            ("cooccurrence", self.items.cooccurrence.len() == items),
            ("successors", self.items.successors.len() == items),
            ("accumulators", self.items.accumulators.len() == items),
            ("factors", model_fits && self.items.factors.len() <= items),
            ("item_item", self.item_item.is_sound(items)),
            ("terms", self.vocabulary.is_whole()),
            ("cohort_rows", self.cohorts.rows.len() == self.cohorts.names.len()),
            ("location_rows", self.locations.rows.len() == self.locations.names.len()),
            ("decisions", self.decisions.len() as u64 == window),
            ("decisions", unsettled.is_some_and(|number| number <= window)),
            ("arm_sets", self.arms.is_whole()),
            (HEAD, self.unsolved.iter().all(is_item) && self.recent_positives.is_whole(items)),
        ];
        checks.into_iter().find(|(_, fits)| !fits).map(|(name, _)| name)
    }
}

impl Engine {
    /// An engine that continues where the one of the snapshot was. Each section is freed
    /// when it has been read.
    ///
    /// # Errors
    /// [`Unrestorable`] when the sections are not a snapshot of this revision.
    pub fn restore(
        sections: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, Unrestorable> {
        let mut view = View::new(Settings::default());
        let mut lengths = None;
        for (name, section) in sections {
            if name == HEAD {
                let mut head: Head = value(&name, &section)?;
                lengths = Some(std::mem::take(&mut head.lengths));
                view.take_head(head);
                continue;
            }
            let of = name.rsplit_once('/').map_or(&*name, |(part, _)| part);
            let mut parts = view.parts_mut().into_iter();
            let (_, part) = parts
                .find(|(known, _)| *known == of)
                .ok_or_else(|| unrestorable(&name, "there is no such part"))?;
            part.read(&section).map_err(|error| unrestorable(&name, &error.to_string()))?;
        }
        let lengths = lengths.ok_or_else(|| unrestorable(HEAD, "it is missing"))?;
        if lengths != view.lengths() {
            return Err(unrestorable(HEAD, "a section of a part is missing"));
        }
        if let Some(part) = view.misfit() {
            return Err(unrestorable(part, "it does not fit the other parts"));
        }
        if let Some(model) = view.model.as_ref().filter(|_| view.items.factors.k() == 0) {
            view.items.factors = ItemFactors::new(model.k, &[]);
        }
        view.index_decisions();
        view.arms.index_selections();
        let mut engine = Self { view };
        engine.weigh_all_terms();
        engine.view.postings = Postings::new(engine.view.items.entries.iter());
        engine.view.find_leaders();
        Ok(engine)
    }
}

fn value<T: DeserializeOwned>(section: &str, bytes: &[u8]) -> Result<T, Unrestorable> {
    postcard::from_bytes(bytes).map_err(|error| unrestorable(section, &error.to_string()))
}

fn unrestorable(section: &str, reason: &str) -> Unrestorable {
    Unrestorable { section: section.to_owned(), reason: reason.to_owned() }
}
