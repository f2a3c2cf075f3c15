//! The crate against figures of other tools, from the JSON files here (`README.md`).

mod accounting;
mod audit;
mod continual;
mod contribution;
mod local;
mod noise;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;

/// A file of this folder.
fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
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

#[track_caller]
fn close(found: f64, expected: f64, precision: f64) {
    let apart = (found - expected).abs() / expected.abs().max(1.0);
    assert!(apart <= precision, "{found} is not {expected}: {apart:e}");
}

fn seeded(seed: u64) -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(seed)
}

/// A fraction from a float that has few bits, such as 0.25.
fn ratio(value: f64) -> privacy::Ratio {
    let parts = value * 1024.0;
    assert_eq!(parts, parts.trunc(), "{value} has too many bits");
    privacy::Ratio::new(parts as u64, 1024).unwrap()
}
