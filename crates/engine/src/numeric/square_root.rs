//! Linear least squares one observation at a time, in square-root form.
//!
//! Of `A = ridge I + sum x x'` and `b = sum r x` it keeps the Cholesky factor `L L' = A` and `z = L^-1 b`: then
//! `x' A^-1 b = y' z` and `x' A^-1 x = y' y` with `L y = x`, one triangular solve for both.
//!
//! Storage: `l` packed (lower triangle by columns without gaps, `gram::packed_len`), `inverse_diagonal` the reciprocals of
//! its diagonal.
//! Invariants
//! - Updates are rotations, which are backward stable: after n updates the error is that of one factorization of the sum,
//!   growing no faster than n in the last digit, and the factor stays positive.
//! - Elements are independent of each other or summed strictly in order: the same bits at every instruction level.
//!
//! Source: Golub and Van Loan, Matrix Computations, section 6.5 (updating by Givens rotations); Sayed and Kailath 1994,
//! "A state-space approach to adaptive RLS filtering" (square-root form).
//! Cost: `project` d^2 / 2 multiplications and additions, `observe` four times that and d square roots.

use crate::numeric::dispatch::{Kernel, Vector, dispatch};
use crate::numeric::gram::packed_len;

/// Columns solved together.
const BLOCK: usize = 8;

/// One system with its right-hand side, which becomes `y = L^-1 x`; `mean` and `square` become `y' z` and `y' y`.
#[derive(Debug)]
pub struct Projection<'a> {
    l: &'a [f64],
    inverse_diagonal: &'a [f64],
    z: &'a [f64],
    x: &'a mut [f64],
    /// Where the next column begins.
    column: usize,
    pub mean: f64,
    pub square: f64,
}

impl<'a> Projection<'a> {
    /// Panics when the lengths do not match.
    #[must_use]
    pub fn new(l: &'a [f64], inverse_diagonal: &'a [f64], z: &'a [f64], x: &'a mut [f64]) -> Self {
        let d = x.len();
        assert!(l.len() == packed_len(d) && inverse_diagonal.len() == d && z.len() == d, "shapes");
        Self { l, inverse_diagonal, z, x, column: 0, mean: 0.0, square: 0.0 }
    }
}

/// Solves systems of one dimension in turns: each waits for its own results most of the time. The same bits as one by one.
///
/// Panics when the dimensions differ.
pub fn project(projections: &mut [Projection<'_>]) {
    dispatch(Project { projections });
}

/// `A += x x'`, `b` unchanged. `x` is overwritten.
///
/// Panics when the lengths do not match.
pub fn observe(l: &mut [f64], inverse_diagonal: &mut [f64], z: &mut [f64], x: &mut [f64]) {
    let d = x.len();
    assert!(l.len() == packed_len(d) && inverse_diagonal.len() == d && z.len() == d, "shapes");
    dispatch(Observe { l, inverse_diagonal, z, x });
}

/// `A <- keep A + (1 - keep) ridge I`, `b <- keep b`: old observations fade, the prior stays.
///
/// Panics when the lengths do not match.
pub fn fade(l: &mut [f64], inverse_diagonal: &mut [f64], z: &mut [f64], keep: f64, ridge: f64) {
    let d = z.len();
    assert!(l.len() == packed_len(d) && inverse_diagonal.len() == d, "shapes");
    dispatch(Fade { l, inverse_diagonal, z, keep, ridge });
}

struct Project<'a, 'b> {
    projections: &'a mut [Projection<'b>],
}

impl Kernel for Project<'_, '_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        let d = self.projections.first().map_or(0, |first| first.x.len());
        assert!(self.projections.iter().all(|other| other.x.len() == d), "one dimension");
        let blocks = d / BLOCK;
        for block in 0..blocks {
            for projection in self.projections.iter_mut() {
                projection.solve_block(block * BLOCK);
            }
        }
        for projection in self.projections.iter_mut() {
            projection.solve_rest(blocks * BLOCK);
        }
    }
}

impl Projection<'_> {
    /// The columns of a block solve their own rows first, then take off all others in one pass: the same operations in
    /// the same order as one by one.
    #[inline(always)]
    fn solve_block(&mut self, at: usize) {
        let (rows, below) = self.x[at..].split_at_mut(BLOCK);
        let rows: &mut [f64; BLOCK] = rows.try_into().expect("a block of rows");
        let inverse: &[f64; BLOCK] =
            self.inverse_diagonal[at..at + BLOCK].try_into().expect("a block");
        let z: &[f64; BLOCK] = self.z[at..at + BLOCK].try_into().expect("a block");
        let mut starts = [0; BLOCK];
        // In registers while the block solves itself.
        let (mut open, mut y) = (*rows, [0.0; BLOCK]);
        let (mut mean, mut square) = (self.mean, self.square);
        for position in 0..BLOCK {
            starts[position] = self.column;
            // Whole blocks are faster than the open rows only: what lies before the diagonal makes finished rows
            // meaningless; they are not read again.
            let lanes = &self.l[self.column - position..][..BLOCK];
            self.column += BLOCK - position + below.len();
            let value = open[position] * inverse[position];
            y[position] = value;
            mean += value * z[position];
            square += value * value;
            for (open, l) in open.iter_mut().zip(lanes) {
                *open -= value * l;
            }
        }
        (self.mean, self.square) = (mean, square);
        *rows = y;
        // Contexts are sparse: nothing to take off for zeros.
        if y.iter().any(|y| *y != 0.0) {
            take_off(&y, &starts, self.l, below);
        }
    }

    #[inline(always)]
    fn solve_rest(&mut self, from: usize) {
        for at in from..self.x.len() {
            let (first, later) = self.x[at..].split_first_mut().expect("an element");
            let value = *first * self.inverse_diagonal[at];
            *first = value;
            self.mean += value * self.z[at];
            self.square += value * value;
            let below = &self.l[self.column + 1..][..later.len()];
            for (x, l) in later.iter_mut().zip(below) {
                *x -= value * l;
            }
            self.column += 1 + below.len();
        }
    }
}

/// `x -= sum y_k l_k`, k in order, for the rows below a block of columns that start at `starts`.
#[inline(always)]
fn take_off(y: &[f64; BLOCK], starts: &[usize; BLOCK], l: &[f64], x: &mut [f64]) {
    let rows = x.len();
    let mut columns = [&l[..0]; BLOCK];
    for (position, below) in columns.iter_mut().enumerate() {
        *below = &l[starts[position] + BLOCK - position..][..rows];
    }
    let [a, b, c, d, e, f, g, h] = columns;
    for row in 0..rows {
        let mut value = x[row];
        value -= y[0] * a[row];
        value -= y[1] * b[row];
        value -= y[2] * c[row];
        value -= y[3] * d[row];
        value -= y[4] * e[row];
        value -= y[5] * f[row];
        value -= y[6] * g[row];
        value -= y[7] * h[row];
        x[row] = value;
    }
}

struct Observe<'a> {
    l: &'a mut [f64],
    inverse_diagonal: &'a mut [f64],
    z: &'a mut [f64],
    x: &'a mut [f64],
}

impl Kernel for Observe<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        let mut open = self.x;
        let mut columns = self.l;
        // What the new row would be rewarded with: b has nothing for it.
        let mut rest = 0.0;
        for (inverse, z) in self.inverse_diagonal.iter_mut().zip(self.z) {
            let (column, later_columns) = columns.split_at_mut(open.len());
            let (first, later) = open.split_first_mut().expect("a column for each element");
            if *first != 0.0 {
                let (diagonal, column) = column.split_first_mut().expect("a diagonal");
                let length = (*diagonal * *diagonal + *first * *first).sqrt();
                *inverse = 1.0 / length;
                let (cosine, sine) = (*diagonal * *inverse, *first * *inverse);
                *diagonal = length;
                for (l, x) in column.iter_mut().zip(later.iter_mut()) {
                    let turned = cosine * *l + sine * *x;
                    *x = cosine * *x - sine * *l;
                    *l = turned;
                }
                let turned = cosine * *z + sine * rest;
                rest = cosine * rest - sine * *z;
                *z = turned;
            }
            (open, columns) = (later, later_columns);
        }
    }
}

struct Fade<'a> {
    l: &'a mut [f64],
    inverse_diagonal: &'a mut [f64],
    z: &'a mut [f64],
    keep: f64,
    ridge: f64,
}

impl Kernel for Fade<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) {
        let d = self.z.len();
        // keep L L' is that of the factor times the root of keep; so is keep b, and with it z.
        let root = self.keep.sqrt();
        for value in self.l.iter_mut().chain(self.z.iter_mut()) {
            *value *= root;
        }
        for value in self.inverse_diagonal.iter_mut() {
            *value /= root;
        }
        // The prior comes back as one observation in the direction of each axis.
        let prior = ((1.0 - self.keep) * self.ridge).sqrt();
        let mut axis = vec![0.0; d];
        for element in 0..d {
            axis.fill(0.0);
            axis[element] = prior;
            let (l, z) = (&mut *self.l, &mut *self.z);
            let inverse_diagonal = &mut *self.inverse_diagonal;
            Observe { l, inverse_diagonal, z, x: &mut axis }.run::<V, ROWS>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::cholesky_f64;
    use crate::numeric::dispatch::{dispatch_at, levels};
    use crate::numeric::lanes::tests_support::noise;

    struct Square {
        l: Vec<f64>,
        inverse: Vec<f64>,
        z: Vec<f64>,
    }

    impl Square {
        fn new(d: usize, ridge: f64) -> Self {
            let mut l = vec![0.0; packed_len(d)];
            let mut diagonal = 0;
            for column in 0..d {
                l[diagonal] = ridge.sqrt();
                diagonal += d - column;
            }
            Self { l, inverse: vec![ridge.sqrt().recip(); d], z: vec![0.0; d] }
        }

        fn observe(&mut self, x: &[f64], reward: f64) {
            observe(&mut self.l, &mut self.inverse, &mut self.z, &mut x.to_vec());
            let mut y = x.to_vec();
            project(&mut [Projection::new(&self.l, &self.inverse, &self.z, &mut y)]);
            for (z, y) in self.z.iter_mut().zip(y) {
                *z += reward * y;
            }
        }

        fn project(&self, x: &[f64]) -> (f64, f64) {
            let mut y = x.to_vec();
            let mut one = [Projection::new(&self.l, &self.inverse, &self.z, &mut y)];
            project(&mut one);
            (one[0].mean, one[0].square)
        }
    }

    /// Mean and variance by a factorization of the sums.
    fn by_sums(a: &[f64], b: &[f64], x: &[f64]) -> (f64, f64) {
        let d = b.len();
        let (mut factor, mut inverse) = (a.to_vec(), vec![0.0; d]);
        cholesky_f64::factor(&mut factor, &mut inverse).unwrap();
        let mut solved = x.to_vec();
        cholesky_f64::solve(&factor, &inverse, &mut solved);
        let dot = |v: &[f64]| v.iter().zip(&solved).map(|(v, s)| v * s).sum();
        (dot(b), dot(x))
    }

    fn add(a: &mut [f64], x: &[f64]) {
        let d = x.len();
        for j in 0..d {
            for i in j..d {
                a[j * d + i] += x[i] * x[j];
            }
        }
    }

    fn identity(d: usize, ridge: f64) -> Vec<f64> {
        let mut a = vec![0.0; d * d];
        for j in 0..d {
            a[j * d + j] = ridge;
        }
        a
    }

    fn rows(d: usize, n: usize) -> Vec<Vec<f64>> {
        noise(d * n, 17).chunks(d).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect()
    }

    #[test]
    fn observations_lead_to_the_solution_of_the_normal_equations_with_fading_and_without() {
        for d in [1, 2, 7, 16, 33] {
            let (mut square, mut a, mut b) = (Square::new(d, 2.0), identity(d, 2.0), vec![0.0; d]);
            for (n, x) in rows(d, 60).iter().enumerate() {
                let reward = (n % 3) as f64;
                square.observe(x, reward);
                add(&mut a, x);
                b.iter_mut().zip(x).for_each(|(b, x)| *b += reward * x);
                if n % 10 == 9 {
                    fade(&mut square.l, &mut square.inverse, &mut square.z, 0.8, 2.0);
                    a.iter_mut().chain(&mut b).for_each(|value| *value *= 0.8);
                    add_ridge(&mut a, d, 0.4);
                }
                let (found, expected) = (square.project(x), by_sums(&a, &b, x));
                assert!((found.0 - expected.0).abs() < 1e-10, "d={d} n={n}");
                assert!((found.1 - expected.1).abs() < 1e-10, "d={d} n={n}");
            }
        }
    }

    fn add_ridge(a: &mut [f64], d: usize, ridge: f64) {
        for j in 0..d {
            a[j * d + j] += ridge;
        }
    }

    /// Of features of very different scale.
    #[test]
    fn after_twenty_million_updates_it_agrees_with_a_factorization_of_the_sums() {
        const UPDATES: usize = 20_000_000;
        let d = 4;
        let scales = [1.0, 0.01, 30.0, 1.0];
        let (mut square, mut a, mut b) = (Square::new(d, 1.0), identity(d, 1.0), vec![0.0; d]);
        // Sums as integers: they lose nothing, so that only one side can drift.
        let mut exact = vec![0_i128; d * d];
        let mut exact_b = vec![0_i128; d];
        const UNIT: f64 = 1_048_576.0;
        let mut state = 9_u64;
        for n in 0..UPDATES {
            let x: Vec<f64> = scales
                .iter()
                .map(|scale| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let unit = (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.3;
                    (unit * scale * UNIT).round() / UNIT
                })
                .collect();
            let reward = (n % 2) as f64;
            square.observe(&x, reward);
            let fixed: Vec<i128> = x.iter().map(|x| (x * UNIT) as i128).collect();
            for j in 0..d {
                for i in j..d {
                    exact[j * d + i] += fixed[i] * fixed[j];
                }
                exact_b[j] += fixed[j] * (n % 2) as i128;
            }
        }
        for (a, exact) in a.iter_mut().zip(&exact) {
            *a += *exact as f64 / (UNIT * UNIT);
        }
        for (b, exact) in b.iter_mut().zip(&exact_b) {
            *b += *exact as f64 / UNIT;
        }
        for x in rows(d, 5) {
            let (found, expected) = (square.project(&x), by_sums(&a, &b, &x));
            assert!((found.0 / expected.0 - 1.0).abs() < 1e-8, "{found:?} {expected:?}");
            assert!((found.1 / expected.1 - 1.0).abs() < 1e-8, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn every_level_gives_the_same_bits() {
        for d in [1, 5, 16, 40] {
            let reference = observed_at(None, d);
            for level in levels() {
                assert_eq!(observed_at(Some(level), d), reference, "d={d} {level:?}");
            }
        }
    }

    fn observed_at(level: Option<crate::numeric::dispatch::Level>, d: usize) -> Vec<u64> {
        let mut square = Square::new(d, 1.0);
        let level = level.unwrap_or(super::super::dispatch::Level::Portable);
        let mut seen = Vec::new();
        for x in rows(d, 30) {
            let (l, z) = (&mut square.l, &mut square.z);
            let inverse_diagonal = &mut square.inverse;
            dispatch_at(level, Observe { l, inverse_diagonal, z, x: &mut x.clone() });
            // Three in turns: each as if alone.
            let mut right = [x.clone(), x.clone(), x.clone()];
            let mut projections =
                right.each_mut().map(|x| Projection::new(&square.l, &square.inverse, &square.z, x));
            dispatch_at(level, Project { projections: &mut projections });
            let found = projections.map(|one| (one.mean, one.square));
            assert!(found[0] == found[1] && found[0] == found[2]);
            let (found, [y, ..]) = (found[0], right);
            square.z.iter_mut().zip(&y).for_each(|(z, y)| *z += 0.5 * y);
            let (l, z) = (&mut square.l, &mut square.z);
            let inverse_diagonal = &mut square.inverse;
            dispatch_at(level, Fade { l, inverse_diagonal, z, keep: 0.99, ridge: 1.0 });
            seen.extend([found.0.to_bits(), found.1.to_bits()]);
        }
        seen
    }
}
