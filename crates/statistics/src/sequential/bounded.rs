//! Means of values between 0 and a cap, exactly, from the first unit on: the empirical Bernstein
//! sequence with a gamma-exponential mixture.
//!
//! Invariants: no assumption but the bounds, so no guard; the price is width. Each arm keeps one sum
//! more, of squared surprises: the value less the mean of those before. It depends on the order of
//! units, so sums cannot be merged.
//! Source: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic
//! confidence sequences" (2021), theorem 4 and proposition 9; `gamma_exponential_mixture_bound` of
//! confseq.

use serde::{Deserialize, Serialize};

use crate::level::{Level, ParameterError, positive};
use crate::outcome::{Arm, Comparison, Effect, Interval, Missing};
use crate::special::gamma::{deviance, lower, stirling_error};
use crate::special::{math, root};

/// Of values between 0 and 1, in the order of the units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    pub units: u64,
    pub sum: f64,
    pub surprise: f64,
}

impl Sums {
    /// Adds a unit's value as a part of the cap; what is outside 0 to 1 is cut.
    pub fn add(&mut self, value: f64) {
        let value = value.clamp(0.0, 1.0);
        let surprise = value - self.mean();
        self.surprise += surprise * surprise;
        self.units += 1;
        self.sum += value;
    }

    fn mean(&self) -> f64 {
        self.sum / self.units.max(1) as f64
    }
}

/// Cap, level and size of a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundedPlan {
    cap: f64,
    /// Of each of the four bounds.
    level: Level,
    mixing: f64,
}

impl BoundedPlan {
    /// `surprise` is what each arm's sum of squared surprises is expected to be in the end: units
    /// times the variance of value over cap. Intervals are narrowest there.
    pub fn new(level: Level, cap: f64, surprise: f64) -> Result<Self, ParameterError> {
        let cap = positive("the cap", cap)?;
        let surprise = positive("the planned sum of squared surprises", surprise)?;
        let level = level.divided(4);
        Ok(Self { cap, level, mixing: mixing(level.alpha(), surprise) })
    }
}

/// Compares two means; the difference and the lift that no pair of means within the intervals of
/// both arms can explain.
#[must_use]
pub fn means(control: &Sums, treatment: &Sums, plan: &BoundedPlan) -> Comparison {
    let mut missing = Vec::new();
    for (arm, sums) in [(Arm::Control, control), (Arm::Treatment, treatment)] {
        if sums.units == 0 {
            missing.push(Missing::Units { arm, has: 0, needs: 1 });
        } else if !(sums.sum.is_finite() && sums.surprise.is_finite()) {
            missing.push(Missing::FiniteSums { arm });
        }
    }
    if !missing.is_empty() {
        return Comparison::nothing(missing);
    }
    let (a, b) = (interval(control, plan), interval(treatment, plan));
    let (mean_a, mean_b) = (control.mean(), treatment.mean());
    let difference =
        Interval { low: plan.cap * (b.low - a.high), high: plan.cap * (b.high - a.low) };
    let lift = Interval { low: b.low / a.high - 1.0, high: b.high / a.low - 1.0 };
    let comparison = Comparison {
        difference: Some(Effect { value: plan.cap * (mean_b - mean_a), interval: difference }),
        lift: (a.low > 0.0 && lift.is_finite())
            .then_some(Effect { value: mean_b / mean_a - 1.0, interval: lift }),
        lift_by_fieller: None,
        p_value: None,
        ln_e_value: None,
        missing,
    };
    comparison.in_agreement()
}

/// The mean of one arm, as a part of the cap.
fn interval(sums: &Sums, plan: &BoundedPlan) -> Interval {
    let around = Interval::around(sums.mean(), bound(sums, plan) / sums.units.max(1) as f64);
    Interval { low: around.low.max(0.0), high: around.high.min(1.0) }
}

/// How far the sum may be from its expectation on one side.
fn bound(sums: &Sums, plan: &BoundedPlan) -> f64 {
    let mixture = Mixture::new(plan.mixing);
    let excess = |s: f64| mixture.ln_value(s, sums.surprise) - plan.level.evidence();
    let mut high = sums.surprise + 1.0;
    while excess(high) < 0.0 {
        high *= 2.0;
    }
    root::between(0.0, high, excess)
}

struct Mixture {
    mixing: f64,
    constant: f64,
}

impl Mixture {
    fn new(mixing: f64) -> Self {
        let constant = 0.5 * math::ln(mixing) - stirling_error(mixing);
        Self { mixing, constant: constant - math::ln(lower(mixing, mixing)) }
    }

    /// The logarithm of the mixture of sub-exponential martingales with scale 1, after a sum of `s`
    /// and a sum of squares `v`.
    fn ln_value(&self, s: f64, v: f64) -> f64 {
        let after = v + self.mixing;
        let reached = s + after;
        let rest = stirling_error(after) - 0.5 * math::ln(after) + math::ln(lower(after, reached));
        self.constant + deviance(after, reached) + rest
    }
}

fn mixing(alpha: f64, planned: f64) -> f64 {
    let twice = -2.0 * math::ln(2.0 * alpha);
    planned / (twice + math::log1p(twice))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of confseq 0.0.11.
    #[test]
    fn the_boundary_is_that_of_confseq() {
        for (v, planned, expected) in
            [(100.0, 100.0, 30.238_129_620_079_235), (1_000.0, 100.0, 98.135_563_715_970_87)]
        {
            let level = Level::FIVE_PERCENT;
            let plan = BoundedPlan { cap: 1.0, level, mixing: mixing(level.alpha(), planned) };
            let found = bound(&Sums { units: 1, sum: 0.0, surprise: v }, &plan);
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}
