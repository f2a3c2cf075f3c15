//! What is known of a user and a candidate, as numbers: a table of features, and their
//! extraction from the state.

mod candidate;
mod context;
mod describe;
mod describer;
mod embedding;
mod mask;
mod reason;
mod response_taste;
mod table;
mod user_context;

pub use candidate::Candidate;
pub use describe::{describe, describe_raw};
pub use describer::Needs;
pub use embedding::{embedding_cosine, nearest_items};
pub use mask::FeatureMask;
pub use reason::{Cause, ReasonKind};
pub use table::{
    BIAS, FEATURE_COUNT, FEATURES, Feature, HYBRID, feature, feature_name, groups, hybrid_prior,
};
pub use user_context::{Associated, Had, OVERLAP_RECENCY, TOGETHER_RECENCY, UserContext};
