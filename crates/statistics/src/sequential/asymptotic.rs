//! The asymptotic confidence sequence: how many standard errors a mean may be off at any time.
//!
//! A mixture of normal shifts, with a variance that makes the interval narrowest near the planned
//! number of units. The formula of GrowthBook and Eppo.
//! Invariants: wider than the normal interval at every number of units; the interval leaves 0 out
//! exactly when the e-value is above `1 / alpha`, or the p-value below alpha.
//! Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
//! asymptotic confidence sequences" (2021), equations 9 and 134 of version 7.

use crate::level::Level;
use crate::special::math;

/// Beyond so many standard errors the evidence is complete.
const Z_MAX: f64 = 1e6;

/// For a question with two sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TwoSided {
    alpha: f64,
    /// rho squared.
    mixing: f64,
}

impl TwoSided {
    #[must_use]
    pub fn new(level: Level, tuned_for: f64) -> Self {
        Self { alpha: level.alpha(), mixing: mixing(level.alpha(), tuned_for) }
    }

    /// Half the width of the interval after `units`, in standard errors.
    #[must_use]
    pub fn multiplier(&self, units: f64) -> f64 {
        let time = units.max(1.0) * self.mixing;
        (2.0 * (time + 1.0) / time * math::ln((time + 1.0).sqrt() / self.alpha)).sqrt()
    }

    /// The logarithm of the evidence against 0 of an effect of `z` standard errors.
    #[must_use]
    pub fn ln_e_value(&self, z: f64, units: f64) -> f64 {
        let time = units.max(1.0) * self.mixing;
        let z = z.clamp(-Z_MAX, Z_MAX);
        0.5 * z * z * time / (time + 1.0) - 0.5 * math::log1p(time)
    }
}

/// For a question with one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneSided {
    alpha: f64,
    mixing: f64,
}

impl OneSided {
    #[must_use]
    pub fn new(level: Level, tuned_for: f64) -> Self {
        Self { alpha: level.alpha(), mixing: mixing(2.0 * level.alpha(), tuned_for) }
    }

    /// How far the bound is from the estimate after `units`, in standard errors.
    #[must_use]
    pub fn multiplier(&self, units: f64) -> f64 {
        let time = units.max(1.0) * self.mixing;
        let evidence = math::log1p((time + 1.0).sqrt() / (2.0 * self.alpha));
        (2.0 * (time + 1.0) / time * evidence).sqrt()
    }

    /// The p-value, at any time, of an effect `z` standard errors above what is tested.
    #[must_use]
    pub fn p_value(&self, z: f64, units: f64) -> f64 {
        let time = units.max(1.0) * self.mixing;
        let z = z.clamp(0.0, Z_MAX);
        let evidence = math::exp_less_one(0.5 * z * z * time / (time + 1.0));
        (0.5 * (time + 1.0).sqrt() / evidence).min(1.0)
    }
}

fn mixing(alpha: f64, tuned_for: f64) -> f64 {
    let twice = -2.0 * math::ln(alpha);
    (twice + math::log1p(twice)) / tuned_for
}
