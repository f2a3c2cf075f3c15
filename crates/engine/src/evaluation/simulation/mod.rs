//! A simulated audience: people with hidden tastes, items with a hidden appeal, and what comes of lists.
//!
//! - Pure, and the same on every machine: all of a [`World`] follows from its [`Settings`], the seed included.
//! - What a person does with an item at a visit is one draw, keyed by the visit and the item. So all policies
//!   meet the same people with the same random numbers, and differ by their lists alone.
//! - Each policy has an [`Audience`] of its own: what people had by one policy does not change what they do by
//!   another.

mod audience;
mod draws;
mod items;
mod people;
mod policy;
mod rows;
mod tally;
#[cfg(test)]
mod tests;
mod world;

pub use audience::Audience;
pub use items::Item;
pub use policy::{Newest, Oracle, Policy, Popular, Random, run};
pub use rows::{
    LATE, Outcome, by_age, by_earlier_visits, by_round, of_items, of_recovery, verdict,
};
pub use tally::{Count, Recovery, Tally};
pub use world::{Drift, Kind, Response, Settings, Visit, World};
