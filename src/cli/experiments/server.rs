//! The way to a server with experiments.

use tonic::transport::Channel;

use crate::cli::Failure;
use crate::cli::channel::connect;
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
        Ok(ExperimentServiceClient::new(connect(&self.addr).await?))
    }
}
