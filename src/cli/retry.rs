//! Going on after a cut: which failures pass, and how long to wait.
//!
//! - Waits double from 0.1 s to 5 s, each shortened at random by up to half, so that many clients of a
//!   restarted server do not come at once.
//! - Bounded: after a fixed time without any success, it gives up.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::Status;

use crate::cli::Failure;
use crate::service::Clock;
use crate::service::SystemClock;

const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command that goes on after cuts ended early. What was acknowledged is kept.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("interrupted")]
    Interrupted,
    #[error("the server was not available for {} s, last with {:?}: {}", seconds, status.code(), status.message())]
    GaveUp { seconds: u64, status: Box<Status> },
    #[error("the server refused with {:?}: {}", .0.code(), .0.message())]
    Refused(Box<Status>),
    #[error(transparent)]
    Local(#[from] Failure),
}

/// Whether the same call may succeed a little later.
pub fn passes(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::Cancelled | Code::Aborted => true,
        // A status with a source was made here, from a broken connection; the server's have none.
        _ => status.source().is_some() || status.message().starts_with("h2 protocol error"),
    }
}

/// How long a command retries; clones share whether a failure was reported.
#[derive(Clone, Debug)]
pub struct RetryLimit {
    limit: Duration,
    stop: CancellationToken,
    /// Whether the present outage was reported to the user: many calls notice it at once.
    reported: Arc<AtomicBool>,
}

impl RetryLimit {
    /// Gives up after `limit` without success, and at once when `stop` is cancelled.
    pub fn new(limit: Duration, stop: CancellationToken) -> Self {
        Self { limit, stop, reported: Arc::default() }
    }

    /// What cancels the command.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    fn report(&self, status: &Status) {
        if !self.reported.swap(true, Ordering::Relaxed) {
            let (code, message) = (status.code(), status.message());
            let seconds = self.limit.as_secs();
            eprintln!("{code:?}: {message}; trying again for up to {seconds} s");
        }
    }
}

/// What Ctrl-C cancels.
pub fn interruption() -> CancellationToken {
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    stop
}

/// Waits between attempts, over a bounded time.
#[derive(Debug)]
pub struct Backoff {
    retry_limit: RetryLimit,
    failures: u32,
    failing_since: Option<Instant>,
    rng: ChaCha8Rng,
}

impl Backoff {
    /// No failure so far.
    pub fn new(retry_limit: &RetryLimit) -> Self {
        let now = SystemClock.now().as_millis();
        Self {
            retry_limit: retry_limit.clone(),
            failures: 0,
            failing_since: None,
            rng: ChaCha8Rng::seed_from_u64(now.unsigned_abs()),
        }
    }

    /// There was progress: the next failure is the first again.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.retry_limit.reported.store(false, Ordering::Relaxed);
    }

    /// How long to wait after a failure at `now`; `None`: give up.
    fn next_wait(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.failing_since.get_or_insert(now);
        let failing = now.saturating_duration_since(since);
        let left = self.retry_limit.limit.checked_sub(failing).filter(|left| !left.is_zero())?;
        let doubled = WAIT_FIRST.saturating_mul(1 << self.failures.min(10)).min(WAIT_MAX);
        self.failures += 1;
        let share: f64 = self.rng.random_range(0.5..=1.0);
        Some(doubled.mul_f64(share).min(left))
    }

    /// Waits after a failure.
    ///
    /// # Errors
    /// When the failure does not pass, has lasted too long, or the command is to stop.
    pub async fn wait(&mut self, status: Status) -> Result<(), Trouble> {
        let status = Box::new(status);
        if !passes(&status) {
            return Err(Trouble::Refused(status));
        }
        let Some(wait) = self.next_wait(Instant::now()) else {
            return Err(Trouble::GaveUp { seconds: self.retry_limit.limit.as_secs(), status });
        };
        self.retry_limit.report(&status);
        tokio::select! {
            () = self.retry_limit.stop.cancelled() => Err(Trouble::Interrupted),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}

/// Makes a call, again and again while its failures pass.
///
/// # Errors
/// As [`Backoff::wait`].
pub async fn retried<T, F>(
    retry_limit: &RetryLimit,
    mut call: impl FnMut() -> F,
) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut backoff = Backoff::new(retry_limit);
    loop {
        let answer = tokio::select! {
            () = retry_limit.stop.cancelled() => return Err(Trouble::Interrupted),
            answer = in_time(call()) => answer,
        };
        match answer {
            Ok(value) => {
                backoff.succeeded();
                return Ok(value);
            }
            Err(status) => backoff.wait(status).await?,
        }
    }
}

/// An answer, or UNAVAILABLE when there is none in time.
///
/// # Errors
/// The answer's.
pub async fn in_time<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(ANSWER_TIMEOUT, answer)
        .await
        .unwrap_or_else(|_elapsed| Err(Status::unavailable("no answer in time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_limit(seconds: u64) -> RetryLimit {
        RetryLimit::new(Duration::from_secs(seconds), CancellationToken::new())
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_end_in_time() {
        let mut backoff = Backoff::new(&retry_limit(60));
        let start = Instant::now();
        let mut now = start;
        let mut waits = Vec::new();
        while let Some(wait) = backoff.next_wait(now) {
            waits.push(wait);
            now += wait;
        }
        assert_eq!(now - start, Duration::from_secs(60));
        assert!(waits[0] >= WAIT_FIRST / 2 && waits[0] <= WAIT_FIRST, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= WAIT_MAX), "{waits:?}");
        assert!((10..60).contains(&waits.len()), "{waits:?}");
    }

    #[test]
    fn progress_restarts_the_waits() {
        let mut backoff = Backoff::new(&retry_limit(1));
        let start = Instant::now();
        for _ in 0..20 {
            assert!(backoff.next_wait(start).is_some());
        }
        backoff.succeeded();
        let late = start + Duration::from_secs(100);
        assert!(backoff.next_wait(late).unwrap() <= WAIT_FIRST);
        assert!(backoff.next_wait(late + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn a_rejection_by_the_server_does_not_pass_and_a_broken_connection_does() {
        assert!(!passes(&Status::invalid_argument("wrong")));
        assert!(!passes(&Status::unknown("server's own")));
        assert!(passes(&Status::unavailable("shutting down")));
        let broken = std::io::Error::other("connection reset");
        assert!(passes(&Status::from_error(Box::new(broken))));
    }

    #[tokio::test]
    async fn a_call_is_made_again_until_it_succeeds() {
        let mut failures = 3;
        let retry_limit = retry_limit(60);
        let answer = retried(&retry_limit, || {
            failures -= 1;
            let answer = if failures > 0 { Err(Status::unavailable("not yet")) } else { Ok(5) };
            std::future::ready(answer)
        });
        assert_eq!(answer.await.unwrap(), 5);
    }

    #[tokio::test]
    async fn a_rejection_and_an_interruption_end_the_attempts_at_once() {
        let retry_limit = retry_limit(60);
        let refused = retried(&retry_limit, || {
            std::future::ready(Err::<(), Status>(Status::not_found("no namespace")))
        });
        assert!(matches!(refused.await, Err(Trouble::Refused(_))));
        retry_limit.stop().cancel();
        let interrupted = retried(&retry_limit, || {
            std::future::ready(Err::<(), Status>(Status::unavailable("down")))
        });
        assert!(matches!(interrupted.await, Err(Trouble::Interrupted)));
    }
}
