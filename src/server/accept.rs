//! Taking connections, up to a bound.
//!
//! - A connection beyond the bound is taken and closed at once: its client notices it now,
//!   not after a timeout.
//! - Without descriptors nothing can be taken; then the loop pauses instead of spinning.
//! - Both are counted each time and logged once a minute.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::telemetry::EdgeMetrics;

const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// A port and how many connections it may have.
#[derive(Debug)]
pub struct Acceptor {
    pub port: &'static str,
    pub listener: TcpListener,
    pub bound: Arc<Semaphore>,
    pub metrics: EdgeMetrics,
}

/// A slot for a connection; free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    open: prometheus_client::metrics::gauge::Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.dec();
    }
}

impl Acceptor {
    /// Takes connections until told to stop; then the port is closed.
    pub async fn keep(self, stop: CancellationToken, mut take: impl FnMut(TcpStream, Slot)) {
        let (mut pause, mut complaint) = (PAUSE_MIN, Complaint::default());
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((connection, _peer)) => {
                    pause = PAUSE_MIN;
                    match self.slot() {
                        Some(slot) => take(connection, slot),
                        None => {
                            self.metrics.count_refused_connection("bound");
                            complaint.make(|| {
                                tracing::warn!(port = self.port, "no more connections are taken");
                            });
                        }
                    }
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    self.metrics.count_refused_connection("descriptors");
                    complaint.make(|| {
                        tracing::error!(port = self.port, %error, "connections cannot be taken");
                    });
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (2 * pause).min(PAUSE_MAX);
                }
            }
        }
    }

    fn slot(&self) -> Option<Slot> {
        let permit = self.bound.clone().try_acquire_owned().ok()?;
        let open = self.metrics.connections(self.port);
        open.inc();
        Some(Slot { open, _permit: permit })
    }
}

/// Errors of a connection that its client has already given up.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

#[derive(Default)]
struct Complaint {
    made: Option<Instant>,
}

impl Complaint {
    fn make(&mut self, log: impl FnOnce()) {
        let now = Instant::now();
        if self.made.is_none_or(|made| now - made >= COMPLAIN_EVERY) {
            self.made = Some(now);
            log();
        }
    }
}
