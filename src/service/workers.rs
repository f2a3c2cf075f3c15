//! Threads for what owners of namespaces do: apart from those that answer requests and
//! from the one that commits, so that neither waits for the other.
//!
//! - As many run at a time as a pool has threads; the rest waits in order. An owner has
//!   one job of a kind at a time, so a queue is as long as there are namespaces open.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;

use tokio::sync::oneshot;

use super::blocking::caught;
use super::error::Error;

/// Replays from a snapshot or from the first record: the heaviest there is in memory.
const OPENINGS: usize = 2;
/// Reads what is new and learns it. More than cores: some of them wait for the store.
const LEARNERS: usize = 4;
/// Stores snapshots.
const KEEPERS: usize = 2;
/// Fills the tables behind the logs. Apart, since a table that is far behind takes long.
const PROJECTORS: usize = 2;
/// Reads logs for metrics that were added: one at a time, since each holds values of all its users.
const BACKFILLERS: usize = 1;
/// Trains: one that is due, one that was asked for.
const TRAINERS: usize = 2;
/// Asks for ends and leases. Nothing long may stand before these.
const ASK_THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Some threads and the jobs that wait for them. Cheap to clone; the threads end with the
/// last clone.
#[derive(Debug, Clone)]
pub struct Pool(mpsc::Sender<Job>);

impl Pool {
    pub fn start(name: &str, threads: usize) -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let waiting = waiting.clone();
            let thread = std::thread::Builder::new().name(format!("{name}-{number}"));
            thread.spawn(move || work_on(&waiting)).expect("the system has threads left");
        }
        Self(jobs)
    }

    /// Does `work` on one of the threads. Cancel safe: when the caller goes away, work that
    /// has not begun is dropped, and work that has begun runs to its end.
    ///
    /// # Errors
    /// `Internal` when the work panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, done) = oneshot::channel();
        let job = move || {
            if !reply.is_closed() {
                let _gone = reply.send(caught(work));
            }
        };
        self.0.send(Box::new(job)).map_err(|_ended| Error::ShuttingDown)?;
        done.await.unwrap_or(Err(Error::ShuttingDown))
    }
}

fn work_on(waiting: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        job();
    }
}

/// The pools of a process.
#[derive(Debug, Clone)]
pub struct Workers {
    pub opening: Pool,
    pub learning: Pool,
    pub keeping: Pool,
    pub projecting: Pool,
    pub backfilling: Pool,
    pub training: Pool,
    pub asking: Pool,
}

impl Workers {
    pub fn start() -> Self {
        Self {
            opening: Pool::start("open", OPENINGS),
            learning: Pool::start("learn", LEARNERS),
            keeping: Pool::start("keep", KEEPERS),
            projecting: Pool::start("project", PROJECTORS),
            backfilling: Pool::start("backfill", BACKFILLERS),
            training: Pool::start("train", TRAINERS),
            asking: Pool::start("ask", ASK_THREADS),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use super::*;

    #[tokio::test]
    async fn no_more_run_at_a_time_than_there_are_threads_and_a_panic_ends_none() {
        let pool = Pool::start("test", 2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut jobs = tokio::task::JoinSet::new();
        for number in 0..20 {
            let (pool, running, most) = (pool.clone(), running.clone(), most.clone());
            jobs.spawn(async move {
                let work = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    running.fetch_sub(1, Ordering::SeqCst);
                    assert!(number % 5 > 0, "on purpose");
                };
                pool.run(work).await.is_ok()
            });
        }
        let done = jobs.join_all().await;
        assert_eq!(done.iter().filter(|done| **done).count(), 16);
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_not_begun() {
        let pool = Pool::start("test", 1);
        let (release, wait) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let busy = tokio::spawn({
            let pool = pool.clone();
            let work = move || {
                let _received = started.send(());
                wait.recv()
            };
            async move { pool.run(work).await }
        });
        has_started.await.unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let mark = begun.clone();
        let given_up = pool.run(move || mark.fetch_add(1, Ordering::SeqCst));
        let in_time = tokio::time::timeout(std::time::Duration::from_millis(20), given_up).await;
        assert!(in_time.is_err());
        release.send(()).unwrap();
        busy.await.unwrap().unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 0);
    }
}
