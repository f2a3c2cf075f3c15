//! Learning from selections and their rewards.
//!
//! - A reward counts for selections of the last [`PENDING_HOURS`] hours, as far as
//!   [`PENDING_BYTES`] allow. A later one is ignored.
//! - Of several rewards of one selection the best counts, in any order,
//!   unless one is marked as a correction: then it replaces the reward so far.
//! - A selection whose id is that of one that may still be rewarded is one sent again: it
//!   teaches nothing, so the first one in the log is the one that counts, on every replica.
//! - Sets beyond the limit of a namespace are not learnt. The caller of a selection checks the
//!   limit before; two concurrent callers may both be told that one more set fits.
//! - Models of contexts have a budget of memory, [`MODEL_BYTES`]. Beyond it, the arm that was
//!   offered the longest ago, of the set that was used the longest ago, loses its model and
//!   keeps its rate. It gets a new model when it is selected again.
//! - The reward fades as much as the evidence of its selection has faded since.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::bandit::arms::context::Shape;
use crate::bandit::arms::linear::Linear;
use crate::bandit::arms::set::Arm;
use crate::bandit::arms::set::ArmSet;
use crate::columns::column::Column;
use crate::columns::interner::Interner;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Part;
use crate::columns::window::Weighed;
use crate::columns::window::Window;
use crate::domain::ArmReward;
use crate::domain::ArmSelection;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::domain::limits;
use crate::numeric::math;

/// How long a selection may be rewarded, as far as memory allows.
const PENDING_HOURS: i64 = 24;
/// Memory of selections that may still be rewarded: 170,000 without a context, 35,000 with
/// the largest.
pub(super) const PENDING_BYTES: u64 = 32 << 20;
/// Memory of the models of all arms: 800 of the largest, 50,000 of a context of 20 numbers.
pub(super) const MODEL_BYTES: u64 = 128 << 20;
/// Memory of a pending selection besides its vector, with its entries in tables.
const SELECTION_BYTES: usize = size_of::<PendingSelection>() + 64;

/// A selection that may still get a reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingSelection {
    /// 128-bit hash of the decision id.
    pub key: u128,
    /// Of its record.
    sequence: Sequence,
    number: u64,
    set: u32,
    arm: u32,
    generation: u32,
    /// Empty without a context.
    vector: Box<[f32]>,
    /// What the model predicted.
    predicted: f64,
    reward: f32,
    rewarded: bool,
    /// [`ArmSet::faded`] at the selection.
    faded: f64,
    recorded_at: Timestamp,
}

impl Weighed for PendingSelection {
    fn bytes(&self) -> u64 {
        (SELECTION_BYTES + size_of_val(&*self.vector)) as u64
    }
}

/// All arm sets of a namespace.
#[derive(Debug, Clone, Default)]
pub struct Arms {
    pub names: Interner,
    pub sets: Column<Arc<ArmSet>>,
    pub pending: Window<PendingSelection>,
    /// The position of each pending selection, by key. Derived.
    index: KeyIndex,
    /// Memory of the models of all arms. Derived.
    pub(super) model_bytes: u64,
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

    /// Whether data read from a snapshot is consistent.
    pub fn is_whole(&self) -> bool {
        let fits = |pending: &PendingSelection| {
            let set = self.sets.get(pending.set as usize);
            set.is_some_and(|set| (pending.arm as usize) < set.arms.len())
        };
        let mut numbers = self.pending.first()..self.pending.end();
        self.sets.len() == self.names.len()
            && self.sets.iter().all(|set| set.is_whole())
            && numbers.all(|number| self.pending.get(number).is_some_and(fits))
    }

    /// Derives the positions of pending selections and the memory of models.
    pub fn index_selections(&mut self) {
        for number in self.pending.first()..self.pending.end() {
            self.note(number);
        }
        self.model_bytes = self.sets.iter().map(|set| set.model_bytes()).sum();
    }

    /// Whether a selection of this key may still be rewarded.
    pub fn knows(&self, key: u128) -> bool {
        self.number_of(key).is_some()
    }

    /// The sequence of the selection of this key, as long as it may be rewarded.
    pub fn sequence_of(&self, key: u128) -> Option<Sequence> {
        let number = self.number_of(key)?;
        self.pending.get(number).map(|pending| pending.sequence)
    }

    fn number_of(&self, key: u128) -> Option<u64> {
        let pending = &self.pending;
        let is_it =
            |slot| pending.get(pending.number_at(slot)).is_some_and(|other| other.key == key);
        self.index.find(key as u64, is_it).map(|slot| pending.number_at(slot))
    }

    fn note(&mut self, number: u64) {
        let Self { index, pending, .. } = self;
        let Some(key) = pending.get(number).map(|one| one.key) else {
            return;
        };
        let is_it =
            |slot| pending.get(pending.number_at(slot)).is_some_and(|other| other.key == key);
        index.insert(key as u64, Window::<PendingSelection>::slot(number), is_it);
    }

    pub fn learn_selection(
        &mut self,
        selection: &ArmSelection,
        half_life: u32,
        sequence: Sequence,
        recorded_at: Timestamp,
    ) {
        let key = xxh3_128(selection.decision_id.as_str().as_bytes());
        if self.knows(key) {
            return;
        }
        let Some(index) = self.names.intern_within(limits::ARM_SETS, selection.set.as_str()) else {
            return;
        };
        self.sets.grow(index as usize + 1, &Arc::default());
        let set = Arc::make_mut(self.sets.get_mut(index as usize));
        let before = set.model_bytes();
        set.advance(half_life);
        set.used_at = self.pending.end();
        let mut chosen = None;
        for (position, offered) in selection.offered.iter().enumerate() {
            let arm = set.offer(offered.name.as_str(), position);
            if position == selection.chosen as usize {
                chosen = arm;
            }
        }
        let Some(arm) = chosen else {
            self.model_bytes = self.model_bytes + set.model_bytes() - before;
            return;
        };
        let number = self.pending.end();
        let (vector, predicted) = select(set, arm, selection, number);
        self.model_bytes = self.model_bytes + set.model_bytes() - before;
        let pending = PendingSelection {
            key,
            sequence,
            number,
            set: index,
            arm: arm as u32,
            generation: set.arms[arm].generation,
            vector: vector.into(),
            predicted,
            reward: 0.0,
            rewarded: false,
            faded: set.faded,
            recorded_at,
        };
        self.remember(pending, recorded_at);
        self.keep_models_within(MODEL_BYTES, (index as usize, arm));
    }

    fn remember(&mut self, pending: PendingSelection, now: Timestamp) {
        let number = self.pending.push(pending);
        self.note(number);
        let is_over = |one: &PendingSelection| {
            one.recorded_at.plus_millis(PENDING_HOURS * Timestamp::HOUR_MS) <= now
        };
        while self.pending.bytes() > PENDING_BYTES || self.pending.oldest().is_some_and(is_over) {
            let slot = Window::<PendingSelection>::slot(self.pending.first());
            let Some(forgotten) = self.pending.pop() else {
                return;
            };
            self.index.remove(forgotten.key as u64, slot);
        }
    }

    /// Removes models beyond the budget, but not that of the arm just selected.
    pub(super) fn keep_models_within(&mut self, budget: u64, selected: (usize, usize)) {
        while self.model_bytes > budget {
            let may = |set: usize| {
                move |arm: usize, one: &Arm| one.linear.is_some() && (set, arm) != selected
            };
            let has_one = |(number, set): &(usize, &Arc<ArmSet>)| {
                set.arms.iter().enumerate().any(|(arm, one)| may(*number)(arm, one))
            };
            let sets = self.sets.iter().enumerate().filter(has_one);
            let Some((oldest, _)) = sets.min_by_key(|(_, set)| set.used_at) else {
                return;
            };
            let set = Arc::make_mut(self.sets.get_mut(oldest));
            let unused = set.longest_unused(may(oldest));
            let model = unused.and_then(|arm| set.arms[arm].linear.take());
            self.model_bytes -= model.map_or(0, |linear| linear.bytes());
        }
    }

    /// Learns what a selection earned. Returns whether the selection is still remembered.
    pub fn learn_reward(&mut self, reward: &ArmReward) -> bool {
        let key = xxh3_128(reward.decision_id.as_str().as_bytes());
        let number = self.number_of(key);
        let Some(pending) = number.and_then(|number| self.pending.get_mut(number)) else {
            return false;
        };
        let (before, after) = (pending.reward, reward.reward.clamp(0.0, 1.0));
        let is_no_better = pending.rewarded && !reward.corrects && after <= before;
        if after.is_nan() || is_no_better {
            return true;
        }
        pending.rewarded = true;
        pending.reward = after;
        let set = Arc::make_mut(self.sets.get_mut(pending.set as usize));
        let is_its_arm = set.arms[pending.arm as usize].generation == pending.generation;
        if after != before && is_its_arm {
            change_reward(set, pending, (f64::from(before), f64::from(after)));
        }
        true
    }
}

/// Changes the reward of a selection from `before` to `after`.
fn change_reward(set: &mut ArmSet, pending: &PendingSelection, (before, after): (f64, f64)) {
    let weight = math::exp2(pending.faded - set.faded);
    let arm = &mut set.arms[pending.arm as usize];
    arm.reward += after - before;
    arm.successes += weight * (after - before);
    if pending.vector.is_empty() {
        return;
    }
    let error = |reward: f64| (reward - pending.predicted) * (reward - pending.predicted);
    set.errors.0 = (set.errors.0 + weight * (error(after) - error(before))).max(0.0);
    // A model made since then does not include the selection.
    let model = arm.linear.as_mut().filter(|_| pending.number >= arm.model_since);
    if let Some(linear) = model {
        let mut x: Vec<f64> = pending.vector.iter().map(|x| f64::from(*x)).collect();
        Arc::make_mut(linear).reward(&mut x, weight * (after - before));
    }
}

/// Learns that an arm was selected, so far without reward. Returns the vector of the
/// context, empty where there is none that fits the set, and the predicted reward.
fn select(set: &mut ArmSet, arm: usize, selection: &ArmSelection, number: u64) -> (Vec<f32>, f64) {
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
    if arm.linear.is_none() {
        arm.model_since = number;
    }
    let linear = arm.linear.get_or_insert_with(|| Arc::new(Linear::new(shape.dimension())));
    Arc::make_mut(linear).select(&mut x);
    let mean = selection.offered[selection.chosen as usize].mean;
    let predicted = if mean.is_finite() { mean.clamp(-1.0, 1.0) } else { 0.0 };
    set.errors.0 += predicted * predicted;
    set.errors.1 += 1.0;
    (vector, predicted)
}
