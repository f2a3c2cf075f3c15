//! The crate against figures of other tools, from `tests/fixtures`.

mod experiments;
mod fixed;
mod sequential;
mod special;

use serde_json::Value;
use statistics::{Estimate, Interval, Kind};

/// A file of `tests/fixtures`.
fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// To 1e-9, relative where large.
#[track_caller]
fn same(found: f64, expected: &Value) {
    close(found, number(expected), 1e-9);
}

#[track_caller]
fn close(found: f64, expected: f64, precision: f64) {
    let apart = (found - expected).abs() / expected.abs().max(1.0);
    assert!(apart <= precision, "{found} is not {expected}: {apart:e}");
}

#[track_caller]
fn same_interval(found: Interval, expected: &Value) {
    same(found.low, &expected[0]);
    same(found.high, &expected[1]);
}

/// Two arms of many units with a given difference and standard error, around a mean of 100.
fn arms(difference: f64, error: f64, units: u64) -> (Estimate, Estimate) {
    let half = units / 2;
    let arm = |mean| Estimate {
        kind: Kind::Value,
        units: half,
        nonzero: half,
        mean,
        variance: 0.5 * error * error,
    };
    (arm(100.0), arm(100.0 + difference))
}
