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
mod measured;
pub mod metrics;
pub mod off_policy;
pub mod plain;
pub mod protocols;
mod recommender;
pub mod rehearsal;
pub mod report;
mod scale;
pub mod served;
pub mod simulation;
mod summary;
pub mod tradeoff;
pub mod verdict;

pub use curve::{CurvePoint, Walks, learning_curve, verdicts};
pub use dataset::{Dataset, DatasetBuilder, DatasetItem, Repeated, Row};
pub use engine_recommender::{EngineRecommender, RecommenderOptions};
pub use facts::Facts;
pub use measured::{Figure, Measured, NEW_USER_MAX, Subset, WARM_USER_MAX};
pub use recommender::{OwnFrequency, Popularity, Recommender};
pub use scale::{Kind, Scale};
pub use summary::{Comparison, ModelFigures, Summary, headline, summarize};
