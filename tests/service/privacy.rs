//! The rights of a person over what is held about them.

pub mod aggregates;
pub mod erase;
mod experiments;
mod export;
mod kills;
mod one_by_one;
