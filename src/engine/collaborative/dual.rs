//! The row solve for rows with few observations, by the n x n dual system instead of the k x k primal one.
//!
//! With a diagonal prior D (the fixed side rotated to the eigenbasis of its Gram matrix, see `half_step`), observations
//! `x_o` scaled by `sqrt(|c_o|)` as the rows of X, and `Z = X D^-1/2` (Woodbury, matrix inversion lemma):
//!   `(D + X'X)^-1 X' sqrt(c) = D^-1/2 Z' s`, `(I + Z Z') s = sqrt(c)`, and the row's loss is `sqrt(c)' s`.
//! Invariants: the dual matrix has no eigenvalue under 1, so it never needs jitter; padding rows to a multiple of 16
//! leaves the solution unchanged.
//! Cost: n^2 k / 2 + n^3 / 6 against n k^2 / 2 + k^3 / 6.

use crate::numeric;
use crate::numeric::cholesky;

/// Scratch of the dual solve; reused from row to row.
#[derive(Debug, Clone)]
pub(super) struct DualEquations {
    k: usize,
    /// Z transposed: k rows of n padded to a multiple of 16.
    z: Vec<f32>,
    m: Vec<f32>,
    roots: Vec<f32>,
    s: Vec<f32>,
    inverse_diagonal: Vec<f32>,
    scale: Vec<f32>,
}

impl DualEquations {
    pub(super) fn new(k: usize) -> Self {
        let empty = Vec::new;
        Self {
            k,
            z: empty(),
            m: empty(),
            roots: empty(),
            s: empty(),
            inverse_diagonal: empty(),
            scale: empty(),
        }
    }

    /// Solves the row into `out` and returns its loss; `diagonal` is D, all positive. `None` when the result is not
    /// finite: solve the primal form then.
    pub(super) fn solve(
        &mut self,
        diagonal: &[f32],
        fixed: &[f32],
        columns: &[u32],
        confidences: &[f32],
        out: &mut [f32],
    ) -> Option<f32> {
        let (k, n) = (self.k, columns.len().next_multiple_of(16));
        self.gather(diagonal, fixed, columns, confidences, n);
        self.m.clear();
        self.m.resize(n * n, 0.0);
        for at in (0..n * n).step_by(n + 1) {
            self.m[at] = 1.0;
        }
        numeric::add_gram(&self.z, n, &mut self.m);
        self.inverse_diagonal.resize(n, 0.0);
        cholesky::factor(&mut self.m, &mut self.inverse_diagonal).ok()?;
        self.s.clear();
        self.s.extend_from_slice(&self.roots);
        cholesky::solve(&self.m, &self.inverse_diagonal, &mut self.s);
        numeric::dot_rows(&self.z, n, &self.s, &mut out[..k]);
        for (w, scale) in out.iter_mut().zip(&self.scale) {
            *w *= scale;
        }
        Some(numeric::dot(&self.roots, &self.s))
    }

    fn gather(
        &mut self,
        diagonal: &[f32],
        fixed: &[f32],
        columns: &[u32],
        confidences: &[f32],
        n: usize,
    ) {
        self.scale.clear();
        self.scale.extend(diagonal.iter().map(|d| 1.0 / d.sqrt()));
        self.roots.clear();
        // The right-hand side: 0 for what is not wanted.
        self.roots.extend(confidences.iter().map(|c| c.max(0.0).sqrt()));
        self.roots.resize(n, 0.0);
        self.z.clear();
        self.z.resize(self.k * n, 0.0);
        for (o, (&column, confidence)) in columns.iter().zip(confidences).enumerate() {
            let x = &fixed[column as usize * self.k..][..self.k];
            let root = confidence.abs().sqrt();
            let target = self.z[o..].iter_mut().step_by(n);
            for ((z, value), scale) in target.zip(x).zip(&self.scale) {
                *z = value * scale * root;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::normal_equations::NormalEquations;
    use super::*;

    #[test]
    fn the_dual_solution_is_the_primal_one() {
        let k = 32;
        let fixed: Vec<f32> = (0..40 * k).map(|i| ((i * 37 % 101) as f32 - 50.0) / 60.0).collect();
        let diagonal: Vec<f32> = (0..k).map(|j| 0.2 + j as f32 * 0.1).collect();
        let (mut dual, mut primal) = (DualEquations::new(k), NormalEquations::new(k));
        for n in [1, 5, 16, 31] {
            let columns: Vec<u32> = (0..n).map(|o| o * 7 % 40).collect();
            // Every fourth is not wanted.
            let sign = |o: u32| if o % 4 == 3 { -1.0 } else { 1.0 };
            let confidences: Vec<f32> = (0..n).map(|o| sign(o) * (0.5 + o as f32 * 0.1)).collect();
            let (mut w, mut v) = (vec![0.0; k], vec![0.0; k]);
            let loss = dual.solve(&diagonal, &fixed, &columns, &confidences, &mut w).unwrap();
            primal.begin_diagonal(&diagonal);
            for (&column, &c) in columns.iter().zip(&confidences) {
                primal.observe(&fixed[column as usize * k..][..k], c);
            }
            let explained = primal.solve(&mut v);
            for (left, right) in w.iter().zip(&v) {
                assert!((left - right).abs() < 1e-4);
            }
            let total: f32 = confidences.iter().filter(|c| **c > 0.0).sum();
            assert!((loss - (total - explained)).abs() < 1e-3);
        }
    }
}
