//! The way to a server with experiments.

use tonic::Status;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::cli::Failure;
use crate::proto::experiment_service_client::ExperimentServiceClient;

/// Which server, and which namespace of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// Address of the server.
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    addr: String,
    /// The namespace.
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub namespace: String,
}

impl Server {
    /// # Errors
    /// When it cannot be reached.
    pub async fn client(&self) -> Result<ExperimentServiceClient<Channel>, Failure> {
        let has_scheme = self.addr.contains("://");
        let addr = if has_scheme { self.addr.clone() } else { format!("http://{}", self.addr) };
        let connected = Endpoint::from_shared(addr.clone())?.connect().await;
        let channel = connected
            .map_err(|_cause| format!("cannot reach {addr}: is a server running there?"))?;
        Ok(ExperimentServiceClient::new(channel))
    }
}

/// What the server says, without its code in words.
pub fn told(status: Status) -> Failure {
    status.message().to_owned().into()
}
