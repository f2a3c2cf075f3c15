//! The probability of being the largest of independent variables.
//!
//! With distribution functions `F_i` and `F = prod F_i` of the largest, arm `i` wins
//! with probability `int F dln F_i`. On cells between nodes `t_g`, the middle factor is
//! replaced by the logarithmic mean of `F` at both ends,
//! `p_i = sum_g dF(g) / dln F(g) * dln F_i(g)`:
//!
//! - the probabilities sum to `F(end) - F(start)` exactly, since `ln F = sum ln F_i`;
//! - no density is needed, and a distribution much narrower than a cell is not missed;
//! - in a cell, arms share in proportion to their parts of `ln F`, which is right to
//!   second order in the cell's share of `F`. Cells are halved until none holds more
//!   than [`SHARE_MAX`].
//!
//! Arms may leave and come back: the rows of `ln F_i` stay, and cells that matter now
//! are refined then. A winner can be drawn (a cell, then an arm in it) and the probability
//! of one arm read without those of all: one row and one column.
//! Cost: n lookups a node, about 50 to 80 nodes; a probability vector
//! one pass over them.

use crate::numeric::math;

/// Share of the distribution of the largest that one cell may hold.
const SHARE_MAX: f64 = 1.0 / 32.0;
const CELLS_AT_FIRST: usize = 16;
/// Of a coarse table: share, cells, and how much `ln F` may rise on a cell that holds more
/// than [`STEEP_SHARE`]. What rises far is shared worst.
const COARSE_SHARE_MAX: f64 = 1.0 / 8.0;
const COARSE_CELLS_AT_FIRST: usize = 4;
const COARSE_RISE_MAX: f64 = 3.0;
const STEEP_SHARE: f64 = 1.0 / 64.0;
/// `ln F_i` below this is this: `F` is nothing there, and sums of what is far greater would
/// not come back exactly when arms leave.
const LN_F_FLOOR: f64 = -1_000.0;
/// Below this, `F` counts as 0.
const LN_F_NONE: f64 = -40.0;
/// Below this, the highest node leaves out mass that counts.
const LN_F_END: f64 = -1e-6;
/// Nodes of one table: bounds the work whatever the distributions.
const NODES_MAX: usize = 512;
/// Cells are not halved below this part of the whole span.
const WIDTH_MIN: f64 = 1e-7;
/// Above this, the lowest node holds mass that counts: the table must reach further down.
const LN_F_START: f64 = -20.0;

/// Rows of `ln F_i(t)` at nodes `t`, in the order of `t`.
#[derive(Debug, Clone)]
pub struct Quadrature {
    share_max: f64,
    cells_at_first: usize,
    rise_max: f64,
    arms: usize,
    /// By arm: whether it takes part.
    present: Vec<bool>,
    nodes: Vec<Node>,
    rows: Vec<f64>,
    weights: Vec<f64>,
    /// Of draws, by cell: the logarithmic mean of `F`; `weights` are then the cells' shares.
    means: Vec<f64>,
    /// Whether arms left or came since `f` of the nodes was worked out.
    is_stale: bool,
}

impl Default for Quadrature {
    fn default() -> Self {
        Self::new(SHARE_MAX, CELLS_AT_FIRST, f64::INFINITY)
    }
}

#[derive(Debug, Clone, Copy)]
struct Node {
    t: f64,
    /// Where its row begins in `rows`.
    row: usize,
    /// Sum of its row over the arms present.
    ln_f: f64,
    f: f64,
}

/// `F` of its logarithm. Most nodes lie where it is next to nothing.
fn share_below(ln_f: f64) -> f64 {
    if ln_f < LN_F_NONE { 0.0 } else { math::exp(ln_f) }
}

impl Quadrature {
    /// A table of a third of the nodes, for draws: whatever the cells, what is done is what
    /// its propensity says.
    pub fn coarse() -> Self {
        Self::new(COARSE_SHARE_MAX, COARSE_CELLS_AT_FIRST, COARSE_RISE_MAX)
    }

    fn new(share_max: f64, cells_at_first: usize, rise_max: f64) -> Self {
        Self {
            share_max,
            cells_at_first,
            rise_max,
            arms: 0,
            present: Vec::new(),
            nodes: Vec::new(),
            rows: Vec::new(),
            weights: Vec::new(),
            means: Vec::new(),
            is_stale: false,
        }
    }

    /// Starts a table for `arms` variables that lie between `start` and `end`, as good
    /// as certainly.
    pub fn begin(&mut self, arms: usize, start: f64, end: f64, ln_f: impl Fn(usize, f64) -> f64) {
        self.arms = arms;
        self.present.clear();
        self.present.resize(arms, true);
        self.nodes.clear();
        self.rows.clear();
        self.is_stale = false;
        for cell in 0..=self.cells_at_first {
            let t = start + (end - start) * cell as f64 / self.cells_at_first as f64;
            let node = self.node(t, &ln_f);
            self.nodes.push(node);
        }
    }

    fn node(&mut self, t: f64, ln_f: &impl Fn(usize, f64) -> f64) -> Node {
        let row = self.rows.len();
        self.rows.extend((0..self.arms).map(|arm| ln_f(arm, t).max(LN_F_FLOOR)));
        let values = self.rows[row..].iter().zip(&self.present);
        let sum = values.map(|(value, present)| if *present { *value } else { 0.0 }).sum();
        Node { t, row, ln_f: sum, f: share_below(sum) }
    }

    /// Takes an arm out of the comparison, or back into it.
    pub fn set_present(&mut self, arm: usize, present: bool) {
        if self.present[arm] == present {
            return;
        }
        self.present[arm] = present;
        for node in &mut self.nodes {
            let value = self.rows[node.row + arm];
            node.ln_f += if present { value } else { -value };
        }
        self.is_stale = true;
    }

    /// Writes each arm's probability of being the largest of those present; 0 for the
    /// others.
    pub fn propensities(&mut self, ln_f: impl Fn(usize, f64) -> f64, propensities: &mut [f64]) {
        self.refine(&ln_f);
        self.weigh();
        propensities.fill(0.0);
        for (node, weight) in self.nodes.iter().zip(&self.weights) {
            if *weight != 0.0 {
                let row = &self.rows[node.row..node.row + self.arms];
                for (propensity, value) in propensities.iter_mut().zip(row) {
                    *propensity += weight * value;
                }
            }
        }
        let mut total = 0.0;
        for (propensity, present) in propensities.iter_mut().zip(&self.present) {
            *propensity = if *present { propensity.max(0.0) } else { 0.0 };
            total += *propensity;
        }
        for propensity in propensities {
            *propensity /= total;
        }
    }

    /// Halves cells until none holds too much of the distribution of the largest.
    fn refine(&mut self, ln_f: &impl Fn(usize, f64) -> f64) {
        if std::mem::take(&mut self.is_stale) {
            self.nodes.iter_mut().for_each(|node| node.f = share_below(node.ln_f));
        }
        let (first, last) = (self.nodes[0].t, self.nodes[self.nodes.len() - 1].t);
        let mut start = first;
        while self.nodes[0].ln_f > LN_F_START && self.nodes.len() < NODES_MAX {
            start -= last - first;
            let node = self.node(start, ln_f);
            self.nodes.insert(0, node);
        }
        let mut end = last;
        while self.nodes[self.nodes.len() - 1].ln_f < LN_F_END && self.nodes.len() < NODES_MAX {
            end += last - first;
            let node = self.node(end, ln_f);
            self.nodes.push(node);
        }
        let narrowest = (end - start) * WIDTH_MIN;
        let mut cell = 0;
        while cell + 1 < self.nodes.len() {
            let (left, right) = (self.nodes[cell], self.nodes[cell + 1]);
            let share = right.f - left.f;
            let is_steep = share > STEEP_SHARE && right.ln_f - left.ln_f > self.rise_max;
            let halve = (share > self.share_max || is_steep)
                && right.t - left.t > narrowest
                && self.nodes.len() < NODES_MAX;
            if halve {
                let node = self.node(0.5 * (left.t + right.t), ln_f);
                self.nodes.insert(cell + 1, node);
            } else {
                cell += 1;
            }
        }
    }

    /// The weight of each node's row: summation by parts of the formula above.
    fn weigh(&mut self) {
        self.weights.clear();
        let mut before = 0.0;
        for pair in self.nodes.windows(2) {
            let rise = pair[1].ln_f - pair[0].ln_f;
            // Where F does not rise, both ends are its logarithmic mean.
            let mean = if rise > 1e-9 { (pair[1].f - pair[0].f) / rise } else { pair[1].f };
            self.weights.push(before - mean);
            before = mean;
        }
        self.weights.push(before);
    }

    /// The distribution of an arm is another one: `ln_f` gives the new.
    pub fn change(&mut self, arm: usize, ln_f: impl Fn(f64) -> f64) {
        for node in &mut self.nodes {
            let value = ln_f(node.t).max(LN_F_FLOOR);
            let before = std::mem::replace(&mut self.rows[node.row + arm], value);
            if self.present[arm] {
                node.ln_f += value - before;
            }
        }
        self.is_stale = true;
    }

    /// The logarithmic mean of `F` on a cell.
    fn mean_on(&self, cell: usize) -> f64 {
        let (left, right) = (self.nodes[cell], self.nodes[cell + 1]);
        let rise = right.ln_f - left.ln_f;
        if rise > 1e-9 { (right.f - left.f) / rise } else { right.f }
    }

    /// How much of `ln F` an arm gains on a cell.
    fn rise_of(&self, arm: usize, cell: usize) -> f64 {
        let (left, right) = (self.nodes[cell].row + arm, self.nodes[cell + 1].row + arm);
        (self.rows[right] - self.rows[left]).max(0.0)
    }

    /// Makes ready for [`Self::draw`] and [`Self::propensity_of`] with the arms present.
    pub fn prepare(&mut self, ln_f: impl Fn(usize, f64) -> f64) {
        self.refine(&ln_f);
        self.weights.clear();
        self.means.clear();
        for cell in 0..self.nodes.len() - 1 {
            let rise = (self.nodes[cell + 1].ln_f - self.nodes[cell].ln_f).max(0.0);
            let mean = self.mean_on(cell);
            self.means.push(mean);
            self.weights.push(mean * rise);
        }
    }

    /// The largest of those present, by two uniform numbers in 0..1.
    pub fn draw(&self, cell: f64, within: f64) -> usize {
        let cell = super::draw(&self.weights, cell);
        let present = |arm: &usize| self.present[*arm];
        let total: f64 = (0..self.arms).filter(present).map(|arm| self.rise_of(arm, cell)).sum();
        let mut left = within * total;
        let mut last = (0..self.arms).find(present).expect("an arm is left");
        for arm in (0..self.arms).filter(present) {
            let rise = self.rise_of(arm, cell);
            if rise > 0.0 {
                last = arm;
                left -= rise;
                if left < 0.0 {
                    break;
                }
            }
        }
        last
    }

    /// The probability that [`Self::draw`] gives this arm.
    pub fn propensity_of(&self, arm: usize) -> f64 {
        if !self.present[arm] {
            return 0.0;
        }
        let all: f64 = self.weights.iter().sum();
        let mut own = 0.0;
        let mut below = self.rows[self.nodes[0].row + arm];
        for (mean, node) in self.means.iter().zip(&self.nodes[1..]) {
            let above = self.rows[node.row + arm];
            own += mean * (above - below).max(0.0);
            below = above;
        }
        own / all
    }
}
