//! Sequential tests: looked at as often and for as long as one likes.
//!
//! Invariants: the probability that a verdict is ever wrong is at most the level. Exactly so for
//! [`conversions`] and [`bounded`]; in the limit of many units for [`means`], which is why it has
//! guards. The interval of a lift contains that of [`crate::fixed`] at the same level, but where the
//! latter needs the difference to agree and is extended to 0.
//! Sources: with each file; figures of simulations in `docs/experiments-mathematics.md`.

pub mod asymptotic;
pub mod bounded;
mod conversions;

use crate::contrast::Contrast;
use crate::level::{Level, ParameterError, positive};
use crate::outcome::{Comparison, Interval};
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
///
/// The logarithm of the ratio decides; where a mean is not above 0, the difference.
#[must_use]
pub fn means(control: &Estimate, treatment: &Estimate, plan: &Plan) -> Comparison {
    let contrast = match Contrast::of(control, treatment) {
        Ok(contrast) => contrast,
        Err(missing) => return Comparison::nothing(missing),
    };
    let boundary = plan.boundary();
    let units = contrast.units();
    let of_difference = || contrast.difference / contrast.error;
    let z = contrast.log_ratio.map_or_else(of_difference, |ratio| ratio.z());
    let ln_e_value = boundary.ln_e_value(z, units);
    let p_value = anytime_p(ln_e_value);
    let multiplier = boundary.multiplier(units);
    let mut comparison =
        contrast.comparison(multiplier, p_value, Some(ln_e_value), contrast.guards());
    if let (Some(difference), Some(lift)) = (&mut comparison.difference, comparison.lift) {
        difference.interval = difference_of(&difference.interval, &lift.interval, control.mean);
    }
    if let (Some(fieller), Some(lift)) = (&mut comparison.lift_by_fieller, comparison.lift) {
        *fieller = difference_of(fieller, &lift.interval, 1.0);
    }
    comparison.in_agreement()
}

/// An interval made symmetric, as far as what the lift says at the control's mean: values have a
/// long tail above, so the symmetric one alone ends too low where the treatment's arm is small. On
/// the side of 0 the lift has the last word, since it decides.
fn difference_of(symmetric: &Interval, lift: &Interval, mean: f64) -> Interval {
    let of_lift = Interval { low: mean * lift.low, high: mean * lift.high };
    if !of_lift.is_finite() {
        return *symmetric;
    }
    let both = symmetric.extended_to(of_lift.low).extended_to(of_lift.high);
    let crosses = both.contains(0.0);
    Interval {
        low: if crosses && lift.low > 0.0 { of_lift.low } else { both.low },
        high: if crosses && lift.high < 0.0 { of_lift.high } else { both.high },
    }
}

/// The p-value that holds at any time: the reciprocal of the e-value.
#[must_use]
pub fn anytime_p(ln_e_value: f64) -> f64 {
    math::exp(-ln_e_value.max(0.0))
}
