//! The two ways to put calls on a server: by a schedule (open loop), or as fast as it answers (closed
//! loop, for the greatest throughput only).
//!
//! - Open loop: every call's latency starts at its scheduled time. When too many are in flight the pacer
//!   waits, the schedule does not: what starts late has its wait counted, what never starts is `unsent`.
//! - Both end: the schedule has a length, every call has a timeout, and drains wait for those.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tonic::Code;

use crate::cli::Failure;
use crate::cli::loadtest::measured::Measured;
use crate::cli::loadtest::schedule::Schedule;
use crate::cli::loadtest::schedule::pace;

/// How often the pacer tries again when too many calls are in flight.
const FULL_WAIT: Duration = Duration::from_micros(100);

/// Something that can be called again and again.
pub trait Call: Send + Sync + 'static {
    /// Makes call `number`. Ends in bounded time.
    fn call(&self, number: u64) -> impl Future<Output = Result<(), Code>> + Send;
}

/// One slice of open-loop load.
#[derive(Clone, Debug)]
pub struct Plan {
    pub schedule: Schedule,
    /// How long the schedule is.
    pub length: Duration,
    /// Calls in flight at most.
    pub in_flight: usize,
}

/// Makes the calls of a plan and waits for all answers.
pub async fn open_loop<C: Call>(call: Arc<C>, plan: Plan) -> Result<Measured, Failure> {
    let measured = Arc::new(Mutex::new(Measured::new()));
    let start = Instant::now();
    let tasks = TaskTracker::new();
    let pacer = {
        let plan = plan.clone();
        let measured = Arc::clone(&measured);
        let tasks = tasks.clone();
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            fire_all(&call, &plan, start, &measured, &tasks, &handle)
        })
    };
    pacer.await?;
    tasks.close();
    tasks.wait().await;

    let mut measured = lock(&measured).clone();
    measured.elapsed = start.elapsed().max(plan.length);
    Ok(measured)
}

/// The pacer's thread: spawns each call when it is due and a permit is free.
fn fire_all<C: Call>(
    call: &Arc<C>,
    plan: &Plan,
    start: Instant,
    measured: &Arc<Mutex<Measured>>,
    tasks: &TaskTracker,
    handle: &Handle,
) {
    let permits = Arc::new(Semaphore::new(plan.in_flight));
    let end = start + plan.length;
    pace(start, plan.schedule.clone(), |number, due| {
        lock(measured).offered += 1;
        let permit = loop {
            if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                break permit;
            }
            if Instant::now() >= end {
                // Goes on through the schedule, so that each call that was due is counted.
                lock(measured).unsent += 1;
                return true;
            }
            std::thread::sleep(FULL_WAIT);
        };
        let call = Arc::clone(call);
        let measured = Arc::clone(measured);
        tasks.spawn_on(
            async move {
                let lag = due.elapsed();
                let result = call.call(number).await;
                let latency = due.elapsed();
                drop(permit);
                record(&mut lock(&measured), lag, latency, result);
            },
            handle,
        );
        true
    });
}

fn record(measured: &mut Measured, lag: Duration, latency: Duration, result: Result<(), Code>) {
    measured.started(lag);
    match result {
        Ok(()) => measured.success(latency, 1),
        Err(code) => measured.failure(code, 1),
    }
}

/// Keeps `concurrency` calls in flight for `length`, each worker making the next when it has its answer.
/// The latencies are those under saturation, and say little else.
pub async fn closed_loop<C: Call>(
    call: Arc<C>,
    concurrency: usize,
    length: Duration,
) -> Result<Measured, Failure> {
    let start = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..concurrency as u64 {
        let call = Arc::clone(&call);
        workers.spawn(async move {
            let mut measured = Measured::new();
            let mut number = worker;
            while start.elapsed() < length {
                let began = Instant::now();
                let result = call.call(number).await;
                let refused = result.is_err();
                measured.offered += 1;
                record(&mut measured, Duration::ZERO, began.elapsed(), result);
                if refused {
                    // A server that is gone answers at once: do not spin on it.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                number += concurrency as u64;
            }
            measured
        });
    }
    let mut sum = Measured::new();
    while let Some(measured) = workers.join_next().await {
        sum.merge(&measured?);
    }
    sum.elapsed = start.elapsed();
    Ok(sum)
}

pub fn lock(measured: &Mutex<Measured>) -> std::sync::MutexGuard<'_, Measured> {
    measured.lock().expect("no thread panics while it counts a call")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::loadtest::schedule::Arrivals;

    /// A server that answers at once, but for one pause during which nothing is answered.
    struct Pausing {
        started: Instant,
        pause: std::ops::Range<Duration>,
    }

    impl Pausing {
        fn new(pause: std::ops::Range<u64>) -> Arc<Self> {
            Arc::new(Self {
                started: Instant::now(),
                pause: Duration::from_millis(pause.start)..Duration::from_millis(pause.end),
            })
        }
    }

    impl Call for Pausing {
        async fn call(&self, _number: u64) -> Result<(), Code> {
            let now = self.started.elapsed();
            if self.pause.contains(&now) {
                tokio::time::sleep(self.pause.end - now).await;
            }
            Ok(())
        }
    }

    fn plan(rate: f64, length_ms: u64, in_flight: usize) -> Plan {
        let length = Duration::from_millis(length_ms);
        Plan { schedule: Schedule::new(Arrivals::Fixed, rate, length, 0), length, in_flight }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_pause_of_the_server_shows_in_every_call_that_was_due_in_it() {
        // A pause of half the run. A closed loop with one call in flight would see one slow call of
        // hundreds and report a fine median; here about half of all calls waited.
        let server = Pausing::new(100..300);
        let measured = open_loop(server, plan(500.0, 400, 1)).await.unwrap();
        assert_eq!(measured.succeeded, 200);
        let slow = measured.latency_us(0.75);
        assert!(slow > 20_000.0, "third quartile {slow} us");
        assert!(measured.latency.max() > 150_000_000);
        // With one call at a time the wait is before the start: the lag has it too.
        assert!(measured.lag_us(0.75) > 20_000.0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_that_never_got_a_permit_are_counted_as_unsent() {
        let server = Pausing::new(0..300);
        let measured = open_loop(server, plan(1_000.0, 100, 10)).await.unwrap();
        assert_eq!(measured.offered, 100);
        assert_eq!(measured.succeeded, 10);
        assert_eq!(measured.unsent, 90);
    }

    #[tokio::test]
    async fn a_closed_loop_ends_in_time_and_counts_its_calls() {
        struct Slow;
        impl Call for Slow {
            async fn call(&self, number: u64) -> Result<(), Code> {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if number == 0 {
                    return Err(Code::Unavailable);
                }
                Ok(())
            }
        }
        let measured = closed_loop(Arc::new(Slow), 2, Duration::from_millis(50)).await.unwrap();
        assert_eq!(measured.failed(), 1);
        assert!(measured.succeeded >= 4, "{}", measured.succeeded);
        assert_eq!(measured.offered, measured.succeeded + 1);
    }
}
