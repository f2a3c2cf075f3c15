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
mod evaluation;
mod explanations;
mod intake;
mod model;
mod personalization;
mod producer;
mod profile_cache;
mod status;
mod takeover;

pub use admin::AdminApi;
pub use bandit::BanditApi;
pub use catalog::CatalogApi;
pub use convert::{RequestUnreadable, recorded_call, recorded_request};
pub use model::ModelApi;
pub use personalization::PersonalizationApi;
pub use takeover::TakeoverApi;

use std::sync::Arc;
use std::time::Duration;

use tonic::Status;

use crate::service::Namespace;
use crate::service::Service;
use engine::View;
use engine::domain::NamespaceName;

/// The namespace a request names; empty means the default one.
async fn namespace(service: &Service, name: &str) -> Result<Arc<Namespace>, Status> {
    let name = convert::namespace(name).map_err(status::invalid)?;
    service.namespaces.get(&name).await.map_err(status::status)
}

/// Counts a request against the rate limit of its namespace.
async fn admit(service: &Service, name: &NamespaceName) -> Result<(), Status> {
    let now = service.clock.now();
    service.limiter.admit_request(name, now).await.map_err(status::status)
}

/// The namespace a request names, and its view at the watermark the request wants, for a
/// request that its rate limit admits.
async fn admitted_view(
    service: &Service,
    name: &str,
    min_watermark: u64,
    patience: Duration,
) -> Result<(Arc<Namespace>, Arc<View>), Status> {
    let namespace = namespace(service, name).await?;
    admit(service, namespace.name()).await?;
    let view = namespace.view_at(min_watermark, patience).await.map_err(status::status)?;
    Ok((namespace, view))
}
