//! Metrics of an experiment: what is measured of a unit, in which window after its exposure, and how
//! that is judged.
//!
//! A metric is made of measures, which add up over records. So any number of them is learnt in one
//! pass, and what a metric that is added later lacks is computed from the log.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::experiment::Key;
use crate::domain::interaction::InteractionType;

/// Something that adds up over the records of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Measure {
    /// Interactions of these types: a bit for each, by [`InteractionType::index`].
    Events { types: u16, after_list: bool },
    /// The sum of their values; those without a value count as 0.
    Values { types: u16, after_list: bool },
    /// Lists that were answered.
    Lists,
    /// Their positions.
    Positions,
    /// Positions with an item that was in the catalogue for less than a week.
    NewItems,
    /// Topics of each list, each once, summed over lists.
    Topics,
}

impl Measure {
    /// The bits of types.
    pub fn types(types: impl IntoIterator<Item = InteractionType>) -> u16 {
        types.into_iter().fold(0, |bits, kind| bits | 1 << kind.index())
    }

    /// Whether it is learnt from lists, not from interactions.
    pub const fn is_of_lists(self) -> bool {
        matches!(self, Self::Lists | Self::Positions | Self::NewItems | Self::Topics)
    }

    const fn bits(self) -> u16 {
        match self {
            Self::Events { types, .. } | Self::Values { types, .. } => types,
            Self::Lists | Self::Positions | Self::NewItems | Self::Topics => 0,
        }
    }

    /// Whether interactions of this type count.
    pub const fn counts(self, kind: InteractionType) -> bool {
        self.bits() >> kind.index() & 1 == 1
    }

    /// The types of interactions that count.
    pub fn counted(self) -> impl Iterator<Item = InteractionType> {
        InteractionType::ALL.into_iter().filter(move |kind| self.counts(*kind))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricKind {
    /// The share of units with any of the measure.
    Rate,
    /// The measure per unit.
    Mean,
    /// The sum of the measure over the sum of another one.
    Ratio(Measure),
    /// The share of units that prefer a variant: with whose items of interleaved lists there is more
    /// of the measure.
    Preference,
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Good {
    Higher,
    Lower,
}

/// What a metric is for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Role {
    /// It decides. One of each experiment.
    Primary,
    Secondary,
    /// It must not lose more than `margin`, as a part of the control's mean. `stops`: a loss that
    /// is shown to be larger stops the experiment.
    Guardrail {
        margin: f64,
        stops: bool,
    },
}

/// Above which value of a unit nothing more counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Cap {
    None,
    At(f64),
    /// At the 99th percentile of the values other than 0 of the first units, of all variants
    /// together.
    Learnt,
}

/// By which test a difference is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricTest {
    /// Exact by conversions; for rates.
    Conversions,
    /// The asymptotic confidence sequence.
    Sequential,
    /// One look at the planned end.
    FixedHorizon,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub name: Key,
    pub kind: MetricKind,
    pub measure: Measure,
    /// Seconds after the exposure of a unit between which it is measured.
    pub window: (u32, u32),
    pub good: Good,
    pub role: Role,
    pub cap: Cap,
    pub test: MetricTest,
    /// The rate of units that is expected; it tunes the exact test.
    pub expected_rate: f64,
}

impl Metric {
    /// What is divided by, for a ratio.
    pub fn per(&self) -> Option<Measure> {
        match self.kind {
            MetricKind::Ratio(per) => Some(per),
            MetricKind::Rate | MetricKind::Mean | MetricKind::Preference => None,
        }
    }
}
