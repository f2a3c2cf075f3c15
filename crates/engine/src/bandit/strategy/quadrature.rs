//! The probability of being the largest of independent variables.
//!
//! With distribution functions `F_i` and `F = prod F_i` of the largest, arm `i` wins
//! with probability `int F dln F_i`. On cells between nodes `t_g`, the middle factor is
//! replaced by the logarithmic mean of `F` at both ends,
//! `p_i = sum_g dF(g) / dln F(g) * dln F_i(g)`:
//!
//! - the probabilities sum to `F(end) - F(start)` exactly, since `ln F = sum ln F_i`;
//! - no density is needed, and a distribution much narrower than a cell is not missed;
//! - in a cell, arms share in proportion to their parts of `ln F`, which is exact to
//!   second order in the cell's share of `F`. Cells are halved until none holds more
//!   than [`SHARE_MAX`].
//!
//! Cost: n lookups a node, about 50 to 80 nodes; a probability vector
//! one pass over them.

use crate::numeric::math;

/// Share of the distribution of the largest that one cell may hold.
const SHARE_MAX: f64 = 1.0 / 32.0;
const CELLS_AT_FIRST: usize = 16;
/// Lower bound of `ln F_i`: `F` counts as 0 there.
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
#[derive(Debug)]
pub struct Quadrature<F> {
    arms: usize,
    ln_f: F,
    nodes: Vec<Node>,
    rows: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    t: f64,
    /// Where its row begins in `rows`.
    row: usize,
    /// Sum of its row.
    ln_f: f64,
    f: f64,
}

/// `F` of its logarithm. Most nodes lie where it is next to nothing.
pub(super) fn share_below(ln_f: f64) -> f64 {
    if ln_f < LN_F_NONE { 0.0 } else { math::exp(ln_f) }
}

/// The logarithmic mean of `F` on a cell where `ln F` rises as given.
pub(super) fn logarithmic_mean(rise: f64, left: f64, right: f64) -> f64 {
    // Where F does not rise, both ends are its mean.
    if rise > 1e-9 { (right - left) / rise } else { right }
}

impl<F: Fn(usize, f64) -> f64> Quadrature<F> {
    /// A table for `arms` variables that are almost certainly between `start` and
    /// `end`.
    pub fn new(arms: usize, start: f64, end: f64, ln_f: F) -> Self {
        let mut quadrature = Self { arms, ln_f, nodes: Vec::new(), rows: Vec::new() };
        for cell in 0..=CELLS_AT_FIRST {
            let t = start + (end - start) * cell as f64 / CELLS_AT_FIRST as f64;
            quadrature.insert(cell, t);
        }
        quadrature
    }

    fn insert(&mut self, position: usize, t: f64) {
        let row = self.rows.len();
        self.rows.extend((0..self.arms).map(|arm| (self.ln_f)(arm, t).max(LN_F_FLOOR)));
        let ln_f = self.rows[row..].iter().sum();
        self.nodes.insert(position, Node { t, row, ln_f, f: share_below(ln_f) });
    }

    /// Writes each arm's probability of being the largest.
    pub fn propensities(mut self, propensities: &mut [f64]) {
        self.refine();
        propensities.fill(0.0);
        for (node, weight) in self.nodes.iter().zip(self.weights()) {
            if weight != 0.0 {
                let row = &self.rows[node.row..node.row + self.arms];
                for (propensity, value) in propensities.iter_mut().zip(row) {
                    *propensity += weight * value;
                }
            }
        }
        let mut total = 0.0;
        for propensity in &mut *propensities {
            *propensity = propensity.max(0.0);
            total += *propensity;
        }
        // No distribution: all arms are equal.
        let even = 1.0 / self.arms as f64;
        for propensity in propensities {
            *propensity = if total > 0.0 { *propensity / total } else { even };
        }
    }

    /// Halves cells until none holds too much of the distribution of the largest.
    fn refine(&mut self) {
        let (mut start, mut end) = (self.nodes[0].t, self.nodes[self.nodes.len() - 1].t);
        let span = end - start;
        while self.nodes[0].ln_f > LN_F_START && self.nodes.len() < NODES_MAX {
            start -= span;
            self.insert(0, start);
        }
        while self.nodes[self.nodes.len() - 1].ln_f < LN_F_END && self.nodes.len() < NODES_MAX {
            end += span;
            self.insert(self.nodes.len(), end);
        }
        let narrowest = (end - start) * WIDTH_MIN;
        let mut cell = 0;
        while cell + 1 < self.nodes.len() {
            let (left, right) = (self.nodes[cell], self.nodes[cell + 1]);
            let halve = right.f - left.f > SHARE_MAX
                && right.t - left.t > narrowest
                && self.nodes.len() < NODES_MAX;
            if halve {
                self.insert(cell + 1, 0.5 * (left.t + right.t));
            } else {
                cell += 1;
            }
        }
    }

    /// The weight of each node's row: summation by parts of the formula above.
    fn weights(&self) -> Vec<f64> {
        let mut weights = Vec::with_capacity(self.nodes.len());
        let mut before = 0.0;
        for pair in self.nodes.windows(2) {
            let mean = logarithmic_mean(pair[1].ln_f - pair[0].ln_f, pair[0].f, pair[1].f);
            weights.push(before - mean);
            before = mean;
        }
        weights.push(before);
        weights
    }
}
