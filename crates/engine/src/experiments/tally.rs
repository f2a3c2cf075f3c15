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
use statistics::summary::quantile;

use crate::domain::Cap;
use crate::domain::Metric;
use crate::domain::MetricKind;
use crate::domain::Split;
use crate::domain::Timestamp;
use crate::experiments::layout::Columns;
use crate::experiments::layout::complete_at;
use crate::experiments::sums::Sums;
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
    /// Units before this row are complete.
    reach: usize,
    /// None while it is being learnt; infinite without one.
    cap: Option<f64>,
    /// Complete units with a value other than 0 while the cap is learnt.
    nonzero: u32,
    /// Units from which on the next look is due.
    next_look: u64,
    pub sums: Sums,
}

impl Tally {
    pub fn new(metric: &Metric, sums: Sums) -> Self {
        let cap = match metric.cap {
            Cap::None => Some(f64::INFINITY),
            Cap::At(cap) => Some(cap),
            Cap::Learnt => None,
        };
        Self { reach: 0, cap, nonzero: 0, next_look: LOOK_UNITS, sums }
    }

    /// Whether it is time to look at a guardrail; if so, the next time is later.
    pub fn is_look(&mut self, split: Split) -> bool {
        let units = self.sums.units(split);
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

    /// When the window of the next unit is over.
    pub fn due(&self, metric: &Metric, late_seconds: u32, units: &Units) -> Option<Timestamp> {
        let exposed_at = units.get(self.reach)?.exposed_at;
        Some(complete_at(exposed_at, metric.window, late_seconds))
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
        let complete = 0..self.reach;
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
        let arms = &mut self.sums.arms;
        let value = f64::from(units.value(columns.measure, row));
        let other = columns.other.map_or(0.0, |field| f64::from(units.value(field, row)));
        let is = |holds: bool| f64::from(u8::from(holds));
        let value = match metric.kind {
            MetricKind::Rate => is(value != 0.0),
            MetricKind::Mean => value.min(self.cap.unwrap_or(f64::INFINITY)),
            MetricKind::Ratio(_) => value,
            MetricKind::Preference => {
                // A vote of the unit for one of them, or for none.
                for (arm, is_preferred) in arms.iter_mut().zip([other > value, value > other]) {
                    arm.add(is(is_preferred), 0.0);
                }
                return;
            }
        };
        if let Some(arm) = arms.get_mut(usize::from(unit.variant)) {
            arm.add(value, other);
        }
    }

    /// Adds a list that was drawn with these chances. `evidence`: of the bounds of its differences.
    pub fn add_list(&mut self, variant: usize, chances: &[f32], value: f64, evidence: f64) {
        let Sums { arms, differences } = &mut self.sums;
        arms[variant].add(value, 0.0);
        for (treatment, difference) in (1..).zip(differences) {
            if variant != 0 && variant != treatment {
                continue;
            }
            let [control, other] = [0, treatment].map(|of: usize| f64::from(chances[of]));
            let chance = other / (control + other);
            if chance > 0.0 && chance < 1.0 {
                difference.observe(chance, variant == treatment, value, evidence);
            }
        }
    }
}
