//! Learning from selections and their rewards.
//!
//! - A reward counts for the last [`PENDING_SELECTIONS_MAX`] selections of the namespace; a later
//!   one teaches nothing.
//! - Of several rewards of one selection the best counts, in whatever order they come,
//!   unless one says that it corrects: then it takes the place of what was so far.
//! - Sets beyond the limit of a namespace are not learnt: whoever selects has to ask before,
//!   and two who ask at once may both be told that one fits.
//! - Evidence that faded since its selection gets its reward faded by as much.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::bandit::arms::set::ArmSet;
use crate::domain::ArmReward;
use crate::domain::ArmSelection;
use crate::domain::limits;
use crate::numeric::math;
use crate::state::column::Column;
use crate::state::interner::Interner;
use crate::state::key_index::KeyIndex;
use crate::state::parts::Part;

/// Selections that may still be rewarded.
const PENDING_SELECTIONS_MAX: usize = 65_536;

/// A selection that may still earn a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingSelection {
    /// 128-bit hash of the decision id.
    pub key: u128,
    set: u32,
    arm: u32,
    /// Empty without a context.
    vector: Vec<f32>,
    /// What the model had foretold.
    foretold: f64,
    reward: f32,
    rewarded: bool,
    /// [`ArmSet::faded`] at the selection.
    faded: f64,
}

/// Where the selection of this number waits for its reward.
fn position_of(number: u64) -> usize {
    (number % PENDING_SELECTIONS_MAX as u64) as usize
}

/// All arm sets of a namespace.
#[derive(Debug, Clone, Default)]
pub struct Arms {
    pub names: Interner,
    pub sets: Column<Arc<ArmSet>>,
    /// A ring.
    pub pending: Column<Arc<PendingSelection>>,
    pub selections: u64,
    /// Where each pending selection is, by key. Derived.
    index: KeyIndex,
}

impl Arms {
    /// What digests and snapshots hold as parts.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        vec![
            ("arm_set_names", &self.names),
            ("arm_sets", &self.sets),
            ("pending_selections", &self.pending),
        ]
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        vec![
            ("arm_set_names", &mut self.names),
            ("arm_sets", &mut self.sets),
            ("pending_selections", &mut self.pending),
        ]
    }

    /// The set of a name.
    pub fn set(&self, name: &str) -> Option<&ArmSet> {
        self.names.find(name).map(|set| self.sets[set as usize].as_ref())
    }

    /// Whether what was read of a snapshot fits together.
    pub fn is_whole(&self) -> bool {
        let fits = |pending: &Arc<PendingSelection>| {
            let set = self.sets.get(pending.set as usize);
            set.is_some_and(|set| (pending.arm as usize) < set.arms.len())
        };
        self.sets.len() == self.names.len()
            && self.pending.len() as u64 == self.selections.min(PENDING_SELECTIONS_MAX as u64)
            && self.pending.iter().all(fits)
    }

    /// Derives where each pending selection is. In the order of the log: of two of one key
    /// the newer is meant.
    pub fn index_selections(&mut self) {
        for number in self.selections - self.pending.len() as u64..self.selections {
            let at = position_of(number);
            self.note(self.pending[at].key, at);
        }
    }

    /// Whether a selection of this key may still be rewarded.
    pub fn knows(&self, key: u128) -> bool {
        self.position(key).is_some()
    }

    fn position(&self, key: u128) -> Option<usize> {
        self.index.find(key as u64, |at| self.pending[at].key == key)
    }

    fn note(&mut self, key: u128, at: usize) {
        let Self { index, pending, .. } = self;
        index.insert(key as u64, at, |at| pending[at].key == key);
    }

    pub fn learn_selection(&mut self, selection: &ArmSelection, half_life: u32) {
        let Some(index) = self.names.intern_within(limits::ARM_SETS, selection.set.as_str()) else {
            return;
        };
        self.sets.grow(index as usize + 1, &Arc::default());
        let set = Arc::make_mut(self.sets.get_mut(index as usize));
        set.advance(half_life);
        let mut chosen = None;
        for (place, offered) in selection.offered.iter().enumerate() {
            let arm = set.intern(offered.name.as_str(), place);
            if place == selection.chosen as usize {
                chosen = arm;
            }
        }
        let Some(arm) = chosen else {
            return;
        };
        let (vector, foretold) = select(set, arm, selection);
        let pending = PendingSelection {
            key: xxh3_128(selection.decision_id.as_str().as_bytes()),
            set: index,
            arm: arm as u32,
            vector,
            foretold,
            reward: 0.0,
            rewarded: false,
            faded: set.faded,
        };
        self.remember(pending);
    }

    fn remember(&mut self, pending: PendingSelection) {
        let at = position_of(self.selections);
        self.selections += 1;
        let key = pending.key;
        if at < self.pending.len() {
            let forgotten = std::mem::replace(self.pending.get_mut(at), Arc::new(pending));
            self.index.remove(forgotten.key as u64, at);
        } else {
            self.pending.push(Arc::new(pending));
        }
        self.note(key, at);
    }

    pub fn learn_reward(&mut self, reward: &ArmReward) {
        let key = xxh3_128(reward.decision_id.as_str().as_bytes());
        let Some(at) = self.position(key) else {
            return;
        };
        let pending = Arc::make_mut(self.pending.get_mut(at));
        let before = pending.reward;
        if pending.rewarded && !reward.corrects && reward.reward <= before {
            return;
        }
        pending.rewarded = true;
        pending.reward = reward.reward;
        if reward.reward == before {
            return;
        }
        let set = Arc::make_mut(self.sets.get_mut(pending.set as usize));
        let (before, after) = (f64::from(before), f64::from(reward.reward));
        let weight = math::exp2(pending.faded - set.faded);
        let arm = &mut set.arms[pending.arm as usize];
        arm.reward += after - before;
        arm.successes += weight * (after - before);
        if pending.vector.is_empty() {
            return;
        }
        let error = |reward: f64| (reward - pending.foretold) * (reward - pending.foretold);
        set.errors.0 = (set.errors.0 + weight * (error(after) - error(before))).max(0.0);
        if let Some(linear) = &mut arm.linear {
            let mut x: Vec<f64> = pending.vector.iter().map(|x| f64::from(*x)).collect();
            Arc::make_mut(linear).reward(&mut x, weight * (after - before));
        }
    }
}

/// Learns that an arm was selected, so far without reward. Returns the vector of the
/// context, empty where there is none that fits the set, and what had been foretold.
fn select(set: &mut ArmSet, arm: usize, selection: &ArmSelection) -> (Vec<f32>, f64) {
    let context = &selection.context;
    set.shape = set.shape.or_else(|| Shape::of(context));
    let shape = set.shape.filter(|shape| !context.is_empty() && shape.fits(context));
    let arm = &mut set.arms[arm];
    arm.selections += 1;
    arm.weight += 1.0;
    let Some(shape) = shape else {
        return (Vec::new(), 0.0);
    };
    let vector = shape.vector(context);
    let mut x: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
    let linear = arm.linear.get_or_insert_with(|| Arc::new(Linear::new(shape.dimension())));
    Arc::make_mut(linear).select(&mut x);
    let foretold = f64::from(selection.offered[selection.chosen as usize].mean);
    set.errors.0 += foretold * foretold;
    set.errors.1 += 1.0;
    (vector, foretold)
}
