//! What can be said without knowing the person: popularity, trend, cohorts.

mod cohorts;
mod popularity;

pub use cohorts::{Cohorts, cohort_names};
pub use popularity::{ItemStatistics, Popularity, Scales};
