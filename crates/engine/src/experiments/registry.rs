//! All experiments of a namespace, in the order in which they were created.
//!
//! - A change that was made from another state than the present one changes nothing.
//! - Bounded: beyond [`limits::EXPERIMENTS`] the oldest archived one is forgotten; the edge creates
//!   no more when none is archived.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::RankerPrior;
use crate::domain::Experiment;
use crate::domain::ExperimentChange;
use crate::domain::ExperimentState;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::experiments::entry::Entry;
use crate::experiments::units::UnitTables;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Registry {
    entries: Vec<Arc<Entry>>,
    /// The number of the next one.
    next: u32,
    /// The last record that changed any of them, also one at which one stopped by itself.
    changed_at: Sequence,
    /// The last change of a caller's.
    set_at: Sequence,
    /// Positions of those that requests and events ask about.
    watched: Vec<usize>,
    /// The first time at which something is to be done.
    pub due: Option<Timestamp>,
}

impl Registry {
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> + ExactSizeIterator {
        self.entries.iter()
    }

    pub fn find(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.iter().find(|entry| entry.experiment.key.as_str() == key)
    }

    pub fn numbered(&self, number: u32) -> Option<&Arc<Entry>> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        self.entries.get(at)
    }

    pub fn numbered_mut(&mut self, number: u32) -> Option<&mut Entry> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        self.entries.get_mut(at).map(Arc::make_mut)
    }

    /// Those that are live, or drafts with testers.
    pub fn watched(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.watched.iter().map(|&at| &self.entries[at])
    }

    /// Those that measure.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.watched().filter(|entry| entry.experiment.state.is_live())
    }

    /// The first live experiment with metrics that are to be computed from the log.
    pub fn with_backfill(&self) -> Option<&Arc<Entry>> {
        self.live().find(|entry| !entry.backfills().is_empty())
    }

    /// Whether no request and no event has to look further.
    pub fn is_idle(&self) -> bool {
        self.watched.is_empty()
    }

    /// The record that last changed any experiment; 0: none.
    pub fn changed_at(&self) -> Sequence {
        self.changed_at
    }

    /// Gives the rankers of variants the features of this engine.
    pub fn align_own_rankers(&mut self, prior: &RankerPrior) {
        for entry in &mut self.entries {
            if entry.has_own_rankers() {
                let own = Arc::make_mut(entry).own_rankers_mut();
                own.for_each(|own| Arc::make_mut(own).align(prior.clone()));
            }
        }
    }

    /// An entry changed in this record: what is watched is found again.
    pub fn note_change(&mut self, sequence: Sequence) {
        self.changed_at = sequence;
        self.watch();
    }

    /// Buckets that the live experiments of a layer have, but for one of them.
    pub fn taken<'a>(
        &'a self,
        experiment: &'a Experiment,
    ) -> impl Iterator<Item = (u32, u32)> + 'a {
        let is_other = |other: &&Arc<Entry>| {
            other.experiment.layer == experiment.layer && other.experiment.key != experiment.key
        };
        self.live().filter(is_other).flat_map(|other| other.experiment.buckets.iter().copied())
    }

    /// The number of the entry of a change, which is added if it is new; none for a change that
    /// was made before another one of a caller's was learnt, or that lets an experiment go on which has
    /// stopped by itself since. At which record it does so depends on what users did: where users are
    /// erased it is another one, and changes that were made after it must stay.
    pub fn place(
        &mut self,
        change: &ExperimentChange,
        (sequence, at): (Sequence, Timestamp),
    ) -> Option<u32> {
        let known = self.find(change.experiment.key.as_str());
        let has_stopped = known
            .is_some_and(|entry| entry.stop_cause.is_some() && entry.changed_at > change.replaces);
        if change.replaces < self.set_at || has_stopped && change.experiment.state.is_live() {
            return None;
        }
        let known = known.map(|entry| entry.number);
        self.set_at = sequence;
        let number = known.unwrap_or(self.next);
        if known.is_none() {
            self.forget_oldest();
            self.entries.push(Arc::new(Entry::new(number, &change.experiment, at)));
            self.next += 1;
        }
        Some(number)
    }

    fn forget_oldest(&mut self) {
        if self.entries.len() >= limits::EXPERIMENTS {
            let is_archived =
                |entry: &Arc<Entry>| entry.experiment.state == ExperimentState::Archived;
            if let Some(oldest) = self.entries.iter().position(is_archived) {
                self.entries.remove(oldest);
            }
        }
    }

    fn watch(&mut self) {
        let is_watched =
            |entry: &Entry| entry.experiment.state.is_live() || entry.experiment.is_tested_draft();
        let entries = self.entries.iter().enumerate();
        self.watched = entries.filter(|(_, entry)| is_watched(entry)).map(|(at, _)| at).collect();
    }

    /// The first time at which something is to be done, from what there is now.
    pub fn find_due(&mut self, units: &UnitTables) {
        self.due = self.live().filter_map(|entry| entry.due(units.table(entry.number))).min();
    }

    /// Derives what is not in snapshots; `false` when what was read does not fit together.
    pub fn derive(&mut self, units: &mut UnitTables) -> bool {
        self.entries.iter_mut().for_each(|entry| Arc::make_mut(entry).derive());
        let numbers = self.entries.iter().map(|entry| entry.number);
        let is_whole = numbers.is_sorted_by(|a, b| a < b)
            && self.entries.iter().all(|entry| entry.is_whole() && entry.number < self.next)
            && self.watched.iter().all(|&at| at < self.entries.len());
        let tables = self.live().map(|entry| {
            let kept = entry.backfills().iter().map(|backfill| backfill.rows);
            (entry.number, entry.layout().fields.len(), kept)
        });
        is_whole && units.derive(tables)
    }
}
