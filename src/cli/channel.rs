//! The way to a server that a person names, and what it says when it fails.

use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::cli::Failure;

/// Connects to an address with or without a scheme.
///
/// # Errors
/// When it cannot be reached.
pub async fn connect(addr: &str) -> Result<Channel, Failure> {
    let has_scheme = addr.contains("://");
    let addr = if has_scheme { addr.to_owned() } else { format!("http://{addr}") };
    let connected = Endpoint::from_shared(addr.clone())?.tcp_nodelay(true).connect().await;
    connected.map_err(|_cause| format!("cannot reach {addr}: is a server running there?").into())
}

/// What the server says, without its code in words.
pub fn told(status: Status) -> Failure {
    status.message().to_owned().into()
}
