//! Float parameters: checked before anything is computed from them.
//!
//! Invariants: what passes is a number of its range.

use statistics::ParameterError;

/// `x`, if it is from `least` to `most`; NaN is not.
pub fn within(
    name: &'static str,
    x: f64,
    (least, most): (f64, f64),
    range: &'static str,
) -> Result<f64, ParameterError> {
    let inside = x >= least && x <= most;
    inside.then_some(x).ok_or(ParameterError { name, range, found: x })
}

/// From 1e-100, and below 1.
pub fn delta(delta: f64) -> Result<f64, ParameterError> {
    let most = 1.0 - f64::EPSILON;
    within("delta", delta, (1e-100, most), "from 1e-100, below 1")
}
