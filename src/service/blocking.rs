//! Work that takes long, off the threads that serve others.
//!
//! - [`Reads`] does what callers wait for: on threads of its own, as many as cores, behind
//!   a short queue. Who finds the queue full is refused at once.
//! - Work is dropped before it starts when its deadline has passed or its caller has gone.
//!   While it runs it may ask its [`Expiry`] whether a caller still waits.
//! - The slot is held by the work and not by the call: a caller who goes away makes no
//!   slot for more work before its work has ended.
//! - [`run_blocking`] is for calls to the store and for duties: on tokio's threads.
//! - A panic becomes `Error::Internal` with an id that the log line has, too.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use super::error::Error;
use engine::Cancelled;
use engine::GiveUp;

/// Reads that may wait for a thread.
const QUEUE: usize = 128;
/// Longest wait for a thread.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);
/// A long read must not keep every short one waiting.
const THREADS_MIN: usize = 2;

/// Until when an answer is of use to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The caller waits as long as it takes.
    pub const NONE: Self = Self(None);

    /// From now on; a time that no clock can hold is none.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    pub fn is_past(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// Time left; `None` without a deadline.
    pub fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits for `work`, but not beyond the deadline.
    ///
    /// # Errors
    /// `DeadlinePassed`.
    pub async fn bound<T>(self, work: impl Future<Output = T>) -> Result<T, Error> {
        match self.left() {
            None => Ok(work.await),
            Some(left) => {
                let done = tokio::time::timeout(left, work).await;
                done.map_err(|_elapsed| Error::DeadlinePassed)
            }
        }
    }
}

/// Tells work whether a caller still waits for it.
#[derive(Debug, Clone)]
pub struct Expiry {
    deadline: Deadline,
    abandoned: Arc<AtomicBool>,
}

impl Expiry {
    pub fn is_over(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed) || self.deadline.is_past()
    }

    /// Does work of the engine that may end early.
    ///
    /// # Errors
    /// `DeadlinePassed` when nobody waits any more.
    pub fn bound<T>(
        &self,
        work: impl FnOnce(&GiveUp<'_>) -> Result<T, Cancelled>,
    ) -> Result<T, Error> {
        Ok(work(&GiveUp::when(&|| self.is_over()))?)
    }

    /// A point where long work may end early.
    ///
    /// # Errors
    /// `DeadlinePassed` when nobody waits any more.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_over() { Err(Error::DeadlinePassed) } else { Ok(()) }
    }
}

/// Says that the caller has gone, once it has.
struct Caller(Arc<AtomicBool>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads that answer reads. Cheap to clone; they end with the last clone.
#[derive(Debug, Clone)]
pub struct Reads {
    jobs: mpsc::Sender<Job>,
    threads: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for Reads {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(cores.max(THREADS_MIN), QUEUE)
    }
}

impl Reads {
    /// # Panics
    /// When the system gives no threads.
    pub fn new(threads: usize, queue: usize) -> Self {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads {
            let waiting = waiting.clone();
            let thread = std::thread::Builder::new().name(format!("read-{number}"));
            thread.spawn(move || work_on(&waiting)).expect("the system has threads left");
        }
        let (threads, queue) = (Semaphore::new(threads), Semaphore::new(queue));
        Self { jobs, threads: Arc::new(threads), queue: Arc::new(queue) }
    }

    /// Does `work` on a thread of the pool and waits for it, up to the deadline.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full or too slow; `DeadlinePassed`; `Internal` when
    /// the work panics.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&Expiry) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let slot = self.slot(deadline).await?;
        let expiry = Expiry { deadline, abandoned: Arc::default() };
        let _caller = Caller(expiry.abandoned.clone());
        let (reply, answer) = oneshot::channel();
        let job = move || {
            let done = match expiry.check() {
                Ok(()) => caught(|| work(&expiry)),
                Err(over) => Err(over),
            };
            // Before the answer: its caller may call again at once.
            drop(slot);
            let _gone = reply.send(done);
        };
        self.jobs.send(Box::new(job)).map_err(|_ended| Error::ShuttingDown)?;
        deadline.bound(answer).await?.unwrap_or(Err(Error::ShuttingDown))
    }

    async fn slot(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, Error> {
        if deadline.is_past() {
            return Err(Error::DeadlinePassed);
        }
        if let Ok(slot) = self.threads.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let overloaded = || Error::Overloaded("too many reads are being answered");
        let _queued = self.queue.try_acquire().map_err(|_full| overloaded())?;
        let thread = self.threads.clone().acquire_owned();
        let timeout = tokio::time::timeout(QUEUE_TIMEOUT, thread);
        let slot = deadline.bound(timeout).await?.map_err(|_elapsed| overloaded())?;
        slot.map_err(|_closed| Error::ShuttingDown)
    }
}

/// Does jobs until the pool is gone.
fn work_on(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        job();
    }
}

/// Does what would block an async thread: calls to the store, duties. Nothing bounds it
/// but who calls it.
///
/// # Errors
/// `Internal` when the work panics; `ShuttingDown` when the runtime ends before it starts.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(move || caught(work)).await;
    done.unwrap_or(Err(Error::ShuttingDown))
}

/// Does `work`; a panic ends the work alone.
///
/// # Errors
/// `Internal`, whose id the log line has, too.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    // What the work shares is behind locks and published views: left half done, a lock is
    // poisoned and a view is not published.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Error::of_panic(&*panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Held = Box<dyn FnOnce(&Expiry) + Send>;

    /// Work that lasts until it is told to end.
    fn held() -> (mpsc::Sender<()>, Held) {
        let (release, wait) = mpsc::channel::<()>();
        let work = move |_: &Expiry| {
            let _released = wait.recv();
        };
        (release, Box::new(work))
    }

    /// Waits until so many slots of the pool are taken.
    async fn until(taken: impl Fn() -> bool) {
        for _ in 0..2_000 {
            if taken() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it did not come to that in two seconds");
    }

    #[tokio::test]
    async fn a_panic_is_internal_with_an_id_and_the_thread_lives_on() {
        let reads = Reads::new(1, 1);
        for _ in 0..3 {
            let done = reads.run(Deadline::NONE, |_| panic!("on purpose")).await;
            let Err(Error::Internal { id }) = done else { panic!("{done:?}") };
            assert_eq!(id.len(), 8);
        }
        assert_eq!(reads.run(Deadline::NONE, |_| 7).await.unwrap(), 7);
        let done: Result<(), Error> = run_blocking(|| panic!("on purpose")).await;
        assert!(matches!(done, Err(Error::Internal { .. })));
    }

    #[tokio::test]
    async fn beyond_threads_and_queue_work_is_refused_at_once() {
        let reads = Reads::new(1, 1);
        let ((release, first), (_release, second)) = (held(), held());
        let run = |work: Held| {
            let reads = reads.clone();
            tokio::spawn(async move { reads.run(Deadline::NONE, work).await })
        };
        let running = run(first);
        until(|| reads.threads.available_permits() == 0).await;
        let queued = run(second);
        until(|| reads.queue.available_permits() == 0).await;
        let refused = reads.run(Deadline::NONE, |_| ()).await;
        assert!(matches!(refused, Err(Error::Overloaded(_))), "{refused:?}");
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        until(|| reads.queue.available_permits() == 1).await;
        queued.abort();
    }

    #[tokio::test]
    async fn work_whose_deadline_has_passed_is_never_done() {
        let reads = Reads::new(1, 8);
        let past = Deadline::after(Duration::ZERO);
        let done = reads.run(past, |_| unreachable!("it is expired")).await;
        assert!(matches!(done, Err::<(), _>(Error::DeadlinePassed)));
        // Behind work that lasts longer than the caller waits.
        let (release, first) = held();
        let running = tokio::spawn({
            let reads = reads.clone();
            async move { reads.run(Deadline::NONE, first).await }
        });
        until(|| reads.threads.available_permits() == 0).await;
        let started = Arc::new(AtomicBool::new(false));
        let mark = started.clone();
        let soon = Deadline::after(Duration::from_millis(20));
        let done = reads.run(soon, move |_| mark.store(true, Ordering::Relaxed)).await;
        assert!(matches!(done, Err(Error::DeadlinePassed)), "{done:?}");
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        reads.run(Deadline::NONE, |_| ()).await.unwrap();
        assert!(!started.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn work_learns_that_its_caller_goes_away_and_its_slot_stays_taken() {
        let reads = Reads::new(1, 8);
        let (release, wait) = mpsc::channel::<()>();
        let (seen, receiver) = mpsc::channel();
        let running = tokio::spawn({
            let reads = reads.clone();
            async move {
                let work = move |expiry: &Expiry| {
                    let before = expiry.is_over();
                    let _released = wait.recv();
                    seen.send((before, expiry.is_over())).unwrap();
                };
                reads.run(Deadline::NONE, work).await
            }
        });
        until(|| reads.threads.available_permits() == 0).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!(reads.threads.available_permits(), 0, "the work still runs");
        release.send(()).unwrap();
        let seen = tokio::task::spawn_blocking(move || receiver.recv().unwrap()).await.unwrap();
        assert_eq!(seen, (false, true));
        until(|| reads.threads.available_permits() == 1).await;
    }
}
