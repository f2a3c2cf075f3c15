//! Which items stand to be ranked: the rules of a request, and the sources that search the catalogue.

mod boost;
mod filter;
mod onboarding;
mod retrieve;
mod similar;
mod wanted;

pub use boost::{Boost, Change, Target, boost};
pub use filter::{Eligibility, Filter, Refusal};
pub use onboarding::{OnboardingItem, onboarding_items};
pub use retrieve::{Retrieval, SourceTrace, Supply};
pub use similar::{SimilarItem, similar_items};
