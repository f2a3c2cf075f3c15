//! From candidates to an ordered list: retrieve, describe by features, score by the
//! learnt hybrid, choose.

mod boost;
mod choose;
mod context_features;
mod embedding_features;
mod explain;
mod exploration;
mod features;
mod filter;
mod hybrid;
mod rank;
mod retrieve;
mod similar;

pub use boost::{Boost, Change, Target};
pub use choose::{Choice, Pin};
pub use features::{Candidate, FEATURE_COUNT, FEATURES, FeatureMatrix, Occasion, UserContext};
pub use filter::{Eligibility, Filter, Refusal};
pub use hybrid::Hybrid;
pub use rank::{
    RANKER_DIMENSION, RankRequest, Ranked, RankedItem, Reason, prior_mean, rank, score_candidates,
};
pub use retrieve::{Retrieval, Supply};
pub use similar::{SimilarItem, similar_items};
