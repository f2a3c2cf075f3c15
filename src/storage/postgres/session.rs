//! Connections to one server, usable from blocking code.
//!
//! - They live on a runtime of their own, so that a call blocks its thread wherever
//!   it comes from: a blocking thread of another runtime, a command, a test. Not
//!   from async code.
//! - No call takes longer than the statement timeout and a second: the server ends
//!   statements, and this side gives up on a server that does not answer.
//! - A connection on which a call failed or was given up is closed, not used again.
//! - State of the session (settings, the lock of a migration) must survive between
//!   statements: PgBouncer may stand in between in session mode only.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::ops::Deref;
use std::ops::DerefMut;
use std::time::Duration;

use deadpool_postgres::Client;
use deadpool_postgres::Hook;
use deadpool_postgres::HookError;
use deadpool_postgres::Manager;
use deadpool_postgres::ManagerConfig;
use deadpool_postgres::Pool;
use deadpool_postgres::QueueMode;
use deadpool_postgres::RecyclingMethod;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio::time::timeout_at;

use super::failure;
use super::options::Address;
use super::tls;
use crate::storage::error::Error;

/// How much longer than the server this side waits for an answer.
pub const GRACE: Duration = Duration::from_secs(1);
/// The pause before a read is tried again.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub pool_size: usize,
    pub statement_timeout: Duration,
    pub connect_timeout: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Sessions {
    pool: Pool,
    limits: Limits,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Sessions {
    /// Connects to nothing yet. With `read_only` every write is refused.
    ///
    /// # Errors
    /// `Misconfigured`, `Unavailable`.
    pub fn new(url: &str, limits: Limits, read_only: bool) -> Result<Self, Error> {
        let answer_timeout = limits.statement_timeout + GRACE;
        let address = Address::parse(url, limits.connect_timeout, answer_timeout)?;
        let tls = tls::connector(&address)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let setup = setup(limits.statement_timeout, read_only);
        let pool = Pool::builder(Manager::from_config(address.config, tls, recycling))
            .max_size(limits.pool_size.max(1))
            // The connection used last has its statements prepared.
            .queue_mode(QueueMode::Lifo)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .wait_timeout(Some(limits.statement_timeout))
            .create_timeout(Some(limits.connect_timeout))
            .post_create(Hook::async_fn(move |client, _| {
                let setup = setup.clone();
                Box::pin(
                    async move { client.batch_execute(&setup).await.map_err(HookError::Backend) },
                )
            }))
            .build()
            .map_err(|error| Error::Misconfigured { reason: error.to_string() })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::Unavailable { reason: format!("a runtime: {error}") })?;
        Ok(Self { pool, limits, runtime: Some(runtime) })
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Blocks until `work` is done.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("the runtime is taken by drop only").block_on(work)
    }

    /// Runs `work` on a connection; the connection is closed when it fails, which
    /// rolls back what it began.
    ///
    /// # Errors
    /// Those of `work`; `Unavailable` when there is no connection, or no end within
    /// the statement timeout and a second.
    pub fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let give_up = Instant::now() + self.limits.statement_timeout + GRACE;
        self.block_on(self.run_until(give_up, work))
    }

    /// Like [`Self::run`] for work that writes nothing: when it fails at once, as on
    /// a connection that has gone, it is tried once more.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn read<T>(&self, work: impl AsyncFn(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        let started = Instant::now();
        let give_up = started + self.limits.statement_timeout + GRACE;
        self.block_on(async {
            match self.run_until(give_up, &work).await {
                Err(Error::Unavailable { .. })
                    if started.elapsed() < self.limits.statement_timeout / 2 =>
                {
                    tokio::time::sleep(jittered(PAUSE)).await;
                    self.run_until(give_up, &work).await
                }
                result => result,
            }
        })
    }

    async fn run_until<T>(
        &self,
        give_up: Instant,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let done = timeout_at(give_up, async {
            let mut session = self.session().await.map_err(|(error, _)| error)?;
            let result = work(&mut session).await?;
            session.give_back();
            Ok(result)
        });
        done.await.unwrap_or_else(|_| Err(no_answer()))
    }

    /// A connection, or why there is none and whether that may pass soon.
    pub async fn session(&self) -> Result<Session, (Error, bool)> {
        self.pool.get().await.map(|client| Session(Some(client))).map_err(failure::connecting)
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        // The store may be dropped by async code, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub fn no_answer() -> Error {
    Error::Unavailable { reason: "PostgreSQL: no answer in time".to_owned() }
}

/// A connection that is closed when it is dropped and goes back to the others by
/// `give_back` only: after an error or in the middle of a transaction nobody else
/// must get it.
pub struct Session(Option<Client>);

impl Session {
    pub fn give_back(mut self) {
        drop(self.0.take());
    }

    /// Ends the transaction without a trace; what cannot be ended so is by closing.
    pub async fn roll_back(self) {
        if self.batch_execute("ROLLBACK").await.is_ok() {
            self.give_back();
        }
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        self.0.as_ref().expect("taken by give_back only")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("taken by give_back only")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}

/// Between half and one and a half times the pause, so that processes that failed
/// together do not come back together.
pub fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) >> 32;
    pause.mul_f64(0.5 + random as f64 / f64::from(u32::MAX))
}

/// What every session is set to, whatever the server, the database or the role say.
fn setup(statement_timeout: Duration, read_only: bool) -> String {
    let timeout = statement_timeout.as_millis().max(1);
    // Waiting for a lock ends first, so that the message names the cause.
    let lock_timeout = (timeout * 3 / 4).max(1);
    // A replica that falls silent in the middle of an append must not keep the others
    // from the log for long; a healthy one pauses for a round trip.
    let idle_timeout = timeout.min(2_000);
    let read_only = if read_only { "SET default_transaction_read_only = on;" } else { "" };
    // The server's side of the connection: it must notice that this process is gone,
    // or its locks stay. 5 s of silence and three probes 3 s apart: 14 s.
    //
    // The log's order needs READ COMMITTED: what follows a lock sees what was
    // committed before. An acknowledgement needs the commit on disk, and on the
    // standbys where the server has synchronous ones: `off` and `local` are raised,
    // the stronger settings are the operator's choice.
    format!(
        "SET statement_timeout = {timeout};
         SET lock_timeout = {lock_timeout};
         SET idle_in_transaction_session_timeout = {idle_timeout};
         SET tcp_keepalives_idle = 5;
         SET tcp_keepalives_interval = 3;
         SET tcp_keepalives_count = 3;
         SET tcp_user_timeout = 14000;
         SET default_transaction_isolation = 'read committed';
         {read_only}
         SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') IN ('off', 'local');"
    )
}
