//! Two estimates side by side: the difference, the logarithm of the ratio, and their errors.
//!
//! Invariants: made only of what is finite and varies; the same multiplier of the standard errors
//! gives all its intervals. Whether the result may decide is the caller's question.
//! Source of the display interval: Fieller, "Some problems in interval estimation" (1954).

use crate::outcome::{Arm, Comparison, Effect, Interval, Missing};
use crate::special::math;
use crate::summary::{Estimate, Kind};

/// Before so many conversions in each arm, and as many units without, sums are too far from normal
/// for a verdict.
pub const CONVERSIONS_NEEDED: u64 = 25;
/// Before so many units with a value other than 0 in each arm, likewise.
pub const NONZERO_NEEDED: u64 = 100;
/// Exponents of e are cut here: lifts stay finite.
const EXPONENT_MAX: f64 = 700.0;

#[derive(Debug, Clone, Copy)]
pub struct Contrast {
    control: Estimate,
    treatment: Estimate,
    pub difference: f64,
    pub error: f64,
    /// None where a mean is not above 0.
    pub log_ratio: Option<LogRatio>,
}

/// The logarithm of treatment over control, with its standard error by the delta method.
#[derive(Debug, Clone, Copy)]
pub struct LogRatio {
    pub value: f64,
    pub error: f64,
}

impl Contrast {
    pub fn of(control: &Estimate, treatment: &Estimate) -> Result<Self, Vec<Missing>> {
        let mut missing = Vec::new();
        for (arm, it) in [(Arm::Control, control), (Arm::Treatment, treatment)] {
            if it.units < 2 {
                missing.push(Missing::Units { arm, has: it.units, needs: 2 });
            } else if !(it.mean.is_finite() && it.variance.is_finite() && it.variance >= 0.0) {
                missing.push(Missing::FiniteSums { arm });
            }
        }
        let error = (control.variance + treatment.variance).sqrt();
        if missing.is_empty() && error == 0.0 {
            missing.push(Missing::Variation);
        }
        let difference = treatment.mean - control.mean;
        if missing.is_empty() && !(difference.is_finite() && error.is_finite()) {
            missing.push(Missing::FiniteSums { arm: Arm::Treatment });
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let log_ratio = LogRatio::of(control, treatment);
        Ok(Self { control: *control, treatment: *treatment, difference, error, log_ratio })
    }

    /// What the guards ask for: see `docs/experiments-mathematics.md`.
    pub fn guards(&self) -> Vec<Missing> {
        let arms = [(Arm::Control, &self.control), (Arm::Treatment, &self.treatment)];
        arms.into_iter().flat_map(|(arm, it)| lacks(arm, it)).collect()
    }

    pub fn units(&self) -> f64 {
        self.control.units as f64 + self.treatment.units as f64
    }

    /// Why there is no ratio: a mean that is not above 0, or is too near to 0.
    pub fn without_ratio(&self) -> Vec<Missing> {
        let lower =
            if self.treatment.mean < self.control.mean { Arm::Treatment } else { Arm::Control };
        vec![Missing::PositiveMean { arm: lower }]
    }

    /// Intervals of `multiplier` standard errors, with the evidence given; not yet in agreement.
    pub fn comparison(
        &self,
        multiplier: f64,
        p_value: f64,
        ln_e_value: Option<f64>,
        missing: Vec<Missing>,
    ) -> Comparison {
        let interval = Interval::around(self.difference, multiplier * self.error);
        if !interval.is_finite() {
            return Comparison::nothing(vec![Missing::FiniteSums { arm: Arm::Treatment }]);
        }
        Comparison {
            difference: Some(Effect { value: self.difference, interval }),
            lift: self.log_ratio.map(|ratio| ratio.lift(multiplier)),
            lift_by_fieller: fieller(&self.control, &self.treatment, multiplier),
            p_value: Some(p_value),
            ln_e_value,
            missing,
        }
    }

    /// Welch's and Satterthwaite's degrees of freedom.
    pub fn degrees(&self) -> f64 {
        let sum = self.control.variance + self.treatment.variance;
        let part = |it: &Estimate| {
            let share = it.variance / sum;
            share * share / (it.units as f64 - 1.0)
        };
        let found = 1.0 / (part(&self.control) + part(&self.treatment));
        // Variances at the end of the range of f64.
        if found.is_finite() { found } else { 1.0 }
    }
}

/// What an arm lacks before a verdict.
fn lacks(arm: Arm, it: &Estimate) -> Vec<Missing> {
    let converted = it.nonzero.min(it.units);
    let (has, without) = (converted, it.units - converted);
    let mut missing = Vec::new();
    match it.kind {
        Kind::Rate => {
            let needs = CONVERSIONS_NEEDED;
            if has < needs {
                missing.push(Missing::Conversions { arm, has, needs });
            }
            if without < needs {
                missing.push(Missing::WithoutConversion { arm, has: without, needs });
            }
        }
        Kind::Value if has < NONZERO_NEEDED => {
            missing.push(Missing::NonZero { arm, has, needs: NONZERO_NEEDED });
        }
        Kind::Value => {}
    }
    missing
}

impl LogRatio {
    pub fn of(control: &Estimate, treatment: &Estimate) -> Option<Self> {
        if control.mean <= 0.0 || treatment.mean <= 0.0 {
            return None;
        }
        let relative = |it: &Estimate| it.variance / it.mean / it.mean;
        let error = (relative(control) + relative(treatment)).sqrt();
        let value = math::ln(treatment.mean) - math::ln(control.mean);
        (error.is_finite() && error > 0.0).then_some(Self { value, error })
    }

    /// The lift, with an interval of `multiplier` standard errors on the scale of logarithms.
    pub fn lift(&self, multiplier: f64) -> Effect {
        let half_width = multiplier * self.error;
        let interval = Interval {
            low: lift_of(self.value - half_width),
            high: lift_of(self.value + half_width),
        };
        Effect { value: lift_of(self.value), interval }
    }

    pub fn z(&self) -> f64 {
        self.value / self.error
    }
}

/// From a logarithm of a ratio to a relative change.
pub fn lift_of(log_ratio: f64) -> f64 {
    math::exp_less_one(log_ratio.min(EXPONENT_MAX))
}

/// Fieller's interval of the lift: exactly the ratios that the difference cannot exclude. None where
/// the control's mean is not clearly above 0: then the interval is unbounded.
#[must_use]
pub fn fieller(control: &Estimate, treatment: &Estimate, multiplier: f64) -> Option<Interval> {
    let relative = multiplier * multiplier * control.variance / control.mean / control.mean;
    // Also none where it is no number.
    if control.mean <= 0.0 || relative.is_nan() || relative >= 1.0 {
        return None;
    }
    let ratio = treatment.mean / control.mean;
    let inner = treatment.variance * (1.0 - relative) + ratio * ratio * control.variance;
    let half_width = multiplier / control.mean * inner.sqrt();
    let centre = Interval::around(ratio, half_width);
    let bound = |x: f64| x / (1.0 - relative) - 1.0;
    let interval = Interval { low: bound(centre.low), high: bound(centre.high) };
    interval.is_finite().then_some(interval)
}
