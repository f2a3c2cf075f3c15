//! Models that need to know neither the user nor the item: popularity, trend,
//! cohorts, locations, newness.

mod cohorts;
mod groups;
mod locations;
mod memory;
mod newcomers;
mod popularity;
mod shrinkage;

pub use cohorts::{CohortScorer, Cohorts, Estimates};
pub use locations::{LocationScorer, Locations};
pub use memory::Memory;
pub use newcomers::Newcomers;
pub use popularity::{ItemStatistics, Popularity, PopularityHead, Scales};
