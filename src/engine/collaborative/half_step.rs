//! Half an epoch: solves every row of one side against the fixed factors of the other side.
//!
//! The fixed side is first rotated to the eigenbasis Q of its Gram matrix `G = Q E Q'`. There the prior `a0 G + l I` is
//! diagonal for every row's own l, so short rows can take the dual form (`dual`) and long ones start from a diagonal.
//! The solution is rotated back: `w = Q w'`. The minimum is the same; only rounding differs.
//!
//! Invariants: rows are independent and each is solved in a fixed order, sums over rows run in chunks of a fixed size, so
//! the result is the same bits for any number of threads. Not for any CPU: the eigenbasis comes from faer.
//! Why not faer for the rows: at k = 64 `numeric` is 1.7 times as fast for the rank-64 update and 1.3 times for the factor.
//! Cost: per observation k^2 / 2, per row k^3 / 6 + 2 k^2, or the dual's less; rotation k^2 per fixed row.

use faer::MatRef;
use faer::Side;
use rayon::prelude::*;

use super::dual::DualEquations;
use super::fold_in::gram;
use super::normal_equations::NormalEquations;
use super::training_set::TrainingSet;
use crate::numeric;

/// Rows per unit of parallel work: large enough to hide the scheduling, small enough to balance long rows.
const ROWS_PER_TASK: usize = 16;

/// Rows per partial Gram matrix; fixed, so that the sum does not depend on the number of threads.
const GRAM_CHUNK: usize = 8192;

/// The terms that all rows of a half step share.
pub(super) struct HalfStep<'a> {
    pub rows: &'a TrainingSet,
    /// Factors of the other side, `rows.n_items()` x k.
    pub fixed: &'a [f32],
    pub k: usize,
    /// a0.
    pub unobserved_weight: f32,
    /// L2 weight by the number of observations.
    pub ridge: &'a (dyn Fn(usize) -> f32 + Sync),
}

/// The factors of one side, and the part of the loss that their rows explain.
pub(super) struct Solved {
    pub factors: Vec<f32>,
    /// `sum c (1 - w'h)^2 + a0 sum (w'h)^2 + sum l |w|^2` of this side's rows: the loss but for the other side's L2.
    pub loss: f64,
}

/// The fixed side in the eigenbasis of its Gram matrix.
struct Rotated {
    fixed: Vec<f32>,
    /// Q', row-major: w = w'' Q' for a solution w'' in the eigenbasis.
    basis: Vec<f32>,
    /// Eigenvalues of G, none below zero.
    spectrum: Vec<f32>,
}

impl HalfStep<'_> {
    /// Solves all rows.
    pub(super) fn run(&self) -> Solved {
        let k = self.k;
        let rotated = self.rotate();
        let mut factors = vec![0.0_f32; self.rows.n_users() * k];
        let losses: Vec<f64> = factors
            .par_chunks_mut(ROWS_PER_TASK * k)
            .enumerate()
            .map_init(
                || RowSolver::new(k),
                |solver, (task, out)| {
                    out.chunks_exact_mut(k).enumerate().fold(0.0, |sum, (r, w)| {
                        sum + solver.solve(self, &rotated, task * ROWS_PER_TASK + r, w)
                    })
                },
            )
            .collect();
        Solved { factors, loss: numeric::fixed_sum(&losses) }
    }

    fn rotate(&self) -> Rotated {
        let k = self.k;
        let g = gram_parallel(self.fixed, k);
        let (basis, spectrum) = eigenbasis(&g, k);
        // basis holds Q' by rows; Q by rows is its transpose.
        let mut q = vec![0.0_f32; k * k];
        for i in 0..k {
            for j in 0..k {
                q[j * k + i] = basis[i * k + j];
            }
        }
        let mut fixed = vec![0.0_f32; self.fixed.len()];
        fixed
            .par_chunks_mut(GRAM_CHUNK / 16 * k)
            .zip(self.fixed.par_chunks(GRAM_CHUNK / 16 * k))
            .for_each(|(out, rows)| {
                for (target, row) in out.chunks_exact_mut(k).zip(rows.chunks_exact(k)) {
                    numeric::vector_matrix(row, &q, target);
                }
            });
        Rotated { fixed, basis, spectrum }
    }
}

/// Per-thread scratch.
struct RowSolver {
    primal: NormalEquations,
    dual: DualEquations,
    prior: Vec<f32>,
    rotated: Vec<f32>,
}

impl RowSolver {
    fn new(k: usize) -> Self {
        Self {
            primal: NormalEquations::new(k),
            dual: DualEquations::new(k),
            prior: vec![0.0; k],
            rotated: vec![0.0; k],
        }
    }

    /// Solves row `row` into `out`; returns its part of the loss.
    fn solve(&mut self, step: &HalfStep<'_>, side: &Rotated, row: usize, out: &mut [f32]) -> f64 {
        let (columns, confidences) = step.rows.row(row);
        if columns.is_empty() {
            out.fill(0.0);
            return 0.0;
        }
        let ridge = (step.ridge)(columns.len());
        for (d, e) in self.prior.iter_mut().zip(&side.spectrum) {
            *d = step.unobserved_weight * e + ridge;
        }
        let loss = self.solve_rotated(side, step.k, columns, confidences);
        numeric::vector_matrix(&self.rotated, &side.basis, out);
        loss
    }

    fn solve_rotated(
        &mut self,
        side: &Rotated,
        k: usize,
        columns: &[u32],
        confidences: &[f32],
    ) -> f64 {
        if columns.len() <= dual_limit(k) && self.prior.iter().all(|d| *d > f32::MIN_POSITIVE) {
            let (prior, out) = (&self.prior, &mut self.rotated);
            let loss = self.dual.solve(prior, &side.fixed, columns, confidences, out);
            if let Some(loss) = loss.filter(|loss| loss.is_finite()) {
                return f64::from(loss);
            }
        }
        self.primal.begin_diagonal(&self.prior);
        let mut total = 0.0_f64;
        for (&column, &confidence) in columns.iter().zip(confidences) {
            let x = &side.fixed[column as usize * k..][..k];
            self.primal.observe(x, confidence);
            total += f64::from(confidence.max(0.0));
        }
        total - f64::from(self.primal.solve(&mut self.rotated))
    }
}

/// The longest row that takes the dual form: where the two cost about the same at k = 64 by the times of their kernels
/// (about 7 us each at 48 observations; added up, not swept).
fn dual_limit(k: usize) -> usize {
    k * 3 / 4
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

/// Q' by rows and the eigenvalues of the dense-stored `g`. Falls back to no rotation when the matrix is not finite.
fn eigenbasis(g: &[f32], k: usize) -> (Vec<f32>, Vec<f32>) {
    let g: Vec<f64> = g.iter().map(|v| f64::from(*v)).collect();
    // Stored lower triangle by columns: exactly what faer reads as column-major with Side::Lower.
    let matrix = MatRef::from_column_major_slice(&g, k, k);
    let mut basis = vec![0.0_f32; k * k];
    let mut spectrum = vec![0.0_f32; k];
    if let Ok(eigen) = matrix.self_adjoint_eigen(Side::Lower) {
        for i in 0..k {
            spectrum[i] = eigen.S()[i].max(0.0) as f32;
            for j in 0..k {
                basis[i * k + j] = eigen.U()[(j, i)] as f32;
            }
        }
    }
    (basis, spectrum)
}
