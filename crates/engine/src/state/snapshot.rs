//! The state as bytes, and its digest.
//!
//! - Both use the same canonical encoding, so equal digests mean equal snapshots. Derived
//!   state (lookup tables, term vectors) is in neither and is built again on restore.
//! - Sections are made and read one at a time: memory holds the state and one section.
//! - Restoring checks that every part has its stored length and that parts that belong together
//!   are equally long. Other bytes are an error.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Engine;
use crate::bandit::Ranker;
use crate::bandit::item_effects;
use crate::columns::column::encode;
use crate::columns::index::ItemIndex;
use crate::columns::labels::Labels;
use crate::columns::part::Digest;
use crate::consumption::ReturnGap;
use crate::domain::Sequence;
use crate::domain::Settings;
use crate::domain::Timestamp;
use crate::experiments::Registry;
use crate::models::aging::Ages;
use crate::models::clock::EventTimes;
use crate::models::cold_start::Estimates;
use crate::models::cold_start::PopularityHead;
use crate::models::content::VocabularyHead;
use crate::models::decay::DecayedRow;
use crate::models::decays::Decays;
use crate::models::factors::ItemFactors;
use crate::models::hybrid::Hybrid;
use crate::models::prequential::Prequential;
use crate::models::published::Model;
use crate::models::recent_positives::RecentPositives;
use crate::state::postings::Postings;
use crate::state::quarantine::Sweep;
use crate::state::settings_records::SettingsRecords;
use crate::state::view::Counts;
use crate::state::view::View;
use crate::takeover::Takeover;

/// The revision of the sections and of learning. Raised with every change of either. Snapshots
/// of another revision are ignored and the log is replayed.
pub const ENGINE_REVISION: u32 = 7;

const HEAD: &str = "head";

/// All state that is not in a part.
#[derive(Serialize, Deserialize)]
struct Head {
    settings: Settings,
    settings_records: SettingsRecords,
    watermark: Sequence,
    began: Timestamp,
    clock: Timestamp,
    event_times: EventTimes,
    decays: Arc<Decays>,
    counts: Counts,
    popularity: PopularityHead,
    vocabulary: VocabularyHead,
    contexts: ContextsHead,
    cohorts: Estimates,
    sweep: Arc<Sweep>,
    /// Evicted labels of each kind, in the order of [`View::labels`].
    evicted: [u64; 5],
    model: Option<Arc<Model>>,
    item_gram: Arc<Vec<f32>>,
    unsolved: Vec<ItemIndex>,
    hybrid: Arc<Hybrid>,
    ranker: Arc<Ranker>,
    prequential: Arc<Prequential>,
    recent_positives: RecentPositives,
    return_gap: ReturnGap,
    item_effects: item_effects::Common,
    takeover: Arc<Takeover>,
    experiments: Arc<Registry>,
    set_bytes: u64,
    /// Lengths of the parts, in order.
    lengths: Vec<u64>,
}

/// The contexts' sums over all topics.
#[derive(Serialize, Deserialize)]
struct ContextsHead {
    cells: Arc<DecayedRow>,
    devices: Arc<DecayedRow>,
    values: Arc<DecayedRow>,
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
    /// BLAKE3 of the state. The cost is in proportion to the changes since an earlier digest.
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&encode(&self.head()));
        for (_, part) in self.parts() {
            hasher.update(&part.digest());
        }
        *hasher.finalize().as_bytes()
    }

    /// The state as named sections, each made when it is requested.
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
            settings_records: self.settings_records.clone(),
            watermark: self.watermark,
            began: self.began,
            clock: self.clock,
            event_times: self.event_times.clone(),
            decays: self.decays.clone(),
            counts: self.counts,
            popularity: self.items.popularity.head.clone(),
            vocabulary: self.vocabulary.head,
            contexts: ContextsHead {
                cells: self.contexts.cells.all.clone(),
                devices: self.contexts.devices.all.clone(),
                values: self.contexts.values.all.clone(),
                ages: self.aging.all.clone(),
            },
            cohorts: self.cohorts.estimates,
            sweep: self.sweep.clone(),
            evicted: self.labels().map(|labels| labels.evicted),
            model: self.model.clone(),
            item_gram: self.items.factors.gram.clone(),
            unsolved: self.unsolved.clone(),
            hybrid: self.hybrid.clone(),
            ranker: self.ranker.clone(),
            prequential: self.prequential.clone(),
            recent_positives: self.recent_positives.clone(),
            return_gap: self.return_gap.clone(),
            item_effects: self.item_effects.common,
            takeover: self.takeover.clone(),
            experiments: self.experiments.clone(),
            set_bytes: self.users.set_bytes,
            lengths: self.lengths(),
        }
    }

    fn lengths(&self) -> Vec<u64> {
        self.parts().into_iter().map(|(_, part)| part.len() as u64).collect()
    }

    /// Restores the head of a snapshot.
    fn take_head(&mut self, head: Head) {
        self.settings = Arc::new(head.settings);
        self.settings_records = head.settings_records;
        self.watermark = head.watermark;
        self.began = head.began;
        self.clock = head.clock;
        self.event_times = head.event_times;
        self.decays = head.decays;
        self.counts = head.counts;
        self.items.popularity.head = head.popularity;
        self.vocabulary.head = head.vocabulary;
        self.contexts.cells.all = head.contexts.cells;
        self.contexts.devices.all = head.contexts.devices;
        self.contexts.values.all = head.contexts.values;
        self.aging.all = head.contexts.ages;
        self.cohorts.estimates = head.cohorts;
        self.sweep = head.sweep;
        let labels = self.labels_mut().into_iter().zip(head.evicted);
        labels.for_each(|(labels, evicted)| labels.evicted = evicted);
        self.model = head.model;
        self.items.factors.gram = head.item_gram;
        self.unsolved = head.unsolved;
        self.hybrid = head.hybrid;
        self.ranker = head.ranker;
        self.prequential = head.prequential;
        self.recent_positives = head.recent_positives;
        self.return_gap = head.return_gap;
        self.item_effects.common = head.item_effects;
        self.takeover = head.takeover;
        self.experiments = head.experiments;
        self.users.set_bytes = head.set_bytes;
    }

    /// Derives which slots are free; `false` when columns of labels or of users do not fit
    /// together.
    fn derive_free_slots(&mut self) -> bool {
        let sweep = self.sweep.clone();
        let Self { users, items, vocabulary, .. } = self;
        vocabulary.terms.derive_free(holding(sweep.terms_in_model.iter().copied()));
        let users_fit = users.derive();
        items.ids.derive_free(holding(sweep.items.slots().into_iter()));
        let held =
            [&sweep.topics, &sweep.sources, &sweep.devices, &sweep.context_values, &sweep.cohorts];
        let mut labels = self.labels_mut().into_iter().zip(held);
        labels.all(|(labels, held)| labels.derive(holding(held.slots().into_iter()))) && users_fit
    }

    /// Labels of all kinds.
    fn labels(&self) -> [&Labels; 5] {
        let Self { topics, sources, devices, context_values, cohorts, .. } = self;
        [topics, sources, devices, &context_values.names, &cohorts.names]
    }

    fn labels_mut(&mut self) -> [&mut Labels; 5] {
        let Self { topics, sources, devices, context_values, cohorts, .. } = self;
        [topics, sources, devices, &mut context_values.names, &mut cohorts.names]
    }

    /// The name of the first part that is not consistent with the others.
    fn misfit(&self) -> Option<&'static str> {
        let items = self.items.ids.len();
        let is_item = |item: &ItemIndex| item.as_usize() < items;
        let k = self.model.as_ref().map_or(0, |model| model.k);
        let model_fits = self.model.as_ref().is_none_or(|model| model.is_whole());
        let checks = [
            ("entries", self.items.entries.len() == items),
            ("statistics", self.items.popularity.items.len() == items),
            ("cooccurrence", self.items.cooccurrence.len() == items),
            ("successors", self.items.successors.len() == items),
            ("online_items", self.items.online.is_whole(k, items)),
            ("named_at", self.items.named_at.len() == items),
            ("factors", model_fits && self.items.factors.is_whole(k, items)),
            ("associations", self.associations.is_sound(items)),
            ("terms", self.vocabulary.is_whole()),
            ("cohort_rows", self.cohorts.rows.len() == self.cohorts.names.len()),
            (
                "context_value_rows",
                self.context_values.rows.len() == self.context_values.names.len(),
            ),
            ("item_effects", self.item_effects.is_whole()),
            ("decisions", self.has_whole_decisions()),
            ("arm_sets", self.arms.is_whole()),
            (HEAD, self.unsolved.iter().all(is_item) && self.recent_positives.is_whole(items)),
        ];
        checks.into_iter().find(|(_, fits)| !fits).map(|(name, _)| name)
    }
}

impl Engine {
    /// An engine that continues from the snapshot. Each section is freed after it was read.
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
        if !view.derive_free_slots() {
            return Err(unrestorable("topics", "labels or users do not fit their columns"));
        }
        let View { experiments, units, .. } = &mut view;
        if !Arc::make_mut(experiments).derive(units) {
            return Err(unrestorable("experiment_units", "they do not fit the experiments"));
        }
        if let Some(part) = view.misfit() {
            return Err(unrestorable(part, "it does not fit the other parts"));
        }
        if let Some(model) = view.model.as_ref().filter(|_| view.items.factors.k() == 0) {
            view.items.factors.rows = ItemFactors::new(model.k, &[]);
        }
        view.items.online.make_index();
        view.index_decisions();
        view.item_effects.index_items();
        view.arms.index_selections();
        let mut engine = Self { view };
        engine.weigh_all_terms();
        engine.align_features();
        engine.view.postings = Postings::new(engine.view.items.entries.iter());
        engine.view.postings.showing.move_to(engine.view.clock);
        engine.view.find_leaders();
        Ok(engine)
    }
}

/// Whether a slot is one of these.
fn holding<K: Ord>(slots: impl Iterator<Item = K>) -> impl Fn(K) -> bool {
    let held: BTreeSet<K> = slots.collect();
    move |slot| held.contains(&slot)
}

fn value<T: DeserializeOwned>(section: &str, bytes: &[u8]) -> Result<T, Unrestorable> {
    postcard::from_bytes(bytes).map_err(|error| unrestorable(section, &error.to_string()))
}

fn unrestorable(section: &str, reason: &str) -> Unrestorable {
    Unrestorable { section: section.to_owned(), reason: reason.to_owned() }
}
