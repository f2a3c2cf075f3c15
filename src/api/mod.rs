//! The gRPC services: parse, call the use case, shape the answer.
//!
//! - All validation of input is in `convert`; behind it every value is within the
//!   limits of the domain.
//! - A call is let in by `admission` and by nothing else.
//! - Errors become statuses in `status` only.

mod admin;
mod admission;
mod aggregates;
mod answers;
mod assigning;
mod bandit;
mod call_rejection;
mod catalog;
mod convert;
mod deadline;
mod evaluation;
mod experiments;
mod explanations;
mod export;
mod intake;
mod model;
mod personalization;
mod privacy;
mod producer;
mod profile_cache;
mod rehearsal;
mod status;
mod store_calls;
mod takeover;
mod trainings;

pub use admin::AdminApi;
pub use aggregates::AggregateApi;
pub use bandit::BanditApi;
pub use call_rejection::CallRejection;
pub use catalog::CatalogApi;
pub use convert::{RequestUnreadable, recorded_call, recorded_request};
pub use deadline::CallTime;
pub use experiments::ExperimentApi;
pub use model::ModelApi;
pub use personalization::PersonalizationApi;
pub use privacy::PrivacyApi;
pub use takeover::TakeoverApi;
