//! Features on a common scale, and their weights.

mod curve;
mod fit;
mod rows;
mod scale;
mod weights;

pub use curve::{BENDS_MAX, Curve, Curves};
pub use fit::HybridFit;
pub use rows::FeatureMatrix;
pub use scale::{FeatureScale, ScaleOf, UNIT_RANGE, VALUE_MAX};
pub use weights::{Hybrid, Prior, score};
