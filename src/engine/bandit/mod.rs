//! The ranker as a contextual bandit: a Bayesian linear model of the reward of
//! showing an item, learnt from decisions and what followed them.

mod pending;
mod posterior;
pub mod strategy;

pub use pending::{PENDING_DECISIONS_MAX, PendingDecision, PendingItem};
pub use posterior::{Posterior, PosteriorMean};
