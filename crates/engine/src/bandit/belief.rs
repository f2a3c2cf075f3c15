//! A solved posterior: expected rewards and their uncertainty.
//!
//! The standard deviation of the expected reward of an item with features `x` is
//! `sqrt(x' V x)`, `V` the posterior covariance. With `V = R R'` that is the length of
//! `R' x`, a triangular product, computed for 16 candidates at a time in f32. The first feature,
//! the constant 1, is left out: it is the same for all items, so its uncertainty changes no choice
//! and is no reason to explore.
//!
//! - The factor is computed once per posterior. Each candidate's sums run in a fixed order,
//!   whatever its neighbours are, so the bits are the same everywhere.
//!
//! Cost: d^2 / 2 multiplications and additions a candidate, 16 in a row: a few us for 100
//! candidates of 27 features.

use crate::numeric::cholesky_f64;
use crate::numeric::triangular::LANES;
use crate::numeric::triangular::squared_lengths;

/// Mean and covariance of the coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    pub mean: Vec<f64>,
    /// Of each coefficient.
    pub standard_deviation: Vec<f64>,
    /// By columns, per unit of the variance of a reward.
    covariance: Vec<f64>,
    /// Variance of a reward around its expectation.
    pub variance: f64,
    /// `R`, by columns: element (i, j), i >= j, at `j * d + i`.
    root: Vec<f32>,
}

impl Belief {
    /// `covariance` is that of the coefficients divided by `variance`.
    pub(super) fn new(mean: Vec<f64>, covariance: Vec<f64>, variance: f64) -> Self {
        let d = mean.len();
        let diagonal = (0..d).map(|j| (variance * covariance[j * d + j]).max(0.0).sqrt());
        let standard_deviation: Vec<f64> = diagonal.collect();
        let mut factor: Vec<f64> = covariance.iter().map(|value| value * variance).collect();
        let root = match cholesky_f64::factor(&mut factor, &mut vec![0.0; d]) {
            Ok(()) => factor.into_iter().map(|value| value as f32).collect(),
            // Singular by rounding: treat the coefficients as independent.
            Err(_) => diagonal_matrix(&standard_deviation),
        };
        Self { mean, standard_deviation, covariance, variance, root }
    }

    /// Before any evidence.
    pub(super) fn prior(mean: &[f64], strength: &[f64], variance: f64) -> Self {
        let d = mean.len();
        let mut covariance = vec![0.0; d * d];
        (0..d).for_each(|j| covariance[j * (d + 1)] = 1.0 / strength[j]);
        Self::new(mean.to_vec(), covariance, variance)
    }

    pub(super) fn covariance(&self) -> &[f64] {
        &self.covariance
    }

    /// Appends the standard deviation of the expected reward of each vector, without the part of the
    /// constant.
    pub fn deviations<'a>(
        &self,
        vectors: impl ExactSizeIterator<Item = &'a [f32]>,
        out: &mut Vec<f64>,
    ) {
        let d = self.mean.len();
        let mut group = vec![[0.0_f32; LANES]; d];
        let mut lanes = 0;
        let mut left = vectors.len();
        out.reserve(left);
        for vector in vectors {
            for (value, row) in vector.iter().zip(&mut group).skip(1) {
                row[lanes] = *value;
            }
            (lanes, left) = (lanes + 1, left - 1);
            if lanes == LANES || left == 0 {
                let squares = squared_lengths(&self.root, &group);
                out.extend(squares[..lanes].iter().map(|square| f64::from(*square).sqrt()));
                lanes = 0;
            }
        }
    }
}

fn diagonal_matrix(diagonal: &[f64]) -> Vec<f32> {
    let d = diagonal.len();
    let mut matrix = vec![0.0; d * d];
    diagonal.iter().enumerate().for_each(|(j, value)| matrix[j * (d + 1)] = *value as f32);
    matrix
}

/// The inverse of a symmetric matrix whose lower triangle is given by columns; all
/// of it. `None` when it is not positive definite. Overwrites `a`.
pub(super) fn inverse(a: &mut [f64], d: usize) -> Option<Vec<f64>> {
    let mut diagonal = vec![0.0; d];
    cholesky_f64::factor(a, &mut diagonal).ok()?;
    let mut inverse = vec![0.0; d * d];
    for (j, column) in inverse.chunks_exact_mut(d).enumerate() {
        column[j] = 1.0;
        cholesky_f64::solve(a, &diagonal, column);
    }
    // Makes it exactly symmetric, whatever the rounding.
    for i in 0..d {
        for j in 0..i {
            inverse[i * d + j] = inverse[j * d + i];
        }
    }
    Some(inverse)
}

#[cfg(test)]
mod tests {
    use crate::bandit::{Posterior, RankerPrior, Weight};

    #[test]
    fn deviations_are_the_quadratic_forms_written_out() {
        const D: usize = 27;
        let row = |number: usize| -> Vec<f32> {
            let noise = |at: usize| ((number * 31 + at * 17) % 23) as f32 / 11.0 - 1.0;
            (0..D).map(|at| if at == 0 { 1.0 } else { noise(at) }).collect()
        };
        let mut posterior = Posterior::new(D);
        for number in 0..300 {
            posterior.add_impression(&row(number), Weight::FULL);
        }
        let belief = posterior.solve(&RankerPrior::even(D, 50.0));
        let rows: Vec<Vec<f32>> = (0..37).map(|number| row(number * 5 + 1)).collect();
        let mut found = Vec::new();
        belief.deviations(rows.iter().map(|row| &row[..]), &mut found);
        assert_eq!(found.len(), rows.len());
        for (row, found) in rows.iter().zip(found) {
            let mut square = 0.0;
            for (i, x) in row.iter().enumerate().skip(1) {
                for (j, y) in row.iter().enumerate().skip(1) {
                    square += f64::from(*x) * f64::from(*y) * belief.covariance()[i * D + j];
                }
            }
            let expected = (square * belief.variance).sqrt();
            assert!((found / expected - 1.0).abs() < 1e-4, "{found} against {expected}");
        }
    }
}
