//! Scale and weights of the hybrid as a training fitted them: part of a published model.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::FeatureLayout;

/// Bounds of what is published: others are no fit.
const WEIGHT_MAX: f64 = 1e6;
const PRECISION_MAX: f64 = 1e12;
const UNITS: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// See the header. All lists are in the order of the layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HybridFit {
    pub layout: FeatureLayout,
    /// What each feature is divided by; `None` for one that was 0 throughout: nothing is said of it.
    pub units: Vec<Option<f64>>,
    pub weights: Vec<f64>,
    /// Precision of the weights, d x d.
    pub precision: Vec<f64>,
    /// Mean and variance of scores.
    pub mean: f64,
    pub variance: f64,
    /// Choices fitted on.
    pub choices: u64,
}

impl HybridFit {
    /// Whether lengths agree and all numbers are finite and in range.
    pub fn is_sound(&self) -> bool {
        let d = self.layout.len();
        let is_within = |most: f64| move |value: &f64| value.abs() <= most;
        let lengths = [self.units.len(), self.weights.len()];
        lengths == [d; 2]
            && d.checked_mul(d) == Some(self.precision.len())
            && self.units.iter().flatten().all(|unit| UNITS.contains(unit))
            && self.weights.iter().all(is_within(WEIGHT_MAX))
            && self.precision.iter().all(is_within(PRECISION_MAX))
            && self.mean.abs() <= WEIGHT_MAX
            && (0.0..=PRECISION_MAX).contains(&self.variance)
    }
}
