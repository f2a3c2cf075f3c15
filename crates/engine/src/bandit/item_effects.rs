//! What an item earns beyond the prediction from its features: a random effect of each item,
//! with shrinkage (empirical Bayes; Efron and Morris 1975, Robbins 1956).
//!
//! `reward = prediction + c + u_i + noise`, `u_i ~ N(0, tau^2)`, noise of variance `sigma^2`.
//! With `n_i` decayed impressions and `s_i` the sum of their residuals,
//!
//! `mean = (s_i - c n_i) / (n_i + k)`, `variance = sigma^2 / (n_i + k)`, `k = sigma^2 / tau^2`.
//!
//! So an item without evidence has the greatest variance, `tau^2`, and exploration
//! prefers such items, however much evidence the ranker's coefficients have.
//!
//! - A residual is relative to the score without the item's own effect, as it was when the
//!   decision was learnt. So an effect does not reinforce itself.
//! - Predictions may be wrong for all items alike, for example by the prior before a namespace's
//!   rate of reward is known. That is `c`, and it is not part of an item's effect. It is the
//!   mean over items, not over impressions, since good items are shown more.
//! - `sigma^2` is the mean squared residual. `c` and `tau^2` follow by the method of moments,
//!   at fixed numbers of decisions.
//! - Evidence counts half after the ranker's half-life. It is faded when it is read.
//! - Bounded: [`ITEMS_MAX`] items, about 56 bytes each with the table. When they are full, the
//!   one with the least evidence of a few is evicted. Only items of the catalogue have one.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::fading::DECISIONS_PER_TICK;
use crate::bandit::fading::retention;
use crate::bandit::posterior::Weight;
use crate::columns::column::Column;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Part;

/// Items with an effect of their own: 15 MB with the table.
pub const ITEMS_MAX: usize = 262_144;
/// Number of items among which the one with the least evidence is evicted.
const EVICTION_SAMPLE: usize = 16;
/// Prior variance of a reward, that of a click at a rate of 5 %, and the
/// impressions that it counts as.
const NOISE_PRIOR: (f64, f64) = (0.0475, 100.0);
const NOISE_MIN: f64 = 1e-6;
/// Prior standard deviation of effects, two fifths of the prior rate of reward, and the items
/// that it counts as. Thompson sampling on it costs a percent of NDCG.
const SPREAD_PRIOR: (f64, f64) = (0.02, 50.0);
/// Bounds of that deviation.
const SPREAD_MIN: f64 = 0.005;
const SPREAD_MAX: f64 = 0.5;
/// Decisions between two estimates, or a quarter as many as there are items: a few rows are
/// read for each decision.
const ESTIMATE_EVERY: u64 = 64;
/// Bound of a prediction.
const SCORE_MAX: f64 = 2.0;

/// The belief about the effect of one item, in rewards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemEffect {
    pub mean: f64,
    pub variance: f64,
}

/// Evidence about one item, as of a tick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Key of its id.
    key: u64,
    impressions: f64,
    residuals: f64,
    tick: u64,
}

/// What all items have in common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Common {
    impressions: f64,
    /// Sum of squared residuals.
    squares: f64,
    /// `tau`.
    spread: f64,
    /// `c`.
    center: f64,
    /// The half-life and the tick of the sums above.
    half_life: u32,
    tick: u64,
    /// Where the next item starts its search for a row to evict.
    hand: u64,
}

/// Effects of the items of a namespace.
#[derive(Debug, Clone, Default)]
pub struct ItemEffects {
    pub rows: Column<Evidence>,
    pub common: Common,
    /// The row of each item, by key. Derived.
    index: KeyIndex,
}

impl Default for Common {
    fn default() -> Self {
        let spread = SPREAD_PRIOR.0;
        let (impressions, squares, center) = (0.0, 0.0, 0.0);
        Self { impressions, squares, spread, center, half_life: 0, tick: 0, hand: 0 }
    }
}

impl Common {
    fn noise(&self) -> f64 {
        let (variance, worth) = NOISE_PRIOR;
        ((variance * worth + self.squares) / (worth + self.impressions)).max(NOISE_MIN)
    }

    /// Impressions after which half of a residual is the effect.
    fn shrinkage(&self) -> f64 {
        self.noise() / (self.spread * self.spread)
    }

    fn belief(&self, now: &Evidence) -> ItemEffect {
        let mass = now.impressions + self.shrinkage();
        let own = now.residuals - self.center * now.impressions;
        let mean = (own / mass).clamp(-1.0, 1.0);
        ItemEffect { mean, variance: self.noise() / mass }
    }

    /// `weight` may be negative, to take back a presumed impression.
    fn note_impression(&mut self, weight: f64, base: f64) {
        self.impressions = (self.impressions + weight).max(0.0);
        self.squares = (self.squares + weight * base * base).max(0.0);
    }

    fn note_reward(&mut self, weight: f64, (from, to): (f64, f64), base: f64) {
        let square = |reward: f64| (reward - base) * (reward - base);
        self.squares = (self.squares + weight * (square(to) - square(from))).max(0.0);
    }
}

impl Evidence {
    /// Its evidence as of a tick.
    fn at(mut self, common: &Common) -> Self {
        let left = retention(common.half_life, common.tick.saturating_sub(self.tick));
        self.impressions *= left;
        self.residuals *= left;
        self.tick = common.tick;
        self
    }
}

/// A number whose sums stay finite.
fn bounded(value: f64) -> f64 {
    if value.is_finite() { value.clamp(-SCORE_MAX, SCORE_MAX) } else { 0.0 }
}

impl ItemEffects {
    /// What digests and snapshots hold as a part.
    pub fn parts(&self) -> Vec<(&'static str, &dyn Part)> {
        vec![("item_effects", &self.rows)]
    }

    pub fn parts_mut(&mut self) -> Vec<(&'static str, &mut dyn Part)> {
        vec![("item_effects", &mut self.rows)]
    }

    /// The belief about an item, by the key of its id.
    pub fn of(&self, key: u64) -> ItemEffect {
        let known = self.find(key).map(|at| self.rows[at].at(&self.common));
        self.common.belief(&known.unwrap_or_default())
    }

    /// The belief about an item without evidence.
    pub fn of_unknown(&self) -> ItemEffect {
        self.common.belief(&Evidence::default())
    }

    /// The prediction of a score without the item's own effect. Computed when the decision is
    /// learnt, and kept with it.
    pub fn base(&self, key: u64, score: f64) -> f64 {
        bounded(bounded(score) - self.of(key).mean)
    }

    /// Learns that an item was seen, so far without reward.
    pub fn add_impression(&mut self, key: u64, base: f64, weight: Weight) {
        self.change_impressions(key, base, weight.share());
    }

    /// Takes back what [`Self::add_impression`] added with the same weight.
    pub fn remove_impression(&mut self, key: u64, base: f64, weight: Weight) {
        self.change_impressions(key, base, -weight.share());
    }

    fn change_impressions(&mut self, key: u64, base: f64, weight: f64) {
        self.common.note_impression(weight, base);
        let row = self.row(key);
        row.impressions = (row.impressions + weight).max(0.0);
        row.residuals -= weight * base;
    }

    /// Changes the reward of a shown item from `from` to `to`.
    pub fn change_reward(&mut self, key: u64, base: f64, (from, to): (f32, f32), weight: Weight) {
        let (from, to) = (bounded(f64::from(from)), bounded(f64::from(to)));
        self.common.note_reward(weight.share(), (from, to), base);
        self.row(key).residuals += weight.share() * (to - from);
    }

    /// To be called with every decision, the `decisions`-th.
    pub fn tick(&mut self, half_life: u32, decisions: u64) {
        if decisions.is_multiple_of(DECISIONS_PER_TICK) {
            let left = retention(half_life, 1);
            self.common.impressions *= left;
            self.common.squares *= left;
            if self.common.half_life != half_life {
                self.fade_all();
                self.common.half_life = half_life;
            }
            self.common.tick = decisions / DECISIONS_PER_TICK;
        }
        let every = ESTIMATE_EVERY.max((self.rows.len() as u64 / 4).next_power_of_two());
        if decisions.is_multiple_of(every) {
            self.estimate();
        }
    }

    /// Fades earlier evidence by the old half-life until now, before a new half-life applies.
    fn fade_all(&mut self) {
        self.rows = self.rows.iter().map(|row| row.at(&self.common)).collect();
    }

    /// Each item's mean residual is an estimate of `c`. Its square about `c`, less the noise, is one
    /// of `tau^2`. Estimates are weighted by the inverse of their noise; one of
    /// an item with much evidence has the weight 1.
    fn estimate(&mut self) {
        let (noise, shrinkage) = (self.common.noise(), self.common.shrinkage());
        let rows = || self.rows.iter().map(|row| row.at(&self.common));
        let (mut sum, mut items) = (0.0, 0.0);
        for row in rows() {
            let mass = row.impressions + shrinkage;
            sum += row.residuals / mass;
            items += row.impressions / mass;
        }
        let center = if items > 0.0 { bounded(sum / items.max(1.0)) } else { 0.0 };
        let (spread, worth) = SPREAD_PRIOR;
        let (mut sum, mut items) = (worth * spread * spread, worth);
        for row in rows() {
            let (mass, own) =
                (row.impressions + shrinkage, row.residuals - center * row.impressions);
            sum += (own * own - noise * row.impressions) / (mass * mass);
            items += (row.impressions / mass) * (row.impressions / mass);
        }
        let variance = (sum / items).clamp(SPREAD_MIN * SPREAD_MIN, SPREAD_MAX * SPREAD_MAX);
        (self.common.center, self.common.spread) = (center, variance.sqrt());
    }

    fn find(&self, key: u64) -> Option<usize> {
        self.index.find(key, |at| self.rows[at].key == key)
    }

    /// The evidence about an item as of now, for writing.
    fn row(&mut self, key: u64) -> &mut Evidence {
        let at = self.find(key).unwrap_or_else(|| self.make_row(key, ITEMS_MAX));
        let now = self.rows[at].at(&self.common);
        let row = self.rows.get_mut(at);
        *row = now;
        row
    }

    fn make_row(&mut self, key: u64, most: usize) -> usize {
        let row = Evidence { key, tick: self.common.tick, ..Evidence::default() };
        let at = if self.rows.len() < most {
            self.rows.push(row);
            self.rows.len() - 1
        } else {
            let at = self.least_known();
            self.index.remove(self.rows[at].key, at);
            *self.rows.get_mut(at) = row;
            at
        };
        let Self { index, rows, .. } = self;
        index.insert(key, at, |at| rows[at].key == key);
        at
    }

    /// The row with the least evidence among a few, which are spread over the table: the oldest
    /// rows often have the most evidence.
    fn least_known(&mut self) -> usize {
        let len = self.rows.len();
        let from = self.common.hand as usize % len;
        self.common.hand = ((from + 1) % len) as u64;
        let evidence = |at: &usize| self.rows[*at].at(&self.common).impressions;
        let stride = len / EVICTION_SAMPLE + 1;
        let rows = (0..EVICTION_SAMPLE).map(|one| (from + one * stride) % len);
        rows.min_by(|a, b| evidence(a).total_cmp(&evidence(b))).unwrap_or(from)
    }

    /// Derives the row of each item.
    pub fn index_items(&mut self) {
        let Self { index, rows, .. } = self;
        *index = KeyIndex::default();
        for at in 0..rows.len() {
            index.insert(rows[at].key, at, |other| rows[other].key == rows[at].key);
        }
    }

    /// Whether data read from a snapshot is consistent.
    pub fn is_whole(&self) -> bool {
        let Common { impressions, squares, spread, center, .. } = self.common;
        let numbers = [impressions, squares, spread, center];
        let rows = self.rows.iter().flat_map(|row| [row.impressions, row.residuals]);
        self.rows.len() <= ITEMS_MAX && numbers.into_iter().chain(rows).all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests;
