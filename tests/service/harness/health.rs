//! What a server says about its own health.

use std::net::SocketAddr;
use std::time::Duration;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The health service of ingest alone: it needs the store, `Personalize` does not.
pub const INGEST: &str = "personalization.v1.PersonalizationService/RecordInteractions";

/// Probes give up after a second or so.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The status of a service, the empty name being the whole server; `None` when there is
/// no answer.
pub async fn health(address: SocketAddr, service: &str) -> Option<ServingStatus> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    let endpoint = endpoint.connect_timeout(TIMEOUT).timeout(TIMEOUT);
    let mut client = HealthClient::new(endpoint.connect().await.ok()?);
    let request = HealthCheckRequest { service: service.to_owned() };
    Some(client.check(request).await.ok()?.into_inner().status())
}

pub async fn is_serving(address: SocketAddr, service: &str) -> bool {
    health(address, service).await == Some(ServingStatus::Serving)
}
