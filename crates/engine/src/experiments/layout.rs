//! What is kept of each unit: a column for each sum that the metrics of an experiment need, once.

use serde::Deserialize;
use serde::Serialize;

use crate::consumption::ActivityKind;
use crate::domain::InteractionType;
use crate::domain::Measure;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::Timestamp;

/// A column of the table of units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// The sum of a measure from one number of seconds after the unit was exposed to another.
    Sum { measure: Measure, window: (u32, u32) },
    /// The same of what was done with the items that a variant chose in interleaved lists.
    Credit { measure: Measure, window: (u32, u32), variant: u8 },
    /// What the user had done before the exposure.
    Before(ActivityKind),
}

impl Field {
    /// Seconds after the exposure between which records add to it; none: they do not.
    pub fn window(&self) -> Option<(u32, u32)> {
        match self {
            Self::Sum { window, .. } | Self::Credit { window, .. } => Some(*window),
            Self::Before(_) => None,
        }
    }

    pub fn is_sum(&self) -> bool {
        self.window().is_some()
    }

    /// Whether it is learnt from lists.
    pub fn is_of_lists(&self) -> bool {
        matches!(self, Self::Sum { measure, .. } if measure.is_of_lists())
    }
}

/// When a sum of a unit is complete: its window and the wait for late events are over.
pub fn complete_at(
    exposed_at: Timestamp,
    (_, window_end): (u32, u32),
    late_seconds: u32,
) -> Timestamp {
    exposed_at.plus_millis(1_000 * (i64::from(window_end) + i64::from(late_seconds)))
}

/// The columns that a metric reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    pub measure: usize,
    /// What a ratio divides by; of a rate or a mean, what explains a part of it; of a preference, what
    /// there is of the control.
    pub other: Option<usize>,
}

impl Columns {
    pub fn all(self) -> impl Iterator<Item = usize> {
        std::iter::once(self.measure).chain(self.other)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pub fields: Vec<Field>,
    /// Of each metric.
    pub columns: Vec<Columns>,
}

impl Layout {
    /// More metrics at the end leave the columns of the first ones where they are.
    pub fn of(metrics: &[Metric]) -> Self {
        let mut layout = Self::default();
        for metric in metrics {
            let window = metric.window;
            let measure = metric.measure;
            let credit = |variant| Field::Credit { measure, window, variant };
            let sum = |measure| Field::Sum { measure, window };
            let (measured, other) = match metric.kind {
                MetricKind::Preference => (credit(1), Some(credit(0))),
                MetricKind::Ratio(per) => (sum(measure), Some(sum(per))),
                MetricKind::Rate | MetricKind::Mean => {
                    (sum(measure), earlier(measure).map(Field::Before))
                }
            };
            let measure = layout.column(measured);
            let other = other.map(|field| layout.column(field));
            layout.columns.push(Columns { measure, other });
        }
        layout
    }

    fn column(&mut self, field: Field) -> usize {
        self.fields.iter().position(|known| *known == field).unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        })
    }
}

/// What a user did before that is most like a measure.
fn earlier(measure: Measure) -> Option<ActivityKind> {
    let only = |kind| measure.counted().eq([kind]);
    match measure {
        Measure::Values { .. } if only(InteractionType::Dwell) => Some(ActivityKind::DwellSeconds),
        Measure::Values { .. } => Some(ActivityKind::PurchaseValues),
        Measure::Events { .. } if only(InteractionType::Purchase) => Some(ActivityKind::Purchases),
        Measure::Events { .. } => Some(ActivityKind::Events),
        Measure::Lists | Measure::Positions | Measure::NewItems | Measure::Topics => None,
    }
}
