//! What a load measured: latencies, errors by code, rates, CPU.
//!
//! - Latency is from the scheduled time to the answer, so waiting for a late generator or a full server
//!   counts. Lag, from the scheduled time to the actual start, says how much of it the generator caused.
//! - Failed calls are in no histogram: they are counted by code.
//! - Slices of one subject add up: `merge` is a sum.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;
use serde_json::json;

/// The longest latency told apart: calls end by their timeout long before.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
/// Significant decimal digits of the histograms.
const DIGITS: u8 = 3;

/// The sum of the slices of one subject.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From schedule to answer, in nanoseconds, successful calls only.
    pub latency: Histogram<u64>,
    /// From schedule to start, in nanoseconds.
    pub lag: Histogram<u64>,
    /// Successful calls, or events acknowledged.
    pub succeeded: u64,
    /// Failed ones by the name of the gRPC code.
    pub errors: BTreeMap<String, u64>,
    /// Those that were due.
    pub offered: u64,
    /// Those that were due and not begun before the slice ended: too many were in flight.
    pub unsent: u64,
    /// From the start to the later of scheduled end and last answer.
    pub elapsed: Duration,
    /// CPU time of the server during the slices, if its process is known.
    pub cpu: Option<Duration>,
}

impl Measured {
    /// Nothing measured yet.
    pub fn new() -> Self {
        let histogram = || {
            let mut histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
                .expect("the bounds are valid");
            histogram.auto(false);
            histogram
        };
        Self {
            latency: histogram(),
            lag: histogram(),
            succeeded: 0,
            errors: BTreeMap::new(),
            offered: 0,
            unsent: 0,
            elapsed: Duration::ZERO,
            cpu: None,
        }
    }

    /// Counts a call that was started `lag` after its time.
    pub fn started(&mut self, lag: Duration) {
        self.lag.saturating_record(nanoseconds(lag));
    }

    /// Counts a success of `weight` events or calls.
    pub fn success(&mut self, latency: Duration, weight: u64) {
        self.latency.saturating_record(nanoseconds(latency));
        self.succeeded += weight;
    }

    /// Counts a failure of `weight` events or calls.
    pub fn failure(&mut self, code: tonic::Code, weight: u64) {
        *self.errors.entry(format!("{code:?}")).or_default() += weight;
    }

    /// Counts failures if there are any.
    pub fn failure_if(&mut self, code: tonic::Code, count: u64) {
        if count > 0 {
            self.failure(code, count);
        }
    }

    /// Adds another slice of the same subject.
    pub fn merge(&mut self, other: &Self) {
        let same = "all histograms have the same bounds";
        self.latency.add(&other.latency).expect(same);
        self.lag.add(&other.lag).expect(same);
        self.succeeded += other.succeeded;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.offered += other.offered;
        self.unsent += other.unsent;
        self.elapsed += other.elapsed;
        self.cpu = match (self.cpu, other.cpu) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
    }

    /// All failures.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Successes per second.
    pub fn achieved_rate(&self) -> f64 {
        self.succeeded as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Latency at a quantile between 0 and 1, in microseconds.
    pub fn latency_us(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Lag at a quantile between 0 and 1, in microseconds.
    pub fn lag_us(&self, quantile: f64) -> f64 {
        self.lag.value_at_quantile(quantile) as f64 / 1e3
    }

    /// Server CPU per success or failure, in microseconds, if the process is known.
    pub fn cpu_us_per_call(&self) -> Option<f64> {
        let calls = self.succeeded + self.failed();
        let cpu = self.cpu.filter(|_| calls > 0)?;
        Some(cpu.as_secs_f64() * 1e6 / calls as f64)
    }

    /// The figures as JSON.
    pub fn json(&self) -> Value {
        json!({
            "latency_us": {
                "p50": self.latency_us(0.5),
                "p90": self.latency_us(0.9),
                "p99": self.latency_us(0.99),
                "p99_9": self.latency_us(0.999),
                "max": self.latency.max() as f64 / 1e3,
                "mean": self.latency.mean() / 1e3,
            },
            "start_lag_us": { "p50": self.lag_us(0.5), "p99": self.lag_us(0.99) },
            "offered": self.offered,
            "succeeded": self.succeeded,
            "unsent": self.unsent,
            "errors": self.errors,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "achieved_per_s": self.achieved_rate(),
            "server_cpu_s": self.cpu.map(|cpu| cpu.as_secs_f64()),
            "server_cpu_us_per_call": self.cpu_us_per_call(),
        })
    }
}

/// A duration as the histograms keep it: at least 1.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_add_up() {
        let mut first = Measured::new();
        first.success(Duration::from_micros(100), 1);
        first.failure(tonic::Code::Unavailable, 2);
        first.elapsed = Duration::from_secs(1);
        first.cpu = Some(Duration::from_micros(300));
        let mut second = first.clone();
        second.success(Duration::from_micros(900), 1);
        first.merge(&second);
        assert_eq!(first.succeeded, 3);
        assert_eq!(first.failed(), 4);
        assert_eq!(first.errors["Unavailable"], 4);
        assert_eq!(first.elapsed, Duration::from_secs(2));
        let max_us = first.latency.max() as f64 / 1e3;
        assert!((max_us - 900.0).abs() < 1.0, "{max_us}");
        let cpu = first.cpu_us_per_call().unwrap();
        assert!((cpu - 600.0 / 7.0).abs() < 1e-9, "{cpu}");
    }

    #[test]
    fn a_latency_beyond_the_histogram_is_kept_at_its_end() {
        let mut measured = Measured::new();
        measured.success(Duration::from_secs(100_000), 1);
        measured.success(Duration::ZERO, 1);
        assert_eq!(measured.latency.len(), 2);
    }

    #[test]
    fn nothing_measured_is_all_zeros_and_no_nan() {
        let empty = Measured::new();
        assert_eq!(empty.achieved_rate(), 0.0);
        assert_eq!(empty.cpu_us_per_call(), None);
        assert_eq!(empty.json()["succeeded"], 0);
    }
}
