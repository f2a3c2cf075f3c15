//! An arm set: its arms with their evidence.
//!
//! Fading. With a half-life of `h` selections, all evidence of the set loses
//! `1 - 2^(-tick/h)` of its weight at every `tick`-th selection, `tick = h / 16`. Fading is per
//! tick, not per event, so an idle arm becomes uncertain again as fast as the
//! others, and the work is small. The prior does not fade (discounted LinUCB: Russac,
//! Vernade, Cappe 2019).
//!
//! Bounded: a full set evicts the arm that was offered the longest ago when a new one
//! is offered; of several, the one with the least evidence.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::bandit::arms::scale::Scale;
use crate::bandit::arms::shared::Shared;
use crate::domain::ArmContext;
use crate::domain::limits;
use crate::numeric::math;

/// Ticks of fading in one half-life.
const TICKS: u32 = 16;
/// Variance of a single reward before any data, that of a fair coin, and the
/// observations that it counts as.
const ERROR_PRIOR: (f64, f64) = (0.25, 10.0);
/// About how long vectors of contexts are.
const LENGTH: f64 = 5.0;

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
    /// From its first selection with a context on; `None` again when memory is short.
    pub linear: Option<Arc<Linear>>,
    /// Which selection of the namespace its model began with.
    pub(super) model_since: u64,
    /// Which selection of the set offered it last.
    offered_at: u64,
    /// How many arms had this slot before: their pending selections do not count for this one.
    pub(super) generation: u32,
}

impl Arm {
    fn new(name: &str) -> Self {
        let name = Arc::from(name);
        Self {
            name,
            selections: 0,
            reward: 0.0,
            weight: 0.0,
            successes: 0.0,
            linear: None,
            model_since: 0,
            offered_at: 0,
            generation: 0,
        }
    }

    /// Parameters of the Beta belief under a prior.
    pub fn beta_belief(&self, (alpha, beta): (f64, f64)) -> (f64, f64) {
        (alpha + self.successes.max(0.0), beta + (self.weight - self.successes).max(0.0))
    }
}

/// A set of arms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmSet {
    /// In the order in which they were first offered.
    pub arms: Vec<Arm>,
    /// Indices of `arms` in the order of their names.
    by_name: Vec<u32>,
    /// `None` before the first selection with a context.
    pub shape: Option<Shape>,
    /// Of the features of its arms; `None` before the first ones.
    pub features: Option<Shape>,
    /// Of contexts.
    pub(super) scale: Scale,
    /// What the features explain. `None` before the first ones, and again when memory is short.
    pub(super) shared: Option<Arc<Shared>>,
    /// Those withdrawn included: a clock that does not go back.
    pub(super) selections: u64,
    pub(super) withdrawn: u64,
    /// Its last selection, as a number in the namespace.
    pub(super) used_at: u64,
    /// Half-lives that passed so far.
    pub(super) faded: f64,
    /// Squared errors of predicted rewards, and how many, both faded.
    pub(super) errors: (f64, f64),
}

impl ArmSet {
    pub fn find(&self, name: &str) -> Option<usize> {
        self.rank(name).ok().map(|rank| self.by_name[rank] as usize)
    }

    /// The index of a name in the order of names, or where to insert it.
    fn rank(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|&arm| (*self.arms[arm as usize].name).cmp(name))
    }

    /// The index of an offered arm, which is added if it is new; `None` when all
    /// arms of a full set are offered with it.
    pub(super) fn offer(&mut self, name: &str, hint: usize) -> Option<usize> {
        // Mostly arms are offered in the same order.
        let is_hint = self.arms.get(hint).is_some_and(|arm| &*arm.name == name);
        let known = if is_hint { Some(hint) } else { self.find(name) };
        let arm = known.or_else(|| self.make(name))?;
        self.arms[arm].offered_at = self.selections;
        Some(arm)
    }

    fn make(&mut self, name: &str) -> Option<usize> {
        let arm = if self.arms.len() < limits::ARMS_KNOWN {
            self.arms.push(Arm::new(name));
            self.arms.len() - 1
        } else {
            let arm = self.longest_unused(|_, arm| arm.offered_at < self.selections)?;
            let rank = self.rank(&self.arms[arm].name).ok()?;
            self.by_name.remove(rank);
            let generation = self.arms[arm].generation.wrapping_add(1);
            self.arms[arm] = Arm { generation, ..Arm::new(name) };
            arm
        };
        let rank = self.rank(name).unwrap_or_else(|rank| rank);
        self.by_name.insert(rank, arm as u32);
        Some(arm)
    }

    /// The arm, among those allowed, that was offered the longest ago; of several, the one with
    /// the least evidence.
    pub(super) fn longest_unused(&self, may: impl Fn(usize, &Arm) -> bool) -> Option<usize> {
        let arms = self.arms.iter().enumerate().filter(|(number, arm)| may(*number, arm));
        let of = |(_, arm): &(usize, &Arm)| (arm.offered_at, arm.weight);
        let oldest = arms.min_by(|a, b| {
            let (a, b) = (of(a), of(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        oldest.map(|(arm, _)| arm)
    }

    /// Selections of all time that were not withdrawn.
    pub fn selections(&self) -> u64 {
        self.selections.saturating_sub(self.withdrawn)
    }

    /// A context that fits, as the models take it.
    pub(super) fn inputs(&self, shape: Shape, context: &ArmContext) -> Vec<f64> {
        self.scale.apply(&shape.vector(context), LENGTH)
    }

    /// The shared model, made where there is none.
    pub(super) fn shared_for(&mut self, contexts: Shape, features: Shape) -> &mut Shared {
        let make = || Shared::new(contexts.dimension(), features.dimension(), self.used_at);
        Arc::make_mut(self.shared.get_or_insert_with(|| Arc::new(make())))
    }

    /// Memory of its models: those of the arms and the shared one.
    pub(super) fn model_bytes(&self) -> u64 {
        let own = self.arms.iter().filter_map(|arm| arm.linear.as_ref());
        let shared = self.shared.as_ref().map_or(0, |shared| shared.bytes());
        own.map(|linear| linear.bytes()).sum::<u64>() + shared
    }

    /// Whether data read from a snapshot is consistent.
    pub(super) fn is_whole(&self) -> bool {
        let named = |rank: &u32| self.arms.get(*rank as usize).map(|arm| &*arm.name);
        let dimension = |shape: Option<Shape>| shape.map_or(0, Shape::dimension);
        let sizes = (dimension(self.shape), dimension(self.features));
        self.shared.as_ref().is_none_or(|shared| shared.is_whole(sizes.0, sizes.1))
            && self.arms.len() <= limits::ARMS_KNOWN
            && self.by_name.len() == self.arms.len()
            && self.by_name.iter().all(|arm| named(arm).is_some())
            && self.by_name.windows(2).all(|pair| named(&pair[0]) < named(&pair[1]))
    }

    /// Standard deviation of a single reward around its prediction.
    pub fn noise(&self) -> f64 {
        let (variance, count) = ERROR_PRIOR;
        ((variance * count + self.errors.0) / (count + self.errors.1)).max(1e-6).sqrt()
    }

    /// Counts one more selection; fades the evidence when a tick is full.
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
        self.scale.fade(keep);
        if let Some(shared) = &mut self.shared {
            Arc::make_mut(shared).fade(keep);
        }
        for arm in &mut self.arms {
            arm.weight *= keep;
            arm.successes *= keep;
            if let Some(linear) = &mut arm.linear {
                Arc::make_mut(linear).fade(keep);
            }
        }
    }
}
