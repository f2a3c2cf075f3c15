//! One connection, made again and again.
//!
//! - fred connects, speaks the protocol and finds its way through a cluster or to
//!   the Sentinel's primary; when to connect again is decided here, so that a
//!   connection is either whole or gone and nothing waits inside the client.
//! - Trying never ends. Failed logins are failures like others: a password can be
//!   put right on the server's side.

use std::future::Future;
use std::future::poll_fn;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use fred::clients::Client;
use fred::error::Error;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::types::config::Config;
use fred::types::config::ConnectionConfig;
use fred::types::config::PerformanceConfig;
use fred::types::config::TcpConfig;
use fred::types::config::UnresponsiveConfig;
use tokio_util::task::AbortOnDropHandle;

use super::counters::Counters;

/// Commands that may wait inside the client; more are refused.
const COMMANDS_WAITING: usize = 1_024;
/// For the TCP and TLS handshakes, and for logging in, each.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(2);
/// For all of connecting: a cluster has many nodes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A connection on which an answer is missing for so long is given up.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(4);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A connection that has lived for so long was a success.
const STABLE_AFTER: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(60);

/// A live connection; dropping it closes it.
pub struct Connection {
    pub client: Client,
    task: AbortOnDropHandle<Result<(), Error>>,
}

impl Connection {
    /// Returns when the connection is gone.
    pub async fn ended(&mut self) -> Error {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => Error::new(ErrorKind::IO, "closed"),
            Err(panicked) => Error::new(ErrorKind::Unknown, panicked.to_string()),
        }
    }
}

/// Makes connections for one purpose, one after another.
pub struct Connector {
    purpose: &'static str,
    config: Config,
    command_deadline: Duration,
    counters: Arc<Counters>,
    failures: u32,
    connected_at: Option<Instant>,
    logged_at: Option<Instant>,
}

impl Connector {
    pub fn new(
        purpose: &'static str,
        config: Config,
        command_deadline: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            purpose,
            config,
            command_deadline,
            counters,
            failures: 0,
            connected_at: None,
            logged_at: None,
        }
    }

    /// Tries until there is a connection.
    pub async fn connect(&mut self) -> Connection {
        loop {
            if self.failures > 0 {
                tokio::time::sleep(backoff(self.failures)).await;
            }
            match self.connect_once().await {
                Ok(connection) => {
                    tracing::info!(purpose = self.purpose, "connected to Redis");
                    self.counters.connections.add(1);
                    self.connected_at = Some(Instant::now());
                    return connection;
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    self.log(&error, "Redis cannot be reached; working without, trying again");
                }
            }
        }
    }

    /// Says why the last connection is over.
    pub fn lost(&mut self, reason: &Error) {
        let was_stable = self.connected_at.take().is_some_and(|at| at.elapsed() >= STABLE_AFTER);
        if was_stable {
            self.failures = 0;
            self.logged_at = None;
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        self.log(reason, "the connection to Redis is lost; working without, connecting again");
    }

    async fn connect_once(&self) -> Result<Connection, Error> {
        let performance = PerformanceConfig {
            default_command_timeout: self.command_deadline,
            ..PerformanceConfig::default()
        };
        let client =
            Client::new(self.config.clone(), Some(performance), Some(connection_config()), None);
        let mut connected = pin!(client.wait_for_connect());
        // The first poll subscribes, so that the news cannot be missed.
        let early = poll_fn(|context| Poll::Ready(connected.as_mut().poll(context))).await;
        let task = AbortOnDropHandle::new(client.connect());
        if early.is_pending() {
            let deadline = tokio::time::timeout(CONNECT_DEADLINE, connected).await;
            deadline
                .map_err(|_elapsed| Error::new(ErrorKind::Timeout, "connecting took too long"))??;
        }
        Ok(Connection { client: client.clone(), task })
    }

    fn log(&mut self, error: &Error, message: &str) {
        if self.logged_at.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            self.logged_at = Some(Instant::now());
            tracing::warn!(purpose = self.purpose, error = error.details(), "{message}");
        }
    }
}

fn connection_config() -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: HANDSHAKE_DEADLINE,
        internal_command_timeout: HANDSHAKE_DEADLINE,
        max_command_attempts: 1,
        max_command_buffer_len: COMMANDS_WAITING,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(UNRESPONSIVE_AFTER),
            interval: UNRESPONSIVE_AFTER / 8,
        },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    }
}

/// Doubles from one failure to the next, and differs between processes: a Redis
/// that comes back must not meet all of them at once.
fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(10));
    let most = doubled.min(BACKOFF_MAX);
    // Each hasher of std begins at a random state.
    let random = RandomState::new().hash_one(0_u8);
    most.mul_f64(0.5 + 0.5 * (random as f64 / u64::MAX as f64))
}
