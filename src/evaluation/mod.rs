//! Offline evaluation: how well a recommender ranks on recorded interactions.
//!
//! - Pure: no I/O, no clock, no threads. Who calls measures the time.
//! - Every figure comes with how it was obtained: a protocol of [`protocols`], a
//!   metric of [`metrics`], an interval of [`bootstrap`].
//! - The same data, options and seed give the same figures.
#![deny(clippy::disallowed_types)]

pub mod bootstrap;
mod dataset;
mod engine_recommender;
pub mod metrics;
pub mod protocols;
mod recommender;
mod report;

pub use dataset::{Dataset, DatasetBuilder, DatasetItem, Repeated, Row};
pub use engine_recommender::EngineRecommender;
pub use recommender::{Popularity, Recommender, RecommenderOptions};
pub use report::{Comparison, Figure, ModelFigures, Outcome, Report, Subset, summarize};
