//! Scale, curves and weights of the hybrid as a training fitted them: part of a published model.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::FeatureLayout;
use crate::models::hybrid::curve::Curves;
use crate::models::hybrid::scale::UNIT_RANGE;

/// Bounds of what is published: others are no fit.
const WEIGHT_MAX: f64 = 1e6;
const INFORMATION_MAX: f64 = 1e12;
const VARIANCE_MAX: f64 = 1e12;

/// See the header. All lists are in the order of the layout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HybridFit {
    pub layout: FeatureLayout,
    /// What each feature is divided by; `None` for one that was 0 throughout: nothing is said of it.
    pub units: Vec<Option<f64>>,
    /// Of values on this scale.
    pub curves: Curves,
    pub weights: Vec<f64>,
    /// What the choices tell of the weights: the curvature of their likelihood, d x d. A prior that they
    /// were fitted with is not in it.
    pub information: Vec<f64>,
    /// Mean and variance of scores.
    pub mean: f64,
    pub variance: f64,
}

impl HybridFit {
    /// Whether lengths agree and all numbers are finite and in range.
    pub fn is_sound(&self) -> bool {
        let d = self.layout.len();
        let is_within = |most: f64| move |value: &f64| value.abs() <= most;
        let (least, most) = UNIT_RANGE;
        let lengths = [self.units.len(), self.weights.len()];
        lengths == [d; 2]
            && d.checked_mul(d) == Some(self.information.len())
            && self.curves.is_sound(d)
            && self.units.iter().flatten().all(|unit| (least..=most).contains(unit))
            && self.weights.iter().all(is_within(WEIGHT_MAX))
            && self.information.iter().all(is_within(INFORMATION_MAX))
            && self.mean.abs() <= WEIGHT_MAX
            && (0.0..=VARIANCE_MAX).contains(&self.variance)
    }
}
