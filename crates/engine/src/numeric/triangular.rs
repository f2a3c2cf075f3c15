//! Lengths of the products of a triangular matrix with many vectors, in f32.
//!
//! Use: `x' V x = |R' x|^2` with `V = R R'`, for 16 vectors at a time.
//! Storage: the lower triangle of R by columns, element (i, j), i >= j, at `r[j * d + i]`; the rest is ignored.
//! Invariants: a lane's sums run in a fixed order whatever the other lanes hold, no fused operation: the same bits at
//! every instruction level.
//! Cost: d^2 / 2 multiplications and additions a vector.

use crate::numeric::dispatch::{Kernel, Vector, dispatch};

/// Vectors worked on together.
pub const LANES: usize = 16;

/// `|R' x|^2` of each lane; `xs[i]` holds element i of all vectors.
///
/// Panics when `r` is not d x d with d = `xs.len()`.
#[must_use]
pub fn squared_lengths(r: &[f32], xs: &[[f32; LANES]]) -> [f32; LANES] {
    assert!(r.len() == xs.len() * xs.len(), "the matrix must be d x d");
    dispatch(SquaredLengths { r, xs })
}

struct SquaredLengths<'a> {
    r: &'a [f32],
    xs: &'a [[f32; LANES]],
}

impl Kernel for SquaredLengths<'_> {
    type Output = [f32; LANES];
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) -> Self::Output {
        let d = self.xs.len();
        let mut squares = [0.0; LANES];
        for j in 0..d {
            let mut sums = [0.0; LANES];
            for (r, x) in self.r[j * d + j..(j + 1) * d].iter().zip(&self.xs[j..]) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum += r * x;
                }
            }
            for (square, sum) in squares.iter_mut().zip(sums) {
                *square += sum * sum;
            }
        }
        squares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::dispatch::{dispatch_at, levels};

    #[test]
    fn lengths_are_those_written_out_and_have_the_same_bits_at_every_level() {
        const D: usize = 5;
        let r: Vec<f32> =
            (0..D * D).map(|position| (position * 7 % 11) as f32 / 4.0 - 1.0).collect();
        let xs: Vec<[f32; LANES]> =
            (0..D).map(|i| std::array::from_fn(|lane| (i * 3 + lane) as f32 / 8.0)).collect();
        let found = squared_lengths(&r, &xs);
        for (lane, found) in found.into_iter().enumerate() {
            let element = |j: usize| (j..D).map(|i| r[j * D + i] * xs[i][lane]).sum::<f32>();
            let expected: f32 = (0..D).map(|j| element(j) * element(j)).sum();
            assert!((found - expected).abs() < 1e-4 * expected.max(1.0), "{found} {expected}");
        }
        for level in levels() {
            assert_eq!(dispatch_at(level, SquaredLengths { r: &r, xs: &xs }), found);
        }
    }
}
