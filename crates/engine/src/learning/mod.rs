//! What each kind of record does to the state.

mod apply;
pub mod cold_items;
mod decisions;
mod sampling;

pub use apply::{Effect, Unreadable, decision_key};
