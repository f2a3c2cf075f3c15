//! Puts recommenders through protocols, with a progress bar and a stopwatch.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Serialize;

use engine::domain::Timestamp;
use engine::evaluation::Recommender;
use engine::evaluation::Row;

/// Time that one recommender took.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cost {
    pub rows_learnt: u64,
    pub rankings: u64,
    pub learning_seconds: f64,
    /// Added up over threads.
    pub scoring_seconds: f64,
    /// Wall time of the run, the protocol's own work included.
    pub seconds: f64,
    /// Rows learnt and, if prequential, ranked for, per second of the run.
    pub events_per_second: f64,
}

/// A bar that is gone when it is done.
fn bar(name: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{msg:28} {wide_bar} {percent:>3} % {elapsed} + {eta}")
            .expect("the template is well-formed");
    ProgressBar::new(1).with_style(style).with_message(name.to_owned())
}

/// Runs something that reports its progress under a bar.
pub fn with_bar<T>(name: &str, run: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let bar = bar(name);
    let done = run(&mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    done
}

/// Runs `protocol` on a recommender under a stopwatch; it is given whom to ask, and where
/// to report its progress.
pub fn observe<T>(
    inner: &mut dyn Recommender,
    protocol: impl FnOnce(&mut dyn Recommender, &mut dyn FnMut(u64, u64)) -> T,
) -> (T, Cost) {
    let name = inner.name().to_owned();
    let mut timed = Timed {
        inner,
        rows_learnt: 0,
        learning: Duration::ZERO,
        rankings: AtomicU64::new(0),
        scoring_nanoseconds: AtomicU64::new(0),
    };
    let start = Instant::now();
    let outcome = with_bar(&name, |progress| protocol(&mut timed, progress));
    let seconds = start.elapsed().as_secs_f64();
    let cost = Cost {
        rows_learnt: timed.rows_learnt,
        rankings: timed.rankings.into_inner(),
        learning_seconds: timed.learning.as_secs_f64(),
        scoring_seconds: timed.scoring_nanoseconds.into_inner() as f64 * 1e-9,
        seconds,
        events_per_second: timed.rows_learnt as f64 / seconds,
    };
    (outcome, cost)
}

/// A recommender under a stopwatch. What its copies do is not measured.
struct Timed<'a> {
    inner: &'a mut dyn Recommender,
    rows_learnt: u64,
    learning: Duration,
    rankings: AtomicU64,
    scoring_nanoseconds: AtomicU64,
}

impl Recommender for Timed<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn learn(&mut self, row: &Row) {
        let start = Instant::now();
        self.inner.learn(row);
        self.learning += start.elapsed();
        self.rows_learnt += 1;
    }

    fn train(&mut self) {
        let start = Instant::now();
        self.inner.train();
        self.learning += start.elapsed();
    }

    fn score(&self, user: u32, now: Timestamp, scores: &mut [f32]) {
        self.score_with_parts(user, now, scores, &mut []);
    }

    fn score_with_parts(
        &self,
        user: u32,
        now: Timestamp,
        scores: &mut [f32],
        parts: &mut [Vec<f32>],
    ) {
        let start = Instant::now();
        self.inner.score_with_parts(user, now, scores, parts);
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Counters of their own: nothing is read through them before the run has ended.
        self.scoring_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.rankings.fetch_add(1, Ordering::Relaxed);
    }

    fn fork(&self) -> Box<dyn Recommender> {
        self.inner.fork()
    }

    fn parts(&self) -> Vec<&'static str> {
        self.inner.parts()
    }
}
