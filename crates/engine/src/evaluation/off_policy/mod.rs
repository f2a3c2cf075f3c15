//! Off-policy evaluation: what a target policy would have earned on rounds that another
//! policy, the logging policy, decided.
//!
//! Of each round are known what was shown, the reward, and the propensity: the logging
//! policy's probability of what it showed. With `w` the target's probability of the same
//! action over the propensity, `r` the reward, `f` a reward model:
//!
//! | estimator | value |
//! | --- | --- |
//! | IPS | mean of `w r` |
//! | SNIPS | sum of `w r` over sum of `w` |
//! | direct method (DM) | mean of `sum over a of target(a) f(a)` |
//! | doubly robust (DR; Dudik et al. 2011) | DM plus mean of `w (r - f)` |
//! | SNDR | DM plus sum of `w (r - f)` over sum of `w` |
//! | switch-DR (Wang et al. 2017) | DR whose correction counts where `w` is at most a bound |
//! | DRos (Su et al. 2020) | DR with `l w / (w^2 + l)` for `w` |
//! | replay (Li et al. 2011) | mean reward where the target draws what was shown |
//! | rejection | mean reward of rounds kept with probability `w / max w` |
//! | RIPS (McInerney et al. 2020, not normalized) | mean of `v r`, `v` the product of `w` at the position and all above it |
//!
//! "Clipped" has `min(w, bound)` for `w`.
//!
//! - Slates: every shown position is a round with its own propensity and the reward of its
//!   own item. All but RIPS weigh a position alone (item-position model, IIPS; Li et
//!   al. 2018), right as long as what a position earns does not depend on what the others
//!   show. Where propensities are given the positions above, the value is that of the target
//!   at each position below what the logging policy showed above it; where they are marginal,
//!   that of the target at all positions.
//! - RIPS lets what a position earns depend on the positions above it, not on those below. It
//!   needs propensities given the positions above, and its value is that of the target's own
//!   lists. It exists where any list has several positions. Divided by the sum of `v` it would
//!   be a value of the upper positions: below them hardly any `v` is left.
//! - A reward model judges no round of a unit that it was fitted on (two folds by unit).
//! - Standard errors and resamples are over units (users, or decisions), since rounds of
//!   one unit are alike. They hold the reward model fixed; the direct method's say nothing
//!   of the model's own error.
//! - Pure, and the same bits for the same log, options and seed: threads work on fixed
//!   chunks.
//!
//! Cost: rounds x candidates predictions and probabilities, 17 MB for a million rounds per
//! column, one estimator's sums at a time.

mod arm_replay;
pub mod confidence_sequence;
mod estimators;
mod log;
mod policy;
mod reliability;
mod report;
mod reward_model;
mod support;
mod terms;

pub use arm_replay::{ArmReplay, ReplayPoint, Replayed, Unreplayable};
pub use confidence_sequence::ConfidenceSequence;
pub use estimators::{Bounds, Estimator};
pub use log::{Candidate, Incomplete, InvalidRound, Log, LogBuilder, NewRound, Round, RoundView};
pub use policy::{Policy, PolicyUnknown, Scores, Target, TargetPolicy};
pub use reliability::{Reliability, ReliabilityBin};
pub use report::{Interval, Options, PolicyEstimate, Report, Value, evaluate};
pub use reward_model::{FEATURES_MAX, FittedModel, Prior, RewardModel, Unfit};
pub use support::{EFFECTIVE_SAMPLE_MIN, Support, Warning};

#[cfg(test)]
mod tests;
