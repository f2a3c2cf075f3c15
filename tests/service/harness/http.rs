//! One HTTP GET, byte by byte as a probe sends it.

use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::server::Server;

/// Status code and body.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut connection = TcpStream::connect(address).await.expect("the HTTP port is open");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    (code.expect("a status line"), body.to_owned())
}

/// A counter of the server's metrics.
pub async fn counter(server: &Server, name: &str) -> u64 {
    let (_, metrics) = get(server.http, "/metrics").await;
    let line =
        metrics.lines().find(|line| line.starts_with(&format!("personalization_{name}_total")));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
}
