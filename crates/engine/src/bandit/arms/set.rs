//! An arm set: its arms with what was learnt of each.
//!
//! Fading. With a half-life of `h` selections, all evidence of the set loses
//! `1 - 2^(-tick/h)` of its weight at every `tick`-th selection, `tick = h / 16`: per
//! tick, not per event, so that an idle arm becomes uncertain again at the pace of the
//! others, and the work is small. The prior does not fade (discounted LinUCB: Russac,
//! Vernade, Cappe 2019).

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::domain::limits;
use crate::numeric::math;

/// Ticks of fading in one half-life.
const TICKS: u32 = 16;
/// Variance of a single reward before anything is known, that of a fair coin, and how
/// many observations it is worth.
const ERROR_PRIOR: (f64, f64) = (0.25, 10.0);

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    pub name: Arc<str>,
    /// How often it was selected, of all time.
    pub selections: u64,
    /// Sum of its rewards, of all time.
    pub reward: f64,
    /// The same two, faded.
    pub weight: f64,
    pub successes: f64,
    /// From its first selection with a context on.
    pub linear: Option<Arc<Linear>>,
}

impl Arm {
    fn new(name: &str) -> Self {
        let name = Arc::from(name);
        Self { name, selections: 0, reward: 0.0, weight: 0.0, successes: 0.0, linear: None }
    }

    /// Parameters of the Beta belief under a prior.
    pub fn beta_belief(&self, (alpha, beta): (f64, f64)) -> (f64, f64) {
        (alpha + self.successes.max(0.0), beta + (self.weight - self.successes).max(0.0))
    }
}

/// Arms that compete with each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmSet {
    /// In the order in which they were first offered.
    pub arms: Vec<Arm>,
    /// Indices of `arms` in the order of their names.
    by_name: Vec<u32>,
    /// `None` before the first selection with a context.
    pub shape: Option<Shape>,
    pub selections: u64,
    /// Half-lives that passed so far.
    pub(super) faded: f64,
    /// Squared errors of foretold rewards, and how many, both faded.
    pub(super) errors: (f64, f64),
}

impl ArmSet {
    pub fn find(&self, name: &str) -> Option<usize> {
        self.place(name).ok().map(|place| self.by_name[place] as usize)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&arm| (*self.arms[arm as usize].name).cmp(name))
    }

    /// The index of an arm, which is made now if it is new; `None` when the set is full.
    pub(super) fn intern(&mut self, name: &str, hint: usize) -> Option<usize> {
        // Offers mostly come in one order.
        if self.arms.get(hint).is_some_and(|arm| &*arm.name == name) {
            return Some(hint);
        }
        match self.place(name) {
            Ok(place) => Some(self.by_name[place] as usize),
            Err(_) if self.arms.len() >= limits::ARMS_KNOWN => None,
            Err(place) => {
                self.by_name.insert(place, self.arms.len() as u32);
                self.arms.push(Arm::new(name));
                Some(self.arms.len() - 1)
            }
        }
    }

    /// Standard deviation of a single reward around what was foretold.
    pub fn noise(&self) -> f64 {
        let (variance, count) = ERROR_PRIOR;
        ((variance * count + self.errors.0) / (count + self.errors.1)).max(1e-6).sqrt()
    }

    /// Counts one more selection; lets evidence fade when a tick is full.
    pub(super) fn advance(&mut self, half_life: u32) {
        self.selections += 1;
        if half_life == 0 {
            return;
        }
        let tick = (half_life / TICKS).max(1);
        if !self.selections.is_multiple_of(tick.into()) {
            return;
        }
        let half_lives = f64::from(tick) / f64::from(half_life);
        let keep = math::exp2(-half_lives);
        self.faded += half_lives;
        self.errors = (self.errors.0 * keep, self.errors.1 * keep);
        for arm in &mut self.arms {
            arm.weight *= keep;
            arm.successes *= keep;
            if let Some(linear) = &mut arm.linear {
                Arc::make_mut(linear).fade(keep);
            }
        }
    }
}
