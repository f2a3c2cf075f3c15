//! Half an epoch: improves every row of one side against the fixed factors of the other side.
//!
//! The fixed side is first rotated to the eigenbasis Q of its Gram matrix `G = Q E Q'`. There the prior `a0 G + l I` is
//! diagonal for every row's own l, so a row's equations cost nothing but its observations, and their diagonal
//! preconditions them well. A row starts from its factors of the epoch before, rotated: a few steps of
//! conjugate gradients (`numeric::conjugate_gradient`) bring it to where an exact solve would.
//!
//! Invariants: rows are independent and each is solved in a fixed order, sums over rows run in chunks of a fixed size, so
//! the result is the same bits for any number of threads. Not for any CPU: eigenbasis and rotations come from faer, the
//! steps fuse multiply and add. The loss never rises but for rounding.
//! Cost: per observation 2 k for each step and the start, rotations 3 k^2 per row, the eigenbasis once.

use faer::Accum;
use faer::MatMut;
use faer::MatRef;
use faer::Par;
use faer::Side;
use faer::linalg::matmul::matmul;
use rayon::prelude::*;

use crate::models::collaborative::fold_in::gram;
use crate::models::collaborative::training_set::TrainingSet;
use crate::numeric;
use crate::numeric::Aligned;
use crate::numeric::conjugate_gradient::{Effort, Ridge, Scratch};

/// Rows per unit of parallel work: large enough to hide the scheduling, small enough to balance long rows.
const ROWS_PER_TASK: usize = 16;

/// Rows that are rotated together: the product packs the basis once for them.
const ROTATED_TOGETHER: usize = 512;

/// Rows per partial Gram matrix; fixed, so that the sum does not depend on the number of threads.
const GRAM_CHUNK: usize = 1024;

/// Factors are padded to whole vectors of this many.
const LANES: usize = 16;

/// The terms that all rows of a half step share.
pub(crate) struct HalfStep<'a> {
    pub rows: &'a TrainingSet,
    /// Factors of the other side, `rows.n_items()` x k.
    pub fixed: &'a [f32],
    pub k: usize,
    /// a0.
    pub unobserved_weight: f32,
    /// L2 weight by the number of observations.
    pub ridge: &'a (dyn Fn(usize) -> f32 + Sync),
    pub effort: Effort,
}

impl HalfStep<'_> {
    /// Improves all rows, k wide, from where they are. Returns
    /// `sum c (1 - w'h)^2 + a0 sum (w'h)^2 + sum l |w|^2` of this side's rows: the loss but for the other side's L2.
    pub(crate) fn run(&self, factors: &mut [f32]) -> f64 {
        let (k, width) = (self.k, self.k.next_multiple_of(LANES));
        let (basis, spectrum) = eigenbasis(&gram_parallel(self.fixed, k), k, width);
        let basis = MatRef::from_row_major_slice(&basis, k, width);
        let mut fixed = Aligned::zeroed(self.rows.n_items() * width);
        product(self.fixed, basis, fixed.as_mut_slice());
        let mut rotated = Aligned::zeroed(self.rows.n_users() * width);
        product(factors, basis, rotated.as_mut_slice());
        let fixed = fixed.as_slice();
        let losses: Vec<f64> = rotated
            .as_mut_slice()
            .par_chunks_mut(ROWS_PER_TASK * width)
            .enumerate()
            .map_init(
                || (Scratch::new(width), vec![0.0; width]),
                |(scratch, prior), (task, rows)| {
                    rows.chunks_exact_mut(width).enumerate().fold(0.0, |sum, (at, w)| {
                        let row = task * ROWS_PER_TASK + at;
                        sum + self.solve(fixed, &spectrum, row, scratch, prior, w)
                    })
                },
            )
            .collect();
        product(rotated.as_slice(), basis.transpose(), factors);
        numeric::fixed_sum(&losses)
    }

    /// Improves row `row`, which is at `w`; returns its part of the loss. Factors that come out not finite are zero.
    fn solve(
        &self,
        fixed: &[f32],
        spectrum: &[f32],
        row: usize,
        scratch: &mut Scratch,
        prior: &mut [f32],
        w: &mut [f32],
    ) -> f64 {
        let (rows, weights) = self.rows.row(row);
        if rows.is_empty() {
            w.fill(0.0);
            return 0.0;
        }
        let ridge = (self.ridge)(rows.len());
        for (d, e) in prior.iter_mut().zip(spectrum) {
            *d = self.unobserved_weight * e + ridge;
        }
        let problem = Ridge { matrix: fixed, rows, weights, diagonal: prior };
        let loss = problem.minimize(self.effort, scratch, w);
        if loss.is_finite() && w.iter().all(|v| v.is_finite()) {
            return loss;
        }
        w.fill(0.0);
        weights.iter().map(|c| f64::from(c.max(0.0))).sum()
    }
}

/// `out = rows m`, all by rows.
fn product(rows: &[f32], m: MatRef<'_, f32>, out: &mut [f32]) {
    let (before, after) = (m.nrows(), m.ncols());
    out.par_chunks_mut(ROTATED_TOGETHER * after)
        .zip(rows.par_chunks(ROTATED_TOGETHER * before))
        .for_each(|(out, rows)| {
            let n = rows.len() / before;
            let rows = MatRef::from_row_major_slice(rows, n, before);
            let out = MatMut::from_row_major_slice_mut(out, n, after);
            matmul(out, Accum::Replace, rows, m, 1.0, Par::Seq);
        });
}

/// `gram` by chunks of a fixed number of rows, summed in order in f64: parallel, and no drift over millions of rows.
fn gram_parallel(rows: &[f32], k: usize) -> Vec<f32> {
    let partial: Vec<Vec<f32>> = rows.par_chunks(GRAM_CHUNK * k).map(|r| gram(r, k)).collect();
    let mut sum = vec![0.0_f64; k * k];
    for part in &partial {
        for (s, value) in sum.iter_mut().zip(part) {
            *s += f64::from(*value);
        }
    }
    sum.into_iter().map(|s| s as f32).collect()
}

/// Q by rows and the eigenvalues of the dense-stored `g`, both padded with zeros to `width`. All zero when the matrix is
/// not finite.
fn eigenbasis(g: &[f32], k: usize, width: usize) -> (Vec<f32>, Vec<f32>) {
    let g: Vec<f64> = g.iter().map(|v| f64::from(*v)).collect();
    // Stored lower triangle by columns: exactly what faer reads as column-major with Side::Lower.
    let matrix = MatRef::from_column_major_slice(&g, k, k);
    let (mut basis, mut spectrum) = (vec![0.0_f32; k * width], vec![0.0_f32; width]);
    if let Ok(eigen) = matrix.self_adjoint_eigen(Side::Lower) {
        for i in 0..k {
            spectrum[i] = eigen.S()[i].max(0.0) as f32;
            for j in 0..k {
                basis[j * width + i] = eigen.U()[(j, i)] as f32;
            }
        }
    }
    (basis, spectrum)
}
