//! Sequential tests: looked at as often and for as long as one likes.
//!
//! Invariants: the probability that a verdict is ever wrong is at most the level. Exactly so for
//! [`conversions`] and [`bounded`]; in the limit of many units for [`means`], which is why it has
//! guards. Each interval contains that of [`crate::fixed`] at the same level.
//! Sources: with each file; figures of simulations in `docs/experiments-mathematics.md`.

pub mod asymptotic;
pub mod bounded;
mod conversions;

use crate::contrast::Contrast;
use crate::level::{Level, ParameterError, positive};
use crate::outcome::Comparison;
use crate::special::math;
use crate::summary::Estimate;

use asymptotic::{OneSided, TwoSided};
pub use conversions::{ConversionPlan, conversions, ln_e_value_of_conversions, rate_interval};

/// The tuning of those who planned nothing; what other products use.
pub const UNITS_UNPLANNED: u64 = 5_000;

/// Level and size of a sequential test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    level: Level,
    tuned_for: f64,
}

impl Plan {
    /// `units` of both arms together are expected; intervals are narrowest there and valid
    /// everywhere. It must not be chosen after a look at the data.
    pub fn new(level: Level, units: u64) -> Result<Self, ParameterError> {
        Ok(Self { level, tuned_for: positive("the planned number of units", units as f64)? })
    }

    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    #[must_use]
    pub fn boundary(&self) -> TwoSided {
        TwoSided::new(self.level, self.tuned_for)
    }

    /// For a question with one side.
    #[must_use]
    pub fn one_sided_boundary(&self) -> OneSided {
        OneSided::new(self.level, self.tuned_for)
    }
}

/// Rates, means, adjusted means and ratios, by the asymptotic confidence sequence behind its guards.
#[must_use]
pub fn means(control: &Estimate, treatment: &Estimate, plan: &Plan) -> Comparison {
    let contrast = match Contrast::of(control, treatment) {
        Ok(contrast) => contrast,
        Err(missing) => return Comparison::nothing(missing),
    };
    let boundary = plan.boundary();
    let units = contrast.units();
    let of_difference = (contrast.difference / contrast.error).abs();
    let of_log = contrast.log_ratio.map_or(f64::INFINITY, |ratio| ratio.z().abs());
    // Both must leave 0 out, so the weaker of the two speaks.
    let ln_e_value = boundary.ln_e_value(of_difference.min(of_log), units);
    let p_value = anytime_p(ln_e_value);
    let multiplier = boundary.multiplier(units);
    let comparison = contrast.comparison(multiplier, p_value, Some(ln_e_value), contrast.guards());
    with_difference_of_lift(comparison, control.mean)
}

/// Extends the difference to what the interval of the lift says at the control's mean. Values have
/// a long tail above: a symmetric interval alone ends too low where the treatment's arm is small.
fn with_difference_of_lift(mut comparison: Comparison, mean: f64) -> Comparison {
    if let (true, Some(difference), Some(lift)) =
        (comparison.may_decide(), &mut comparison.difference, comparison.lift)
    {
        let of_lift = [lift.interval.low, lift.interval.high].map(|bound| bound * mean);
        let both = of_lift.iter().fold(difference.interval, |all, bound| all.extended_to(*bound));
        if both.is_finite() {
            difference.interval = both;
        }
    }
    comparison
}

/// The p-value that holds at any time: the reciprocal of the e-value.
#[must_use]
pub fn anytime_p(ln_e_value: f64) -> f64 {
    math::exp(-ln_e_value.max(0.0))
}
