//! Bandits.
//!
//! - The ranker: a Bayesian linear model of the reward of an impression, learnt from
//!   decisions and their outcomes: sums (posterior), means and uncertainty
//!   (belief), deviations of segments (ranker), which positions were looked at (pending,
//!   examination). Also what each item earns beyond its features (item_effects).
//! - Small sets of named [`arms`].
//! - [`strategy`]: how to choose, whatever the arms are.

mod allowance;
pub mod arms;
mod belief;
mod division;
mod examination;
mod fading;
mod influence;
pub mod item_effects;
mod pending;
mod posterior;
mod ranker;
pub mod strategy;

pub use allowance::{ExplorationAccount, HALF_LIFE};
pub use belief::Belief;
pub use division::PendingDivision;
pub use fading::discount;
pub use influence::{Piece, of_return};
pub use item_effects::{ItemEffect, ItemEffects};
pub use pending::{Learners, PageBefore, PendingDecision, PendingTrial, ShownPosition};
pub use posterior::{Posterior, RankerPrior, Weight};
pub use ranker::{OwnRankerId, Ranker, SEGMENTS, segment, segments};
