//! Models that need to know neither the user nor the item: popularity, trend,
//! cohorts, values of the request context, newness.

mod cohorts;
mod context_values;
mod groups;
mod memory;
mod newcomers;
mod popularity;
mod shrinkage;

pub use cohorts::{CohortScorer, Cohorts, Estimates};
pub use context_values::{ContextValues, ValueScorer};
pub use groups::GROUPS_MAX;
pub use memory::Memory;
pub use newcomers::Newcomers;
pub use popularity::{FORTNIGHT_HOURS, ItemStatistics, Popularity, PopularityHead, Scales};
