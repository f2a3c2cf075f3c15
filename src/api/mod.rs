//! The gRPC services: parse, call the use case, shape the answer.
//!
//! - All validation of input is in `convert`; behind it every value is within the
//!   limits of the domain.
//! - Errors become statuses in `status` only.

mod admin;
mod answers;
mod bandit;
mod catalog;
mod convert;
mod deadline;
mod explanations;
mod intake;
mod model;
mod personalization;
mod producer;
mod profile_cache;
mod status;

pub use admin::AdminApi;
pub use bandit::BanditApi;
pub use catalog::CatalogApi;
pub use model::ModelApi;
pub use personalization::PersonalizationApi;

use std::sync::Arc;

use tonic::Status;

use crate::service::Namespace;
use crate::service::Service;

/// The namespace a request names; empty means the default one.
async fn namespace(service: &Service, name: &str) -> Result<Arc<Namespace>, Status> {
    let name = convert::namespace(name).map_err(status::invalid)?;
    service.namespaces.get(&name).await.map_err(status::status)
}
