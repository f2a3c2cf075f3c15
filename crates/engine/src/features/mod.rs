//! What is known of a user and a candidate, as numbers; and how these weigh against each other.

mod context;
mod describe;
mod embedding;
mod hybrid;
mod mask;

pub use describe::{Candidate, FEATURE_COUNT, FEATURES, FeatureMatrix, Occasion, UserContext};
pub use embedding::{embedding_cosine, nearest_items};
pub use hybrid::Hybrid;
pub use mask::FeatureMask;
