//! Flags and environment variables of the ports.

use clap::Args;

/// Bounds of what clients may hold open.
#[derive(Debug, Clone, Args)]
pub struct EdgeConfig {
    /// Most connections to the gRPC port; what the process may have of descriptors bounds
    /// it, too, and is the default up to 1,000 (1 to 100,000)
    #[arg(long, env = "MAX_CONNECTIONS",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_connections: Option<u32>,

    /// Longest time, in seconds, that a client may take to send the HTTP/2 preface and to send a request; a
    /// second more for each 256 KiB (1 to 600)
    #[arg(long, env = "REQUEST_SECONDS", default_value = "10",
          value_parser = clap::value_parser!(u64).range(1..=600))]
    pub request_seconds: u64,
}
