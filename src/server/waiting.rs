//! What is served before the service can be built: probes hear that we live and do
//! not serve yet, instead of no answer.

use std::sync::Arc;

use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::Bound;
use super::Error;
use super::health;
use super::http;
use super::listener;
use crate::telemetry::Metrics;

/// Answers probes until `work` is done, and returns its outcome.
///
/// # Errors
/// When a socket fails.
pub async fn waiting<T>(bound: &Bound, work: impl Future<Output = T>) -> Result<T, Error> {
    let (health, health_service) = health::new().await;
    let incoming = TcpIncoming::from(listener(bound.grpc.try_clone()?)?);
    let grpc = Server::builder().add_service(health_service).serve_with_incoming(incoming);
    let router = http::router(Arc::new(Metrics::default()), health.readiness());
    let http = axum::serve(listener(bound.http.try_clone()?)?, router).into_future();
    tokio::select! {
        served = grpc => Err(served.map_or_else(Error::Grpc, |()| Error::Ended)),
        served = http => Err(served.map_or_else(Error::Socket, |()| Error::Ended)),
        done = work => Ok(done),
    }
}
