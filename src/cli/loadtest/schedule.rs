//! When calls are due: an open-loop schedule, drawn before and without regard to any answer.
//!
//! - The n-th arrival depends on rate, kind and seed only, never on the state of the server. A slow answer
//!   therefore delays no later arrival, and its queueing shows in the latencies (no coordinated omission).
//! - Bounded: the schedule ends at its length.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// How long before an arrival the pacer stops sleeping and yields instead: the kernel wakes a sleeper
/// about 50 us late (the default timer slack).
const SLACK: Duration = Duration::from_micros(60);

/// How arrivals are spaced.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly.
    Fixed,
    /// At random and independently of each other, as those of many users are.
    Poisson,
}

/// The times of arrival, as offsets from the start.
#[derive(Clone, Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    /// Arrivals per second.
    rate: f64,
    length: Duration,
    rng: ChaCha8Rng,
    number: u64,
    /// Seconds from the start to the last arrival; Poisson only.
    last_s: f64,
}

impl Schedule {
    /// A schedule of `rate` (greater than 0) arrivals per second that ends after `length`.
    pub fn new(arrivals: Arrivals, rate: f64, length: Duration, seed: u64) -> Self {
        assert!(rate.is_finite() && rate > 0.0, "a rate is greater than 0");
        Self {
            arrivals,
            rate,
            length,
            rng: ChaCha8Rng::seed_from_u64(seed),
            number: 0,
            last_s: 0.0,
        }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let seconds = match self.arrivals {
            // From the number, not from the last arrival: no rounding adds up.
            Arrivals::Fixed => self.number as f64 / self.rate,
            Arrivals::Poisson => {
                let uniform: f64 = self.rng.random();
                self.last_s -= (1.0 - uniform).ln() / self.rate;
                self.last_s
            }
        };
        self.number += 1;
        let offset = Duration::from_secs_f64(seconds);
        (offset < self.length).then_some(offset)
    }
}

/// Calls `fire` with number and scheduled time of each arrival, when it is due or, when `fire` held the
/// thread up, as soon as possible after. `fire` returns whether to go on.
///
/// Blocks the thread: run it where that is allowed. A thread, because tokio's timer counts milliseconds.
pub fn pace(start: Instant, schedule: Schedule, mut fire: impl FnMut(u64, Instant) -> bool) {
    for (number, offset) in (0..).zip(schedule) {
        let due = start + offset;
        wait_until(due);
        if !fire(number, due) {
            return;
        }
    }
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if left > SLACK {
            thread::sleep(left - SLACK);
        } else {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_arrivals_are_even_and_end_with_the_schedule() {
        let times: Vec<Duration> =
            Schedule::new(Arrivals::Fixed, 4.0, Duration::from_secs(1), 0).collect();
        assert_eq!(times, [0, 250, 500, 750].map(Duration::from_millis));
    }

    #[test]
    fn fixed_arrivals_do_not_drift_over_many() {
        let rate = 30_000.0;
        let last = Schedule::new(Arrivals::Fixed, rate, Duration::from_secs(60), 0).last();
        let expected = (30_000.0 * 60.0 - 1.0) / rate;
        assert!((last.unwrap().as_secs_f64() - expected).abs() < 1e-6);
    }

    #[test]
    fn poisson_arrivals_come_from_the_seed_and_have_the_rate() {
        let draw = |seed| -> Vec<Duration> {
            Schedule::new(Arrivals::Poisson, 1_000.0, Duration::from_secs(20), seed).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // 20,000 expected, standard deviation 141: six of them, so a false alarm in a billion seeds,
        // and the seed is fixed.
        let count = i64::try_from(draw(1).len()).unwrap();
        assert!((count - 20_000).abs() < 850, "{count} arrivals");
        assert!(draw(1).is_sorted());
    }

    #[test]
    fn a_hold_up_moves_no_later_arrival() {
        let start = Instant::now();
        let schedule = Schedule::new(Arrivals::Fixed, 1_000.0, Duration::from_millis(40), 0);
        let mut scheduled = Vec::new();
        pace(start, schedule, |number, due| {
            if number == 5 {
                thread::sleep(Duration::from_millis(20));
            }
            scheduled.push(due - start);
            true
        });
        let expected: Vec<Duration> = (0..40).map(Duration::from_millis).collect();
        assert_eq!(scheduled, expected);
    }

    #[test]
    fn an_arrival_is_never_early() {
        let start = Instant::now();
        let schedule = Schedule::new(Arrivals::Fixed, 2_000.0, Duration::from_millis(30), 0);
        pace(start, schedule, |_, due| {
            assert!(Instant::now() >= due);
            true
        });
    }
}
