//! Features on a common scale, and their weights.

mod rows;
mod scale;
mod weights;

pub use rows::FeatureMatrix;
pub use scale::{ScaleOf, VALUE_MAX};
pub use weights::{Hybrid, Prior};
