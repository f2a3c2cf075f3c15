//! Whether an experiment is sound, and whether it may become another one.

use std::collections::BTreeSet;

use crate::domain::experiment::BUCKETS;
use crate::domain::experiment::Cap;
use crate::domain::experiment::Experiment;
use crate::domain::experiment::ExperimentState;
use crate::domain::experiment::Measure;
use crate::domain::experiment::Metric;
use crate::domain::experiment::MetricKind;
use crate::domain::experiment::MetricTest;
use crate::domain::experiment::Plan;
use crate::domain::experiment::Role;
use crate::domain::experiment::Split;
use crate::domain::limits;
use crate::domain::ranges::out_of_range;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// How far the weights may be from a sum of 1.
const WEIGHTS_TOLERANCE: f64 = 1e-6;
/// The least weight: below it, no test finds anything.
const WEIGHT_MIN: f64 = 0.001;
/// Bounds of the level of a test.
const ALPHA: (f64, f64) = (1e-6, 0.25);
/// Bounds of planned units.
const UNITS: (u64, u64) = (10, 1_000_000_000);
/// Bounds of what a guardrail may lose.
const MARGIN: (f64, f64) = (0.0, 0.9);
/// Bounds of a time slice: half a minute to a week.
const SLICE_SECONDS: (u32, u32) = (30, 7 * 86_400);
/// Bounds of the part of the lists that each variant has at least: the rest is what learns.
const FLOOR_LEAST: f64 = 0.01;
const FLOOR_MOST: f64 = 0.9;
/// How long a list may be waited for, at most: decisions are held in memory.
const LIST_WINDOW_SECONDS: u32 = 86_400;

impl Experiment {
    /// # Errors
    /// All that is wrong with it, by the names of the API.
    pub fn check(&self) -> Result<(), Vec<Violation>> {
        let mut violations = Violations::default();
        self.check_variants(&mut violations);
        self.check_metrics(&mut violations);
        self.check_split(&mut violations);
        self.check_times(&mut violations);
        if self.allocation == 0 || self.allocation > BUCKETS {
            let share = f64::from(self.allocation) / f64::from(BUCKETS);
            violations.add("allocation", out_of_range(share, 0.000_001, 1.0));
        }
        if !(ALPHA.0..=ALPHA.1).contains(&self.plan.alpha) {
            violations.add("plan.alpha", out_of_range(self.plan.alpha, ALPHA.0, ALPHA.1));
        }
        if !(UNITS.0..=UNITS.1).contains(&self.plan.units) {
            let (found, least, most) = (self.plan.units as f64, UNITS.0 as f64, UNITS.1 as f64);
            violations.add("plan.users", out_of_range(found, least, most));
        }
        if self.testers.len() > limits::TESTERS {
            violations.add("testers", format!("must be at most {}", limits::TESTERS));
        }
        for (number, tester) in self.testers.iter().enumerate() {
            if usize::from(tester.variant) >= self.variants.len() {
                violations.add(format!("testers[{number}].variant"), "must name a variant");
            }
        }
        violations.finish(())
    }

    fn check_variants(&self, violations: &mut Violations) {
        let (found, most) = (self.variants.len(), limits::VARIANTS);
        if !(2..=most).contains(&found) {
            violations.add("variants", format!("must be 2 to {most}, are {found}"));
            return;
        }
        let names: BTreeSet<_> = self.variants.iter().map(|variant| &variant.name).collect();
        if names.len() < found {
            violations.add("variants", "must have different names");
        }
        for (number, variant) in self.variants.iter().enumerate() {
            if !(variant.weight >= WEIGHT_MIN && variant.weight < 1.0) {
                let reason = format!("must be {WEIGHT_MIN} to below 1, is {}", variant.weight);
                violations.add(format!("variants[{number}].weight"), reason);
            }
        }
        let sum: f64 = self.variants.iter().map(|variant| variant.weight).sum();
        if (sum - 1.0).abs() > WEIGHTS_TOLERANCE || sum.is_nan() {
            violations
                .add("variants", format!("must have weights that sum to 1, they sum to {sum}"));
        }
        let bytes: usize = self.variants.iter().map(|variant| variant.overrides.len()).sum();
        if bytes > limits::OVERRIDES_BYTES {
            let most = limits::OVERRIDES_BYTES;
            violations.add("variants", format!("must override at most {most} bytes, {bytes} here"));
        }
    }

    fn check_metrics(&self, violations: &mut Violations) {
        let (found, most) = (self.metrics.len(), limits::METRICS);
        if !(1..=most).contains(&found) {
            violations.add("metrics", format!("must be 1 to {most}, are {found}"));
            return;
        }
        let names: BTreeSet<_> = self.metrics.iter().map(|metric| &metric.name).collect();
        if names.len() < found {
            violations.add("metrics", "must have different names");
        }
        let primaries = self.metrics.iter().filter(|metric| metric.role == Role::Primary).count();
        if primaries != 1 {
            let reason = format!(
                "must have one primary metric, have {primaries}; the first is it where no role is set"
            );
            violations.add("metrics", reason);
        }
        for (number, metric) in self.metrics.iter().enumerate() {
            violations.absorb(&format!("metrics[{number}]"), metric.check(self.split));
        }
    }

    fn check_split(&self, violations: &mut Violations) {
        if self.holdback && self.split != Split::Users {
            violations.add("holdback", "must be split by user");
        }
        match self.split {
            Split::Users => {}
            Split::TimeSlices { slice_seconds, washout_seconds } => {
                self.check_slices(slice_seconds, washout_seconds, violations);
            }
            Split::Interleaved => {
                if self.variants.len() != 2 || self.variants.iter().any(|it| it.weight != 0.5) {
                    let reason = "must be two of weight 0.5 with interleaving: they take turns";
                    violations.add("variants", reason);
                }
            }
            Split::Learnt { floor } => {
                let most = FLOOR_MOST / self.variants.len().max(1) as f64;
                if !(FLOOR_LEAST..=most).contains(&floor) {
                    let reason = out_of_range(floor, FLOOR_LEAST, most);
                    violations.add("learning_allocation.floor", reason);
                }
            }
        }
    }

    fn check_slices(&self, slice_seconds: u32, washout_seconds: u32, violations: &mut Violations) {
        let (least, most) = SLICE_SECONDS;
        if !(least..=most).contains(&slice_seconds) {
            let reason = format!("must be {least} to {most} seconds, is {slice_seconds}");
            violations.add("time_slices.slice", reason);
        }
        if washout_seconds >= slice_seconds {
            violations.add("time_slices.washout", "must be shorter than the slice");
        }
        if !self.eligibility.is_empty() {
            violations.add("eligibility", "must be empty: a slice of time is for all users");
        }
    }

    fn check_times(&self, violations: &mut Violations) {
        if let (Some(start), Some(end)) = (self.starts_at, self.ends_at)
            && end <= start
        {
            violations.add("ends_at", "must be after starts_at");
        }
        let most = limits::LATE_EVENTS_SECONDS;
        if self.late_events_seconds > most {
            let found = self.late_events_seconds;
            violations.add("late_events", format!("must be at most {most} seconds, is {found}"));
        }
    }

    /// Whether a caller may put it in the place of `before`.
    ///
    /// # Errors
    /// What may not change in the state that `before` is in, by the names of the API.
    pub fn check_change(&self, before: &Self) -> Result<(), Vec<Violation>> {
        let mut violations = Violations::default();
        let (from, to) = (before.state, self.state);
        if from != to && !from.may_become(to) {
            let first = match (from, to) {
                (ExperimentState::Running | ExperimentState::Paused, ExperimentState::Archived) => {
                    ": stop it first"
                }
                (ExperimentState::Draft, ExperimentState::Stopped) => ": a draft is archived",
                _ => "",
            };
            let reason = format!("must not become {} from {}{first}", to.name(), from.name());
            violations.add("state", reason);
        }
        if from == ExperimentState::Draft {
            return violations.finish(());
        }
        let mut fixed = |field: &str, is_same: bool| {
            if !is_same {
                violations.add(field, format!("must not change once it is {}", from.name()));
            }
        };
        let is_over = !from.is_live();
        fixed("layer", self.layer == before.layer);
        fixed("salt", self.salt == before.salt);
        fixed("split", self.split == before.split);
        fixed("variants", self.variants == before.variants);
        fixed("eligibility", self.eligibility == before.eligibility);
        fixed("plan", self.plan == before.plan);
        fixed("late_events", self.late_events_seconds == before.late_events_seconds);
        fixed("starts_at", self.starts_at == before.starts_at);
        fixed("holdback", self.holdback == before.holdback);
        fixed("metrics", self.metrics.starts_with(&before.metrics));
        if is_over || self.split.divides_lists() {
            fixed("metrics", self.metrics == before.metrics);
        }
        if is_over {
            fixed("ends_at", self.ends_at == before.ends_at);
            fixed("testers", self.testers == before.testers);
            fixed("allocation", self.allocation == before.allocation);
        } else if self.allocation < before.allocation {
            let reason = "must not fall while it is live: those who were exposed would lose their variant; \
                          pause or stop it instead";
            violations.add("allocation", reason);
        }
        violations.finish(())
    }
}

impl Metric {
    fn check(&self, split: Split) -> Result<(), Vec<Violation>> {
        let mut violations = Violations::default();
        let (from, to) = self.window;
        if to <= from || to > limits::METRIC_WINDOW_SECONDS {
            let most = limits::METRIC_WINDOW_SECONDS / 86_400;
            let reason =
                format!("must end after it begins, and at most {most} days after the start");
            violations.add("window", reason);
        }
        if let Cap::At(cap) = self.cap
            && !(cap > 0.0 && cap <= limits::INTERACTION_VALUE)
        {
            violations.add("cap", out_of_range(cap, 0.0, limits::INTERACTION_VALUE));
        }
        if self.cap != Cap::None && self.kind != MetricKind::Mean {
            violations.add("cap", "must not be set but for a mean");
        }
        if let Role::Guardrail { margin, .. } = self.role
            && !(MARGIN.0..=MARGIN.1).contains(&margin)
        {
            violations.add("margin", out_of_range(margin, MARGIN.0, MARGIN.1));
        }
        if self.kind == MetricKind::Rate && matches!(self.measure, Measure::Values { .. }) {
            violations.add("measure.events.values", "must not be set for a rate: it counts users");
        }
        let stops = matches!(self.role, Role::Guardrail { stops: true, .. });
        if stops && self.test == MetricTest::FixedHorizon {
            violations.add("stops", "must not be set with FIXED_HORIZON, which is for one look");
        }
        if self.test == MetricTest::Conversions && self.kind != MetricKind::Rate {
            violations.add("test", "must not be CONVERSIONS but for a rate");
        }
        if !(self.expected_rate > 0.0 && self.expected_rate < 1.0) {
            violations.add("expected_rate", "must be between 0 and 1");
        }
        let counts = [Some(self.measure), self.per()].into_iter().flatten();
        for measure in counts.filter(|measure| !measure.is_of_lists()) {
            if measure.counted().next().is_none() {
                violations.add("measure.events.types", "must name a type of interaction");
            }
        }
        self.check_for(split, &mut violations);
        violations.finish(())
    }

    /// What it must be for what is given a variant.
    fn check_for(&self, split: Split, violations: &mut Violations) {
        let (kind, is_preference) = (self.kind, self.kind == MetricKind::Preference);
        let reason = match split {
            Split::Users if is_preference => "must not be PREFERENCE without interleaving",
            Split::TimeSlices { .. } if self.per().is_none() => {
                "must be RATIO: slices of time differ in how many users come"
            }
            Split::Interleaved if !is_preference => "must be PREFERENCE with interleaving",
            Split::Learnt { .. } if kind != MetricKind::Rate => {
                "must be RATE with a learning allocation: the share of lists with such an event"
            }
            _ => "",
        };
        if !reason.is_empty() {
            violations.add("kind", reason);
        }
        if !split.divides_lists() {
            return;
        }
        if self.measure.is_of_lists() {
            violations.add("measure", "must be of events: all variants answer each list");
        }
        if matches!(self.role, Role::Guardrail { .. }) {
            violations.add("role", "must not be GUARDRAIL where lists are divided");
        }
        if let Split::Learnt { .. } = split {
            if self.test != MetricTest::Sequential {
                violations.add("test", "must be SEQUENTIAL with a learning allocation");
            }
            if self.window.1 > LIST_WINDOW_SECONDS {
                violations.add("window", "must end within a day with a learning allocation");
            }
        }
    }
}

impl Plan {
    /// The level of each of so many comparisons with the control.
    pub fn alpha_of(&self, treatments: usize) -> f64 {
        self.alpha / treatments.max(1) as f64
    }
}
