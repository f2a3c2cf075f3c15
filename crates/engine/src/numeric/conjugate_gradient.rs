//! Weighted ridge regression on a few rows of a large matrix, by preconditioned conjugate gradients.
//!
//! Minimizes `f(w) = sum_o |c_o| (t_o - x_o'w)^2 + sum_j d_j w_j^2` from a given start, where `x_o` is a row of the matrix,
//! `t_o` is 1 for a weight above 0 and 0 for one below, and `d` is positive.
//! Invariants
//! - A step never raises `f` but for rounding, and `f` is known at every step without looking at the rows again: it falls
//!   by `alpha rho`. Its error is about 1e-7 of `f` at the start.
//! - Unlike the rest of `numeric` it fuses multiply and add where the CPU can, so its bits depend on the CPU (not on
//!   anything else): for training, whose result enters state as data.
//!
//! Source: Hestenes and Stiefel 1952, preconditioned by the diagonal (Golub and Van Loan, section 11.5); for this use Takacs,
//! Pilaszy, Tikk, "Applications of the conjugate gradient method for implicit feedback collaborative filtering", 2011.
//! Cost: the start and each step read the n rows once from memory and once from the L1 cache, 2 n k fused operations.

use crate::numeric::aligned::Aligned;
use crate::numeric::dispatch::{Kernel, Vector, dispatch};
use crate::numeric::lanes::{LANES, Lanes};

/// Rows that are taken together: their dot products are independent chains, and each load of `w` serves all.
const TOGETHER: usize = 4;

/// What is minimized.
#[derive(Debug, Clone, Copy)]
pub struct Ridge<'a> {
    /// The matrix, row-major, as wide as `diagonal` is long.
    pub matrix: &'a [f32],
    /// Rows of the matrix.
    pub rows: &'a [u32],
    /// c, one for each of `rows`; below 0 for target 0.
    pub weights: &'a [f32],
    /// d, positive; its length is a multiple of sixteen.
    pub diagonal: &'a [f32],
}

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    pub steps: usize,
    /// Stop once a step is predicted to lower `f` by less than about this part of it.
    pub tolerance: f32,
}

/// Vectors of the iteration; reused from call to call.
#[derive(Debug)]
pub struct Scratch(Aligned);

impl Scratch {
    /// For `width` = `diagonal.len()`.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self(Aligned::zeroed(4 * width))
    }
}

impl Ridge<'_> {
    /// Moves `w` towards the minimum and returns `f` there.
    ///
    /// Panics when the lengths do not match or a row is outside the matrix.
    pub fn minimize(&self, effort: Effort, scratch: &mut Scratch, w: &mut [f32]) -> f64 {
        let width = self.diagonal.len();
        assert!(width > 0 && width.is_multiple_of(LANES) && w.len() == width, "w as wide as d");
        assert!(scratch.0.as_slice().len() == 4 * width, "scratch must be of this width");
        assert!(self.rows.len() == self.weights.len(), "a weight for each row");
        dispatch(Minimize { ridge: *self, effort, scratch: scratch.0.as_mut_slice(), w })
    }
}

struct Minimize<'a> {
    ridge: Ridge<'a>,
    effort: Effort,
    scratch: &'a mut [f32],
    w: &'a mut [f32],
}

impl Kernel for Minimize<'_> {
    type Output = f64;
    #[inline(always)]
    fn run<V: Vector, const ROWS: usize>(self) -> f64 {
        // The widths that models have most often.
        match self.w.len() / LANES {
            2 => self.iterate::<V, 2>(),
            4 => self.iterate::<V, 4>(),
            8 => self.iterate::<V, 8>(),
            _ => self.iterate::<V, 0>(),
        }
    }
}

impl Minimize<'_> {
    /// `WIDTH`: as for `width`.
    #[inline(always)]
    fn iterate<V: Vector, const WIDTH: usize>(self) -> f64 {
        let width = self.w.len();
        let (residual, rest) = self.scratch.split_at_mut(width);
        let (inverse, rest) = rest.split_at_mut(width);
        let (direction, image) = rest.split_at_mut(width);
        let mut vectors = Vectors {
            diagonal: self.ridge.diagonal.as_chunks().0,
            w: self.w.as_chunks_mut().0,
            residual: residual.as_chunks_mut().0,
            inverse: inverse.as_chunks_mut().0,
            direction: direction.as_chunks_mut().0,
            image: image.as_chunks_mut().0,
        };
        let mut f = vectors.start::<V, WIDTH>(&self.ridge);
        let mut last = 0.0;
        for step in 0..self.effort.steps {
            let rho = vectors.rho::<V>();
            // False where either is no number, so that NaN stops too.
            let is_large = f64::from(rho) > f64::from(self.effort.tolerance) * f;
            if !is_large {
                break;
            }
            vectors.turn::<V>(if step == 0 { 0.0 } else { rho / last });
            add_image::<V, WIDTH>(&self.ridge, vectors.direction, vectors.image);
            let alpha = rho / vectors.curvature::<V>();
            if !(alpha > 0.0 && alpha.is_finite()) {
                break;
            }
            vectors.advance::<V>(alpha);
            f -= f64::from(alpha * rho);
            last = rho;
        }
        f
    }
}

/// The vectors of the iteration, sixteen lanes at a time.
struct Vectors<'a> {
    diagonal: &'a [Lanes],
    w: &'a mut [Lanes],
    /// Minus half the gradient of f at w.
    residual: &'a mut [Lanes],
    /// Of the diagonal of the whole quadratic form: the preconditioner.
    inverse: &'a mut [Lanes],
    direction: &'a mut [Lanes],
    /// The quadratic form times the direction.
    image: &'a mut [Lanes],
}

impl Vectors<'_> {
    /// Fills residual and preconditioner; returns f at the start.
    #[inline(always)]
    fn start<V: Vector, const WIDTH: usize>(&mut self, ridge: &Ridge<'_>) -> f64 {
        let mut penalty = V::splat(0.0);
        for at in 0..self.w.len() {
            let (d, w) = (V::load(&self.diagonal[at]), V::load(&self.w[at]));
            let scaled = d.mul(w);
            penalty = scaled.mul_add(w, penalty);
            V::splat(0.0).sub(scaled).store(&mut self.residual[at]);
            d.store(&mut self.inverse[at]);
            V::splat(0.0).store(&mut self.direction[at]);
        }
        let misfit = add_misfit::<V, WIDTH>(ridge, self.w, self.residual, self.inverse);
        for lanes in self.inverse.iter_mut() {
            for value in lanes {
                *value = 1.0 / *value;
            }
        }
        f64::from(penalty.sum()) + misfit
    }

    /// r' M^-1 r.
    #[inline(always)]
    fn rho<V: Vector>(&self) -> f32 {
        let mut sum = V::splat(0.0);
        for (r, m) in self.residual.iter().zip(self.inverse.iter()) {
            let r = V::load(r);
            sum = r.mul(V::load(m)).mul_add(r, sum);
        }
        sum.sum()
    }

    /// The next direction, and the diagonal's part of its image.
    #[inline(always)]
    fn turn<V: Vector>(&mut self, beta: f32) {
        let beta = V::splat(beta);
        for at in 0..self.direction.len() {
            let down = V::load(&self.residual[at]).mul(V::load(&self.inverse[at]));
            let p = beta.mul_add(V::load(&self.direction[at]), down);
            p.store(&mut self.direction[at]);
            p.mul(V::load(&self.diagonal[at])).store(&mut self.image[at]);
        }
    }

    #[inline(always)]
    fn curvature<V: Vector>(&self) -> f32 {
        let mut sum = V::splat(0.0);
        for (p, image) in self.direction.iter().zip(self.image.iter()) {
            sum = V::load(p).mul_add(V::load(image), sum);
        }
        sum.sum()
    }

    #[inline(always)]
    fn advance<V: Vector>(&mut self, alpha: f32) {
        let (forth, back) = (V::splat(alpha), V::splat(-alpha));
        for at in 0..self.w.len() {
            let (p, image) = (V::load(&self.direction[at]), V::load(&self.image[at]));
            forth.mul_add(p, V::load(&self.w[at])).store(&mut self.w[at]);
            back.mul_add(image, V::load(&self.residual[at])).store(&mut self.residual[at]);
        }
    }
}

/// `image += sum |c| (x'p) x`.
#[inline(always)]
fn add_image<V: Vector, const WIDTH: usize>(ridge: &Ridge<'_>, p: &[Lanes], image: &mut [Lanes]) {
    let matrix = ridge.matrix.as_chunks().0;
    let (rows, last_rows) = ridge.rows.as_chunks::<TOGETHER>();
    let (weights, last_weights) = ridge.weights.as_chunks::<TOGETHER>();
    for (rows, weights) in rows.iter().zip(weights) {
        add_image_of::<V, TOGETHER, WIDTH>(matrix, rows, weights, p, image);
    }
    for (row, weight) in last_rows.iter().zip(last_weights) {
        add_image_of::<V, 1, WIDTH>(matrix, &[*row], &[*weight], p, image);
    }
}

#[inline(always)]
fn add_image_of<V: Vector, const N: usize, const WIDTH: usize>(
    matrix: &[Lanes],
    rows: &[u32; N],
    weights: &[f32; N],
    p: &[Lanes],
    image: &mut [Lanes],
) {
    let width = width::<WIDTH>(p);
    let x = pick(matrix, rows, width);
    let mut scales = dots::<V, N>(&x, &p[..width]);
    for (scale, weight) in scales.iter_mut().zip(weights) {
        *scale *= weight.abs();
    }
    let scales = splat::<V, N>(&scales);
    let image = &mut image[..width];
    for at in 0..width {
        // Summed apart, so that the next rows wait for one addition only.
        let mut sum = scales[0].mul(V::load(&x[0][at]));
        for n in 1..N {
            sum = scales[n].mul_add(V::load(&x[n][at]), sum);
        }
        V::load(&image[at]).add(sum).store(&mut image[at]);
    }
}

/// `residual += sum |c| (t - x'w) x`, `squares += sum |c| x x` element by element; returns `sum |c| (t - x'w)^2`.
#[inline(always)]
fn add_misfit<V: Vector, const WIDTH: usize>(
    ridge: &Ridge<'_>,
    w: &[Lanes],
    residual: &mut [Lanes],
    squares: &mut [Lanes],
) -> f64 {
    let matrix = ridge.matrix.as_chunks().0;
    let (rows, last_rows) = ridge.rows.as_chunks::<TOGETHER>();
    let (weights, last_weights) = ridge.weights.as_chunks::<TOGETHER>();
    let mut misfit = 0.0;
    for (rows, weights) in rows.iter().zip(weights) {
        misfit += add_misfit_of::<V, TOGETHER, WIDTH>(matrix, rows, weights, w, residual, squares);
    }
    for (row, weight) in last_rows.iter().zip(last_weights) {
        misfit += add_misfit_of::<V, 1, WIDTH>(matrix, &[*row], &[*weight], w, residual, squares);
    }
    misfit
}

#[inline(always)]
fn add_misfit_of<V: Vector, const N: usize, const WIDTH: usize>(
    matrix: &[Lanes],
    rows: &[u32; N],
    weights: &[f32; N],
    w: &[Lanes],
    residual: &mut [Lanes],
    squares: &mut [Lanes],
) -> f64 {
    let width = width::<WIDTH>(w);
    let x = pick(matrix, rows, width);
    let dots = dots::<V, N>(&x, &w[..width]);
    let (mut misfit, mut forces, mut sizes) = (0.0, [0.0; N], [0.0; N]);
    for n in 0..N {
        sizes[n] = weights[n].abs();
        let gap = if weights[n] > 0.0 { 1.0 - dots[n] } else { -dots[n] };
        forces[n] = sizes[n] * gap;
        misfit += forces[n] * gap;
    }
    let (forces, sizes) = (splat::<V, N>(&forces), splat::<V, N>(&sizes));
    let (residual, squares) = (&mut residual[..width], &mut squares[..width]);
    for at in 0..width {
        let first = V::load(&x[0][at]);
        let (mut r, mut s) = (forces[0].mul(first), sizes[0].mul(first).mul(first));
        for n in 1..N {
            let x = V::load(&x[n][at]);
            r = forces[n].mul_add(x, r);
            s = sizes[n].mul(x).mul_add(x, s);
        }
        V::load(&residual[at]).add(r).store(&mut residual[at]);
        V::load(&squares[at]).add(s).store(&mut squares[at]);
    }
    f64::from(misfit)
}

/// The number of vectors in `w`: known when compiling, so that loops unroll, unless `WIDTH` is 0.
#[inline(always)]
fn width<const WIDTH: usize>(w: &[Lanes]) -> usize {
    if WIDTH == 0 { w.len() } else { WIDTH }
}

/// The rows, each `width` vectors long.
#[inline(always)]
fn pick<'a, const N: usize>(
    matrix: &'a [Lanes],
    rows: &[u32; N],
    width: usize,
) -> [&'a [Lanes]; N] {
    let mut picked = [&matrix[..0]; N];
    for (row, &number) in picked.iter_mut().zip(rows) {
        *row = &matrix[number as usize * width..][..width];
    }
    picked
}

#[inline(always)]
fn dots<V: Vector, const N: usize>(x: &[&[Lanes]; N], w: &[Lanes]) -> [f32; N] {
    let mut sums = [V::splat(0.0); N];
    for at in 0..w.len() {
        let w = V::load(&w[at]);
        for n in 0..N {
            sums[n] = V::load(&x[n][at]).mul_add(w, sums[n]);
        }
    }
    V::sums(sums)
}

#[inline(always)]
fn splat<V: Vector, const N: usize>(values: &[f32; N]) -> [V; N] {
    let mut vectors = [V::splat(0.0); N];
    for (vector, value) in vectors.iter_mut().zip(values) {
        *vector = V::splat(*value);
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::cholesky_f64;
    use crate::numeric::dispatch::{dispatch_at, levels};
    use crate::numeric::lanes::tests_support::noise;

    const EXACT: Effort = Effort { steps: 400, tolerance: 1e-12 };

    /// A problem of 60 rows, of which every third is weighted against.
    struct World {
        matrix: Vec<f32>,
        rows: Vec<u32>,
        weights: Vec<f32>,
        diagonal: Vec<f32>,
    }

    impl World {
        fn new(width: usize, n: usize) -> Self {
            let weight = |o| (0.5 + o as f32 * 0.1) * if o % 3 == 2 { -1.0 } else { 1.0 };
            Self {
                matrix: noise(60 * width, 21),
                rows: (0..n as u32).map(|o| o * 7 % 60).collect(),
                weights: (0..n).map(weight).collect(),
                diagonal: (0..width).map(|j| 0.3 + j as f32 * 0.2).collect(),
            }
        }

        fn ridge(&self) -> Ridge<'_> {
            let Self { matrix, rows, weights, diagonal } = self;
            Ridge { matrix, rows, weights, diagonal }
        }

        fn observed(&self) -> impl Iterator<Item = (&[f32], f32)> {
            let width = self.diagonal.len();
            let row = move |&row: &u32| &self.matrix[row as usize * width..][..width];
            self.rows.iter().map(row).zip(self.weights.iter().copied())
        }

        /// The definition of f.
        fn f(&self, w: &[f32]) -> f64 {
            let dot = |x: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(x * w)).sum::<f64>();
            let penalty =
                self.diagonal.iter().zip(w).map(|(d, w)| f64::from(d * w * w)).sum::<f64>();
            self.observed().fold(penalty, |sum, (x, c)| {
                let target = if c > 0.0 { 1.0 } else { 0.0 };
                sum + f64::from(c.abs()) * (target - dot(x)).powi(2)
            })
        }

        fn solution(&self) -> Vec<f64> {
            let width = self.diagonal.len();
            let (mut a, mut b) = (vec![0.0; width * width], vec![0.0; width]);
            for (j, d) in self.diagonal.iter().enumerate() {
                a[j * (width + 1)] = f64::from(*d);
            }
            for (x, c) in self.observed() {
                for j in 0..width {
                    b[j] += f64::from(c.max(0.0) * x[j]);
                    for i in j..width {
                        a[j * width + i] += f64::from(c.abs()) * f64::from(x[i] * x[j]);
                    }
                }
            }
            cholesky_f64::solve_f64(&mut a, &mut b).unwrap();
            b
        }
    }

    #[test]
    fn enough_steps_reach_the_exact_solution_at_every_level() {
        for width in [16, 32, 48, 64, 128] {
            for n in [1, 3, 4, 37] {
                let world = World::new(width, n);
                let expected = world.solution();
                for level in levels() {
                    let mut w = noise(width, 22);
                    let start = world.f(&w);
                    let mut scratch = Scratch::new(width);
                    let (ridge, scratch) = (world.ridge(), scratch.0.as_mut_slice());
                    let f =
                        dispatch_at(level, Minimize { ridge, effort: EXACT, scratch, w: &mut w });
                    for (found, exact) in w.iter().zip(&expected) {
                        let distance = (f64::from(*found) - exact).abs();
                        assert!(distance < 1e-4, "width={width} n={n} {level:?}: {found} {exact}");
                    }
                    assert!((f - world.f(&w)).abs() < 1e-6 * start);
                }
            }
        }
    }

    #[test]
    fn every_step_lowers_what_is_minimized_and_tells_it_right() {
        let world = World::new(64, 50);
        let start = noise(64, 23);
        let rounding = 1e-6 * world.f(&start);
        let mut before = world.f(&start);
        for steps in 0..8 {
            let mut w = start.clone();
            let effort = Effort { steps, tolerance: 0.0 };
            let f = world.ridge().minimize(effort, &mut Scratch::new(64), &mut w);
            assert!((f - world.f(&w)).abs() < rounding, "{f} {}", world.f(&w));
            assert!(f <= before + rounding, "{steps} steps: {before} to {f}");
            before = f;
        }
    }

    #[test]
    fn a_solved_problem_is_left_alone() {
        let world = World::new(32, 20);
        let mut w = vec![0.0; 32];
        world.ridge().minimize(EXACT, &mut Scratch::new(32), &mut w);
        let solved = w.clone();
        let effort = Effort { steps: 9, tolerance: 1e-6 };
        world.ridge().minimize(effort, &mut Scratch::new(32), &mut w);
        assert_eq!(w, solved);
    }
}
