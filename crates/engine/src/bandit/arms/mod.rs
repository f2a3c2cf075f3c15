//! Bandits over small sets of named arms: layouts, notifications, sources.
//!
//! - Without a context an arm has a rate with a Beta belief: prior plus
//!   rewards against selections without reward.
//! - With a context each arm has its own linear model of the reward ([`linear`]), over inputs
//!   whose scale is learnt ([`scale`]).
//! - Where arms have features, a model that all share says what is to be expected of an arm
//!   ([`shared`]). Without features it would only add the average arm (the hybrid LinUCB of Li
//!   et al. 2010), which was tried on two streams of classes under Thompson sampling and optimism:
//!   rewards of .937 and .951, .841 and .839 against .941 and .952, .842 and .836 without, for
//!   twice the work.
//! - A selection counts at once as one without reward; the reward corrects that when it
//!   comes. So the state is right at every moment, without timers, however late rewards
//!   are ([`learn`]).
//! - Old observations fade by selections of the set, not by time: see [`set`].

mod choose;
mod context;
mod evidence;
mod learn;
mod linear;
mod pending;
mod scale;
mod set;
mod shared;
#[cfg(test)]
mod tests;

pub use choose::{ArmChoice, ChosenArm, choose};
pub use context::Shape;
pub use learn::Arms;
pub use set::{Arm, ArmSet};
