//! What was predicted of shown items, and what came of them.

use engine::evaluation::off_policy::LogBuilder;
use engine::evaluation::off_policy::NewRound;

pub use engine::evaluation::off_policy::Reliability;

/// An item that was shown to a user.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Number of the user.
    pub user: usize,
    /// The expected reward at the time, as recorded.
    pub score: f64,
    pub propensity: f64,
    pub clicked: bool,
}

/// The reliability curve of `factor` times the scores, as `evaluate-policy` draws it.
///
/// # Panics
/// Where nothing was served.
pub fn reliability(served: &[Served], factor: f64) -> Reliability {
    let mut log = LogBuilder::default();
    for one in served {
        let round = NewRound {
            reward: f64::from(u8::from(one.clicked)),
            propensity: one.propensity,
            unit: one.user as u32,
            score: Some(factor * one.score),
            ..NewRound::default()
        };
        log.push(&round).expect("a finite score and a propensity above 0");
    }
    Reliability::of(&log.build()).expect("every round has a score")
}
