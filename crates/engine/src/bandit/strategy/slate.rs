//! Thompson sampling of the positions of a list, one after the other, with exact propensities.
//!
//! At each position the remaining arms compete again: each score is drawn from its normal
//! belief, the highest wins. The table is that of [`crate::bandit::strategy::quadrature`] with fewer cells: the
//! distribution of the highest score on cells between nodes, each shared by the arms in
//! proportion to their parts of `ln F` on it. A winner is drawn from the table (a cell, then an
//! arm in it) and its probability is read from the same table, so it is exact for any
//! cells. The difference to Thompson sampling is of second order in a cell's share.
//! Where the narrow beliefs of some arms jump within a cell, a propensity may be off by the share
//! of that cell: .014 at most in 200 random cases, in which the mean distance of the whole
//! distribution was .003.
//!
//! One table serves all positions. An arm that leaves, joins or changes affects its own row only,
//! and only the nodes that matter stay: those between almost 0 and almost 1 of `F`. Arms that
//! are sure to score below the lowest node are not in the table.
//!
//! No input panics: a mean that is not finite is ignored, and where the
//! table holds no distribution the arm of the highest mean is certain.
//!
//! Cost: about 15 nodes. One lookup a node for an arm that changed, one an arm for a new node,
//! one row of nodes and one column of arms a draw. 20 positions of 100 arms: 16 us, and 30 us when
//! variety changes 15 arms a position.

use crate::bandit::strategy::Beliefs;
use crate::bandit::strategy::is_believable;
use crate::bandit::strategy::quadrature::logarithmic_mean;
use crate::bandit::strategy::quadrature::share_below;
use crate::bandit::strategy::sound;
use crate::bandit::strategy::thompson::REACH;
use crate::bandit::strategy::thompson::scaled;
use crate::numeric::math;
use crate::numeric::normal::LnCdf;

/// Cells are halved until none holds more of the distribution of the highest score, and none
/// that holds more than [`STEEP_SHARE`] has a larger rise of `ln F`: shares are least exact there.
const SHARE_MAX: f64 = 1.0 / 6.0;
const RISE_MAX: f64 = 3.0;
const STEEP_SHARE: f64 = 1.0 / 64.0;
/// With fewer arms propensities are larger and must be more precise; the cost is small.
const FEW: usize = 24;
const SHARE_MAX_OF_FEW: f64 = 1.0 / 16.0;
/// Two cells are merged when together they hold less than this part of the largest share, and
/// also rise less than [`RISE_MERGED`] or hold less than [`STEEP_MERGED`].
const MERGED: f64 = 0.6;
const RISE_MERGED: f64 = 2.0;
const STEEP_MERGED: f64 = 1.0 / 256.0;
/// Lower bound of `-ln F` in [`between`].
const FLAT: f64 = 1e-4;
const CELLS_AT_FIRST: usize = 4;
/// The nodes reach from below the first to above the second: all but 1 in 1,000 at either end.
const LN_F_LOW: f64 = -7.0;
const LN_F_HIGH: f64 = -1e-3;
/// The table is built again when an end is on the wrong side of this.
const LN_F_FAR: f64 = -1.0;
/// Bound of a score, in standard deviations above its mean; one in three million exceeds it.
const RIVAL_REACH: f64 = 5.0;
/// Bounds the work whatever the distributions.
const NODES_MAX: usize = 256;
/// Cells are not halved below this part of the whole span.
const WIDTH_MIN: f64 = 1e-7;
/// Slots of a row at first.
const SLOTS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    /// Present, but sure to score below the lowest node.
    Behind,
    /// In the table: its row holds.
    Rival,
}

#[derive(Debug, Clone, Copy)]
struct Arm {
    mean: f64,
    deviation: f64,
    /// Reciprocal of the standard deviation.
    precision: f64,
    presence: Presence,
}

impl Arm {
    fn reach(&self) -> f64 {
        self.mean + RIVAL_REACH * self.deviation
    }
}

#[derive(Debug, Clone, Copy)]
struct Node {
    t: f64,
    /// Its position in every row.
    slot: usize,
    ln_f: f64,
    f: f64,
}

/// Where `F` is about half way between two nodes: the largest of many is about Gumbel, so
/// `ln(-ln F)` falls in a straight line. Not near the ends: those may be a jump of `F`.
fn between(left: Node, right: Node) -> f64 {
    let line = |ln_f: f64| math::ln((-ln_f).max(FLAT));
    let (from, to) = (line(left.ln_f), line(right.ln_f));
    let aim = line(math::ln(0.5 * (left.f + right.f)));
    let part = (from - aim) / (from - to);
    let part = if part.is_nan() { 0.5 } else { part.clamp(0.2, 0.8) };
    left.t + part * (right.t - left.t)
}

/// The arms of a list with the table they are drawn from.
#[derive(Debug, Clone, Default)]
pub struct ThompsonSlate {
    arms: Vec<Arm>,
    /// In the order of `t`.
    nodes: Vec<Node>,
    /// Of each slot: the node's `t`, and the sum of `ln F_i(t)` over the rivals.
    at: Vec<f64>,
    sums: Vec<f64>,
    free: Vec<usize>,
    /// `ln F_i` by arm, then by slot: `stride` values a row.
    rows: Vec<f64>,
    stride: usize,
    /// By cell: the logarithmic mean of `F`, and the cell's share.
    means: Vec<f64>,
    weights: Vec<f64>,
    share_max: f64,
    /// The arm that is certain to win, where the table holds no distribution.
    sure: Option<usize>,
    ln_cdf: LnCdf,
}

impl ThompsonSlate {
    /// Starts with all arms. Reuses the memory of the list before.
    pub fn begin(&mut self, beliefs: Beliefs<'_>, scale: f64) {
        let (means, deviations) = sound(beliefs);
        let deviations = scaled(Beliefs { means: &means, deviations: &deviations }, scale);
        self.arms.clear();
        self.arms.extend(means.into_iter().zip(deviations).map(|(mean, deviation)| {
            let precision = 1.0 / deviation;
            Arm { mean, deviation, precision, presence: Presence::Behind }
        }));
        self.stride = SLOTS.max(self.stride);
        self.rows.clear();
        self.rows.resize(self.arms.len() * self.stride, 0.0);
        self.nodes.clear();
        self.share_max = if self.arms.len() < FEW { SHARE_MAX_OF_FEW } else { SHARE_MAX };
    }

    /// Whether an arm may take the next position and has this mean already.
    #[inline]
    pub fn has(&self, arm: usize, mean: f64) -> bool {
        let arm = &self.arms[arm];
        arm.mean == mean && arm.presence != Presence::Absent
    }

    /// Removes an arm from the next positions, or adds it again.
    pub fn set_present(&mut self, arm: usize, present: bool) {
        let presence = self.arms[arm].presence;
        if present != (presence == Presence::Absent) {
            return;
        }
        if presence == Presence::Rival {
            self.remove(arm);
        }
        self.arms[arm].presence = if present { Presence::Behind } else { Presence::Absent };
    }

    /// Sets the mean of an arm, if it changed.
    pub fn set_mean(&mut self, arm: usize, mean: f64) {
        if self.arms[arm].mean == mean || !is_believable(mean) {
            return;
        }
        self.arms[arm].mean = mean;
        if self.arms[arm].presence != Presence::Rival {
            return;
        }
        if self.arms[arm].reach() <= self.nodes[0].t {
            self.remove(arm);
            self.arms[arm].presence = Presence::Behind;
        } else {
            self.change(arm);
        }
    }

    /// Prepares for [`Self::draw`] and [`Self::propensity_of`] with the arms present, of
    /// which there must be one.
    pub fn prepare(&mut self) {
        self.settle_ends();
        for node in &mut self.nodes {
            node.ln_f = self.sums[node.slot];
            node.f = share_below(node.ln_f);
        }
        self.merge();
        self.refine();
        self.weights.clear();
        self.means.clear();
        for pair in self.nodes.windows(2) {
            let (left, right) = (pair[0], pair[1]);
            let rise = (right.ln_f - left.ln_f).max(0.0);
            let mean = logarithmic_mean(rise, left.f, right.f);
            self.means.push(mean);
            self.weights.push(mean * rise);
        }
        let total: f64 = self.weights.iter().sum();
        self.sure = if total > 0.0 && total.is_finite() { None } else { Some(self.best()) };
    }

    /// The arm of the highest mean that is present.
    fn best(&self) -> usize {
        let present = |arm: &usize| self.arms[*arm].presence != Presence::Absent;
        let by_mean = |a: &usize, b: &usize| self.arms[*a].mean.total_cmp(&self.arms[*b].mean);
        (0..self.arms.len()).filter(present).max_by(by_mean).unwrap_or(0)
    }

    /// The arm for the next position, by two uniform numbers in 0..1.
    pub fn draw(&self, [cell, within]: [f64; 2]) -> usize {
        if let Some(sure) = self.sure {
            return sure;
        }
        let cell = crate::bandit::strategy::draw(&self.weights, cell);
        let (below, above) = (self.nodes[cell], self.nodes[cell + 1]);
        let mut left = within * (above.ln_f - below.ln_f);
        let mut last = None;
        for (arm, row) in self.rows.chunks_exact(self.stride).enumerate() {
            let rise = row[above.slot] - row[below.slot];
            if self.arms[arm].presence == Presence::Rival && rise > 0.0 {
                last = Some(arm);
                left -= rise;
                if left < 0.0 {
                    break;
                }
            }
        }
        // Where ln F rises, that of an arm rises, up to rounding.
        last.unwrap_or_else(|| self.best())
    }

    /// The probability that [`Self::draw`] gives this arm.
    pub fn propensity_of(&self, arm: usize) -> f64 {
        if let Some(sure) = self.sure {
            return f64::from(u8::from(arm == sure));
        }
        if self.arms[arm].presence != Presence::Rival {
            return 0.0;
        }
        let row = &self.rows[arm * self.stride..][..self.stride];
        let mut own = 0.0;
        let mut below = row[self.nodes[0].slot];
        for (mean, node) in self.means.iter().zip(&self.nodes[1..]) {
            let above = row[node.slot];
            own += mean * (above - below).max(0.0);
            below = above;
        }
        own / self.weights.iter().sum::<f64>()
    }

    /// Adjusts the nodes to the range of the distribution that matters.
    fn settle_ends(&mut self) {
        self.drop_ends();
        let ends = self.nodes.first().zip(self.nodes.last());
        let is_near = ends.is_some_and(|(first, last)| {
            self.sums[first.slot] < LN_F_FAR && self.sums[last.slot] > LN_F_FAR
        });
        if !is_near {
            self.restart();
            return;
        }
        self.admit();
        let mut step = self.nodes[1].t - self.nodes[0].t;
        while self.sums[self.nodes[0].slot] > LN_F_LOW && self.nodes.len() < NODES_MAX {
            self.insert(0, self.nodes[0].t - step);
            self.admit();
            step += step;
        }
        let mut end = self.nodes[self.nodes.len() - 1];
        let mut step = end.t - self.nodes[self.nodes.len() - 2].t;
        while self.sums[end.slot] < LN_F_HIGH && self.nodes.len() < NODES_MAX {
            end = self.insert(self.nodes.len(), end.t + step);
            step += step;
        }
    }

    fn drop_ends(&mut self) {
        let sum = |node: &Node| self.sums[node.slot];
        let low = self.nodes.iter().take_while(|node| sum(node) <= LN_F_LOW).count();
        let high = self.nodes.iter().rev().take_while(|node| sum(node) >= LN_F_HIGH).count();
        let last = self.nodes.len() - high.saturating_sub(1);
        let first = low.saturating_sub(1);
        if first + 2 <= last {
            self.free.extend(self.nodes.drain(last..).map(|node| node.slot));
            self.free.extend(self.nodes.drain(..first).map(|node| node.slot));
        }
    }

    /// Builds the table again, for the arms that are present.
    fn restart(&mut self) {
        let (mut start, mut end) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for arm in self.arms.iter_mut().filter(|arm| arm.presence != Presence::Absent) {
            start = start.max(arm.mean - REACH * arm.deviation);
            end = end.max(arm.mean + REACH * arm.deviation);
            arm.presence = Presence::Behind;
        }
        self.nodes.clear();
        self.free.clear();
        self.at.clear();
        self.sums.clear();
        for cell in 0..=CELLS_AT_FIRST {
            let t = start + (end - start) * cell as f64 / CELLS_AT_FIRST as f64;
            self.insert(cell, t);
        }
        self.admit();
    }

    /// Adds the arms to the table that may score above the lowest node.
    fn admit(&mut self) {
        let lowest = self.nodes[0].t;
        for arm in 0..self.arms.len() {
            if self.arms[arm].presence == Presence::Behind && self.arms[arm].reach() > lowest {
                self.arms[arm].presence = Presence::Rival;
                self.rows[arm * self.stride..][..self.stride].fill(0.0);
                self.change(arm);
            }
        }
    }

    /// Removes nodes between cells that are small together.
    fn merge(&mut self) {
        let mut node = 1;
        while node + 1 < self.nodes.len() {
            let (left, right) = (self.nodes[node - 1], self.nodes[node + 1]);
            let (share, rise) = (right.f - left.f, right.ln_f - left.ln_f);
            if share < MERGED * self.share_max && (rise < RISE_MERGED || share < STEEP_MERGED) {
                self.free.push(self.nodes.remove(node).slot);
            } else {
                node += 1;
            }
        }
    }

    /// Halves cells until none holds too much of the distribution of the highest score.
    fn refine(&mut self) {
        let narrowest = (self.nodes[self.nodes.len() - 1].t - self.nodes[0].t) * WIDTH_MIN;
        let mut cell = 0;
        while cell + 1 < self.nodes.len() {
            let (left, right) = (self.nodes[cell], self.nodes[cell + 1]);
            let share = right.f - left.f;
            let is_steep = share > STEEP_SHARE && right.ln_f - left.ln_f > RISE_MAX;
            let halve = (share > self.share_max || is_steep)
                && right.t - left.t > narrowest
                && self.nodes.len() < NODES_MAX;
            if halve {
                self.insert(cell + 1, between(left, right));
            } else {
                cell += 1;
            }
        }
    }

    /// A node with the values of the rivals there.
    fn insert(&mut self, position: usize, t: f64) -> Node {
        let slot = self.free.pop().unwrap_or(self.at.len());
        if slot == self.at.len() {
            self.at.push(t);
            self.sums.push(0.0);
            if slot == self.stride {
                self.widen();
            }
        }
        let mut ln_f = 0.0;
        for (arm, row) in self.arms.iter().zip(self.rows.chunks_exact_mut(self.stride)) {
            if arm.presence == Presence::Rival {
                row[slot] = self.ln_cdf.bounded((t - arm.mean) * arm.precision);
                ln_f += row[slot];
            }
        }
        (self.at[slot], self.sums[slot]) = (t, ln_f);
        let node = Node { t, slot, ln_f, f: share_below(ln_f) };
        self.nodes.insert(position, node);
        node
    }

    fn widen(&mut self) {
        let wide = 2 * self.stride;
        let mut rows = vec![0.0; self.arms.len() * wide];
        for (new, old) in rows.chunks_exact_mut(wide).zip(self.rows.chunks_exact(self.stride)) {
            new[..self.stride].copy_from_slice(old);
        }
        (self.rows, self.stride) = (rows, wide);
    }

    /// The row of a rival, as its mean is now.
    fn change(&mut self, arm: usize) {
        let Arm { mean, precision, .. } = self.arms[arm];
        let row = &mut self.rows[arm * self.stride..][..self.at.len()];
        for ((value, sum), t) in row.iter_mut().zip(&mut self.sums).zip(&self.at) {
            let now = self.ln_cdf.bounded((t - mean) * precision);
            *sum += now - *value;
            *value = now;
        }
    }

    fn remove(&mut self, arm: usize) {
        let row = &self.rows[arm * self.stride..][..self.at.len()];
        for (sum, value) in self.sums.iter_mut().zip(row) {
            *sum -= value;
        }
    }
}
