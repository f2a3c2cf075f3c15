//! What an item earns beyond what its features predict: a random effect of each item, with
//! shrinkage (empirical Bayes; Efron and Morris 1975, Robbins 1956).
//!
//! `reward = prediction + c + u_i + noise`, `u_i ~ N(0, tau^2)`, noise of variance `sigma^2`.
//! With `n_i` decayed impressions and `s_i` the sum of their residuals,
//!
//! `mean = (s_i - c n_i) / (n_i + k)`, `variance = sigma^2 / (n_i + k)`, `k = sigma^2 / tau^2`.
//!
//! So an item of which nothing is known has the greatest variance, `tau^2`, and exploration
//! looks where little is known, however much the ranker's coefficients have learnt.
//!
//! - A residual is taken against the score without the item's own effect, as it was when the
//!   decision was learnt: an effect does not feed on itself.
//! - Predictions that are off for all items alike (as the prior is before a namespace's rate
//!   of reward is known) say nothing about one item. That is `c`: the mean over items, not over
//!   impressions, since good items are shown more.
//! - `sigma^2` is the mean squared residual. `c` and `tau^2` follow by the method of moments,
//!   at fixed numbers of decisions.
//! - Evidence counts half after the ranker's half-life. It is faded when it is looked at.
//! - Bounded: [`ITEMS_MAX`] items, about 56 bytes each with the table. When they are full, the
//!   one with the least evidence of a few makes way. Only items of the catalogue have one.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::posterior::Weight;
use crate::bandit::ranker::DECISIONS_PER_TICK;
use crate::bandit::ranker::retention;
use crate::columns::column::Column;
use crate::columns::key_index::KeyIndex;
use crate::columns::part::Part;

/// Items with evidence of their own: 15 MB with the table.
pub const ITEMS_MAX: usize = 262_144;
/// Items of which the least known makes way.
const EVICTION_SAMPLE: usize = 16;
/// Variance of a reward before any was seen, that of a click at a rate of 5 %, and the
/// impressions that it is worth.
const NOISE_PRIOR: (f64, f64) = (0.0475, 100.0);
const NOISE_MIN: f64 = 1e-6;
/// Standard deviation of effects before any was seen, and the items that it is worth: two
/// fifths of the prior rate of reward. Thompson sampling on it costs a percent of NDCG.
const SPREAD_PRIOR: (f64, f64) = (0.02, 50.0);
/// Some items always differ; none by more than rewards do.
const SPREAD_MIN: f64 = 0.005;
const SPREAD_MAX: f64 = 0.5;
/// Decisions between two estimates, or a quarter as many as there are items: a few rows are
/// read for each decision.
const ESTIMATE_EVERY: u64 = 64;
/// Nothing is predicted beyond this.
const SCORE_MAX: f64 = 2.0;

/// What is believed of one item beyond its features, in rewards.
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
    /// The half-life and the tick that the above is as of.
    half_life: u32,
    tick: u64,
    /// Where the next item looks for one to take the row of.
    hand: u64,
}

/// Effects of the items of a namespace.
#[derive(Debug, Clone, Default)]
pub struct ItemEffects {
    pub rows: Column<Evidence>,
    pub common: Common,
    /// Where each item is, by key. Derived.
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

    /// Impressions that it takes to believe half of a residual.
    fn shrinkage(&self) -> f64 {
        self.noise() / (self.spread * self.spread)
    }

    fn belief(&self, now: &Evidence) -> ItemEffect {
        let mass = now.impressions + self.shrinkage();
        let own = now.residuals - self.center * now.impressions;
        let mean = (own / mass).clamp(-1.0, 1.0);
        ItemEffect { mean, variance: self.noise() / mass }
    }

    /// `weight` may be negative: what was presumed is taken back.
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
    /// As it counts at a tick.
    fn at(mut self, common: &Common) -> Self {
        let left = retention(common.half_life, common.tick.saturating_sub(self.tick));
        self.impressions *= left;
        self.residuals *= left;
        self.tick = common.tick;
        self
    }
}

/// A number that sums stay finite with.
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

    /// What is believed of an item, by the key of its id.
    pub fn of(&self, key: u64) -> ItemEffect {
        let known = self.find(key).map(|at| self.rows[at].at(&self.common));
        self.common.belief(&known.unwrap_or_default())
    }

    /// What is believed of an item that nothing is known of.
    pub fn of_unknown(&self) -> ItemEffect {
        self.common.belief(&Evidence::default())
    }

    /// What a score predicts without the item's own part. To be asked when the decision is
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

    /// The reward of a shown item is not `from`, as was known so far, but `to`.
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

    /// What was gathered under another half-life fades by that one until now.
    fn fade_all(&mut self) {
        self.rows = self.rows.iter().map(|row| row.at(&self.common)).collect();
    }

    /// Each item's mean residual is an estimate of `c`, and its square about `c`, beyond what
    /// noise explains, one of `tau^2`. They count by how little noise there is in them; one of
    /// an item that is well known counts as an item.
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

    /// Of a few rows, the one with the least evidence. They lie all over the table: those that
    /// came first are often the best known.
    fn least_known(&mut self) -> usize {
        let len = self.rows.len();
        let from = self.common.hand as usize % len;
        self.common.hand = ((from + 1) % len) as u64;
        let evidence = |at: &usize| self.rows[*at].at(&self.common).impressions;
        let stride = len / EVICTION_SAMPLE + 1;
        let rows = (0..EVICTION_SAMPLE).map(|one| (from + one * stride) % len);
        rows.min_by(|a, b| evidence(a).total_cmp(&evidence(b))).unwrap_or(from)
    }

    /// Derives where each item is.
    pub fn index_items(&mut self) {
        let Self { index, rows, .. } = self;
        *index = KeyIndex::default();
        for at in 0..rows.len() {
            index.insert(rows[at].key, at, |other| rows[other].key == rows[at].key);
        }
    }

    /// Whether what was read of a snapshot can be.
    pub fn is_whole(&self) -> bool {
        let Common { impressions, squares, spread, center, .. } = self.common;
        let numbers = [impressions, squares, spread, center];
        let rows = self.rows.iter().flat_map(|row| [row.impressions, row.residuals]);
        self.rows.len() <= ITEMS_MAX && numbers.into_iter().chain(rows).all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests;
