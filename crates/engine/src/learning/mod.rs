//! What each kind of record does to the state.

mod apply;
mod backfill;
mod catalogue;
pub mod cold_items;
mod decisions;
mod divided_lists;
mod erasing;
mod experiments;
mod forgetting;
mod interaction;
mod merging;
mod model;
mod own_rankers;
mod pages;
mod pool;
mod responses;
pub mod sampling;
mod settings;
mod users;

pub use apply::{Effect, Unreadable, decision_key};
pub use backfill::BackfillRun;
pub use pages::{DrawnVariant, EarlierPages, MadePage, NotContinued};
