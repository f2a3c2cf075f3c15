//! Decisions that may still earn a reward.
//!
//! It is rarely known which of the shown items were looked at, so all evidence for it is
//! used: an impression event says that its item was seen. A
//! reward at position `p` says that everything down to position `p` was seen (Joachims et al.
//! 2005, "skip above"). Each shown item counts as an impression once and gets
//! the reward of its best interaction, for events in any number and order.
//!
//! Where examination is modelled (a setting), a shown item counts from the start with the
//! probability that its position is looked at. The rest is added when it is known to have been
//! seen. The presumed part is taken back when the caller reports impressions of the
//! decision without this item.
//!
//! - All evidence of a decision has the weight of its user, faded since the time of the
//!   decision.
//! - Users and items are named by keys, hashes of their ids: a decision adds no user and
//!   no item to the state.
//! - Small: 20 bytes an item and one for each feature (see [`pack`]). The ranker learns an
//!   impression and its reward from the same packed values.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::division::PendingDivision;
use crate::bandit::item_effects::ItemEffects;
use crate::bandit::posterior::Weight;
use crate::bandit::ranker::OwnRankerId;
use crate::bandit::ranker::Ranker;
use crate::columns::aliases::UserKey;
use crate::columns::window::Weighed;
use crate::domain::ListOrigin;
use crate::domain::TakeoverTrial;
use crate::domain::Timestamp;
use crate::domain::outweighs;

/// Memory of a decision besides its items: itself, its slot and its entries in two tables.
const DECISION_BYTES: usize = size_of::<PendingDecision>() + 128;
/// 1 is packed as this.
const PACKED_ONE: f32 = 45.0;
/// Scores and rewards have steps of 1 over this; they reach to -2 and 2.
const STEPS: f32 = 16_384.0;

/// A shown item, as it comes.
#[derive(Debug, Clone)]
pub struct ShownPosition {
    /// Key of its id.
    pub item: u64,
    /// Whether it was in the catalogue when it was shown: then its impression counts for the item.
    pub counted: bool,
    /// Whether it has an effect of its own, as items of the catalogue have.
    pub has_effect: bool,
    /// The ranker's vector; empty for a pinned item.
    pub features: Vec<f32>,
    pub propensity: f32,
    /// Its score without its own effect.
    pub base: f64,
}

/// A shown item without its key and features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Shown {
    propensity: f32,
    /// Its score without its own effect, in steps.
    base: i16,
    /// Reward given so far, -1 to 1, in steps.
    reward: i16,
    flags: u8,
}

/// Its impression is counted with the item.
const COUNTED: u8 = 1;
/// Known to have been seen: counted as an impression in full.
const SEEN: u8 = 2;
/// It has an effect of its own.
const EFFECT: u8 = 4;
/// The ranker chose it: it is not pinned.
const CHOSEN: u8 = 8;
/// It has a vector that the ranker learns from.
const FEATURES: u8 = 16;

impl Shown {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn base(&self) -> f64 {
        f64::from(from_steps(self.base))
    }

    fn reward(&self) -> f32 {
        from_steps(self.reward)
    }
}

fn to_steps(value: f32) -> i16 {
    // The cast saturates and turns NaN into 0.
    (value * STEPS).round_ties_even() as i16
}

fn from_steps(steps: i16) -> f32 {
    f32::from(steps) / STEPS
}

/// A feature in eight bits, by its square root: steps are 1/2,000 next to 0, 1/20 about 1
/// and 1/8 at the ends, -8 and 8. 0 and 1 are exact. Errors average out: in what is learnt
/// they add a variance of 2e-4 to that of a feature, about 1.
pub fn pack(feature: f32) -> i8 {
    if feature.is_nan() {
        return 0;
    }
    let root = feature.abs().sqrt() * PACKED_ONE;
    let packed = root.round_ties_even().min(127.0) as i8;
    if feature < 0.0 { -packed } else { packed }
}

pub fn unpack(packed: i8) -> f32 {
    let packed = f32::from(packed);
    packed * packed.abs() / (PACKED_ONE * PACKED_ONE)
}

/// What a pending decision still needs of its trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PendingTrial {
    pub round: u32,
    pub origin: ListOrigin,
    /// In the order of [`ListOrigin::ALL`].
    pub chances: [f64; 3],
    pub recorded_at: Timestamp,
}

impl PendingTrial {
    pub fn new(trial: &TakeoverTrial, recorded_at: Timestamp) -> Self {
        let TakeoverTrial { round, origin, chances, .. } = *trial;
        Self { round, origin, chances, recorded_at }
    }

    /// Until when rewards are waited for.
    pub fn due(&self, reward_window_seconds: u32) -> Timestamp {
        self.recorded_at.plus_millis(1_000 * i64::from(reward_window_seconds))
    }
}

/// The page before a decision that is a later page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageBefore {
    /// Key of its decision.
    pub decision: u128,
    /// See [`crate::domain::Continues::origin`].
    pub origin: Option<ListOrigin>,
}

/// The models that learn from decisions.
#[derive(Debug)]
pub struct Learners<'a> {
    pub ranker: &'a mut Ranker,
    pub effects: &'a mut ItemEffects,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingDecision {
    /// 128-bit hash of the decision id.
    pub key: u128,
    pub user: UserKey,
    pub segment: u8,
    /// How many decisions were learnt before this one.
    pub number: u64,
    /// The number of the user's previous decision, if it is remembered.
    pub previous: Option<u64>,
    pub decided_at: Timestamp,
    pub recorded_at: Timestamp,
    /// The weight of its user; 1 unless set before [`Self::begin`].
    pub weight: Weight,
    /// Where the request has a baseline.
    pub trial: Option<Box<PendingTrial>>,
    /// Where an experiment divides its list or drew its variant.
    pub division: Option<Box<PendingDivision>>,
    /// Where it is a later page.
    pub page_before: Option<Box<PageBefore>>,
    /// The variant whose own ranker made the list.
    pub own_ranker: Option<OwnRankerId>,
    /// Whether an impression of it was reported.
    reported: bool,
    /// In the order shown.
    keys: Box<[u64]>,
    shown: Box<[Shown]>,
    /// The presumed part of each impression; empty where nothing is
    /// presumed.
    presumed: Box<[Weight]>,
    /// Packed rows, one for each item; of zeros where it has no [`FEATURES`].
    features: Arc<[i8]>,
}

impl Weighed for PendingDecision {
    fn bytes(&self) -> u64 {
        let lists = size_of_val(&*self.keys)
            + size_of_val(&*self.shown)
            + size_of_val(&*self.presumed)
            + self.features.len();
        let trial = self.trial.as_ref().map_or(0, |_| size_of::<PendingTrial>());
        let page_before = self.page_before.as_ref().map_or(0, |_| size_of::<PageBefore>());
        let division = self.division.as_ref().map_or(0, |division| division.bytes());
        (DECISION_BYTES + lists + trial + page_before + division) as u64
    }
}

impl PendingDecision {
    /// `dimension`: the length of vectors that are learnt from.
    pub fn new(key: u128, user: UserKey, shown: &[ShownPosition], dimension: usize) -> Self {
        let mut features = Vec::with_capacity(shown.len() * dimension);
        let mut pack_one = |one: &ShownPosition| {
            let has_features = dimension > 0 && one.features.len() == dimension;
            if has_features {
                features.extend(one.features.iter().map(|feature| pack(*feature)));
            } else {
                features.extend(std::iter::repeat_n(0, dimension));
            }
            let flag = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
            Shown {
                propensity: one.propensity,
                base: to_steps(one.base as f32),
                reward: 0,
                flags: flag(COUNTED, one.counted)
                    | flag(EFFECT, one.has_effect)
                    | flag(CHOSEN, !one.features.is_empty())
                    | flag(FEATURES, has_features),
            }
        };
        let packed: Box<[Shown]> = shown.iter().map(&mut pack_one).collect();
        Self {
            key,
            user,
            segment: 0,
            number: 0,
            previous: None,
            decided_at: Timestamp::default(),
            recorded_at: Timestamp::default(),
            weight: Weight::FULL,
            trial: None,
            division: None,
            page_before: None,
            own_ranker: None,
            reported: false,
            keys: shown.iter().map(|one| one.item).collect(),
            shown: packed,
            presumed: Box::default(),
            features: features.into(),
        }
    }

    /// Whether data read from a snapshot is consistent.
    pub fn is_whole(&self) -> bool {
        let items = self.keys.len();
        self.shown.len() == items
            && (self.presumed.is_empty() || self.presumed.len() == items)
            && (self.features.is_empty() || items > 0 && self.features.len().is_multiple_of(items))
    }

    /// Gives the rows the features of another layout: `positions` has for each of its features the
    /// position in the present rows, if any.
    pub fn align(&mut self, positions: &[Option<usize>]) {
        if self.features.is_empty() {
            return;
        }
        let width = self.features.len() / self.keys.len();
        let value = |row: &[i8], at: &Option<usize>| at.map_or(0, |at| row[at]);
        let rows = self.features.chunks_exact(width);
        let aligned = rows.flat_map(|row| positions.iter().map(move |at| value(row, at)));
        self.features = aligned.collect();
    }

    /// Keys of the items, in the order shown.
    pub fn items(&self) -> &[u64] {
        &self.keys
    }

    /// Keys of the items that the caller pinned.
    pub fn pinned(&self) -> impl Iterator<Item = u64> {
        let shown = self.keys.iter().zip(&self.shown);
        shown.filter(|(_, shown)| !shown.has(CHOSEN)).map(|(key, _)| *key)
    }

    /// The vector of a position; `None` where there is nothing to learn from.
    pub(crate) fn vector(&self, position: usize) -> Option<Vec<f32>> {
        self.shown.get(position).filter(|shown| shown.has(FEATURES))?;
        let width = self.features.len() / self.keys.len();
        let row = &self.features[position * width..][..width];
        Some(row.iter().map(|packed| unpack(*packed)).collect())
    }

    /// Positions that the user is known to have looked at, and whether they earned a reward.
    pub fn looked_at(&self) -> impl Iterator<Item = (usize, bool)> {
        let shown = self.shown.iter().enumerate().filter(|(_, shown)| shown.has(SEEN));
        shown.map(|(position, shown)| (position, shown.reward > 0))
    }

    /// What was expected of a position, without the item's own effect.
    pub fn expected(&self, position: usize) -> f64 {
        self.shown[position].base()
    }

    /// What the list earned, -1 to 1.
    pub fn reward(&self) -> f64 {
        let sum: f64 = self.shown.iter().map(|shown| f64::from(shown.reward())).sum();
        sum.clamp(-1.0, 1.0)
    }

    /// Whose order the list is in; `None` where no other competed with the ranker's.
    pub fn origin(&self) -> Option<ListOrigin> {
        let of_trial = self.trial.as_ref().map(|trial| trial.origin);
        of_trial.or_else(|| self.page_before.as_ref()?.origin)
    }

    fn is_rankers(&self) -> bool {
        self.origin().is_none_or(|origin| origin == ListOrigin::Ranker)
    }

    /// Whether a position was drawn by its propensity: in a trial whole lists are.
    fn is_drawn(&self, shown: &Shown) -> bool {
        shown.has(CHOSEN) && self.trial.is_none() && self.is_rankers()
    }

    /// The reward of a shown item that the ranker chose; 0 for others.
    pub fn earned(&self, item: u64) -> f64 {
        let is_rankers = self.is_rankers();
        let shown = self.position_of(item).map(|position| &self.shown[position]);
        let chosen = shown.filter(|shown| is_rankers && shown.has(CHOSEN));
        chosen.map_or(0.0, |shown| f64::from(shown.reward()))
    }

    /// Where the item with this key is in the list.
    pub fn position_of(&self, item: u64) -> Option<usize> {
        self.keys.iter().position(|key| *key == item)
    }

    fn has_flag(&self, item: u64, flag: u8) -> bool {
        self.position_of(item).is_some_and(|position| self.shown[position].has(flag))
    }

    /// Whether a shown item got a positive reward.
    pub fn is_rewarded(&self, item: u64) -> bool {
        self.position_of(item).is_some_and(|position| self.shown[position].reward > 0)
    }

    /// Whether the impression of the item is counted with it.
    pub fn is_counted(&self, item: u64) -> bool {
        self.has_flag(item, COUNTED)
    }

    /// To be called once, when the decision is learnt. `examination` is the probability
    /// that each position is looked at; empty where that is not modelled.
    pub fn begin(&mut self, examination: &[f64], learners: &mut Learners<'_>) {
        for (position, shown) in self.shown.iter().enumerate() {
            if self.is_drawn(shown) {
                learners.ranker.examination.note_shown(position, shown.propensity);
            }
        }
        if examination.is_empty() {
            return;
        }
        let of = |position: usize| examination.get(position).copied().unwrap_or(0.0);
        self.presumed = (0..self.keys.len()).map(|at| Weight::new(of(at))).collect();
        for position in 0..self.keys.len() {
            let presumed = self.weight.times(self.presumed[position]);
            self.add_impression(position, presumed, learners);
        }
    }

    /// Adds an interaction of a user with a shown item. `reward` is 0 for a mere
    /// impression; `left` is the weight that evidence of this decision still has. Returns
    /// whether the decision had shown the item.
    pub fn credit(
        &mut self,
        item: u64,
        reward: f32,
        left: Weight,
        learners: &mut Learners<'_>,
    ) -> bool {
        let Some(position) = self.position_of(item).filter(|_| reward.is_finite()) else {
            return false;
        };
        let weight = self.weight.times(left);
        let reward = to_steps(reward.clamp(-1.0, 1.0));
        if reward == 0 {
            self.see(position, weight, learners);
            self.take_back_presumed(weight, learners);
            return true;
        }
        for above in 0..=position {
            self.see(above, weight, learners);
        }
        let before = self.shown[position].reward;
        if reward != before && outweighs(from_steps(reward), from_steps(before)) {
            self.change_reward(position, reward, weight, learners);
        }
        true
    }

    fn change_reward(
        &mut self,
        position: usize,
        reward: i16,
        weight: Weight,
        learners: &mut Learners<'_>,
    ) {
        let shown = self.shown[position];
        if reward > 0 && shown.reward <= 0 && self.is_drawn(&shown) {
            learners.ranker.examination.note_rewarded(position, shown.propensity);
        }
        let change = (shown.reward(), from_steps(reward));
        if let Some(vector) = self.vector(position) {
            learners.ranker.change_reward(self.segment, &vector, change, weight);
            if shown.has(EFFECT) {
                let key = self.keys[position];
                learners.effects.change_reward(key, shown.base(), change, weight);
            }
        }
        self.shown[position].reward = reward;
    }

    fn add_impression(&self, position: usize, weight: Weight, learners: &mut Learners<'_>) {
        let Some(vector) = self.vector(position).filter(|_| weight != Weight::NONE) else {
            return;
        };
        learners.ranker.add_impression(self.segment, &vector, weight);
        let shown = &self.shown[position];
        if shown.has(EFFECT) {
            learners.effects.add_impression(self.keys[position], shown.base(), weight);
        }
    }

    fn see(&mut self, position: usize, weight: Weight, learners: &mut Learners<'_>) {
        if self.shown[position].has(SEEN) {
            return;
        }
        self.shown[position].flags |= SEEN;
        let presumed = self.presumed.get(position).copied().unwrap_or(Weight::NONE);
        self.add_impression(position, presumed.rest().times(weight), learners);
        if let Some(vector) = self.vector(position) {
            learners.ranker.count_impression(self.segment, &vector);
        }
    }

    /// The caller reports impressions: presumed ones are taken back.
    fn take_back_presumed(&mut self, weight: Weight, learners: &mut Learners<'_>) {
        if self.reported {
            return;
        }
        self.reported = true;
        for position in 0..self.presumed.len() {
            let shown = self.shown[position];
            let presumed = std::mem::replace(&mut self.presumed[position], Weight::NONE);
            let Some(vector) = self.vector(position).filter(|_| !shown.has(SEEN)) else {
                continue;
            };
            let presumed = presumed.times(weight);
            learners.ranker.remove_impression(self.segment, &vector, presumed);
            if shown.has(EFFECT) {
                let key = self.keys[position];
                learners.effects.remove_impression(key, shown.base(), presumed);
            }
        }
    }
}

#[cfg(test)]
impl PendingDecision {
    /// Items with a feature each, shown with a propensity of a half.
    pub fn of_items(items: &[u64]) -> Self {
        let shown = |&item: &u64| ShownPosition {
            item,
            counted: true,
            has_effect: true,
            features: vec![1.0],
            propensity: 0.5,
            base: 0.0,
        };
        let shown: Vec<ShownPosition> = items.iter().map(shown).collect();
        Self::new(1, UserKey::of(0), &shown, 1)
    }
}

#[cfg(test)]
mod tests;
