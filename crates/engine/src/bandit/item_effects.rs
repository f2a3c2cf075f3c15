//! What an item earns beyond what its features predict: a random effect of each item, with
//! shrinkage (empirical Bayes; Efron and Morris 1975, Robbins 1956).
//!
//! `reward = prediction + u_i + noise`, `u_i ~ N(0, tau^2)`, noise of variance `sigma^2`. With
//! `n_i` decayed impressions and `s_i` the sum of their residuals,
//!
//! `mean = s_i / (n_i + k)`, `variance = sigma^2 / (n_i + k)`, `k = sigma^2 / tau^2`.
//!
//! So an item of which nothing is known has the greatest variance, `tau^2`, and exploration
//! looks where little is known, however much the ranker's coefficients have learnt.
//!
//! - A residual is taken against the score without the item's own effect, as it was when the
//!   decision was learnt: an effect does not feed on itself.
//! - Predictions that are off for all items alike (as the prior is before a namespace's rate
//!   of reward is known) say nothing about one item: the mean error of late is taken out.
//! - `sigma^2` is the mean squared residual. `tau^2` follows by the method of moments, at
//!   fixed numbers of decisions.
//! - Evidence counts half after the ranker's half-life. It is faded when it is looked at.
//! - Bounded: [`ITEMS_MAX`] items, about 56 bytes each with the table. When they are full, the
//!   one with the least evidence of a few makes way. Only items of the catalogue have one.

use serde::Deserialize;
use serde::Serialize;

use crate::bandit::posterior::Weight;
use crate::bandit::ranker::DECISIONS_PER_TICK;
use crate::bandit::ranker::retention;
use crate::state::column::Column;
use crate::state::key_index::KeyIndex;

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
const SPREAD_PRIOR: (f64, f64) = (0.02, 20.0);
/// Some items always differ; none by more than rewards do.
const SPREAD_MIN: f64 = 0.005;
const SPREAD_MAX: f64 = 0.5;
/// Impressions that the mean error of late is taken over, and those that none is worth.
const ERROR_WINDOW: f64 = 2_000.0;
const ERROR_PRIOR: f64 = 50.0;
/// Decisions between two estimates of the spread, or as many as there are items.
const ESTIMATE_EVERY: u64 = 4_096;
/// Nothing is predicted beyond this.
const SCORE_MAX: f64 = 2.0;

/// What is believed of one item beyond its features, in rewards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ItemEffect {
    pub mean: f64,
    pub variance: f64,
}

/// What was predicted of a shown item, in rewards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicted {
    /// Its score.
    pub score: f64,
    /// The score without the item's own effect and without the error of late.
    pub base: f64,
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
    /// Impressions of late, and the sum of their errors against scores.
    recent: (f64, f64),
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
        let (impressions, squares, recent) = (0.0, 0.0, (0.0, 0.0));
        Self { impressions, squares, spread, recent, half_life: 0, tick: 0, hand: 0 }
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

    fn error(&self) -> f64 {
        self.recent.1 / (self.recent.0 + ERROR_PRIOR)
    }

    fn belief(&self, now: &Evidence) -> ItemEffect {
        let mass = now.impressions + self.shrinkage();
        let mean = (now.residuals / mass).clamp(-1.0, 1.0);
        ItemEffect { mean, variance: self.noise() / mass }
    }

    /// `weight` may be negative: what was presumed is taken back.
    fn note_impression(&mut self, weight: f64, predicted: Predicted) {
        self.impressions = (self.impressions + weight).max(0.0);
        self.squares = (self.squares + weight * predicted.base * predicted.base).max(0.0);
        self.recent.0 = (self.recent.0 + weight).max(0.0);
        self.recent.1 -= weight * predicted.score;
        if self.recent.0 > ERROR_WINDOW {
            let left = ERROR_WINDOW / self.recent.0;
            self.recent = (ERROR_WINDOW, self.recent.1 * left);
        }
    }

    fn note_reward(&mut self, weight: f64, (from, to): (f64, f64), base: f64) {
        let square = |reward: f64| (reward - base) * (reward - base);
        self.squares = (self.squares + weight * (square(to) - square(from))).max(0.0);
        self.recent.1 += weight * (to - from);
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
    /// What is believed of an item, by the key of its id.
    pub fn of(&self, key: u64) -> ItemEffect {
        let known = self.find(key).map(|at| self.rows[at].at(&self.common));
        self.common.belief(&known.unwrap_or_default())
    }

    /// What is believed of an item that nothing is known of.
    pub fn of_unknown(&self) -> ItemEffect {
        self.common.belief(&Evidence::default())
    }

    /// What a score predicts, without the item's own part. To be asked when the decision is
    /// learnt, and kept with it.
    pub fn predicted(&self, key: u64, score: f64) -> Predicted {
        let score = bounded(score);
        Predicted { score, base: bounded(score - self.of(key).mean + self.common.error()) }
    }

    /// Learns that an item was seen, so far without reward.
    pub fn add_impression(&mut self, key: u64, predicted: Predicted, weight: Weight) {
        self.change_impressions(key, predicted, weight.share());
    }

    /// Takes back what [`Self::add_impression`] added with the same weight.
    pub fn remove_impression(&mut self, key: u64, predicted: Predicted, weight: Weight) {
        self.change_impressions(key, predicted, -weight.share());
    }

    fn change_impressions(&mut self, key: u64, predicted: Predicted, weight: f64) {
        if weight == 0.0 {
            return;
        }
        self.common.note_impression(weight, predicted);
        let row = self.row(key);
        row.impressions = (row.impressions + weight).max(0.0);
        row.residuals -= weight * predicted.base;
    }

    /// The reward of a shown item is not `from`, as was known so far, but `to`.
    pub fn change_reward(
        &mut self,
        key: u64,
        predicted: Predicted,
        (from, to): (f32, f32),
        weight: Weight,
    ) {
        let (from, to) = (bounded(f64::from(from)), bounded(f64::from(to)));
        self.common.note_reward(weight.share(), (from, to), predicted.base);
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
        let every = ESTIMATE_EVERY.max((self.rows.len() as u64).next_power_of_two());
        if decisions.is_multiple_of(every) {
            self.estimate_spread();
        }
    }

    /// What was gathered under another half-life fades by that one until now.
    fn fade_all(&mut self) {
        self.rows = self.rows.iter().map(|row| row.at(&self.common)).collect();
    }

    /// Each item's squared residual beyond what noise explains is an estimate of `tau^2`. One
    /// counts by how little noise there is in it; one that is well known counts as an item.
    fn estimate_spread(&mut self) {
        let (noise, shrinkage) = (self.common.noise(), self.common.shrinkage());
        let (spread, worth) = SPREAD_PRIOR;
        let (mut sum, mut items) = (worth * spread * spread, worth);
        for row in self.rows.iter().map(|row| row.at(&self.common)) {
            let mass = row.impressions + shrinkage;
            sum += (row.residuals * row.residuals - noise * row.impressions) / (mass * mass);
            items += (row.impressions / mass) * (row.impressions / mass);
        }
        let variance = (sum / items).clamp(SPREAD_MIN * SPREAD_MIN, SPREAD_MAX * SPREAD_MAX);
        self.common.spread = variance.sqrt();
    }

    fn find(&self, key: u64) -> Option<usize> {
        self.index.find(key, |at| self.rows[at].key == key)
    }

    /// The evidence about an item as of now, for writing.
    fn row(&mut self, key: u64) -> &mut Evidence {
        let at = self.find(key).unwrap_or_else(|| self.make_row(key));
        let now = self.rows[at].at(&self.common);
        let row = self.rows.get_mut(at);
        *row = now;
        row
    }

    fn make_row(&mut self, key: u64) -> usize {
        let row = Evidence { key, tick: self.common.tick, ..Evidence::default() };
        let at = if self.rows.len() < ITEMS_MAX {
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

    /// Of the next few rows, the one with the least evidence.
    fn least_known(&mut self) -> usize {
        let len = self.rows.len();
        let from = self.common.hand as usize % len;
        self.common.hand = ((from + EVICTION_SAMPLE) % len) as u64;
        let evidence = |at: &usize| self.rows[*at].at(&self.common).impressions;
        let rows = (from..from + EVICTION_SAMPLE).map(|at| at % len);
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
        let Common { impressions, squares, spread, recent, .. } = self.common;
        let numbers = [impressions, squares, spread, recent.0, recent.1];
        let rows = self.rows.iter().flat_map(|row| [row.impressions, row.residuals]);
        self.rows.len() <= ITEMS_MAX && numbers.into_iter().chain(rows).all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests;
