//! A connection for commands that must not wait: there is one now, or there is none.
//!
//! - A supervisor connects, and asks each second whether Redis still answers.
//! - After a few missed deadlines in a row the link counts as down until Redis has
//!   answered again: a Redis that hangs costs a request its deadline a few times
//!   only, and no commands pile up for it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fred::clients::Client;
use fred::error::Error;
use fred::error::ErrorKind;
use fred::interfaces::ClientLike;
use fred::types::config::Options;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;
use super::connection::Connector;
use super::counters::Counters;

const PING_EVERY: Duration = Duration::from_secs(1);
const PING_DEADLINE: Duration = Duration::from_secs(2);
const MISSES_MAX: u32 = 5;
/// Answers of a server that this connection is of no use with: a primary that was
/// made a replica, one that forgot the login.
const FATAL: [&str; 4] = ["READONLY", "MASTERDOWN", "NOAUTH", "CLUSTERDOWN"];

pub struct Link {
    shared: Arc<Shared>,
    _supervisor: AbortOnDropHandle<()>,
}

struct Shared {
    client: ArcSwapOption<Client>,
    /// Deadlines missed since the last answer.
    misses: AtomicU32,
    /// The server has answered that it is of no use.
    refused: AtomicBool,
    check_now: Notify,
    counters: Arc<Counters>,
}

impl Link {
    pub fn start(connector: Connector, counters: Arc<Counters>) -> Self {
        let shared = Arc::new(Shared {
            client: ArcSwapOption::empty(),
            misses: AtomicU32::new(0),
            refused: AtomicBool::new(false),
            check_now: Notify::new(),
            counters,
        });
        let supervisor = tokio::spawn(supervise(connector, shared.clone()));
        Self { shared, _supervisor: AbortOnDropHandle::new(supervisor) }
    }

    pub fn is_up(&self) -> bool {
        self.client().is_some()
    }

    /// Runs commands when the link is up; `None` when it is not, and when they fail.
    pub async fn run<T, F>(&self, commands: impl FnOnce(Arc<Client>) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.client()?;
        match commands(client).await {
            Ok(answer) => {
                self.shared.misses.store(0, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                self.shared.count(&error);
                None
            }
        }
    }

    fn client(&self) -> Option<Arc<Client>> {
        if self.shared.misses.load(Ordering::Relaxed) >= MISSES_MAX {
            return None;
        }
        self.shared.client.load_full()
    }
}

impl Shared {
    fn count(&self, error: &Error) {
        if *error.kind() == ErrorKind::Timeout {
            self.counters.timeouts.add(1);
            self.misses.fetch_add(1, Ordering::Relaxed);
            self.check_now.notify_one();
            return;
        }
        self.counters.errors.add(1);
        if FATAL.iter().any(|answer| error.details().starts_with(answer)) {
            self.refused.store(true, Ordering::Relaxed);
            self.check_now.notify_one();
        }
    }
}

async fn supervise(mut connector: Connector, shared: Arc<Shared>) {
    loop {
        let mut connection = connector.connect().await;
        shared.misses.store(0, Ordering::Relaxed);
        shared.refused.store(false, Ordering::Relaxed);
        shared.client.store(Some(Arc::new(connection.client.clone())));
        let reason = until_lost(&mut connection, &shared).await;
        shared.client.store(None);
        drop(connection);
        connector.lost(&reason);
    }
}

async fn until_lost(connection: &mut Connection, shared: &Shared) -> Error {
    let options = Options { timeout: Some(PING_DEADLINE), ..Options::default() };
    let client = connection.client.with_options(&options);
    loop {
        tokio::select! {
            reason = connection.ended() => return reason,
            () = shared.check_now.notified() => {}
            () = tokio::time::sleep(PING_EVERY) => {}
        }
        if shared.refused.load(Ordering::Relaxed) {
            return Error::new(ErrorKind::Unknown, "the server refuses commands");
        }
        tokio::select! {
            reason = connection.ended() => return reason,
            answer = client.ping::<()>(None) => match answer {
                Ok(()) => shared.misses.store(0, Ordering::Relaxed),
                Err(error) => return error,
            }
        }
    }
}
