//! One connection from its first byte to its last.
//!
//! It is watched from outside: HTTP says nothing of a client that is silent, idle or does not read.
//! At a shutdown it is told to end (GOAWAY), closed once its calls are over, and cut when
//! the timeout.

use std::io;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::activity::Closing;
use super::activity::Rules;
use crate::telemetry::EdgeMetrics;

/// The preface of HTTP/2 and the head of the SETTINGS frame behind it.
const PREFACE_BYTES: usize = 24 + 9;
/// From the end of the last call to the end of a connection that is told to end: what was
/// written last is still on its way.
const LAST_WORDS: Duration = Duration::from_millis(500);
const LOOK_WHEN_ENDING: Duration = Duration::from_millis(100);

/// A socket that counts what passes over it.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    /// Bytes read, up to those of the preface.
    read: usize,
    unwritten: bool,
}

impl Socket {
    pub fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity, read: 0, unwritten: false }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        let unwritten = written.is_pending();
        if unwritten != self.unwritten {
            self.unwritten = unwritten;
            self.activity.set_unwritten(unwritten);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.read < PREFACE_BYTES {
            self.read += buffer.filled().len() - before;
            if self.read >= PREFACE_BYTES {
                self.activity.set_preface_read();
            }
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What all connections of a port have in common.
#[derive(Debug, Clone)]
pub struct Watch {
    pub rules: Rules,
    /// The slots for connections.
    pub bound: Arc<Semaphore>,
    pub metrics: EdgeMetrics,
    /// Tells connections to end.
    pub stop: CancellationToken,
    /// Cuts them.
    pub cut: CancellationToken,
}

impl Watch {
    fn look_every(&self) -> Duration {
        (self.rules.preface / 4).clamp(LOOK_WHEN_ENDING, Duration::from_secs(2))
    }

    /// Serves a connection until it ends or has to.
    pub async fn over(&self, connection: impl GracefulConnection, activity: &Activity) {
        let mut connection = pin!(connection);
        let mut ending = None;
        loop {
            let look = if ending.is_some() { LOOK_WHEN_ENDING } else { self.look_every() };
            tokio::select! {
                _ended = &mut connection => return,
                () = self.cut.cancelled() => {
                    self.metrics.count_closed_connection("shutdown");
                    return;
                }
                () = self.stop.cancelled(), if ending.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    ending = Some(Instant::now());
                }
                () = tokio::time::sleep(look) => {}
            }
            if let Some(since) = ending {
                if activity.is_over(Instant::now(), since, LAST_WORDS) {
                    return;
                }
                continue;
            }
            let full = self.bound.available_permits() == 0;
            let Some(closing) = activity.judge(Instant::now(), &self.rules, full) else { continue };
            self.metrics.count_closed_connection(closing.name());
            if closing != Closing::Idle {
                return;
            }
            connection.as_mut().graceful_shutdown();
            ending = Some(Instant::now());
        }
    }
}
