//! The ports of the process, from the first byte to the last.
//!
//! - They are served from the moment they are bound: probes learn that the process lives,
//!   callers that it starts. The services join when they can be asked.
//! - Connections, calls, bytes of requests and the time that each may take are bounded.
//! - At a shutdown probes learn it first, then streams and connections are told to end;
//!   what has not ended at the timeout is cut.

mod accept;
mod activity;
mod budget;
mod calls;
mod connection;
mod descriptors;
mod health;
mod http;
mod methods;
mod request;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::codegen::Service as _;
use tonic::service::Routes;

use accept::Acceptor;
use activity::Activity;
use activity::Rules;
use calls::Calls;
use connection::Socket;
use connection::Watch;
use health::Health;
use methods::Methods;

use crate::api::AdminApi;
use crate::api::AggregateApi;
use crate::api::BanditApi;
use crate::api::CatalogApi;
use crate::api::ExperimentApi;
use crate::api::ModelApi;
use crate::api::PersonalizationApi;
use crate::api::PrivacyApi;
use crate::api::TakeoverApi;
use crate::proto::DESCRIPTORS;
use crate::proto::admin_service_server::AdminServiceServer;
use crate::proto::aggregate_service_server::AggregateServiceServer;
use crate::proto::bandit_service_server::BanditServiceServer;
use crate::proto::catalog_service_server::CatalogServiceServer;
use crate::proto::experiment_service_server::ExperimentServiceServer;
use crate::proto::model_service_server::ModelServiceServer;
use crate::proto::personalization_service_server::PersonalizationServiceServer;
use crate::proto::privacy_service_server::PrivacyServiceServer;
use crate::proto::takeover_service_server::TakeoverServiceServer;
use crate::service::Service;
use crate::telemetry::EdgeMetrics;
use crate::telemetry::Metrics;
use engine::domain::limits;

/// Bytes that a stream and a connection may leave unread at most: a client stream of
/// events must not wait for window updates.
const STREAM_WINDOW_BYTES: usize = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// The least that HTTP/2 lets a connection have.
const WINDOW_BYTES_MIN: usize = 65_535;
/// Bytes of the metadata of a call.
const HEADER_BYTES: u32 = 16 * 1024;
/// Bytes of an answer that wait for their client, of one stream.
const SEND_BYTES: usize = 256 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(300);
const NOT_READING: Duration = Duration::from_secs(60);
/// Headers of a probe or a scraper.
const HTTP_HEADERS: usize = 64;
const HTTP_BUFFER_BYTES: usize = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {addr}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error("the reflection service cannot be built")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the descriptors of the services cannot be read")]
    Descriptors(#[from] prost::DecodeError),
}

/// Ports that are bound but not yet served.
#[derive(Debug)]
pub struct Bound {
    grpc: TcpListener,
    http: TcpListener,
    pub grpc_addr: SocketAddr,
    pub http_addr: SocketAddr,
}

/// How the ports are served.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Most connections to the gRPC port; `None` is what the process can have.
    pub max_connections: Option<usize>,
    /// How long a client may take to send the preface, and to send a request.
    pub request_timeout: Duration,
    /// How long a shutdown waits for running calls.
    pub shutdown_timeout: Duration,
}

/// Binds both ports; port 0 takes a free one.
///
/// # Errors
/// When a port is taken.
pub async fn bind(grpc: SocketAddr, http: SocketAddr) -> Result<Bound, Error> {
    let listen = async |addr: SocketAddr| -> Result<(TcpListener, SocketAddr), Error> {
        let failed = |source| Error::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok((listener, addr))
    };
    let (grpc, grpc_addr) = listen(grpc).await?;
    let (http, http_addr) = listen(http).await?;
    Ok(Bound { grpc, http, grpc_addr, http_addr })
}

/// The ports while they are served.
#[derive(Debug)]
pub struct Server {
    calls: Arc<Calls>,
    health: Health,
    /// What tells streams to end, once there are services.
    draining: Arc<OnceLock<CancellationToken>>,
    supervisor: tokio::task::JoinHandle<()>,
}

/// Serves the ports until `stop` is cancelled.
///
/// # Errors
/// When what describes the services is not in order.
pub async fn start(
    bound: Bound,
    options: Options,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<Server, Error> {
    let max_connections = descriptors::connections(descriptors::raise(), options.max_connections);
    let (health, health_service) = health::new().await;
    let own = Routes::new(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let methods = Methods::new(&[
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])?;
    let edge = metrics.edge.clone();
    let calls = Arc::new(Calls::new(methods, own, edge.clone(), options.request_timeout));
    let grpc = Port::new(
        &edge,
        max_connections,
        Rules {
            preface: options.request_timeout,
            idle: IDLE,
            idle_when_full: options.request_timeout,
            not_reading: NOT_READING,
        },
    );
    let http = Port::new(
        &edge,
        limits::HTTP_CONNECTIONS,
        Rules {
            preface: options.request_timeout,
            idle: IDLE,
            idle_when_full: options.request_timeout / 2,
            not_reading: NOT_READING,
        },
    );
    let router = http::router(metrics, health.readiness());
    tokio::spawn(http.clone().serve_http(bound.http, router, options.request_timeout));
    tokio::spawn(grpc.clone().serve_grpc(bound.grpc, calls.clone(), max_connections));
    let draining = Arc::new(OnceLock::new());
    let ending = Ending {
        grpc,
        http,
        health: health.clone(),
        draining: draining.clone(),
        timeout: options.shutdown_timeout,
    };
    let supervisor = tokio::spawn(ending.run(stop));
    Ok(Server { calls, health, draining, supervisor })
}

impl Server {
    /// From now on the services answer, each as far as it can.
    pub fn open(&self, service: &Service) {
        self.draining.get_or_init(|| service.draining.clone());
        tokio::spawn(self.health.clone().follow(service.store.subscribe()));
        self.calls.open(routes(service));
    }

    /// Probes learn that the service is ready.
    pub async fn set_ready(&self) {
        self.health.set_ready().await;
    }

    /// Waits until all connections have ended, which they do after the stop.
    pub async fn ended(self) {
        if let Err(failure) = self.supervisor.await {
            tracing::error!(%failure, "the ports ended badly");
        }
    }
}

fn routes(service: &Service) -> Routes {
    let personalization =
        PersonalizationServiceServer::new(PersonalizationApi::new(service.clone()));
    let catalog = CatalogServiceServer::new(CatalogApi::new(service.clone()));
    // Smaller bounds, by method, are those of `methods`.
    Routes::new(personalization.max_decoding_message_size(limits::MESSAGE_BYTES))
        .add_service(catalog.max_decoding_message_size(limits::MESSAGE_BYTES))
        .add_service(ModelServiceServer::new(ModelApi::new(service.clone())))
        .add_service(BanditServiceServer::new(BanditApi::new(service.clone())))
        .add_service(TakeoverServiceServer::new(TakeoverApi::new(service.clone())))
        .add_service(ExperimentServiceServer::new(ExperimentApi::new(service.clone())))
        .add_service(PrivacyServiceServer::new(PrivacyApi::new(service.clone())))
        .add_service(AggregateServiceServer::new(AggregateApi::new(service.clone())))
        .add_service(AdminServiceServer::new(AdminApi::new(service.clone())))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
}

/// What the connections of a port have in common.
#[derive(Debug, Clone)]
struct Port {
    watch: Watch,
    connections: TaskTracker,
}

impl Port {
    fn new(metrics: &EdgeMetrics, most: usize, rules: Rules) -> Self {
        let watch = Watch {
            rules,
            bound: Arc::new(Semaphore::new(most)),
            metrics: metrics.clone(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        Self { watch, connections: TaskTracker::new() }
    }

    fn acceptor(&self, port: &'static str, listener: TcpListener) -> Acceptor {
        let (bound, metrics) = (self.watch.bound.clone(), self.watch.metrics.clone());
        Acceptor { port, listener, bound, metrics }
    }

    async fn serve_grpc(self, listener: TcpListener, calls: Arc<Calls>, max_connections: usize) {
        let window = (limits::UNREAD_BYTES / max_connections)
            .clamp(WINDOW_BYTES_MIN, CONNECTION_WINDOW_BYTES);
        let mut protocol = http2::Builder::new(TokioExecutor::new());
        protocol
            .timer(TokioTimer::new())
            .initial_stream_window_size(window.min(STREAM_WINDOW_BYTES) as u32)
            .initial_connection_window_size(window as u32)
            .max_concurrent_streams(limits::CALLS_PER_CONNECTION)
            // A client whose deadlines pass takes back all its calls at once, and means no harm.
            .max_pending_accept_reset_streams(limits::CALLS_PER_CONNECTION as usize)
            .max_header_list_size(HEADER_BYTES)
            .max_send_buf_size(SEND_BYTES)
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        let acceptor = self.acceptor("grpc", listener);
        let stop = self.watch.stop.clone();
        acceptor
            .keep(stop, move |stream, slot| {
                let activity = Activity::new();
                let (calls, watched) = (calls.clone(), activity.clone());
                let service = service_fn(move |request| {
                    let answer = calls.clone().answer(request, watched.clone());
                    async move { Ok::<_, std::convert::Infallible>(answer.await) }
                });
                // Small answers are not held back; if the socket does not know how, they are.
                let _unset = stream.set_nodelay(true);
                let socket = TokioIo::new(Socket::new(stream, activity.clone()));
                let connection = protocol.serve_connection(socket, service);
                let watch = self.watch.clone();
                self.connections.spawn(async move {
                    watch.over(connection, &activity).await;
                    drop(slot);
                });
            })
            .await;
    }

    async fn serve_http(self, listener: TcpListener, router: axum::Router, timeout: Duration) {
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(timeout)
            .max_headers(HTTP_HEADERS)
            .max_buf_size(HTTP_BUFFER_BYTES);
        let acceptor = self.acceptor("http", listener);
        let stop = self.watch.stop.clone();
        acceptor
            .keep(stop, move |stream, slot| {
                let activity = Activity::new();
                let (router, watched) = (router.clone(), activity.clone());
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (mut router, call) = (router.clone(), watched.begin(true));
                    async move {
                        let answer = router.call(request).await;
                        drop(call);
                        answer
                    }
                });
                let socket = TokioIo::new(Socket::new(stream, activity.clone()));
                let connection = protocol.serve_connection(socket, service);
                let watch = self.watch.clone();
                self.connections.spawn(async move {
                    watch.over(connection, &activity).await;
                    drop(slot);
                });
            })
            .await;
    }
}

/// Ends everything, in order.
struct Ending {
    grpc: Port,
    http: Port,
    health: Health,
    draining: Arc<OnceLock<CancellationToken>>,
    timeout: Duration,
}

impl Ending {
    async fn run(self, stop: CancellationToken) {
        stop.cancelled().await;
        self.health.set_stopping().await;
        self.grpc.watch.stop.cancel();
        if let Some(draining) = self.draining.get() {
            draining.cancel();
        }
        self.grpc.connections.close();
        if tokio::time::timeout(self.timeout, self.grpc.connections.wait()).await.is_err() {
            tracing::warn!("calls were still running at the timeout");
            self.grpc.watch.cut.cancel();
            self.grpc.connections.wait().await;
        }
        // Probes were answered until here.
        self.http.watch.cut.cancel();
        self.http.watch.stop.cancel();
        self.http.connections.close();
        self.http.connections.wait().await;
    }
}
