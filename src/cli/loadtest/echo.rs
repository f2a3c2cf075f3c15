//! A bare tonic echo: the floor that a unary call with the same payload costs on this machine.
//!
//! - Same binary, same allocator, same runtime, own process, as the server under test; no code of ours
//!   between decoding and encoding.
//! - Requests have exactly the encoded sizes of the measured requests, the answer exactly the median
//!   size of the measured answers.
//! - The child ends when its standard input closes, so it cannot outlive the load tool.

use std::convert::Infallible;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tonic::Code;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::codegen::Service;
use tonic::codegen::http;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::server::NamedService;
use tonic::server::UnaryService;
use tonic::transport::Channel;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;

use crate::cli::Failure;
use crate::cli::loadtest::drive::Call;
use crate::cli::loadtest::personalize::index;

const PATH: &str = "/personalization.loadtest.Echo/Echo";
/// How long the child may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of any encoded size but 1.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Blob {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
    /// Two bytes when set, for the sizes that a byte string alone cannot have.
    #[prost(bool, tag = "2")]
    pad: bool,
}

impl Blob {
    /// A message that takes `size` bytes encoded; 0 for size 1, which no message has.
    pub fn of_encoded_size(size: usize) -> Self {
        // Tag and length take 2 to 11 bytes.
        (size.saturating_sub(13)..=size)
            .flat_map(|length| [(length, false), (length, true)])
            .map(|(length, pad)| Self { data: vec![b'x'; length], pad })
            .find(|blob| prost::Message::encoded_len(blob) == size)
            .unwrap_or_default()
    }
}

/// Answers each request with the same blob.
#[derive(Clone, Debug)]
struct EchoService {
    answer: Arc<Blob>,
}

impl NamedService for EchoService {
    const NAME: &'static str = "personalization.loadtest.Echo";
}

impl Service<http::Request<Body>> for EchoService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Blob, Blob>::default());
            Ok(grpc.unary(service, request).await)
        })
    }
}

impl UnaryService<Blob> for EchoService {
    type Response = Blob;
    type Future = std::future::Ready<Result<tonic::Response<Blob>, Status>>;

    fn call(&mut self, _request: tonic::Request<Blob>) -> Self::Future {
        std::future::ready(Ok(tonic::Response::new(Blob::clone(&self.answer))))
    }
}

/// The child process: serves on a loopback port (0: any), prints it, and ends with its standard input.
///
/// # Errors
/// When the port is taken.
pub async fn serve(port: u16, answer_bytes: usize) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    println!("{}", listener.local_addr()?);
    std::thread::spawn(move || {
        let mut ignored = Vec::new();
        // Whatever ends the reading ends the server.
        let _ = std::io::stdin().read_to_end(&mut ignored);
        drop(stop);
    });
    let service = EchoService { answer: Arc::new(Blob::of_encoded_size(answer_bytes)) };
    // The builder's own option has no effect on connections that come from outside.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::select! {
        served = Server::builder().add_service(service).serve_with_incoming(incoming) => Ok(served?),
        _ = stopped => Ok(()),
    }
}

/// A running echo server.
#[derive(Debug)]
pub struct EchoProcess {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl EchoProcess {
    /// Starts this program again, as an echo server.
    ///
    /// # Errors
    /// When the child does not say where it listens.
    pub async fn start(answer_bytes: usize) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["loadtest", "--echo-server", "0", "--echo-answer-bytes"])
            .arg(answer_bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("standard output is piped");
        // Before anything can fail: from here on, dropping it ends the child.
        let mut process = Self { child, url: String::new() };
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_| line)
        });
        let line = tokio::time::timeout(START_TIMEOUT, line)
            .await
            .map_err(|_elapsed| "the echo server did not start in time")???;
        if line.trim().is_empty() {
            return Err("the echo server ended before it listened".into());
        }
        process.url = format!("http://{}", line.trim());
        Ok(process)
    }

    /// The process, for its CPU time.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for EchoProcess {
    fn drop(&mut self) {
        // It may have ended by itself; nothing waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls of the echo, over several connections in turn.
#[derive(Debug)]
pub struct Echo {
    channels: Vec<Channel>,
    requests: Vec<Blob>,
    timeout: Duration,
}

impl Echo {
    /// Prepares requests of the given encoded sizes.
    pub fn new(channels: Vec<Channel>, request_bytes: &[usize], timeout: Duration) -> Self {
        Self {
            channels,
            requests: request_bytes.iter().map(|size| Blob::of_encoded_size(*size)).collect(),
            timeout,
        }
    }

    async fn once(&self, number: u64) -> Result<Blob, Status> {
        let channel = self.channels[index(number, self.channels.len())].clone();
        let blob = self.requests[index(number, self.requests.len())].clone();
        let mut request = tonic::Request::new(blob);
        request.set_timeout(self.timeout);
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Blob, Blob>::default();
        let path = PathAndQuery::from_static(PATH);
        let response = grpc.unary(request, path, codec).await?;
        Ok(response.into_inner())
    }
}

impl Call for Echo {
    async fn call(&self, number: u64) -> Result<(), Code> {
        match tokio::time::timeout(self.timeout, self.once(number)).await {
            Ok(Ok(_blob)) => Ok(()),
            Ok(Err(status)) => Err(status.code()),
            Err(_elapsed) => Err(Code::DeadlineExceeded),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_blob_has_exactly_the_size_asked_for_across_the_length_boundaries() {
        for size in (2..400).chain(16_370..16_400).chain([2_097_160]) {
            assert_eq!(Blob::of_encoded_size(size).encoded_len(), size);
        }
        assert_eq!(Blob::of_encoded_size(0).encoded_len(), 0);
        assert_eq!(Blob::of_encoded_size(1).encoded_len(), 0);
    }

    #[tokio::test]
    async fn the_echo_answers_with_the_size_it_was_given() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = EchoService { answer: Arc::new(Blob::of_encoded_size(777)) };
        tokio::spawn(
            Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)),
        );
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let echo = Echo::new(vec![channel], &[130], Duration::from_secs(5));
        assert_eq!(echo.once(0).await.unwrap().encoded_len(), 777);
        assert_eq!(echo.call(1).await, Ok(()));
    }
}
