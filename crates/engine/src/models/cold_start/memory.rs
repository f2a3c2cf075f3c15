//! How long the past predicts what is consumed next: the memory that popularity uses.
//!
//! Each consumed item first tests every memory. With evidence `s` about the item and `S` about
//! all items, a memory predicts this item with probability `p = s / (S + 20 u)`, where `u` is the
//! mean weight of an event. Half of all choices are assumed to be uniform over the `N` items of
//! the catalogue, so that no single event decides. A memory's score is the mean of
//! `ln((1 + N p) / 2)`, in nats, over about the last 3,000 tests. It is a proper score: the memory
//! that predicts best scores best.
//! Source: Dawid, "The prequential approach" (1984); Herbster, Warmuth, "Tracking the Best
//! Expert" (1998), for the fading of old losses.
//!
//! - The memory changes when another one leads by a margin, so that it does not switch back and
//!   forth. Before there are enough tests it is the one nearest to the configured half-life.
//! - 80 bytes in all.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::math;

/// The prior of a memory, in events.
const PRIOR_EVENTS: f64 = 20.0;
/// What is left of the weight of a test after one more: half after 2,000.
const RETENTION: f64 = 1.0 - std::f64::consts::LN_2 / 2_000.0;
/// Tests before another memory may be taken.
const TESTS_MIN: f64 = 100.0;
/// By how many nats another must lead: this, and this over the root of the tests.
const LEAD: f64 = 0.02;
const LEAD_OF_FEW: f64 = 0.5;

/// For how long evidence of the past is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    SixHours,
    Day,
    /// The trend's configured half-life.
    Trend,
    Fortnight,
    #[default]
    Quarter,
    /// Half after 2,000 events.
    Activity,
    /// All events without decay.
    Everything,
}

impl Memory {
    pub const ALL: [Self; 7] = [
        Self::SixHours,
        Self::Day,
        Self::Trend,
        Self::Fortnight,
        Self::Quarter,
        Self::Activity,
        Self::Everything,
    ];

    /// Half-life in hours; `None` where it is not one of time.
    fn hours(self, trend_hours: f32) -> Option<f32> {
        match self {
            Self::SixHours => Some(6.0),
            Self::Day => Some(24.0),
            Self::Trend => Some(trend_hours),
            Self::Fortnight => Some(14.0 * 24.0),
            Self::Quarter => Some(90.0 * 24.0),
            Self::Activity => None,
            // A lifetime.
            Self::Everything => Some(100.0 * 365.0 * 24.0),
        }
    }
}

/// What one memory predicted of an item before it was consumed.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    pub of_item: f64,
    pub of_all: f64,
    /// The mean weight of an event.
    pub unit: f64,
}

/// The memory in use, and the loss of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryChoice {
    /// Sums of scores in nats, fading, in the order of [`Memory::ALL`].
    pub(super) scores: [f64; Memory::ALL.len()],
    /// Fading number of tests.
    tests: f64,
    in_use: Memory,
}

impl MemoryChoice {
    /// Nothing tested yet: the memory of a fixed time that is nearest to a half-life.
    pub fn starting_with(half_life_hours: f32) -> Self {
        let octaves = |memory: &Memory| {
            let hours = memory.hours(f32::INFINITY).unwrap_or(f32::INFINITY);
            math::log2(f64::from(hours / half_life_hours)).abs()
        };
        let nearest = Memory::ALL.into_iter().min_by(|a, b| octaves(a).total_cmp(&octaves(b)));
        Self { in_use: nearest.unwrap_or_default(), ..Self::default() }
    }

    /// Whether there are too few tests to choose.
    pub fn is_open(&self) -> bool {
        self.tests < TESTS_MIN
    }

    pub fn in_use(&self) -> Memory {
        self.in_use
    }

    /// The half-life of the memory in use, in hours; where it is not one of time, that of the
    /// best one that is.
    pub fn hours(&self, trend_hours: f32) -> f32 {
        self.in_use.hours(trend_hours).unwrap_or_else(|| {
            let timed =
                Memory::ALL.into_iter().filter_map(|one| Some((one, one.hours(trend_hours)?)));
            let best = timed
                .max_by(|a, b| self.scores[a.0 as usize].total_cmp(&self.scores[b.0 as usize]));
            best.expect("there are memories of time").1
        })
    }

    /// Takes a test in, given in the order of [`Memory::ALL`]. True when another memory is in
    /// use from here on.
    pub fn note(&mut self, evidence: &[Evidence; Memory::ALL.len()], catalogue: u64) -> bool {
        self.tests = self.tests * RETENTION + 1.0;
        for (sum, one) in self.scores.iter_mut().zip(evidence) {
            *sum = *sum * RETENTION + score(one, catalogue);
        }
        let best = Memory::ALL
            .into_iter()
            .max_by(|&a, &b| self.scores[a as usize].total_cmp(&self.scores[b as usize]))
            .expect("there are memories");
        let lead = (self.scores[best as usize] - self.scores[self.in_use as usize]) / self.tests;
        let changes = !self.is_open() && lead > LEAD + LEAD_OF_FEW / self.tests.sqrt();
        if changes {
            self.in_use = best;
        }
        changes
    }
}

/// `ln((1 + N p) / 2)`: between ln(1/2) and ln(N).
fn score(evidence: &Evidence, catalogue: u64) -> f64 {
    let all = evidence.of_all + PRIOR_EVENTS * evidence.unit;
    let p = if all > 0.0 { (evidence.of_item / all).clamp(0.0, 1.0) } else { 0.0 };
    math::ln(0.5 + 0.5 * p * catalogue.max(1) as f64)
}
