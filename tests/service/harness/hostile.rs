//! A client that speaks HTTP/2 frame by frame: it announces what it never sends, sends
//! half a request, and reads when it likes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::Status;

/// How an HTTP/2 connection begins, with settings of no entries.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One connection.
pub struct Hostile {
    sender: SendRequest<Bytes>,
    pings: Option<h2::PingPong>,
}

/// A call whose request is sent byte by byte.
pub struct HalfCall {
    pub request: SendStream<Bytes>,
    answer: ResponseFuture,
}

impl Hostile {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        let (sender, mut connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        let pings = connection.ping_pong();
        tokio::spawn(async move {
            // Ends with the connection, however it ends.
            let _ended = connection.await;
        });
        Self { sender, pings }
    }

    /// Sends one ping after the other.
    pub fn ping_for_ever(&mut self) -> tokio::task::JoinHandle<()> {
        let mut pings = self.pings.take().expect("asked once");
        tokio::spawn(async move {
            while pings.ping(h2::Ping::opaque()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }

    /// Begins a call of a method of the service; waits while too many of this connection
    /// run. Nothing of its message is sent.
    pub async fn call(&mut self, method: &str, timeout: Option<&str>) -> HalfCall {
        let mut request = Request::post(format!("http://server/personalization.v1.{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let mut sender = self.sender.clone().ready().await.expect("the connection lives");
        let request = request.body(()).expect("a request");
        let (answer, request) = sender.send_request(request, false).expect("a stream");
        HalfCall { request, answer }
    }
}

impl HalfCall {
    /// Sends bytes as they are, as fast as the server takes them.
    pub async fn send(&mut self, mut bytes: Bytes, is_last: bool) -> Result<(), h2::Error> {
        while !bytes.is_empty() {
            self.request.reserve_capacity(bytes.len());
            let capacity = std::future::poll_fn(|context| self.request.poll_capacity(context));
            let Some(capacity) = capacity.await else { return Ok(()) };
            let now = bytes.split_to(capacity?.min(bytes.len()));
            self.request.send_data(now, is_last && bytes.is_empty())?;
        }
        Ok(())
    }

    /// Announces a message of so many bytes.
    pub async fn announce(&mut self, bytes: u32) {
        let mut head = vec![0];
        head.extend(bytes.to_be_bytes());
        // A server that has refused the call already takes nothing.
        let _refused = self.send(head.into(), false).await;
    }

    /// The status that ends the call, of the headers or behind the stream.
    pub async fn status(self) -> Status {
        let answered = tokio::time::timeout(Duration::from_secs(30), async move {
            let answer = self.answer.await.expect("an answer");
            if let Some(status) = Status::from_header_map(answer.headers()) {
                return status;
            }
            let mut body = answer.into_body();
            while let Some(data) = body.data().await {
                let bytes = data.expect("data").len();
                body.flow_control().release_capacity(bytes).expect("bytes that came");
            }
            let trailers = body.trailers().await.expect("an end").expect("trailers");
            Status::from_header_map(&trailers).expect("a status")
        });
        answered.await.unwrap_or_else(|_late| Status::new(Code::Unknown, "no answer in 30 s"))
    }
}
