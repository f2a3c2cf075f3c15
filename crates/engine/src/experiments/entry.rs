//! One experiment as it stands: what holds, how it came to that, and what was measured.
//!
//! - A caller's change and a stop by itself go through [`Entry::put`] and [`Entry::stop`]: both leave
//!   a line in the history.
//! - Results are of the log alone: whatever is looked at, is looked at at fixed counts of units.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::Ranker;
use crate::domain::BackfillChunk;
use crate::domain::Experiment;
use crate::domain::ExperimentChange;
use crate::domain::ExperimentState;
use crate::domain::Metric;
use crate::domain::Role;
use crate::domain::Sequence;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::experiments::backfill::Backfill;
use crate::experiments::coverage::Coverage;
use crate::experiments::judge;
use crate::experiments::layout::Layout;
use crate::experiments::learnt_allocation::LearntAllocation;
use crate::experiments::own_ranker::OwnRanker;
use crate::experiments::sample_ratio::ExposureCounts;
use crate::experiments::series::Series;
use crate::experiments::sums;
use crate::experiments::sums::Sums;
use crate::experiments::tally::Tally;
use crate::experiments::units::Units;
use crate::expression::Expression;
use crate::expression::Subject;
use crate::expression::parse;

/// How often one record lets a metric take in units: about a thousand units.
const TAKEN_PER_RECORD: usize = 64;

/// Why an experiment stopped by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StopCause {
    /// A guardrail was harmed: the metric, and the variant.
    Guardrail { metric: Box<str>, variant: Box<str> },
    /// Its end has come.
    Ended,
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guardrail { metric, variant } => {
                write!(f, "guardrail {metric} is harmed by {variant}")
            }
            Self::Ended => f.write_str("its end has come"),
        }
    }
}

/// A change, for readers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryLine {
    pub sequence: Sequence,
    pub at: Timestamp,
    /// Empty: not said, or the service itself.
    pub by: Box<str>,
    pub what: Box<str>,
    /// Whether a caller made it; the service itself stops experiments.
    pub by_caller: bool,
}

/// An experiment with what was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub number: u32,
    pub experiment: Arc<Experiment>,
    /// The record that last changed it.
    pub changed_at: Sequence,
    pub created_at: Timestamp,
    /// When it ran first.
    pub started_at: Option<Timestamp>,
    /// Since when it runs without a pause.
    pub running_since: Option<Timestamp>,
    pub stopped_at: Option<Timestamp>,
    pub stop_cause: Option<StopCause>,
    /// The newest last.
    pub history: Arc<Vec<HistoryLine>>,
    layout: Layout,
    tallies: Vec<Tally>,
    /// What is still to be computed from the log, in the order of the changes that added it.
    backfills: Vec<Backfill>,
    exposed: ExposureCounts,
    series: Series,
    /// Units that found no memory left.
    pub refused: u64,
    /// Divided lists that were forgotten before what users do with them was waited for.
    pub cut_short: u64,
    /// Of each variant that has one, while it is live.
    rankers: Vec<Option<Arc<OwnRanker>>>,
    /// Of the lists of each variant.
    coverage: Vec<Coverage>,
    /// Where the allocation learns.
    learnt: Option<Arc<LearntAllocation>>,
    /// None: everyone, or what is written is no condition. Derived.
    #[serde(skip)]
    condition: Option<Arc<Expression>>,
}

impl Entry {
    /// A draft, to be filled by [`Self::put`].
    pub fn new(number: u32, experiment: &Experiment, at: Timestamp) -> Self {
        let variants = experiment.variants.len();
        Self {
            number,
            experiment: Arc::new(Experiment {
                state: ExperimentState::Draft,
                ..experiment.clone()
            }),
            changed_at: 0,
            created_at: at,
            started_at: None,
            running_since: None,
            stopped_at: None,
            stop_cause: None,
            history: Arc::default(),
            layout: Layout::default(),
            tallies: Vec::new(),
            backfills: Vec::new(),
            exposed: ExposureCounts::new(variants),
            series: Series::default(),
            refused: 0,
            cut_short: 0,
            rankers: vec![None; variants],
            coverage: vec![Coverage::default(); variants],
            learnt: None,
            condition: None,
        }
    }

    /// Derives what is not in snapshots.
    pub fn derive(&mut self) {
        self.condition = parse(&self.experiment.eligibility).ok().map(Arc::new);
    }

    /// Whether its condition holds for a user and a request. One that cannot be read never does.
    pub fn is_for(&self, user: Subject<'_>) -> bool {
        match &self.condition {
            Some(condition) => condition.holds(user),
            None => self.experiment.eligibility.is_empty(),
        }
    }

    fn note(&mut self, line: HistoryLine) {
        let history = Arc::make_mut(&mut self.history);
        if history.len() >= limits::EXPERIMENT_HISTORY {
            // How it began stays.
            history.remove(1);
        }
        history.push(line);
    }

    /// Takes in a caller's change; `units` is how many were exposed so far.
    pub fn put(
        &mut self,
        change: &ExperimentChange,
        shared: &Ranker,
        units: usize,
        (sequence, at): (Sequence, Timestamp),
    ) {
        let before = self.experiment.state;
        let next = &change.experiment;
        if before == ExperimentState::Draft {
            let variants = next.variants.len();
            (self.exposed, self.rankers) = (ExposureCounts::new(variants), vec![None; variants]);
            self.coverage = vec![Coverage::default(); variants];
        }
        self.experiment = Arc::new(next.clone());
        self.changed_at = sequence;
        self.derive();
        if next.state.is_live() {
            self.started_at.get_or_insert(at);
            self.measure(units, sequence);
            for (own, variant) in self.rankers.iter_mut().zip(&next.variants) {
                if variant.own_ranker && own.is_none() {
                    *own = Some(OwnRanker::of(shared));
                }
            }
        }
        if before.is_live() && !next.state.is_live() {
            self.end(at);
        }
        let is_running = next.state == ExperimentState::Running;
        self.running_since = self.running_since.filter(|_| is_running).or(is_running.then_some(at));
        let (by, what) = (change.by.clone(), change.what.clone());
        self.note(HistoryLine { sequence, at, by, what, by_caller: true });
    }

    /// Whether a record of a caller has changed it.
    pub fn was_changed_by(&self, sequence: Sequence) -> bool {
        self.history.iter().any(|line| line.sequence == sequence && line.by_caller)
    }

    /// Measures all metrics from this record on. What units lack in new columns is to be computed from
    /// the log.
    fn measure(&mut self, units: usize, sequence: Sequence) {
        let (variants, split) = (self.experiment.variants.len(), self.experiment.split);
        if let (Split::Learnt { floor }, None) = (split, &self.learnt) {
            self.learnt = Some(Arc::new(LearntAllocation::new(floor, self.weights())));
        }
        let known = self.layout.fields.len();
        self.layout = Layout::of(&self.experiment.metrics);
        let columns = known..self.layout.fields.len();
        // Where lists are divided no metric comes later.
        if units > 0 && !columns.is_empty() && !split.divides_lists() {
            self.backfills.push(Backfill::new(sequence, columns, units));
        }
        let sums = || Sums::new(variants, split);
        let added = self.experiment.metrics.iter().skip(self.tallies.len());
        self.tallies.extend(added.map(|metric| Tally::new(metric, sums())));
    }

    /// What is still to be computed from the log, in order. Once it is not live any more, it stays so.
    pub fn backfills(&self) -> &[Backfill] {
        &self.backfills
    }

    /// Whether a chunk goes on where the one before it ended.
    pub fn takes(&self, chunk: &BackfillChunk) -> bool {
        let first = self.backfills.first();
        self.experiment.state.is_live() && first.is_some_and(|first| first.takes(chunk))
    }

    /// So many values of the first backfill were taken in. Returns whether it is done.
    pub fn note_backfilled(&mut self, values: usize) -> bool {
        let Some(first) = self.backfills.first_mut() else {
            return false;
        };
        first.advance(values);
        let is_done = first.is_done();
        if is_done {
            self.backfills.remove(0);
        }
        is_done
    }

    /// The columns of a metric that lack values.
    fn lacking(&self, metric: usize) -> impl Iterator<Item = usize> {
        let first = self.backfills.first().map_or(usize::MAX, Backfill::column);
        let columns = self.layout.columns.get(metric).into_iter().flat_map(|columns| columns.all());
        columns.filter(move |column| *column >= first)
    }

    /// Of a metric that lacks values: the share of them that is there. None: it lacks nothing.
    pub fn backfilled(&self, metric: usize) -> Option<f64> {
        let open =
            |column: usize| self.backfills.iter().find(|it| it.open_columns().contains(&column));
        let shares = self.lacking(metric).filter_map(|column| Some(open(column)?.share_of(column)));
        let (sum, count) =
            shares.fold((0.0, 0.0), |(sum, count), share| (sum + share, count + 1.0));
        (count > 0.0).then(|| sum / count)
    }

    /// Stops it without a caller.
    pub fn stop(&mut self, cause: StopCause, sequence: Sequence, at: Timestamp) {
        let experiment = Arc::make_mut(&mut self.experiment);
        experiment.state = ExperimentState::Stopped;
        experiment.buckets.clear();
        let what = format!("stopped: {cause}");
        self.stop_cause = Some(cause);
        self.changed_at = sequence;
        self.end(at);
        let (by, what) = (Box::default(), what.into());
        self.note(HistoryLine { sequence, at, by, what, by_caller: false });
    }

    fn end(&mut self, at: Timestamp) {
        self.stopped_at = Some(at);
        self.rankers.fill(None);
        self.coverage.iter_mut().for_each(Coverage::end);
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many columns other metrics would need in addition.
    pub fn columns_added(&self, metrics: &[Metric]) -> usize {
        Layout::of(metrics).fields.len().saturating_sub(self.layout.fields.len())
    }

    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    pub fn exposed(&self) -> &ExposureCounts {
        &self.exposed
    }

    pub fn series(&self) -> &Series {
        &self.series
    }

    pub fn weights(&self) -> Vec<f64> {
        self.experiment.variants.iter().map(|variant| variant.weight).collect()
    }

    pub fn own_ranker(&self, variant: u8) -> Option<&Arc<OwnRanker>> {
        self.rankers.get(usize::from(variant))?.as_ref()
    }

    pub fn has_own_rankers(&self) -> bool {
        self.rankers.iter().any(Option::is_some)
    }

    pub fn own_rankers_mut(&mut self) -> impl Iterator<Item = &mut Arc<OwnRanker>> {
        self.rankers.iter_mut().flatten()
    }

    pub fn own_ranker_mut(&mut self, variant: u8) -> Option<&mut OwnRanker> {
        self.rankers.get_mut(usize::from(variant))?.as_mut().map(Arc::make_mut)
    }

    /// A unit was exposed: to both variants, where they take turns.
    pub fn count_exposure(&mut self, variant: u8, segment: u8) {
        let split = self.experiment.split;
        let weights = Some(self.weights()).filter(|_| split.is_weighted());
        self.exposed.add(variant, segment, weights.as_deref());
        if split == Split::Interleaved {
            self.exposed.add(1 - variant.min(1), segment, None);
        }
    }

    /// Units that were exposed.
    pub fn exposed_units(&self) -> u64 {
        sums::units(self.experiment.split, self.exposed.all.iter().copied())
    }

    /// Whether a list of a variant shows an item, by its key, that is not counted yet.
    pub fn is_covering(&self, variant: u8, item: u64) -> bool {
        let coverage = self.coverage.get(usize::from(variant));
        coverage.is_some_and(|coverage| coverage.is_changed_by(item))
    }

    /// A list of a variant shows an item, by its key.
    pub fn cover(&mut self, variant: u8, item: u64) {
        if let Some(coverage) = self.coverage.get_mut(usize::from(variant)) {
            coverage.add(item);
        }
    }

    /// Different items in the lists of each variant, about.
    pub fn covered(&self) -> Vec<u64> {
        self.coverage.iter().map(Coverage::items).collect()
    }

    /// The chances of the variants to answer a list, where they are learnt.
    pub fn chances(&self) -> Option<&[f64]> {
        self.learnt.as_ref().map(|learnt| learnt.chances())
    }

    /// How long after a record of an exposure something may still count, in seconds.
    pub fn longest_wait_seconds(&self) -> i64 {
        let windows = self.experiment.metrics.iter().map(|metric| i64::from(metric.window.1));
        windows.max().unwrap_or(0) + i64::from(self.experiment.late_events_seconds)
    }

    /// Takes in a list that was drawn with these chances; `fulfilled` has a bit for each metric.
    pub fn settle_list(&mut self, variant: u8, chances: &[f32], fulfilled: u16, now: Timestamp) {
        let (experiment, variant) = (self.experiment.clone(), usize::from(variant));
        let evidence = judge::evidence_of_bounds(&experiment);
        for (number, (metric, tally)) in
            experiment.metrics.iter().zip(&mut self.tallies).enumerate()
        {
            let is_fulfilled = fulfilled >> number & 1 == 1;
            tally.add_list(variant, chances, f64::from(u8::from(is_fulfilled)), evidence);
            if metric.role == Role::Primary {
                self.series.note(now, &tally.sums, experiment.split);
                if let Some(learnt) = &mut self.learnt {
                    Arc::make_mut(learnt).learn(variant, is_fulfilled, metric.good);
                }
            }
        }
    }

    /// The first time at which something is to be done.
    pub fn due(&self, units: Option<&Units>) -> Option<Timestamp> {
        let late = self.experiment.late_events_seconds;
        let metrics = self.tallies.iter().zip(&self.experiment.metrics).enumerate();
        let windows = metrics
            .filter(|(number, _)| self.lacking(*number).next().is_none())
            .filter_map(|(_, (tally, metric))| tally.due(metric, late, units?));
        windows.chain(self.over_at()).min()
    }

    /// When the windows of all who were exposed before its end are over.
    fn over_at(&self) -> Option<Timestamp> {
        Some(self.experiment.ends_at?.plus_millis(1_000 * self.longest_wait_seconds()))
    }

    /// Takes in the units whose windows are over, for metrics that lack nothing. Returns what stops the
    /// experiment, if anything does: its end waits until all that is over is taken in.
    pub fn advance(&mut self, units: &Units, now: Timestamp) -> Option<StopCause> {
        let experiment = self.experiment.clone();
        let (mut cause, mut is_behind) = (None, self.awaits_lists());
        for number in 0..experiment.metrics.len() {
            if self.lacking(number).next().is_some() {
                is_behind = true;
                continue;
            }
            let mut is_more = true;
            for _ in 0..TAKEN_PER_RECORD {
                is_more = self.take_in(&experiment, number, units, now);
                if self.is_harmed(&experiment, number, &mut cause) || !is_more {
                    break;
                }
            }
            is_behind |= is_more;
        }
        let is_over = self.over_at().is_some_and(|over| over <= now);
        cause.or((is_over && !is_behind).then_some(StopCause::Ended))
    }

    /// Takes in a few units for a metric. Returns whether there may be more.
    fn take_in(
        &mut self,
        experiment: &Experiment,
        number: usize,
        units: &Units,
        now: Timestamp,
    ) -> bool {
        let (metric, columns) = (&experiment.metrics[number], self.layout.columns[number]);
        let late = experiment.late_events_seconds;
        let tally = &mut self.tallies[number];
        let is_more = tally.advance(metric, columns, units, late, now);
        if metric.role == Role::Primary {
            self.series.note(now, &tally.sums, experiment.split);
        }
        is_more
    }

    /// Looks at a guardrail that may stop the experiment, when it is time to.
    fn is_harmed(
        &mut self,
        experiment: &Experiment,
        number: usize,
        cause: &mut Option<StopCause>,
    ) -> bool {
        let (metric, tally) = (&experiment.metrics[number], &mut self.tallies[number]);
        if tally.is_look(experiment.split)
            && let Role::Guardrail { stops: true, .. } = metric.role
            && cause.is_none()
        {
            let harmed = judge::harmed_variant(experiment, number, &tally.sums);
            *cause = harmed.map(|variant| StopCause::Guardrail {
                metric: metric.name.as_str().into(),
                variant: experiment.variants[variant].name.as_str().into(),
            });
        }
        cause.is_some()
    }

    /// Whether lists whose variant was drawn are not settled yet.
    fn awaits_lists(&self) -> bool {
        let split = self.experiment.split;
        let settled = self.tallies.first().map_or(0, |tally| tally.sums.units(split));
        matches!(split, Split::Learnt { .. }) && settled < self.exposed_units()
    }

    /// Whether what was read from a snapshot fits together.
    pub fn is_whole(&self) -> bool {
        let variants = self.experiment.variants.len();
        let metrics = self.experiment.metrics.len();
        let columns = self.layout.fields.len();
        self.rankers.len() == variants
            && self.backfills.iter().all(|it| it.is_sound(columns))
            && self.backfills.is_sorted_by(|a, b| a.open_columns().end <= b.column())
            && self.exposed.all.len() == variants
            && self.tallies.iter().all(|tally| tally.sums.arms.len() == variants)
            && self.coverage.len() == variants
            && self.coverage.iter().all(Coverage::is_whole)
            && self.learnt.as_ref().is_none_or(|learnt| learnt.is_whole(variants))
            && (self.tallies.is_empty() || self.tallies.len() == metrics)
            && self.tallies.len() == self.layout.columns.len()
    }
}
