//! `healthcheck`: asks a running server for its health; the exit code is the answer.
//!
//! - Success means SERVING and nothing else: NOT_SERVING, an unknown service, no answer in time and no
//!   connection are all failures, each with its own sentence.
//! - The whole command, connection included, ends within the timeout.

use std::time::Duration;

use tonic::Code;
use tonic::Status;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::cli::Failure;

/// Ask a running server for its health; the exit code is the answer.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    addr: String,
    /// The gRPC service to ask about, for example `personalization.v1.PersonalizationService`. Empty:
    /// the server as a whole.
    #[arg(long, default_value = "", value_name = "NAME")]
    service: String,
    /// How long to wait for the answer, in milliseconds.
    #[arg(long, default_value_t = 3_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,
}

/// Asks once.
///
/// # Errors
/// Unless the answer is SERVING.
pub async fn run(args: Args) -> Result<(), Failure> {
    let limit = Duration::from_millis(args.timeout_ms);
    let answer = tokio::time::timeout(limit, check(&args, limit))
        .await
        .map_err(|_elapsed| format!("{} did not answer within {limit:?}", args.addr))??;
    match answer {
        ServingStatus::Serving => {
            println!("SERVING");
            Ok(())
        }
        other => Err(format!("{} is {}", subject(&args.service), other.as_str_name()).into()),
    }
}

async fn check(args: &Args, limit: Duration) -> Result<ServingStatus, Failure> {
    let channel =
        Endpoint::from_shared(args.addr.clone())?.connect_timeout(limit).connect().await?;
    let request = HealthCheckRequest { service: args.service.clone() };
    match HealthClient::new(channel).check(request).await {
        Ok(response) => Ok(response.into_inner().status()),
        Err(status) => Err(unanswered(&args.service, &status)),
    }
}

/// The failure for an answer that is an error instead of a health.
fn unanswered(service: &str, status: &Status) -> Failure {
    match status.code() {
        Code::NotFound => format!("the server does not know {}", subject(service)).into(),
        code => format!("the health check failed with {code:?}: {}", status.message()).into(),
    }
}

fn subject(service: &str) -> String {
    if service.is_empty() { "the server".to_owned() } else { format!("service {service}") }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::Server;
    use tonic_health::ServingStatus;
    use tonic_health::server::health_reporter;

    use super::*;

    /// A server whose only service is health, with the given answer for `test.Service`.
    async fn server(status: ServingStatus) -> String {
        let (reporter, service) = health_reporter();
        reporter.set_service_status("test.Service", status).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        format!("http://{address}")
    }

    fn args(addr: String, service: &str) -> Args {
        Args { addr, service: service.to_owned(), timeout_ms: 500 }
    }

    #[tokio::test]
    async fn a_serving_service_is_a_success() {
        let addr = server(ServingStatus::Serving).await;
        run(args(addr, "test.Service")).await.unwrap();
    }

    #[tokio::test]
    async fn a_service_that_does_not_serve_is_a_failure_that_names_it() {
        let addr = server(ServingStatus::NotServing).await;
        let failure = run(args(addr, "test.Service")).await.unwrap_err();
        assert_eq!(failure.to_string(), "service test.Service is NOT_SERVING");
    }

    #[tokio::test]
    async fn an_unknown_service_is_a_failure_that_says_so() {
        let addr = server(ServingStatus::Serving).await;
        let failure = run(args(addr, "other")).await.unwrap_err();
        assert_eq!(failure.to_string(), "the server does not know service other");
    }

    #[tokio::test]
    async fn a_server_that_accepts_and_says_nothing_is_a_failure_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = format!("http://{}", listener.local_addr().unwrap());
        let started = std::time::Instant::now();
        let failure = run(args(addr, "")).await.unwrap_err();
        assert!(failure.to_string().contains("within 500ms"), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
