//! From candidates to an ordered list: retrieve, describe by features, score by the
//! learnt hybrid, choose.

mod choose;
mod explain;
mod features;
mod hybrid;
mod mask;
mod rank;
mod retrieve;
mod similar;

pub use choose::Choice;
pub use features::{Candidate, FEATURE_COUNT, FEATURES, FeatureMatrix, Occasion, UserContext};
pub use hybrid::Hybrid;
pub use mask::FeatureMask;
pub use rank::{
    RANKER_DIMENSION, RankRequest, Ranked, RankedItem, Reason, prior_mean, rank, score_candidates,
};
pub use retrieve::{Filter, Retrieval};
pub use similar::{SimilarItem, similar_items};
