//! Rehearsal: the same requests worked out twice, as they are answered now and with a proposed
//! configuration, and what differs.
//!
//! - [`Lists`]: of each pair of lists, which items differ, what the ranker expects of them, what
//!   is shown how often. Nobody has seen the lists of the proposal, so none of it is an effect on users.
//! - [`Rounds`]: logged positions with their rewards, weighed by how likely the proposal would have shown
//!   them: an off-policy estimate.
//! - Users are what is resampled for intervals: lists of one user are alike.

mod estimate;
mod exposure;
mod facts;
mod figures;
mod lists;
#[cfg(test)]
mod tests;
mod words;

pub use estimate::{LoggedPosition, RewardEstimate, Rounds};
pub use exposure::{Exposure, LabelShare};
pub use facts::{Facts, ListFacts};
pub use figures::{Change, Figures};
pub use lists::Lists;
pub use words::verdict;

/// Resamples behind an interval: enough for two digits of its bounds.
const RESAMPLES: usize = 500;
/// The seed of the resamples.
const SEED: u64 = 1;
