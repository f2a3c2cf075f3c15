//! Offline evaluation: how well a recommender ranks on recorded interactions.
//!
//! - Pure: no I/O, no clock; threads change no figure. Who calls measures the time.
//! - Every figure comes with how it was obtained: a protocol of [`protocols`], a
//!   metric of [`metrics`] or [`beyond`], an interval of [`bootstrap`].
//! - The same data, options and seed give the same figures.
#![deny(clippy::disallowed_types)]

pub mod ablation;
pub mod beyond;
pub mod bootstrap;
mod curve;
mod dataset;
mod engine_recommender;
mod facts;
pub mod metrics;
pub mod off_policy;
pub mod protocols;
mod recommender;
pub mod rehearsal;
pub mod report;
mod scale;
pub mod simulation;
mod summary;
pub mod tradeoff;

pub use curve::{CurvePoint, learning_curve, verdicts};
pub use dataset::{Dataset, DatasetBuilder, DatasetItem, Repeated, Row};
pub use engine_recommender::{EngineRecommender, RecommenderOptions};
pub use facts::Facts;
pub use recommender::{OwnFrequency, Popularity, Recommender};
pub use scale::{Kind, Scale};
pub use summary::{
    Comparison, Figure, ModelFigures, NEW_USER_MAX, Subset, Summary, WARM_USER_MAX, headline,
    summarize,
};
