//! The candidates for a ranking: the rules of a request, and the sources that search the
//! catalogue under these rules.

mod boost;
mod condition;
mod eligibility;
mod filter;
mod mask;
mod onboarding;
mod plan;
mod popular;
mod prepared;
mod retrieve;
mod similar;

pub use boost::{Boost, Target, boost, user_boosts};
pub use eligibility::Eligibility;
pub use filter::{Exclusion, Filter};
pub use onboarding::{OnboardingItem, onboarding_items};
pub use retrieve::{CandidateSource, Caps, Retrieval, SourceTrace, Supply, draw_key};
pub use similar::{SimilarItem, similar_items};
