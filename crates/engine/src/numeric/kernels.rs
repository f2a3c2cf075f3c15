//! Vector kernels: dot product, axpy, sums, a matrix of rows times a vector (the retrieval scan).
//!
//! Invariants: results are the same bits at every instruction level (see `dispatch`); operands of unequal length are
//! cut to the shorter, which no caller relies on.
//! Cost: `dot_rows` at 64 factors reads memory faster than one core can be fed from DRAM; the others are short.

use crate::numeric::dispatch::{Kernel, Vector, dispatch};
use crate::numeric::lanes::{LANES, Lanes, lanes_at, lanes_at_mut};

/// The inner product of `a` and `b`.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    dispatch(Dot { a, b })
}

/// The sum of the squares of `x`.
#[must_use]
pub fn sum_squares(x: &[f32]) -> f32 {
    dispatch(Dot { a: x, b: x })
}

/// `y += alpha * x`, element by element.
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    dispatch(Axpy { alpha, x, y });
}

/// `out[r] = dot(rows[r], q)` for every row of the row-major `rows` (n x k); bit-equal to `dot` on each row.
///
/// Panics when `k` is zero, `q` is not `k` long, or `rows` does not hold `out.len()` rows.
pub fn dot_rows(rows: &[f32], k: usize, q: &[f32], out: &mut [f32]) {
    assert!(k > 0 && q.len() == k, "the query must have k factors");
    assert!(rows.len() == out.len() * k, "rows must be out.len() x k");
    dispatch(DotRows { rows, k, q, out });
}

/// `out += x' M` for the row-major `m` (x.len() x out.len()), rows added in order.
///
/// Panics when the shapes do not match.
pub fn add_vector_matrix(x: &[f32], m: &[f32], out: &mut [f32]) {
    assert!(m.len() == x.len() * out.len(), "matrix must be x.len() x out.len()");
    dispatch(AddVectorMatrix { x, m, out });
}

/// `out = alpha * x`, element by element.
pub fn scale_into(alpha: f32, x: &[f32], out: &mut [f32]) {
    dispatch(ScaleInto { alpha, x, out });
}

/// The sum of `x` in 64 bits, strictly from first to last.
#[must_use]
pub fn fixed_sum(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |sum, value| sum + value)
}

struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Kernel for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) -> f32 {
        dot_body::<V>(self.a, self.b)
    }
}

#[inline(always)]
fn dot_body<V: Vector>(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut sum = V::splat(0.0);
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        sum = sum.add(V::load(x).mul(V::load(y)));
    }
    if !a_tail.is_empty() {
        let mut lanes: Lanes = [0.0; LANES];
        sum.store(&mut lanes);
        for (lane, (x, y)) in lanes.iter_mut().zip(a_tail.iter().zip(b_tail)) {
            *lane += x * y;
        }
        sum = V::load(&lanes);
    }
    sum.sum()
}

struct Axpy<'a> {
    alpha: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Axpy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        // No lanes needed: elements are independent, so any vector width rounds alike.
        for (y, x) in self.y.iter_mut().zip(self.x) {
            *y += self.alpha * x;
        }
    }
}

struct ScaleInto<'a> {
    alpha: f32,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for ScaleInto<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        for (y, x) in self.out.iter_mut().zip(self.x) {
            *y = self.alpha * x;
        }
    }
}

struct DotRows<'a> {
    rows: &'a [f32],
    k: usize,
    q: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for DotRows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        // Constant widths keep the query in registers and unroll the row.
        match self.k {
            16 => dot_rows_fixed::<V, 1>(self.rows, self.q, self.out),
            32 => dot_rows_fixed::<V, 2>(self.rows, self.q, self.out),
            48 => dot_rows_fixed::<V, 3>(self.rows, self.q, self.out),
            64 => dot_rows_fixed::<V, 4>(self.rows, self.q, self.out),
            96 => dot_rows_fixed::<V, 6>(self.rows, self.q, self.out),
            128 => dot_rows_fixed::<V, 8>(self.rows, self.q, self.out),
            k => {
                for (row, score) in self.rows.chunks_exact(k).zip(self.out) {
                    *score = dot_body::<V>(row, self.q);
                }
            }
        }
    }
}

#[inline(always)]
fn dot_rows_fixed<V: Vector, const CHUNKS: usize>(rows: &[f32], q: &[f32], out: &mut [f32]) {
    let mut query = [V::splat(0.0); CHUNKS];
    for (chunk, lanes) in query.iter_mut().enumerate() {
        *lanes = V::load(lanes_at(q, chunk * LANES));
    }
    for (row, score) in rows.chunks_exact(CHUNKS * LANES).zip(out) {
        let mut sum = V::splat(0.0);
        for (chunk, lanes) in query.iter().enumerate() {
            sum = sum.add(V::load(lanes_at(row, chunk * LANES)).mul(*lanes));
        }
        *score = sum.sum();
    }
}

struct AddVectorMatrix<'a> {
    x: &'a [f32],
    m: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for AddVectorMatrix<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        match self.out.len() {
            32 => add_vector_matrix_fixed::<V, 2>(self.x, self.m, self.out),
            64 => add_vector_matrix_fixed::<V, 4>(self.x, self.m, self.out),
            128 => add_vector_matrix_fixed::<V, 8>(self.x, self.m, self.out),
            width => {
                for (alpha, row) in self.x.iter().zip(self.m.chunks_exact(width.max(1))) {
                    for (y, v) in self.out.iter_mut().zip(row) {
                        *y += alpha * v;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn add_vector_matrix_fixed<V: Vector, const CHUNKS: usize>(x: &[f32], m: &[f32], out: &mut [f32]) {
    let mut sums = [V::splat(0.0); CHUNKS];
    for (chunk, sum) in sums.iter_mut().enumerate() {
        *sum = V::load(lanes_at(out, chunk * LANES));
    }
    for (alpha, row) in x.iter().zip(m.chunks_exact(CHUNKS * LANES)) {
        let alpha = V::splat(*alpha);
        for (chunk, sum) in sums.iter_mut().enumerate() {
            *sum = sum.add(alpha.mul(V::load(lanes_at(row, chunk * LANES))));
        }
    }
    for (chunk, sum) in sums.iter().enumerate() {
        sum.store(lanes_at_mut(out, chunk * LANES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::dispatch::{dispatch_at, levels};
    use crate::numeric::lanes::tests_support::noise;

    /// The definition of `dot`, one element at a time.
    fn dot_twin(a: &[f32], b: &[f32]) -> f32 {
        let mut lane = [0.0_f32; 16];
        for i in 0..a.len() {
            let product = a[i] * b[i];
            lane[i % 16] += product;
        }
        let mut width = 8;
        while width > 0 {
            for l in 0..width {
                lane[l] += lane[l + width];
            }
            width /= 2;
        }
        lane[0]
    }

    fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    }

    #[test]
    fn dot_equals_its_scalar_twin_at_every_level_and_the_exact_sum_nearly() {
        for n in [0, 1, 7, 15, 16, 17, 31, 64, 100, 128, 1000] {
            let (a, b) = (noise(n, 1), noise(n, 2));
            let twin = dot_twin(&a, &b);
            for level in levels() {
                let found = dispatch_at(level, Dot { a: &a, b: &b });
                assert_eq!(found.to_bits(), twin.to_bits(), "n={n} {level:?}");
            }
            assert!((f64::from(dot(&a, &b)) - dot_f64(&a, &b)).abs() < 1e-4);
        }
    }

    #[test]
    fn dot_rows_equals_dot_on_each_row_at_every_level() {
        for k in [1, 3, 16, 24, 32, 48, 64, 80, 96, 128] {
            let (rows, q) = (noise(k * 37, 3), noise(k, 4));
            for level in levels() {
                let mut out = vec![0.0; 37];
                dispatch_at(level, DotRows { rows: &rows, k, q: &q, out: &mut out });
                for (row, score) in rows.chunks(k).zip(&out) {
                    assert_eq!(score.to_bits(), dot_twin(row, &q).to_bits(), "k={k} {level:?}");
                }
            }
        }
    }

    #[test]
    fn axpy_and_vector_matrix_equal_their_scalar_twins_at_every_level() {
        for k in [1, 5, 16, 32, 64, 70, 128] {
            let (x, m) = (noise(9, 5), noise(9 * k, 6));
            let mut twin = vec![0.0_f32; k];
            for (alpha, row) in x.iter().zip(m.chunks(k)) {
                for (t, v) in twin.iter_mut().zip(row) {
                    *t += alpha * v;
                }
            }
            for level in levels() {
                let mut out = vec![0.0; k];
                dispatch_at(level, AddVectorMatrix { x: &x, m: &m, out: &mut out });
                assert_eq!(out, twin);
                dispatch_at(level, ScaleInto { alpha: 0.5, x: &twin, out: &mut out });
                assert!(out.iter().zip(&twin).all(|(half, whole)| *half == 0.5 * whole));
                let mut sum = vec![0.0; k];
                for (alpha, row) in x.iter().zip(m.chunks(k)) {
                    dispatch_at(level, Axpy { alpha: *alpha, x: row, y: &mut sum });
                }
                assert_eq!(sum, twin);
            }
        }
    }

    #[test]
    fn sums_run_in_order() {
        assert_eq!(fixed_sum(&[1e16, 1.0, -1e16]), 0.0);
        assert_eq!(sum_squares(&[3.0, 4.0]), 25.0);
    }
}
