//! What units lack in columns that came later, computed from the log, and taken in.
//!
//! - A [`BackfillRun`] is given the records up to the change that added the columns, one by one, and
//!   counts them by the rules of live measuring. It names units and users as they were at that change.
//!   So two runs give the same values whenever they begin, and one goes on where another was given up.
//! - Of the present it uses the catalogue, for topics and new items of lists, and who is not profiled.
//! - Memory: 4 bytes for each value, and up to 60 a unit for who is who and what was before.

use std::sync::Arc;

use crate::Engine;
use crate::columns::aliases::Aliases;
use crate::columns::column::Column;
use crate::columns::key_index::KeyIndex;
use crate::consumption::Activity;
use crate::domain::Assignment;
use crate::domain::BackfillChunk;
use crate::domain::Decision;
use crate::domain::Experiment;
use crate::domain::ExperimentChange;
use crate::domain::ExperimentState;
use crate::domain::Exposure;
use crate::domain::Interaction;
use crate::domain::InteractionType;
use crate::domain::LogRecord;
use crate::domain::Record;
use crate::domain::Sequence;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::experiments::Backfill;
use crate::experiments::Contribution;
use crate::experiments::Entry;
use crate::experiments::Field;
use crate::experiments::Unit;
use crate::experiments::slice_at;
use crate::learning::experiments::answered_at;
use crate::state::View;

impl Engine {
    /// Takes in a chunk that goes on where the one before it ended; others change nothing.
    pub(super) fn backfill(&mut self, chunk: &BackfillChunk) {
        let View { experiments, units, .. } = &mut self.view;
        let known = experiments.numbered(chunk.experiment);
        if !known.is_some_and(|entry| entry.takes(chunk)) {
            return;
        }
        let registry = Arc::make_mut(experiments);
        let entry = registry.numbered_mut(chunk.experiment);
        let (Some(entry), Some(table)) = (entry, units.table_mut(chunk.experiment)) else {
            return;
        };
        let column = chunk.column as usize;
        let is_sum = entry.layout().fields[column].is_sum();
        for (row, value) in (chunk.first_row as usize..).zip(&chunk.values) {
            table.backfill(column, row, *value, is_sum);
        }
        if entry.note_backfilled(chunk.values.len()) {
            table.release_rows();
        }
        registry.find_due(units);
    }
}

/// One way over the log that computes what one change left to be computed.
#[derive(Debug)]
pub struct BackfillRun {
    entry: Arc<Entry>,
    backfill: Backfill,
    /// As it runs.
    experiment: Experiment,
    /// Whether the records so far left it paused.
    is_paused: bool,
    /// Who was whom at the change, and whether that is known.
    aliases: Aliases,
    is_whole: bool,
    /// The units as they were at the change.
    rows: Column<Unit>,
    index: KeyIndex,
    /// Of each unit: whether its exposure was among the records so far.
    is_exposed: Vec<bool>,
    /// What each unit did before; empty where that is not asked for.
    before: Vec<Activity>,
    /// The columns that lack values.
    columns: Vec<(Field, Vec<f32>)>,
}

impl BackfillRun {
    /// The first that is to be done; none when nothing is.
    pub fn of(view: &View) -> Option<Self> {
        let entry = view.experiments.with_backfill()?;
        let backfill = entry.backfills().first()?;
        let rows = view.units.table(entry.number)?.kept_rows()?.clone();
        let is_by_user = entry.experiment.split == Split::Users;
        let is_whole = !is_by_user || view.aliases().latest() <= backfill.since;
        let fields = &entry.layout().fields[backfill.open_columns()];
        let has_before = fields.iter().any(|field| !field.is_sum());
        let mut index = KeyIndex::default();
        for (row, unit) in rows.iter().enumerate().filter(|(_, unit)| !unit.is_void) {
            index.insert(unit.key, row, |other| rows[other].key == unit.key);
        }
        Some(Self {
            experiment: Experiment {
                state: ExperimentState::Running,
                ..(*entry.experiment).clone()
            },
            is_paused: false,
            backfill: backfill.clone(),
            aliases: if is_whole { view.aliases().clone() } else { Aliases::default() },
            is_whole,
            is_exposed: vec![!is_by_user; rows.len()],
            before: vec![Activity::default(); if has_before { rows.len() } else { 0 }],
            columns: fields.iter().map(|field| (*field, vec![0.0; rows.len()])).collect(),
            entry: entry.clone(),
            rows,
            index,
        })
    }

    /// Whether it is still to be done.
    pub fn is_due(&self, view: &View) -> bool {
        let known = view.experiments.numbered(self.entry.number);
        let first =
            known.filter(|it| it.experiment.state.is_live()).and_then(|it| it.backfills().first());
        first.is_some_and(|first| first.since == self.backfill.since)
    }

    pub fn experiment(&self) -> &Experiment {
        &self.entry.experiment
    }

    /// The last record that it is about.
    pub fn until(&self) -> Sequence {
        self.backfill.since
    }

    /// Records from before this time tell nothing; none: all do.
    pub fn begins_at(&self) -> Option<Timestamp> {
        self.entry.started_at.filter(|_| self.before.is_empty())
    }

    /// Whether users were merged since the change: then [`Self::learn_merge`] needs all records before
    /// [`Self::learn`] gets the first one.
    pub fn needs_merges(&self) -> bool {
        !self.is_whole
    }

    /// Learns who was whom.
    pub fn learn_merge(&mut self, record: &LogRecord) {
        if let Record::UsersMerged { from, into } = &record.record {
            let budget = limits::MERGED_IDS_BYTES;
            self.aliases.merge(from.as_str(), into.as_str(), record.sequence, budget);
        }
    }

    /// Counts the next record; the view is the newest one.
    pub fn learn(&mut self, view: &View, record: &LogRecord) {
        let recorded_at = record.recorded_at;
        match &record.record {
            Record::Interaction(event) => self.learn_event(view, event, recorded_at),
            Record::Decision(decision) => {
                let times = (decision.decided_at, recorded_at);
                self.expose(decision.user_id.as_str(), &decision.assignments, times);
                self.learn_list(view, decision, recorded_at);
            }
            Record::UserExposed(Exposure { user_id, exposed_at, assignments, .. }) => {
                self.expose(user_id.as_str(), assignments, (*exposed_at, recorded_at));
            }
            Record::ExperimentChanged(change) => self.follow(change, record.sequence),
            _ => {}
        }
    }

    fn learn_event(&mut self, view: &View, event: &Interaction, recorded_at: Timestamp) {
        let user_id = event.user_id.as_str();
        let at = event.occurred_at.min(recorded_at);
        let Some(row) = self.row_at(user_id, at).filter(|_| view.may_measure(user_id)) else {
            return;
        };
        if self.is_exposed[row] {
            self.add(row, &Contribution::of_event(event, None, at, recorded_at));
        } else if let Some(before) = self.before.get_mut(row)
            && event.kind != InteractionType::Impression
        {
            before.note(event.kind, event.value, at);
        }
    }

    fn learn_list(&mut self, view: &View, decision: &Decision, recorded_at: Timestamp) {
        let user_id = decision.user_id.as_str();
        let at = answered_at(decision.decided_at, recorded_at);
        if !self.columns.iter().any(|(field, _)| field.is_of_lists()) {
            return;
        }
        let row = self.row_at(user_id, at).filter(|_| view.may_measure(user_id));
        if let Some(row) = row.filter(|row| self.is_exposed[*row]) {
            self.add(row, &view.contribution_of(decision, recorded_at));
        }
    }

    /// The unit that something of a user counts for.
    fn row_at(&self, user_id: &str, at: Timestamp) -> Option<usize> {
        let key = match slice_at(&self.experiment, at) {
            Some(_) if self.is_paused || !self.experiment.is_open(at) => return None,
            Some(slice) => slice.key,
            None => self.aliases.key(user_id).get(),
        };
        self.row_of(key)
    }

    fn row_of(&self, key: u64) -> Option<usize> {
        self.index.find(key, |row| self.rows[row].key == key)
    }

    fn add(&mut self, row: usize, contribution: &Contribution) {
        let exposed_at = self.rows[row].exposed_at;
        let late = self.experiment.late_events_seconds;
        for (field, values) in &mut self.columns {
            values[row] += contribution.to(self.entry.number, *field, exposed_at, late);
        }
    }

    /// An answer that variants acted on: that of a unit's exposure freezes what was before.
    fn expose(
        &mut self,
        user_id: &str,
        assignments: &[Assignment],
        (decided_at, recorded_at): (Timestamp, Timestamp),
    ) {
        let number = self.entry.number;
        let is_of_it = |it: &Assignment| it.experiment == number && !it.is_tester;
        if !assignments.iter().any(is_of_it) {
            return;
        }
        let exposed_at = answered_at(decided_at, recorded_at);
        let Some(row) = self.row_of(self.aliases.key(user_id).get()) else {
            return;
        };
        // One that found no memory was no exposure.
        if self.is_exposed[row] || self.rows[row].exposed_at != exposed_at {
            return;
        }
        self.is_exposed[row] = true;
        for (field, values) in &mut self.columns {
            if let Field::Before(kind) = *field {
                values[row] = self.before[row].sum(kind, exposed_at);
            }
        }
    }

    /// Slices of time count while it runs.
    fn follow(&mut self, change: &ExperimentChange, sequence: Sequence) {
        let is_it = change.experiment.key == self.entry.experiment.key;
        if is_it && self.entry.was_changed_by(sequence) {
            self.is_paused = change.experiment.state == ExperimentState::Paused;
        }
    }

    /// What is to be recorded, in order: from where the values so far end.
    pub fn chunks(&self) -> impl Iterator<Item = BackfillChunk> {
        let starts = |column: usize| {
            let rows = self.backfill.open_rows(column).step_by(limits::BACKFILL_VALUES);
            rows.map(move |row| (column, row))
        };
        let columns = self.backfill.open_columns();
        columns.flat_map(starts).map(|(column, row)| self.chunk(column, row))
    }

    fn chunk(&self, column: usize, first_row: usize) -> BackfillChunk {
        let values = &self.columns[column - self.backfill.column()].1[first_row..];
        let values = &values[..values.len().min(limits::BACKFILL_VALUES)];
        BackfillChunk {
            experiment: self.entry.number,
            since: self.backfill.since,
            column: column as u32,
            first_row: first_row as u32,
            values: values.to_vec(),
        }
    }
}
