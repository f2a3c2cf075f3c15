//! The exact row solve of fold-in and online items: `(sum c x x' + a0 G + l I) w = sum c x (+ l m)`, one row at a time.
//!
//! `x` is a row of the fixed side (item factors when solving a user), `m` an optional prior mean.
//! Invariants: `numeric` only, so the same bits on every CPU; a fixed order of the observations gives fixed bits; no
//! allocation after the first use, except on the rare path below. When f32 loses a pivot, the factor is redone in f64,
//! then with growing jitter; a system that is still not positive definite (not finite) gives zero factors.
//! Cost: per observation k^2 / 2 multiplications and additions in registers, per row k^3 / 6 + k^2.

use crate::numeric;
use crate::numeric::cholesky;
use crate::numeric::cholesky_f64;

/// Rows gathered before they are added to the matrix: 16 KiB at k = 64, half of the L1 cache.
const TILE_ROWS: usize = 64;

/// The equations of one row and the scratch to solve them; reused from row to row.
#[derive(Debug, Clone)]
pub(crate) struct NormalEquations {
    k: usize,
    /// k x k, `numeric` dense storage.
    a: Vec<f32>,
    /// The right-hand side.
    b: Vec<f32>,
    /// Observations not yet in `a`, scaled by the square root of their confidence.
    tile: Vec<f32>,
    /// The square roots by which the rows of the tile were scaled, 0 where the target is; the length counts the rows.
    roots: Vec<f32>,
    factor: Vec<f32>,
    inverse_diagonal: Vec<f32>,
}

impl NormalEquations {
    pub(crate) fn new(k: usize) -> Self {
        Self {
            k,
            a: vec![0.0; k * k],
            b: vec![0.0; k],
            tile: vec![0.0; TILE_ROWS * k],
            roots: Vec::with_capacity(TILE_ROWS),
            factor: vec![0.0; k * k],
            inverse_diagonal: vec![0.0; k],
        }
    }

    /// Starts a row from `scale * gram + ridge I` (`gram` dense).
    pub(crate) fn begin(&mut self, gram: &[f32], scale: f32, ridge: f32) {
        self.clear();
        for (a, g) in self.a.iter_mut().zip(gram) {
            *a = scale * g;
        }
        for at in (0..self.a.len()).step_by(self.k + 1) {
            self.a[at] += ridge;
        }
    }

    fn clear(&mut self) {
        self.b.fill(0.0);
        self.roots.clear();
    }

    /// Adds `|c| x x'` to the matrix and, for a confidence above 0 (target 1), `c x` to the right-hand side.
    #[inline]
    pub(crate) fn observe(&mut self, x: &[f32], confidence: f32) {
        let root = confidence.abs().sqrt();
        let at = self.roots.len() * self.k;
        numeric::scale_into(root, &x[..self.k], &mut self.tile[at..at + self.k]);
        self.roots.push(if confidence > 0.0 { root } else { 0.0 });
        if self.roots.len() == TILE_ROWS {
            self.flush();
        }
    }

    /// Adds packed sums made earlier, `a` in packed storage.
    pub(crate) fn observe_sums(&mut self, a: &[f32], b: &[f32]) {
        let mut packed = a;
        for j in 0..self.k {
            let (column, rest) = packed.split_at(self.k - j);
            for (sum, value) in self.a[j * (self.k + 1)..].iter_mut().zip(column) {
                *sum += value;
            }
            packed = rest;
        }
        self.shift(1.0, b);
    }

    /// Adds `scale * b` to the right-hand side: with the ridge as scale, a prior mean.
    pub(crate) fn shift(&mut self, scale: f32, b: &[f32]) {
        numeric::axpy(scale, b, &mut self.b);
    }

    fn flush(&mut self) {
        let rows = &self.tile[..self.roots.len() * self.k];
        numeric::add_gram(rows, self.k, &mut self.a);
        numeric::add_vector_matrix(&self.roots, rows, &mut self.b);
        self.roots.clear();
    }

    /// Solves into `out`.
    pub(crate) fn solve(&mut self, out: &mut [f32]) {
        self.flush();
        out.copy_from_slice(&self.b);
        self.factor.copy_from_slice(&self.a);
        match cholesky::factor(&mut self.factor, &mut self.inverse_diagonal) {
            Ok(()) => cholesky::solve(&self.factor, &self.inverse_diagonal, out),
            Err(_) => self.solve_in_f64(out),
        }
    }

    /// Rare: the ridge is very small against the observations.
    #[cold]
    fn solve_in_f64(&self, out: &mut [f32]) {
        let largest = (0..self.k).map(|j| self.a[j * (self.k + 1)]).fold(0.0, f32::max);
        for jitter in [0.0, 1e-9, 1e-6, 1e-3] {
            let mut a: Vec<f64> = self.a.iter().map(|v| f64::from(*v)).collect();
            for at in (0..a.len()).step_by(self.k + 1) {
                a[at] += jitter * f64::from(largest);
            }
            let mut x: Vec<f64> = self.b.iter().map(|v| f64::from(*v)).collect();
            let solved = cholesky_f64::solve_f64(&mut a, &mut x).is_ok();
            if solved && x.iter().all(|v| v.abs() < f64::from(f32::MAX)) {
                for (target, value) in out.iter_mut().zip(&x) {
                    *target = *value as f32;
                }
                return;
            }
        }
        out.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_observations_is_zero() {
        let mut equations = NormalEquations::new(3);
        equations.begin(&[1.0; 9], 0.1, 0.5);
        let mut w = [9.0; 3];
        equations.solve(&mut w);
        assert_eq!(w, [0.0; 3]);
    }

    #[test]
    fn one_factor_is_the_scalar_formula() {
        let mut equations = NormalEquations::new(1);
        equations.begin(&[4.0], 0.5, 0.25);
        equations.observe(&[2.0], 3.0);
        let mut w = [0.0];
        equations.solve(&mut w);
        assert!((w[0] - 6.0 / (12.0 + 2.0 + 0.25)).abs() < 1e-7);
    }

    #[test]
    fn sums_stand_for_their_observations() {
        let x = [[0.3, -0.2, 0.9], [1.0, 0.1, -0.4]];
        let (mut direct, mut summed) = (NormalEquations::new(3), NormalEquations::new(3));
        let (mut a, mut b) = (vec![0.0; 6], vec![0.0; 3]);
        direct.begin(&[0.0; 9], 0.0, 0.5);
        summed.begin(&[0.0; 9], 0.0, 0.5);
        for row in &x {
            direct.observe(row, 2.0);
            numeric::add_outer_packed(2.0, row, &mut a);
            numeric::axpy(2.0, row, &mut b);
        }
        summed.observe_sums(&a, &b);
        let (mut w, mut v) = ([0.0; 3], [0.0; 3]);
        direct.solve(&mut w);
        summed.solve(&mut v);
        for (left, right) in w.iter().zip(&v) {
            assert!((left - right).abs() < 1e-6);
        }
    }

    #[test]
    fn a_singular_system_is_still_solved_and_a_broken_one_gives_zero() {
        let mut equations = NormalEquations::new(2);
        equations.begin(&[0.0; 4], 0.0, 0.0);
        equations.observe(&[1.0, 1.0], 1.0);
        let mut w = [0.0; 2];
        equations.solve(&mut w);
        assert!((w[0] + w[1] - 1.0).abs() < 1e-2, "{w:?}");
        equations.begin(&[f32::NAN; 4], 1.0, 1.0);
        equations.observe(&[1.0, 1.0], 1.0);
        equations.solve(&mut w);
        assert_eq!(w, [0.0; 2]);
    }
}
