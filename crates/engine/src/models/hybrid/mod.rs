//! Features on a common scale, and their weights.

mod fit;
mod rows;
mod scale;
mod weights;

pub use fit::HybridFit;
pub use rows::FeatureMatrix;
pub use scale::{ScaleOf, VALUE_MAX};
pub use weights::{Hybrid, Prior};
