//! What a metric has come to: sums of each variant over the units whose window is over.
//!
//! - Each unit counts once, when its window and the wait for late events are over, in the order of
//!   exposure. Before that it counts for nothing: a sum that grows with the time since the exposure
//!   would break every guarantee of a test that is looked at often.
//! - A cap that is learnt is fixed by the first [`CAP_UNITS`] units with a value other than 0, of all
//!   variants together. So it does not depend on the variant; nothing is summed before.
//! - Sums are in the order of the log. Work for one record is bounded.

use serde::Deserialize;
use serde::Serialize;
use statistics::Pairs;
use statistics::summary::quantile;

use crate::domain::Cap;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::Timestamp;
use crate::experiments::layout::Columns;
use crate::experiments::units::Units;

/// Units with a value other than 0 by which a cap is learnt.
pub const CAP_UNITS: u32 = 500;
/// The share of such values that are below the cap.
const CAP_QUANTILE: f64 = 0.99;
/// Units that are taken in at a time, between two looks.
const UNITS_AT_A_TIME: usize = 16;
/// Guardrails are looked at after so many more units at least, and this part more: one in so many.
const LOOK_UNITS: u64 = 16;
const LOOK_ONE_IN: u64 = 64;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The first unit that it is about.
    first: usize,
    /// Units before this row are complete.
    reach: usize,
    /// None while it is being learnt; infinite without one.
    cap: Option<f64>,
    /// Complete units with a value other than 0 while the cap is learnt.
    nonzero: u32,
    /// Units from which on the next look is due.
    next_look: u64,
    /// By variant.
    pub arms: Vec<Pairs>,
}

impl Tally {
    /// `first`: units from this row on are measured.
    pub fn new(metric: &Metric, variants: usize, first: usize) -> Self {
        let cap = match metric.cap {
            Cap::None => Some(f64::INFINITY),
            Cap::At(cap) => Some(cap),
            Cap::Learnt => None,
        };
        let arms = vec![Pairs::default(); variants];
        Self { first, reach: first, cap, nonzero: 0, next_look: LOOK_UNITS, arms }
    }

    /// Whether it is time to look at a guardrail; if so, the next time is later.
    pub fn is_look(&mut self) -> bool {
        let units = self.units();
        let is_due = units >= self.next_look;
        if is_due {
            self.next_look = units + LOOK_UNITS.max(units / LOOK_ONE_IN);
        }
        is_due
    }

    /// The cap in force; none while it is learnt, infinite without one.
    pub fn cap(&self) -> Option<f64> {
        self.cap
    }

    /// Complete units with a value other than 0 while the cap is learnt.
    pub fn nonzero(&self) -> u32 {
        self.nonzero
    }

    /// Units in the sums.
    pub fn units(&self) -> u64 {
        self.arms.iter().map(|arm| arm.metric.units).sum()
    }

    /// When the window of the next unit is over.
    pub fn due(&self, metric: &Metric, late_seconds: u32, units: &Units) -> Option<Timestamp> {
        let wait = 1_000 * (i64::from(metric.window.1) + i64::from(late_seconds));
        Some(units.get(self.reach)?.exposed_at.plus_millis(wait))
    }

    /// Takes in some units whose window is over. Returns whether there may be more.
    pub fn advance(
        &mut self,
        metric: &Metric,
        columns: Columns,
        units: &Units,
        late_seconds: u32,
        now: Timestamp,
    ) -> bool {
        for _ in 0..UNITS_AT_A_TIME {
            if self.due(metric, late_seconds, units).is_none_or(|due| now < due) {
                return false;
            }
            let row = self.reach;
            self.reach += 1;
            if self.cap.is_some() {
                self.add(metric, columns, units, row);
                continue;
            }
            let counts = units.get(row).is_some_and(|unit| !unit.is_void);
            self.nonzero += u32::from(counts && units.value(columns.measure, row) != 0.0);
            if self.nonzero >= CAP_UNITS {
                self.learn_cap(metric, columns, units);
            }
        }
        true
    }

    fn learn_cap(&mut self, metric: &Metric, columns: Columns, units: &Units) {
        let complete = self.first..self.reach;
        let measured = complete.clone().filter(|&row| units.get(row).is_some_and(|it| !it.is_void));
        let values = measured.map(|row| f64::from(units.value(columns.measure, row)));
        let mut values: Vec<f64> = values.filter(|value| *value != 0.0).collect();
        values.sort_unstable_by(f64::total_cmp);
        self.cap = quantile(&values, CAP_QUANTILE);
        complete.for_each(|row| self.add(metric, columns, units, row));
    }

    fn add(&mut self, metric: &Metric, columns: Columns, units: &Units, row: usize) {
        let Some(unit) = units.get(row).filter(|unit| !unit.is_void) else {
            return;
        };
        let Some(arm) = self.arms.get_mut(usize::from(unit.variant)) else {
            return;
        };
        let value = f64::from(units.value(columns.measure, row));
        let value = match metric.kind {
            MetricKind::Rate => f64::from(u8::from(value != 0.0)),
            MetricKind::Mean => value.min(self.cap.unwrap_or(f64::INFINITY)),
            MetricKind::Ratio(_) => value,
        };
        let other = columns.other.map_or(0.0, |field| f64::from(units.value(field, row)));
        arm.add(value, other);
    }
}
