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
mod mask;
mod onboarding;
mod rank;
mod retrieve;
mod scale;
mod similar;
mod trial;
mod wanted;

pub use boost::{Boost, Change, Target};
pub use choose::{Choice, Exploring, Pin};
pub use explain::{Reason, ReasonKind};
pub use features::{Candidate, FEATURE_COUNT, FEATURES, FeatureMatrix, Occasion, UserContext};
pub use filter::{Eligibility, Filter, Refusal};
pub use hybrid::Hybrid;
pub use mask::FeatureMask;
pub use onboarding::{OnboardingItem, onboarding_items};
pub use rank::{
    RANKER_DIMENSION, RankRequest, Ranked, RankedItem, Standing, prior_mean, rank,
    score_candidates, standing,
};
pub use retrieve::{Retrieval, SourceTrace, Supply};
pub use similar::{SimilarItem, similar_items};
pub use trial::{Baseline, Trial};
