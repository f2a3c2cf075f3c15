//! The configuration of `serve`: flags and environment variables by the same
//! names. `serve --help` is the reference. A value out of range stops the start and
//! names the variable and its range.

mod arms;
mod edge;
mod privacy;
mod ranker;
mod rules;
mod serve;
mod stores;

pub use edge::EdgeConfig;
pub use serve::{DecisionDetail, Environment, ServeConfig};
pub use stores::{StoreConfig, decisions_kept_since};
