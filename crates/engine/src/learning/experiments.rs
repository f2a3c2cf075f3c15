//! What records do to experiments: who is exposed, what is measured, when one stops.
//!
//! - A user is exposed by the first answer that a variant acted on; later ones change nothing.
//! - An event counts for each experiment that its user was exposed to, from then on.
//! - Time is that of the records: a window is over at the first record after it.
//! - What is computed from the log for metrics that were added later goes by the same rules (`backfill.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Engine;
use crate::columns::aliases::UserKey;
use crate::domain::Assignment;
use crate::domain::Decision;
use crate::domain::Experiment;
use crate::domain::ExperimentChange;
use crate::domain::ExperimentState;
use crate::domain::Exposure;
use crate::domain::Interaction;
use crate::domain::Key;
use crate::domain::Sequence;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::experiments::Contribution;
use crate::experiments::Entry;
use crate::experiments::Field;
use crate::experiments::Unit;
use crate::experiments::UnitTables;
use crate::experiments::Units;
use crate::experiments::slice_at;
use crate::learning::apply::Effect;
use crate::state::View;

/// How long before its record an answer may have been given: the order of exposures is about that
/// of their records.
const RECORDED_AFTER_MS: i64 = 60_000;

/// When an answer was given, no further before its record than [`RECORDED_AFTER_MS`].
pub(super) fn answered_at(decided_at: Timestamp, recorded_at: Timestamp) -> Timestamp {
    decided_at.clamp(recorded_at.plus_millis(-RECORDED_AFTER_MS), recorded_at)
}

impl View {
    pub fn experiments(&self) -> &crate::experiments::Registry {
        &self.experiments
    }

    /// Whether a user was exposed to an experiment, by its number.
    pub fn is_exposed(&self, user_id: &str, experiment: u32) -> bool {
        let key = self.user_key(user_id);
        self.units.table(experiment).is_some_and(|units| units.find(key.get()).is_some())
    }

    /// The live experiments that a user was exposed to, with the index of the variant.
    pub fn exposures_of(&self, user_id: &str) -> Vec<(&Arc<Entry>, u8)> {
        let key = self.user_key(user_id);
        let unit = |entry: &Arc<Entry>| {
            let units = self.units.table(entry.number)?;
            units.find(key.get()).and_then(|row| units.get(row)).map(|unit| unit.variant)
        };
        let live = self.experiments.live();
        live.filter_map(|entry| Some((entry, unit(entry)?))).collect()
    }

    /// Of the variants that acted on a decision for a user, those that it exposes the user to.
    fn unexposed(&self, user_id: &str, assignments: &[Assignment]) -> Vec<Assignment> {
        let is_new = |assignment: &&Assignment| {
            let entry = self.experiments.numbered(assignment.experiment);
            let exposes = entry.is_some_and(|entry| entry.experiment.split.exposes_users());
            exposes && !assignment.is_tester && !self.is_exposed(user_id, assignment.experiment)
        };
        assignments.iter().filter(is_new).copied().collect()
    }

    /// Of the variants that acted on an answer without a list, those that the user was not exposed to yet.
    /// Nothing can be preferred without a list, so interleaved ones do not count.
    pub fn unexposed_without_list(
        &self,
        user_id: &str,
        assignments: &[Assignment],
    ) -> Vec<Assignment> {
        let is_by_user = |it: &Assignment| {
            let entry = self.experiments.numbered(it.experiment);
            entry.is_some_and(|entry| entry.experiment.split == Split::Users)
        };
        let mut unexposed = self.unexposed(user_id, assignments);
        unexposed.retain(is_by_user);
        unexposed
    }

    /// Two users are one: in each experiment, and in each layer, what was exposed first counts.
    pub(super) fn merge_units(&mut self, from: UserKey, into: UserKey) {
        let Self { experiments, units, .. } = self;
        let mut exposed: Vec<(&Key, Timestamp, u32)> = Vec::new();
        for entry in experiments.live() {
            let Some(table) = units.table_mut(entry.number) else {
                continue;
            };
            let is_sum = |field: usize| entry.layout().fields[field].is_sum();
            table.merge(from.get(), into.get(), is_sum);
            if let Some(unit) = table.find(into.get()).and_then(|row| table.get(row)) {
                exposed.push((&entry.experiment.layer, unit.exposed_at, entry.number));
            }
        }
        exposed.sort_unstable();
        for pair in exposed.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            if let Some(table) = units.table_mut(pair[1].2) {
                table.void(into.get());
            }
        }
    }

    /// Whether anything may be learnt of a user.
    pub(super) fn may_measure(&self, user_id: &str) -> bool {
        let user = self.user_index(user_id);
        user.is_none_or(|user| self.user(user).is_profiled())
    }

    /// What a list adds to measures, by what the catalogue says of its items.
    pub(super) fn contribution_of(
        &self,
        decision: &Decision,
        recorded_at: Timestamp,
    ) -> Contribution {
        let (mut new_items, mut topics) = (0, BTreeSet::new());
        for shown in &decision.shown {
            let entry = self.catalogue_item(shown.item_id.as_str());
            // Of one that came later nothing was known.
            if let Some(entry) = entry.filter(|entry| entry.added_at <= recorded_at) {
                new_items += usize::from(entry.is_new(recorded_at));
                topics.extend(entry.topics.iter().copied());
            }
        }
        let counts = (decision.shown.len(), new_items, topics.len());
        let at = answered_at(decision.decided_at, recorded_at);
        Contribution::of_list(counts, at, recorded_at)
    }

    /// Whether there is memory for the columns that changed metrics of an experiment need.
    pub fn has_memory_for(&self, changed: &Experiment) -> bool {
        let known = self.experiments.find(changed.key.as_str());
        let table = known.and_then(|entry| Some((entry, self.units.table(entry.number)?)));
        let added = table.map_or(0, |(entry, table)| {
            table.bytes_of_columns(entry.columns_added(&changed.metrics))
        });
        added == 0 || self.units.bytes() + added <= limits::UNIT_BYTES
    }

    /// Memory of the units of all live experiments, in bytes.
    pub fn experiment_unit_bytes(&self) -> u64 {
        self.units.bytes()
    }
}

impl Engine {
    pub(super) fn change_experiment(
        &mut self,
        change: &ExperimentChange,
        sequence: Sequence,
        at: Timestamp,
    ) {
        let testers = change.experiment.testers.iter();
        let testers: Vec<UserKey> =
            testers.map(|tester| self.view.user_key(tester.user_id.as_str())).collect();
        let View { experiments, units, ranker, .. } = &mut self.view;
        let registry = Arc::make_mut(experiments);
        let Some(number) = registry.place(change, (sequence, at)) else {
            return;
        };
        let Some(entry) = registry.numbered_mut(number) else {
            return;
        };
        let exposed = units.table(number).map_or(0, Units::len);
        entry.put(change, ranker, exposed, (sequence, at));
        if entry.experiment.state.is_live() {
            units.begin(number, entry.layout().fields.len());
            if let Some(table) = units.table_mut(number) {
                testers.iter().for_each(|tester| table.void(tester.get()));
                // A slice that is not of one variant to its end.
                let broken = slice_at(&entry.experiment, at);
                let is_paused = entry.experiment.state == ExperimentState::Paused;
                broken.filter(|_| is_paused).iter().for_each(|slice| table.void(slice.key));
                if entry.backfills().len() > table.kept() {
                    table.keep_rows();
                }
            }
        } else {
            units.end(number);
        }
        registry.note_change(sequence);
        registry.find_due(units);
    }

    /// Takes in what is over by now; an experiment may stop.
    pub(super) fn advance_experiments(
        &mut self,
        sequence: Sequence,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let View { experiments, units, .. } = &mut self.view;
        if experiments.due.is_none_or(|due| now < due) {
            return;
        }
        let registry = Arc::make_mut(experiments);
        let numbers: Vec<u32> = registry.live().map(|entry| entry.number).collect();
        for number in numbers {
            let (Some(entry), Some(table)) = (registry.numbered_mut(number), units.table(number))
            else {
                continue;
            };
            if let Some(cause) = entry.advance(table, now) {
                let key = entry.experiment.key.clone();
                effects.push(Effect::ExperimentStopped { key, cause: cause.clone() });
                entry.stop(cause, sequence, now);
                units.end(number);
                registry.note_change(sequence);
            }
        }
        registry.find_due(units);
    }

    pub(super) fn expose_by(&mut self, exposure: &Exposure, recorded_at: Timestamp) {
        let Exposure { user_id, exposed_at, segment, assignments } = exposure;
        self.expose(user_id.as_str(), assignments, (*exposed_at, recorded_at), *segment);
    }

    pub(super) fn expose(
        &mut self,
        user_id: &str,
        assignments: &[Assignment],
        (decided_at, recorded_at): (Timestamp, Timestamp),
        segment: u8,
    ) {
        let assignments = self.view.unexposed(user_id, assignments);
        if assignments.is_empty() {
            return;
        }
        let exposed_at = answered_at(decided_at, recorded_at);
        let key = self.view.user_key(user_id);
        let user = self.view.user_index(user_id).map(|index| self.view.user(index).clone());
        let View { experiments, units, .. } = &mut self.view;
        let registry = Arc::make_mut(experiments);
        for assignment in assignments {
            let Some(entry) = registry.numbered_mut(assignment.experiment) else {
                continue;
            };
            let variants = entry.experiment.variants.len();
            // Of an experiment that is not live there is no table.
            if usize::from(assignment.variant) >= variants || units.table(entry.number).is_none() {
                continue;
            }
            let variant = assignment.variant;
            let unit = Unit { key: key.get(), exposed_at, variant, is_void: false, merged_back: 0 };
            let before = |field: &Field| match (field, &user) {
                (Field::Before(kind), Some(user)) => user.activity.sum(*kind, exposed_at),
                _ => 0.0,
            };
            if add_unit(units, entry, unit, before) {
                entry.count_exposure(variant, segment);
            } else {
                entry.refused += 1;
            }
        }
        registry.find_due(units);
    }

    /// Counts an event for the experiments that its user was exposed to.
    pub(super) fn measure_event(
        &mut self,
        event: &Interaction,
        at: Timestamp,
        recorded_at: Timestamp,
    ) {
        let user_id = event.user_id.as_str();
        if self.view.experiments.is_idle() || !self.view.may_measure(user_id) {
            return;
        }
        let key = self.view.user_key(user_id);
        let credited = self.view.credited(event);
        self.measure(key, &Contribution::of_event(event, credited, at, recorded_at));
        self.credit_list(event, at);
    }

    /// Counts a list for the experiments that its user was exposed to.
    pub(super) fn measure_list(&mut self, decision: &Decision, recorded_at: Timestamp) {
        let of_lists = |entry: &Arc<Entry>| entry.layout().fields.iter().any(Field::is_of_lists);
        let is_measured = self.view.experiments.live().any(of_lists);
        if !is_measured || !self.view.may_measure(decision.user_id.as_str()) {
            return;
        }
        let key = self.view.user_key(decision.user_id.as_str());
        self.measure(key, &self.view.contribution_of(decision, recorded_at));
    }

    /// Adds to the sums of a user's units, or of the slice of time.
    fn measure(&mut self, key: UserKey, contribution: &Contribution) {
        let at = contribution.at;
        let View { experiments, units, .. } = &mut self.view;
        let mut slices = Vec::new();
        for entry in experiments.live() {
            let slice = slice_at(&entry.experiment, at);
            let key = slice.map_or(key.get(), |slice| slice.key);
            let Some(table) = units.table(entry.number) else {
                continue;
            };
            let row = table.find(key);
            if slice.is_some() && !entry.experiment.is_open(at) {
                continue;
            }
            if let (None, Some(slice)) = (row, slice)
                && is_whole(entry, &slice)
                && add_unit(units, entry, slice, |_field| 0.0)
            {
                slices.push((entry.number, slice.variant));
            }
            let Some(table) = units.table_mut(entry.number) else {
                continue;
            };
            let Some((row, unit)) = table.find(key).and_then(|row| Some((row, *table.get(row)?)))
            else {
                continue;
            };
            let late = entry.experiment.late_events_seconds;
            for (column, field) in entry.layout().fields.iter().enumerate() {
                let added = contribution.to(entry.number, *field, unit.exposed_at, late);
                if added != 0.0 {
                    table.add_to(column, row, added);
                }
            }
        }
        if slices.is_empty() {
            return;
        }
        let registry = Arc::make_mut(experiments);
        for (number, variant) in slices {
            if let Some(entry) = registry.numbered_mut(number) {
                entry.count_exposure(variant, 0);
            }
        }
        registry.find_due(units);
    }
}

/// Whether an experiment runs since before a slice began.
fn is_whole(entry: &Entry, slice: &Unit) -> bool {
    let began = [entry.running_since, entry.experiment.starts_at];
    entry.running_since.is_some() && began.into_iter().flatten().all(|at| at <= slice.exposed_at)
}

/// Adds a unit, if there is memory for it.
fn add_unit(
    units: &mut UnitTables,
    entry: &Entry,
    unit: Unit,
    before: impl Fn(&Field) -> f32,
) -> bool {
    if units.is_full() {
        return false;
    }
    let fields = &entry.layout().fields;
    let table = units.table_mut(entry.number);
    table.map(|table| table.add(unit, |field| before(&fields[field]))).is_some()
}
