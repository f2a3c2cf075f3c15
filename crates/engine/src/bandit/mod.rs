//! Bandits.
//!
//! - The ranker: a Bayesian linear model of the reward of showing an item, learnt from
//!   decisions and what followed them: sums (posterior), how sure they make one
//!   (belief), segments that deviate (ranker), who looked at what (pending,
//!   examination).
//! - Small sets of named [`arms`].
//! - [`strategy`]: how to choose, whatever the arms are.

mod allowance;
pub mod arms;
mod belief;
mod examination;
mod influence;
mod pending;
mod posterior;
mod ranker;
pub mod strategy;

pub use allowance::{ExplorationAccount, HALF_LIFE};
pub use belief::Belief;
pub use influence::Piece;
pub use pending::{PENDING_DECISIONS_MAX, PendingDecision, PendingItem, PendingTrial};
pub use posterior::{Posterior, RankerPrior, Weight};
pub use ranker::{Ranker, SEGMENTS, discount, segment, segments};
