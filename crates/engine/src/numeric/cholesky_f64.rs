//! Cholesky factor, solve, variances of a symmetric positive definite d x d system in f64, for small d (about 24).
//!
//! Use: the Bayesian linear regression of the bandits (`A = ridge I + sum w x x'`), and ill-conditioned f32 systems.
//! Storage: as in `gram`: the lower triangle by columns, element (i, j), i >= j, at `a[j * d + i]`; the rest is ignored.
//! Invariants: sequential sums, no fused operation, so the same bits at every instruction level; `quadratic_forms` of
//! many vectors is bit-equal to `quadratic_form` of each.
//! Cost: factor d^3 / 6, solve d^2, a quadratic form d^2 / 2 multiplications and additions.

use crate::numeric::cholesky::NotPositiveDefinite;
use crate::numeric::dispatch::{Kernel, Vector, dispatch};

/// The smallest pivot accepted, as a part of the matrix's own diagonal element.
const PIVOT_MIN: f64 = 1e-14;
/// Vectors solved together by `quadratic_forms`: 12 KiB at d = 24.
const GROUP: usize = 64;

/// Replaces `a` by its Cholesky factor; `inverse_diagonal` receives the reciprocals of the factor's diagonal.
///
/// Panics when `a` is not d x d with d = `inverse_diagonal.len()`.
pub fn factor(a: &mut [f64], inverse_diagonal: &mut [f64]) -> Result<(), NotPositiveDefinite> {
    let d = inverse_diagonal.len();
    assert!(a.len() == d * d, "the matrix must be d x d");
    dispatch(Factor { a, inverse_diagonal })
}

/// Overwrites `b` by the solution of `L L' x = b`.
///
/// Panics when the lengths do not match.
pub fn solve(l: &[f64], inverse_diagonal: &[f64], b: &mut [f64]) {
    let d = inverse_diagonal.len();
    assert!(l.len() == d * d && b.len() == d, "the factor must be d x d and b of length d");
    solve_lower(l, inverse_diagonal, b);
    solve_upper(l, inverse_diagonal, b);
}

/// Overwrites `b` by the solution of `L y = b`.
pub fn solve_lower(l: &[f64], inverse_diagonal: &[f64], b: &mut [f64]) {
    let d = b.len();
    for j in 0..d {
        let value = b[j] * inverse_diagonal[j];
        b[j] = value;
        for (b, l) in b[j + 1..].iter_mut().zip(&l[j * d + j + 1..(j + 1) * d]) {
            *b -= value * l;
        }
    }
}

/// Overwrites `b` by the solution of `L' x = b`; with `b` standard normal noise, x has covariance
/// `A^-1` (a posterior draw).
pub fn solve_upper(l: &[f64], inverse_diagonal: &[f64], b: &mut [f64]) {
    let d = b.len();
    for j in (0..d).rev() {
        let mut value = b[j];
        for i in j + 1..d {
            value -= l[j * d + i] * b[i];
        }
        b[j] = value * inverse_diagonal[j];
    }
}

/// Overwrites `b` by the solution of `A x = b`, once; `a` is overwritten by its factor.
pub fn solve_f64(a: &mut [f64], b: &mut [f64]) -> Result<(), NotPositiveDefinite> {
    let mut inverse_diagonal = vec![0.0; b.len()];
    factor(a, &mut inverse_diagonal)?;
    solve(a, &inverse_diagonal, b);
    Ok(())
}

/// `x' A^-1 x` = the squared length of the solution of `L y = x`: the plain form of `quadratic_forms`.
#[cfg(test)]
fn quadratic_form(l: &[f64], inverse_diagonal: &[f64], x: &[f64], scratch: &mut [f64]) -> f64 {
    scratch.copy_from_slice(x);
    solve_lower(l, inverse_diagonal, scratch);
    scratch.iter().fold(0.0, |sum, y| sum + y * y)
}

/// `out[r] = x_r' A^-1 x_r` for every row of the row-major `xs` (n x d), in groups.
///
/// Panics when the shapes do not match.
pub fn quadratic_forms(l: &[f64], inverse_diagonal: &[f64], xs: &[f64], out: &mut [f64]) {
    let d = inverse_diagonal.len();
    assert!(l.len() == d * d && xs.len() == out.len() * d, "xs must be out.len() x d");
    if d == 0 {
        out.fill(0.0);
        return;
    }
    dispatch(QuadraticForms { l, inverse_diagonal, xs, out });
}

/// The diagonal of `A^-1`: the posterior variances of the coefficients (times the noise variance).
#[must_use]
pub fn inverse_diagonal(l: &[f64], inverse_diagonal: &[f64]) -> Vec<f64> {
    let d = inverse_diagonal.len();
    let mut identity = vec![0.0; d * d];
    for j in 0..d {
        identity[j * d + j] = 1.0;
    }
    let mut out = vec![0.0; d];
    quadratic_forms(l, inverse_diagonal, &identity, &mut out);
    out
}

struct Factor<'a> {
    a: &'a mut [f64],
    inverse_diagonal: &'a mut [f64],
}

impl Kernel for Factor<'_> {
    type Output = Result<(), NotPositiveDefinite>;
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) -> Self::Output {
        let d = self.inverse_diagonal.len();
        // Holds each column's least acceptable pivot until its reciprocal replaces it.
        for (j, value) in self.inverse_diagonal.iter_mut().enumerate() {
            *value = self.a[j * (d + 1)] * PIVOT_MIN;
        }
        for j in 0..d {
            let (done, open) = self.a.split_at_mut((j + 1) * d);
            let column = &mut done[j * d..];
            let pivot = column[j];
            // Written so that a NaN pivot fails too.
            if !(pivot > self.inverse_diagonal[j] && pivot > 0.0 && pivot.is_finite()) {
                return Err(NotPositiveDefinite { column: j });
            }
            let inverse = 1.0 / pivot.sqrt();
            self.inverse_diagonal[j] = inverse;
            for value in &mut column[j..] {
                *value *= inverse;
            }
            for (s, other) in open.chunks_exact_mut(d).enumerate() {
                let from = j + 1 + s;
                let scale = column[from];
                for (o, c) in other[from..].iter_mut().zip(&column[from..]) {
                    *o -= scale * c;
                }
            }
        }
        Ok(())
    }
}

struct QuadraticForms<'a> {
    l: &'a [f64],
    inverse_diagonal: &'a [f64],
    xs: &'a [f64],
    out: &'a mut [f64],
}

impl Kernel for QuadraticForms<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        let d = self.inverse_diagonal.len();
        // y holds a group transposed: row j has coefficient j of every vector, so that the inner loops run over vectors.
        let mut y = vec![0.0_f64; d * GROUP];
        for (xs, out) in self.xs.chunks(GROUP * d).zip(self.out.chunks_mut(GROUP)) {
            let width = out.len();
            for (lane, x) in xs.chunks_exact(d).enumerate() {
                for (j, value) in x.iter().enumerate() {
                    y[j * width + lane] = *value;
                }
            }
            out.fill(0.0);
            for j in 0..d {
                let (head, tail) = y[..d * width].split_at_mut((j + 1) * width);
                let value = &mut head[j * width..];
                for (v, sum) in value.iter_mut().zip(out.iter_mut()) {
                    *v *= self.inverse_diagonal[j];
                    *sum += *v * *v;
                }
                let column = &self.l[j * d + j + 1..(j + 1) * d];
                for (other, l) in tail.chunks_exact_mut(width).zip(column) {
                    for (o, v) in other.iter_mut().zip(value.iter()) {
                        *o -= v * l;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::dispatch::{dispatch_at, levels};
    use crate::numeric::lanes::tests_support::noise;

    fn noise_f64(n: usize, seed: u64) -> Vec<f64> {
        noise(n, seed).into_iter().map(f64::from).collect()
    }

    fn positive_definite(d: usize) -> Vec<f64> {
        let x = noise_f64(3 * d * d, 31);
        let mut a = vec![0.0; d * d];
        for j in 0..d {
            for i in 0..d {
                a[j * d + i] = x.chunks(d).map(|r| r[i] * r[j]).sum();
            }
            a[j * d + j] += 0.1;
        }
        a
    }

    fn factored(d: usize) -> (Vec<f64>, Vec<f64>) {
        let (mut l, mut inverse) = (positive_definite(d), vec![0.0; d]);
        factor(&mut l, &mut inverse).unwrap();
        (l, inverse)
    }

    #[test]
    fn solving_leaves_a_residual_near_machine_precision() {
        for d in [1, 2, 8, 24, 33] {
            let (a, b) = (positive_definite(d), noise_f64(d, 32));
            let mut x = b.clone();
            solve_f64(&mut a.clone(), &mut x).unwrap();
            for i in 0..d {
                let ax: f64 = (0..d).map(|j| a[i * d + j] * x[j]).sum();
                assert!((ax - b[i]).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn variances_agree_with_solving_and_between_levels() {
        let d = 24;
        let (l, inverse) = factored(d);
        let xs = noise_f64(d * 85, 33);
        for level in levels() {
            let mut out = vec![0.0; 85];
            let (l, inverse_diagonal) = (&l[..], &inverse[..]);
            dispatch_at(level, QuadraticForms { l, inverse_diagonal, xs: &xs, out: &mut out });
            for (x, found) in xs.chunks(d).zip(&out) {
                let single = quadratic_form(l, inverse_diagonal, x, &mut vec![0.0; d]);
                assert_eq!(single.to_bits(), found.to_bits());
                let mut solved = x.to_vec();
                solve(l, inverse_diagonal, &mut solved);
                let expected: f64 = x.iter().zip(&solved).map(|(a, b)| a * b).sum();
                assert!((found - expected).abs() < 1e-9 * expected.max(1.0));
            }
        }
    }

    #[test]
    fn the_inverse_diagonal_is_that_of_the_inverse() {
        let d = 7;
        let (l, inverse) = factored(d);
        for (j, found) in inverse_diagonal(&l, &inverse).into_iter().enumerate() {
            let mut unit = vec![0.0; d];
            unit[j] = 1.0;
            solve(&l, &inverse, &mut unit);
            assert!((found - unit[j]).abs() < 1e-12);
        }
    }

    #[test]
    fn the_factor_has_the_same_bits_at_every_level() {
        let (reference, _) = factored(24);
        for level in levels() {
            let (mut a, mut inverse_diagonal) = (positive_definite(24), vec![0.0; 24]);
            dispatch_at(level, Factor { a: &mut a, inverse_diagonal: &mut inverse_diagonal })
                .unwrap();
            assert_eq!(a, reference);
        }
    }

    #[test]
    fn a_singular_matrix_is_refused() {
        let mut a = vec![1.0, 1.0, 1.0, 1.0];
        assert_eq!(factor(&mut a, &mut [0.0; 2]), Err(NotPositiveDefinite { column: 1 }));
    }
}
