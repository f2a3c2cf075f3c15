//! Leases: an advisory lock of a connection that is kept for nothing else, and a row
//! that counts how often it was taken.
//!
//! - The lock says who has the lease now; it goes with the connection, within 15 s
//!   of the holder's machine.
//! - The row's epoch fences: a holder whose connection was lost without its knowledge
//!   cannot write under the next one's epoch.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::column::Parameter;
use super::session::GRACE;
use super::session::OwnSession;
use super::session::Sessions;
use super::session::no_answer;
use super::store::PostgresStore;
use crate::storage::error::Error;
use crate::storage::leases::Fence;
use crate::storage::leases::Lease;
use crate::storage::leases::Leases;

/// Of the connection of a lease: it may be idle for as long as the lease is held.
const KEEP: &str = "SET idle_session_timeout = 0";
const TRY: &str = "SELECT pg_try_advisory_lock($1)";
const TAKE: &str = "INSERT INTO leases (name, epoch, taken_at, holder)
    VALUES ($1, 1, now(), concat_ws(' ',
        current_setting('application_name'), inet_client_addr(), pg_backend_pid()))
    ON CONFLICT (name) DO UPDATE
    SET epoch = leases.epoch + 1, taken_at = excluded.taken_at, holder = excluded.holder
    RETURNING epoch, pg_backend_pid()";
const IS_HELD: &str = "SELECT EXISTS (
    SELECT FROM leases WHERE name = $1 AND epoch = $2 AND pg_backend_pid() = $3)";

struct PostgresLease {
    fence: Fence,
    /// Server process: another one answers where a pooler shares connections.
    backend: i32,
    /// Closed when dropped, with the lock.
    session: OwnSession,
    sessions: Arc<Sessions>,
}

impl Leases for PostgresStore {
    fn acquire(&self, name: &str) -> Result<Option<Box<dyn Lease>>, Error> {
        let taken = within(&self.sessions, async {
            let session = self.sessions.session().await.map_err(|(error, _)| error)?;
            session.batch_execute(KEEP).await?;
            let lock = session.query_one(TRY, &[&key(name)]).await?;
            if !lock.try_get::<_, bool>(0)? {
                return Ok(None);
            }
            let row = session.query_one(TAKE, &[&name]).await?;
            let epoch: i64 = row.try_get(0)?;
            Ok(Some((epoch.unsigned_abs(), row.try_get(1)?, session.into_own())))
        })?;
        Ok(taken.map(|(epoch, backend, session)| -> Box<dyn Lease> {
            let fence = Fence { lease: name.to_owned(), epoch };
            let sessions = self.sessions.clone();
            Box::new(PostgresLease { fence, backend, session, sessions })
        }))
    }
}

impl Lease for PostgresLease {
    fn fence(&self) -> &Fence {
        &self.fence
    }

    fn is_held(&self) -> Result<bool, Error> {
        within(&self.sessions, async {
            let epoch = self.fence.epoch.cast_signed();
            let parameters: [Parameter<'_>; 3] = [&self.fence.lease, &epoch, &self.backend];
            match self.session.query_one(IS_HELD, &parameters).await {
                Ok(row) => Ok(row.try_get(0)?),
                // The lock went with the connection.
                Err(_) if self.session.is_closed() => Ok(false),
                Err(error) => Err(error.into()),
            }
        })
    }
}

fn within<T>(
    sessions: &Sessions,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let deadline: Duration = sessions.limits().statement_timeout + GRACE;
    sessions.block_on(async { timeout(deadline, work).await.unwrap_or_else(|_| Err(no_answer())) })
}

/// Negative: the keys of the log's partitions and of the migrations are not.
fn key(name: &str) -> i64 {
    xxhash_rust::xxh3::xxh3_64(name.as_bytes()).cast_signed() | i64::MIN
}
