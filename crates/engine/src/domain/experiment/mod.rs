//! Experiments: which variants are compared, for whom, and by which metrics.
//!
//! - An experiment is whole in each record that changes it, with the changes that the edge has
//!   checked. So the log alone says what held at any sequence.
//! - What a variant overrides is opaque here: the edge writes and reads it as it does requests.
//! - Once an experiment runs, what decides who gets which variant is fixed ([`Experiment::check_change`]):
//!   only its share of the layer may rise.

mod backfill;
mod change;
mod check;
mod division;
mod exposure;
mod metric;

use serde::Deserialize;
use serde::Serialize;

pub use backfill::BackfillChunk;
pub use change::ExperimentChange;
pub use division::Division;
pub use exposure::Assignment;
pub use exposure::Exposure;
pub use metric::Cap;
pub use metric::Good;
pub use metric::Measure;
pub use metric::Metric;
pub use metric::MetricKind;
pub use metric::MetricTest;
pub use metric::Role;

use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::timestamp::Timestamp;

/// Buckets that a salt spreads units over: shares have steps of a millionth.
pub const BUCKETS: u32 = 1_000_000;

/// The name of an experiment, of a layer, of a variant or of a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key(Box<str>);

impl Key {
    /// # Errors
    /// When the text is not 1 to 64 of `a-z`, `0-9`, `_`, `.` and `-`, the first of them a letter or digit.
    pub fn parse(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        let is_allowed =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if begins && text.len() <= limits::EXPERIMENT_KEY_BYTES && text.chars().all(is_allowed) {
            return Ok(Self(text.into_boxed_str()));
        }
        Err(format!(
            "must be 1 to {} characters of a-z, 0-9, '_', '.' and '-', starting with a letter or digit",
            limits::EXPERIMENT_KEY_BYTES
        ))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an experiment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExperimentState {
    /// Being written; nothing is assigned.
    Draft,
    Running,
    /// Nothing is assigned; those who were exposed are measured on.
    Paused,
    /// Over: what was measured stays.
    Stopped,
    /// Out of sight.
    Archived,
}

impl ExperimentState {
    /// Whether units are measured, and buckets of the layer are taken.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Archived => "archived",
        }
    }

    /// Whether one may follow on the other by a caller's change.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Draft | Self::Paused, Self::Running)
                | (Self::Running, Self::Paused)
                | (Self::Running | Self::Paused, Self::Stopped)
                | (Self::Draft | Self::Stopped, Self::Archived)
        )
    }
}

/// What is given a variant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Split {
    /// A user, for good.
    Users,
    /// A slice of time, for all users: for changes that cannot be split by user. Events of its
    /// first `washout_seconds` are left out, since the slice before acts on them.
    TimeSlices { slice_seconds: u32, washout_seconds: u32 },
    /// Positions of a list: both variants fill each list of a user in turns. What the user does with
    /// the items of each is that user's vote.
    Interleaved,
    /// A list: its variant is drawn, more often the one that earns more. Each has at least this
    /// part of the lists.
    Learnt { floor: f64 },
}

impl Split {
    /// Whether the weights say how many units each variant has.
    pub const fn is_weighted(self) -> bool {
        matches!(self, Self::Users | Self::TimeSlices { .. })
    }

    /// Whether users are exposed to it, once.
    pub const fn exposes_users(self) -> bool {
        matches!(self, Self::Users | Self::Interleaved)
    }

    /// Whether it divides lists: one list can be divided by one experiment.
    pub const fn divides_lists(self) -> bool {
        matches!(self, Self::Interleaved | Self::Learnt { .. })
    }
}

/// One of the things compared. The first of an experiment is the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    pub name: Key,
    /// Its share of the units in the experiment. All shares of an experiment sum to 1.
    pub weight: f64,
    /// What it changes of a request, as the edge encodes it. Empty: nothing.
    pub overrides: Vec<u8>,
    /// Whether it changes how the ranker chooses: then it learns a posterior of its own.
    pub own_ranker: bool,
}

/// What is planned before the start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The probability of calling a difference of the primary metric where there is none.
    pub alpha: f64,
    /// Units in all variants together for which intervals are narrowest.
    pub units: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { alpha: 0.05, units: 5_000 }
    }
}

/// A user who gets a variant whatever the split says, and is not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tester {
    pub user_id: UserId,
    /// Index of the variant.
    pub variant: u8,
}

/// One experiment, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    pub key: Key,
    pub state: ExperimentState,
    /// What is expected and why.
    pub hypothesis: Box<str>,
    /// Experiments of one layer have no user in common.
    pub layer: Key,
    /// Spreads users over the variants; the key, unless it is set.
    pub salt: Key,
    pub split: Split,
    /// Buckets of the layer that it is to have: its share of the users.
    pub allocation: u32,
    /// Those it has, from the start on: half-open ranges in the order in which they were added.
    pub buckets: Vec<(u32, u32)>,
    pub variants: Vec<Variant>,
    /// A condition on user and request; empty: everyone.
    pub eligibility: Box<str>,
    pub metrics: Vec<Metric>,
    pub plan: Plan,
    /// How long events are waited for after a window has ended.
    pub late_events_seconds: u32,
    /// Nothing is assigned before.
    pub starts_at: Option<Timestamp>,
    /// It stops at the first record after.
    pub ends_at: Option<Timestamp>,
    pub testers: Vec<Tester>,
    /// A standing one whose control gets what is popular and is in no other experiment.
    pub holdback: bool,
    /// The variant that became the namespace's settings.
    pub shipped: Option<u8>,
}

impl Experiment {
    /// Whether it is assigned at this time.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == ExperimentState::Running
            && self.starts_at.is_none_or(|start| start <= now)
            && self.ends_at.is_none_or(|end| now < end)
    }

    /// The variant of a bucket of its own salt.
    pub fn variant_of(&self, bucket: u32) -> u8 {
        let mut reach = 0.0;
        let ends = self.variants.iter().map(|variant| {
            reach += variant.weight;
            (reach * f64::from(BUCKETS)).round_ties_even() as u32
        });
        let last = self.variants.len().saturating_sub(1);
        ends.take(last).take_while(|end| *end <= bucket).count() as u8
    }

    /// The share of a treatment among the units of it and of the control.
    pub fn share_against_control(&self, variant: usize) -> f64 {
        let [control, treatment] = [0, variant].map(|of: usize| self.variants[of].weight);
        treatment / (control + treatment)
    }

    /// Whether requests look at it although it is not live.
    pub fn is_tested_draft(&self) -> bool {
        self.state == ExperimentState::Draft && !self.testers.is_empty()
    }

    pub fn variant(&self, name: &str) -> Option<usize> {
        self.variants.iter().position(|variant| variant.name.as_str() == name)
    }

    pub fn metric(&self, name: &str) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.name.as_str() == name)
    }

    /// The metric that decides.
    pub fn primary(&self) -> Option<usize> {
        self.metrics.iter().position(|metric| metric.role == Role::Primary)
    }

    /// Whether a bucket of the layer is one of its own.
    pub fn has_bucket(&self, bucket: u32) -> bool {
        self.buckets.iter().any(|(first, end)| (*first..*end).contains(&bucket))
    }

    /// Bytes of its texts and lists, about.
    pub fn heap_bytes(&self) -> usize {
        let variants = self.variants.iter().map(|variant| {
            size_of::<Variant>() + variant.name.as_str().len() + variant.overrides.len()
        });
        let metrics = self.metrics.iter().map(|it| size_of::<Metric>() + it.name.as_str().len());
        let testers = self.testers.iter().map(|it| size_of::<Tester>() + it.user_id.as_str().len());
        let keys = [&self.key, &self.layer, &self.salt].map(|key| key.as_str().len());
        variants.chain(metrics).chain(testers).chain(keys).sum::<usize>()
            + size_of_val(&*self.buckets)
            + self.hypothesis.len()
            + self.eligibility.len()
    }
}
