//! A multinomial logit over choice sets, fitted by Newton's method.
//!
//! `P(i is consumed) = exp(w' x_i) / (exp(w' x_i) + sum_j n_j exp(w' x_j))` over the `j` that were
//! not, of which each stands for `n_j` items; a Gaussian prior `w ~ N(w_0, 1 / l)`. The objective
//! is convex. Sums are cut at fixed points, so threads change no bit.

use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use crate::models::hybrid::Curves;
use crate::models::hybrid::FeatureMatrix;
use crate::models::hybrid::score;
use crate::numeric::cholesky_f64;
use crate::numeric::math;

const STEPS_MAX: usize = 12;
/// The largest step, in logits of a score, that is the last: what is left after it is of the order of its square.
const ARRIVED: f64 = 1e-2;
/// A share that adds nothing to moments.
const NEGLIGIBLE: f64 = 1e-7;
/// Sets that one sum is over before sums are joined.
const CHUNK: usize = 16;

/// The prior of the weights.
#[derive(Debug, Clone)]
pub struct Prior {
    pub mean: Vec<f64>,
    pub precision: Vec<f64>,
}

impl Prior {
    /// Equally sure of all weights.
    pub fn even(mean: &[f64], precision: f64) -> Self {
        Self { mean: mean.to_vec(), precision: vec![precision; mean.len()] }
    }
}

/// A choice set on its scale: rows, those chosen first.
#[derive(Debug, Clone)]
pub struct Scaled {
    pub rows: FeatureMatrix,
    pub chosen: usize,
    /// How many items each row stands for.
    pub counts: Vec<f32>,
    /// What cross-validation leaves out together; none for what every fit has.
    pub fold: Option<usize>,
}

impl Scaled {
    /// The same, with what curves make of the values.
    pub fn shaped(&self, curves: &Curves) -> Self {
        let mut shaped = self.clone();
        curves.apply(&mut shaped.rows);
        shaped
    }

    /// Of all rows, in order.
    pub fn scores(&self, weights: &[f64]) -> Vec<f64> {
        self.rows.rows().map(|row| score(weights, row)).collect()
    }
}

/// Gradient and curvature of the log-likelihood, and its value.
#[derive(Debug, Clone)]
struct Sums {
    likelihood: f64,
    gradient: Vec<f64>,
    /// The upper triangle counts.
    curvature: Vec<f64>,
}

impl Sums {
    fn new(d: usize) -> Self {
        Self { likelihood: 0.0, gradient: vec![0.0; d], curvature: vec![0.0; d * d] }
    }

    fn join(mut self, other: &Self) -> Self {
        self.likelihood += other.likelihood;
        let parts =
            [(&mut self.gradient, &other.gradient), (&mut self.curvature, &other.curvature)];
        for (own, other) in parts {
            own.iter_mut().zip(other).for_each(|(own, other)| *own += other);
        }
        self
    }

    /// Adds the choices of one set.
    fn add(&mut self, set: &Scaled, weights: &[f64]) {
        let Scaled { rows, chosen, counts, .. } = set;
        let d = weights.len();
        let scores = set.scores(weights);
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares = scores.iter().zip(counts);
        let shares: Vec<f64> =
            shares.map(|(score, &count)| f64::from(count) * math::exp(score - best)).collect();
        let (mut mass, mut mean) = (0.0, vec![0.0; d]);
        let mut second = vec![0.0; d * d];
        for (row, share) in rows.rows().zip(&shares).skip(*chosen) {
            mass += share;
            add_moments(&mut mean, &mut second, row, *share);
        }
        for (row, (share, own)) in rows.rows().zip(shares.iter().zip(&scores)).take(*chosen) {
            let all = mass + share;
            self.likelihood += own - best - math::ln(all);
            let expected: Vec<f64> = mean
                .iter()
                .zip(row)
                .map(|(mean, &x)| (mean + share * f64::from(x)) / all)
                .collect();
            for at in 0..d {
                self.gradient[at] += f64::from(row[at]) - expected[at];
                let weighted = share * f64::from(row[at]);
                for other in at..d {
                    let product = second[at * d + other] + weighted * f64::from(row[other]);
                    self.curvature[at * d + other] +=
                        product / all - expected[at] * expected[other];
                }
            }
        }
    }
}

/// How much more often a row was chosen than expected, with a bound of the variance of that.
pub type Residual = (f64, f64);

/// The log-likelihood of scores, and the residual of each row.
pub fn residuals(set: &Scaled, scores: &[f64]) -> (f64, Vec<Residual>) {
    let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares = scores.iter().zip(&set.counts);
    let shares: Vec<f64> =
        shares.map(|(score, &count)| f64::from(count) * math::exp(score - best)).collect();
    let (chosen, others) = shares.split_at(set.chosen);
    let mass: f64 = others.iter().sum();
    let mut likelihood = 0.0;
    let mut expected = 0.0;
    let mut residuals = Vec::with_capacity(shares.len());
    for (share, score) in chosen.iter().zip(scores) {
        let all = mass + share;
        likelihood += score - best - math::ln(all);
        expected += 1.0 / all;
        residuals.push((1.0 - share / all, share / all * (1.0 - share / all)));
    }
    residuals.extend(others.iter().map(|share| (-share * expected, share * expected)));
    (likelihood, residuals)
}

fn add_moments(mean: &mut [f64], second: &mut [f64], row: &[f32], share: f64) {
    let d = mean.len();
    if share < NEGLIGIBLE {
        return;
    }
    for at in 0..d {
        let weighted = share * f64::from(row[at]);
        if weighted != 0.0 {
            mean[at] += weighted;
            let line = &mut second[at * d..][..d];
            for (sum, &x) in line[at..].iter_mut().zip(&row[at..]) {
                *sum += weighted * f64::from(x);
            }
        }
    }
}

fn sums(sets: &[&Scaled], weights: &[f64]) -> Sums {
    let chunks: Vec<Sums> = sets
        .par_chunks(CHUNK)
        .map(|sets| {
            let mut sums = Sums::new(weights.len());
            sets.iter().for_each(|set| sums.add(set, weights));
            sums
        })
        .collect();
    chunks.iter().fold(Sums::new(weights.len()), Sums::join)
}

/// What the sets tell of weights: the curvature of the likelihood there, d x d.
pub fn information(sets: &[&Scaled], weights: &[f64]) -> Vec<f64> {
    full(&sums(sets, weights).curvature, weights.len())
}

/// Fits from `start`, which changes nothing but how long it takes. `None` where the system cannot be solved.
pub fn fit(sets: &[&Scaled], prior: &Prior, start: &[f64]) -> Option<Vec<f64>> {
    let mut weights = start.to_vec();
    let d = weights.len();
    let mut last = posterior(sums(sets, &weights), &weights, prior);
    for _ in 0..STEPS_MAX {
        let mut factor = full(&last.curvature, d);
        let mut step = last.gradient.clone();
        cholesky_f64::solve_f64(&mut factor, &mut step).ok()?;
        if !step.iter().all(|value| value.is_finite()) {
            return None;
        }
        // Halved until it is no step back: far from the top the curvature misleads.
        let mut shortened = 1.0;
        let (next, moved) = loop {
            let moved: Vec<f64> =
                weights.iter().zip(&step).map(|(own, step)| own + shortened * step).collect();
            let next = posterior(sums(sets, &moved), &moved, prior);
            if next.likelihood >= last.likelihood || shortened < 1e-3 {
                break (next, moved);
            }
            shortened *= 0.5;
        };
        let largest = step.iter().map(|step| (shortened * step).abs()).fold(0.0, f64::max);
        (last, weights) = (next, moved);
        if largest < ARRIVED {
            break;
        }
    }
    Some(weights)
}

/// With the prior.
fn posterior(mut sums: Sums, weights: &[f64], prior: &Prior) -> Sums {
    let d = weights.len();
    let expected = prior.mean.iter().zip(&prior.precision);
    for (at, (weight, (mean, precision))) in weights.iter().zip(expected).enumerate() {
        let off = weight - mean;
        sums.likelihood -= 0.5 * precision * off * off;
        sums.gradient[at] -= precision * off;
        sums.curvature[at * d + at] += precision;
    }
    sums
}

/// The whole of a symmetric matrix of which the upper triangle is given.
fn full(upper: &[f64], d: usize) -> Vec<f64> {
    let mut matrix = upper.to_vec();
    for line in 0..d {
        for column in 0..line {
            matrix[line * d + column] = upper[column * d + line];
        }
    }
    matrix
}
