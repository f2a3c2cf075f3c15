//! Fixed horizon: one look, at a time that was planned before the start.
//!
//! Invariants: coverage holds for one look only; a caller that looks often uses [`crate::sequential`].
//! Welch's test for means, adjusted means and ratios; Newcombe and the log ratio for rates; the lift
//! is on the scale of logarithms everywhere.
//! Sources: Welch, "The generalization of Student's problem" (1947); see `rates` for the rest.

mod rates;

use crate::contrast::Contrast;
use crate::level::Level;
use crate::outcome::{Comparison, Effect, Interval};
use crate::special::{normal, student};
use crate::summary::Estimate;

pub use crate::contrast::fieller;
pub use rates::{newcombe, rates, wilson};

/// Means, adjusted means and ratios, by Welch's test.
#[must_use]
pub fn means(control: &Estimate, treatment: &Estimate, level: Level) -> Comparison {
    let contrast = match Contrast::of(control, treatment) {
        Ok(contrast) => contrast,
        Err(missing) => return Comparison::nothing(missing),
    };
    let degrees = contrast.degrees();
    let multiplier = student::upper_quantile(0.5 * level.alpha(), degrees);
    let of_difference = (contrast.difference / contrast.error).abs();
    let of_log = contrast.log_ratio.map_or(f64::INFINITY, |ratio| ratio.z().abs());
    // Both must leave 0 out, so the weaker of the two speaks.
    let p_value = student::two_sided(of_difference.min(of_log), degrees);
    contrast.comparison(multiplier, p_value, None, contrast.guards()).in_agreement()
}

/// The lift by the delta method without logarithms: symmetric, and misleading for skewed values. For
/// comparison with other tools. None where the control's mean is not above 0.
#[must_use]
pub fn lift_by_delta(control: &Estimate, treatment: &Estimate, level: Level) -> Option<Effect> {
    let (error, value) = delta(control, treatment)?;
    let half_width = normal::upper_quantile(0.5 * level.alpha()) * error;
    Some(Effect { value, interval: Interval::around(value, half_width) })
}

/// Standard error and value of the lift.
fn delta(control: &Estimate, treatment: &Estimate) -> Option<(f64, f64)> {
    let ratio = treatment.mean / control.mean;
    let squared = (treatment.variance + ratio * ratio * control.variance) / control.mean;
    let error = (squared / control.mean).sqrt();
    (control.mean > 0.0 && error.is_finite()).then_some((error, ratio - 1.0))
}
