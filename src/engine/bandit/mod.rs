//! Bandits.
//!
//! - The ranker: a Bayesian linear model of the reward of showing an item, learnt from
//!   decisions and what followed them.
//! - Small sets of named [`arms`].
//! - [`strategy`]: how to choose, whatever the arms are.

pub mod arms;
mod pending;
mod posterior;
pub mod strategy;

pub use pending::{PENDING_DECISIONS_MAX, PendingDecision, PendingItem};
pub use posterior::{Posterior, PosteriorMean};
