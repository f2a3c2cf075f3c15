//! Learning from selections and their rewards.
//!
//! - A reward counts for selections of the last [`PENDING_HOURS`] hours, as far as
//!   [`PENDING_BYTES`] allow. A later one is ignored.
//! - Of several rewards of one selection the best counts, in any order,
//!   unless one is marked as a correction: then it replaces the reward so far.
//! - A selection that is withdrawn is taken back with its reward; what is reported of it before or after
//!   makes no difference. Its id stays taken.
//! - A selection whose id is that of one that may still be rewarded is one sent again: it
//!   teaches nothing, so the first one in the log is the one that counts, on every replica.
//! - Sets beyond the limit of a namespace are not learnt. The caller of a selection checks the
//!   limit before; two concurrent callers may both be told that one more set fits.
//! - Models of contexts have a budget of memory, [`MODEL_BYTES`]. Beyond it, the arm that was
//!   offered the longest ago, of the set that was used the longest ago, loses its model and
//!   keeps its rate. It gets a new model when it is selected again. The model that the arms of a set share goes
//!   after those of its arms.
//! - The reward fades as much as the evidence of its selection has faded since.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::bandit::arms::evidence;
use crate::bandit::arms::evidence::Learnt;
use crate::bandit::arms::pending::PendingSelection;
use crate::bandit::arms::set::Arm;
use crate::bandit::arms::set::ArmSet;
use crate::columns::column::Column;
use crate::columns::interner::Interner;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Part;
use crate::columns::window::Window;
use crate::domain::ArmOutcome;
use crate::domain::ArmReward;
use crate::domain::ArmSelection;
use crate::domain::Sequence;
use crate::domain::Timestamp;
use crate::domain::limits;

/// How long a selection may be rewarded, as far as memory allows.
const PENDING_HOURS: i64 = 24;
/// Memory of selections that may still be rewarded: 170,000 without a context, 35,000 with
/// the largest.
pub(super) const PENDING_BYTES: u64 = 32 << 20;
/// Memory of the models of all arms: 800 of the largest, 50,000 of a context of 20 numbers.
pub(super) const MODEL_BYTES: u64 = 128 << 20;

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
        let Learnt { vector, features, predicted } = evidence::select(set, arm, selection, number);
        self.model_bytes = self.model_bytes + set.model_bytes() - before;
        let pending = PendingSelection {
            key,
            sequence,
            number,
            set: index,
            arm: arm as u32,
            generation: set.arms[arm].generation,
            vector,
            features,
            predicted,
            reward: 0.0,
            rewarded: false,
            withdrawn: false,
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
                let of_arms = set.arms.iter().enumerate().any(|(arm, one)| may(*number)(arm, one));
                of_arms || (set.shared.is_some() && *number != selected.0)
            };
            let sets = self.sets.iter().enumerate().filter(has_one);
            let Some((oldest, _)) = sets.min_by_key(|(_, set)| set.used_at) else {
                return;
            };
            let set = Arc::make_mut(self.sets.get_mut(oldest));
            let unused = set.longest_unused(may(oldest));
            let freed = match unused {
                Some(arm) => set.arms[arm].linear.take().map_or(0, |linear| linear.bytes()),
                None => set.shared.take().map_or(0, |shared| shared.bytes()),
            };
            self.model_bytes -= freed;
        }
    }

    /// Learns what a selection earned, or that it was withdrawn. Returns whether the selection is
    /// still remembered.
    pub fn learn_reward(&mut self, reward: &ArmReward) -> bool {
        let key = xxh3_128(reward.decision_id.as_str().as_bytes());
        let number = self.number_of(key);
        let Some(pending) = number.and_then(|number| self.pending.get_mut(number)) else {
            return false;
        };
        let before = pending.reward;
        let (after, is_better) = match reward.outcome {
            ArmOutcome::Reward(reward) => (reward, !pending.rewarded || reward > before),
            ArmOutcome::Correction(reward) => (reward, true),
            ArmOutcome::Withdrawal => (0.0, true),
        };
        if pending.withdrawn || after.is_nan() || !is_better {
            return true;
        }
        let after = after.clamp(0.0, 1.0);
        pending.rewarded = true;
        pending.reward = after;
        pending.withdrawn = reward.outcome == ArmOutcome::Withdrawal;
        let set = Arc::make_mut(self.sets.get_mut(pending.set as usize));
        if set.arms[pending.arm as usize].generation == pending.generation {
            if after != before {
                evidence::change_reward(set, pending, (f64::from(before), f64::from(after)));
            }
            if pending.withdrawn {
                evidence::withdraw(set, pending);
            }
        }
        true
    }
}
