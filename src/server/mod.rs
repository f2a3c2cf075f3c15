//! Assembly: gRPC and HTTP on their ports, health, reflection, shutdown order.

mod health;
mod http;
mod waiting;

pub use health::Health;
pub use waiting::waiting;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::api::AdminApi;
use crate::api::BanditApi;
use crate::api::CatalogApi;
use crate::api::ModelApi;
use crate::api::PersonalizationApi;
use crate::api::TakeoverApi;
use crate::proto::DESCRIPTORS;
use crate::proto::admin_service_server::AdminServiceServer;
use crate::proto::bandit_service_server::BanditServiceServer;
use crate::proto::catalog_service_server::CatalogServiceServer;
use crate::proto::model_service_server::ModelServiceServer;
use crate::proto::personalization_service_server::PersonalizationServiceServer;
use crate::proto::takeover_service_server::TakeoverServiceServer;
use crate::service::Service;
use engine::domain::limits;

/// Bytes of an HTTP/2 stream and connection that may be under way: a client stream
/// of events must not wait for window updates.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {addr}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("a listening socket failed")]
    Socket(#[from] std::io::Error),
    #[error("a server ended by itself")]
    Ended,
    #[error("the gRPC server failed")]
    Grpc(#[from] tonic::transport::Error),
    #[error("the reflection service cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Ports that are bound but not yet served.
#[derive(Debug)]
pub struct Bound {
    // Of std, so that they can be cloned: probes are answered before the service is.
    grpc: std::net::TcpListener,
    http: std::net::TcpListener,
    pub grpc_addr: SocketAddr,
    pub http_addr: SocketAddr,
}

/// Binds both ports; port 0 takes a free one.
///
/// # Errors
/// When a port is taken.
pub async fn bind(grpc: SocketAddr, http: SocketAddr) -> Result<Bound, Error> {
    let listen = async |addr: SocketAddr| -> Result<(std::net::TcpListener, SocketAddr), Error> {
        let failed = |source| Error::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let listener = listener.into_std().map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok((listener, addr))
    };
    let (grpc, grpc_addr) = listen(grpc).await?;
    let (http, http_addr) = listen(http).await?;
    Ok(Bound { grpc, http, grpc_addr, http_addr })
}

fn listener(bound: std::net::TcpListener) -> Result<TcpListener, Error> {
    Ok(TcpListener::from_std(bound)?)
}

/// Serves until `stop` is cancelled and the calls under way have ended, or
/// `patience` after that.
///
/// # Errors
/// When the server cannot be assembled or fails.
pub async fn run(
    bound: Bound,
    service: Service,
    stop: CancellationToken,
    patience: Duration,
    on_health: impl FnOnce(Health),
) -> Result<(), Error> {
    let (health, health_service) = health::new().await;
    on_health(health.clone());
    let following = tokio::spawn(health.clone().follow(service.store.subscribe()));

    let http = http::router(service.metrics.clone(), health.readiness());
    let http_stop = stop.clone();
    let http_server = axum::serve(listener(bound.http)?, http)
        .with_graceful_shutdown(async move { http_stop.cancelled().await });
    let http_task = tokio::spawn(async move { http_server.await });

    let personalization =
        PersonalizationServiceServer::new(PersonalizationApi::new(service.clone()))
            .max_decoding_message_size(limits::MESSAGE_BYTES);
    let catalog = CatalogServiceServer::new(CatalogApi::new(service.clone()))
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
    };
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(personalization)
        .add_service(catalog)
        .add_service(ModelServiceServer::new(ModelApi::new(service.clone())))
        .add_service(BanditServiceServer::new(BanditApi::new(service.clone())))
        .add_service(TakeoverServiceServer::new(TakeoverApi::new(service.clone())))
        .add_service(AdminServiceServer::new(AdminApi::new(service.clone())))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener(bound.grpc)?).with_nodelay(Some(true)),
            stop.clone().cancelled_owned(),
        );
    let given_up = async {
        stop.cancelled().await;
        // Probes hear it first, then streams are told to end.
        following.abort();
        health.set_stopping().await;
        service.draining.cancel();
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        served = serving => served?,
        () = given_up => tracing::warn!("calls were still running when the patience ended"),
    }
    http_task.abort();
    Ok(())
}
