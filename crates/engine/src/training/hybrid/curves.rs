//! Curves of features, fitted to choice sets: a logit whose score is a sum of [`Curve`]s.
//!
//! - Each feature has a slope, a slope by the length of the history, a step for being known at all, and
//!   bends at quantiles of its values. All of them are linear in the score, so the objective is
//!   convex, as that of [`logit`](super::logit).
//! - There are too many of them for Newton's method. Limited-memory quasi-Newton steps ([`lbfgs`]) need the
//!   gradient only: the sums of `r` and `r x` over the values between two bends, `r` being what
//!   a row was chosen more often than expected. A pass costs a few operations for each value that is not 0.
//! - The sets are passed in fixed pieces, so threads change no bit.

use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use crate::features::FEATURES;
use crate::models::hybrid::BENDS_MAX;
use crate::models::hybrid::Curve;
use crate::models::hybrid::VALUE_MAX;
use crate::numeric::lbfgs;
use crate::numeric::lbfgs::Objective;
use crate::training::hybrid::logit::Prior;
use crate::training::hybrid::logit::Scaled;
use crate::training::hybrid::logit::residuals;

/// Shares of the values of a feature below its bends.
const QUANTILES: [f64; BENDS_MAX] = [0.5, 0.9, 0.98];
/// Values that the quantiles are taken from, about.
const SAMPLE: usize = 20_000;
/// A feature that is 0 in at least this share of the rows gets a step.
const UNKNOWN_MIN: f64 = 0.1;
/// Least precision of the prior of what is no slope.
const BENT_MIN: f64 = 10.0;
const STEPS_MAX: usize = 60;
/// A curve that adds less than this, in logits, is left out.
const WORTH_MIN: f64 = 1e-4;
/// Sets of which the sums are made by one thread.
const CHUNK: usize = 16;
const SEGMENTS: usize = BENDS_MAX + 1;

/// What is fitted of one feature.
#[derive(Debug, Clone)]
struct Shape {
    at: usize,
    bends: Vec<f32>,
    has_step: bool,
    /// Position of its first parameter: slope, slope by length, bends, and the step if there is one.
    from: usize,
}

impl Shape {
    fn count(&self) -> usize {
        2 + self.bends.len() + usize::from(self.has_step)
    }

    fn segment(&self, x: f32) -> usize {
        self.bends.iter().filter(|&&at| x > at).count()
    }

    fn curve(&self, parameters: &[f64]) -> Curve {
        let own = &parameters[self.from..][..self.count()];
        let bends = self.bends.iter().zip(&own[2..]);
        Curve {
            known: if self.has_step { own[self.count() - 1] as f32 } else { 0.0 },
            slope: own[0] as f32,
            bends: bends.map(|(&at, &bend)| (at, bend as f32)).collect(),
            length: own[1] as f32,
        }
    }
}

/// What is fitted of all features that say something.
#[derive(Debug, Clone)]
pub struct Shapes {
    shapes: Vec<Shape>,
    parameters: usize,
}

impl Shapes {
    pub fn of(sets: &[&Scaled]) -> Self {
        let rows: usize = sets.iter().map(|set| set.rows.len()).sum();
        let every = (rows / SAMPLE).max(1);
        let sampled: Vec<&[f32]> =
            sets.iter().flat_map(|set| set.rows.rows()).step_by(every).collect();
        let mut shapes: Vec<Shape> = Vec::new();
        let mut from = 0;
        for at in 0..FEATURES.len() {
            let mut values: Vec<f32> =
                sampled.iter().map(|row| row[at]).filter(|x| *x != 0.0).collect();
            if values.is_empty() {
                continue;
            }
            let unknown = 1.0 - values.len() as f64 / sampled.len() as f64;
            values.sort_unstable_by(f32::total_cmp);
            let quantile = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
            let greatest = values[values.len() - 1];
            let mut bends: Vec<f32> = QUANTILES.map(quantile).into();
            bends.dedup();
            // Nothing would be left beyond it.
            bends.retain(|&bend| bend < greatest);
            let shape = Shape { at, bends, has_step: unknown >= UNKNOWN_MIN, from };
            from += shape.count();
            shapes.push(shape);
        }
        Self { shapes, parameters: from }
    }

    /// The curves of parameters, by position of the feature.
    pub fn curves(&self, parameters: &[f64]) -> Vec<Option<Curve>> {
        let mut curves = vec![None; FEATURES.len()];
        for shape in &self.shapes {
            curves[shape.at] = Some(shape.curve(parameters));
        }
        curves
    }

    /// Scores of all rows of a set.
    pub fn scores(&self, parameters: &[f64], set: &Scaled) -> Vec<f64> {
        let curves = self.curves(parameters);
        let length = set.rows.length();
        let score = |row: &[f32]| {
            let values = curves.iter().zip(row);
            values
                .filter_map(|(curve, &x)| Some(f64::from(curve.as_ref()?.unbounded(x, length))))
                .sum()
        };
        set.rows.rows().map(score).collect()
    }

    /// Weights of straight lines as parameters.
    fn straight(&self, weights: &[f64]) -> Vec<f64> {
        let mut parameters = vec![0.0; self.parameters];
        for shape in &self.shapes {
            parameters[shape.from] = weights[shape.at];
        }
        parameters
    }

    /// The precision of the prior of each parameter.
    fn precision(&self, prior: &Prior) -> Vec<f64> {
        let mut precision = vec![0.0; self.parameters];
        for shape in &self.shapes {
            let own = prior.precision[shape.at];
            precision[shape.from..][..shape.count()].fill(own.max(BENT_MIN));
            precision[shape.from] = own;
        }
        precision
    }
}

/// Fits the parameters of the shapes, from straight lines of these weights. The prior is that of the
/// weights; what is no slope is 0 by it, as surely at least.
pub fn fit(sets: &[&Scaled], shapes: &Shapes, prior: &Prior, start: &[f64]) -> Vec<f64> {
    let (mean, precision) = (shapes.straight(&prior.mean), shapes.precision(prior));
    let start = shapes.straight(start);
    let mut curvature = pass(sets, shapes, &start).curvature;
    curvature.iter_mut().zip(&precision).for_each(|(own, prior)| *own += prior);
    let objective = |parameters: &[f64]| {
        let Sums { likelihood, gradient, .. } = pass(sets, shapes, parameters);
        let mut objective = Objective { value: -likelihood, gradient };
        for (at, gradient) in objective.gradient.iter_mut().enumerate() {
            let off = parameters[at] - mean[at];
            objective.value += 0.5 * precision[at] * off * off;
            *gradient = precision[at] * off - *gradient;
        }
        objective
    };
    lbfgs::minimum(start, curvature, STEPS_MAX, objective)
}

/// Sums over sets, by parameter.
#[derive(Debug, Clone)]
struct Sums {
    likelihood: f64,
    gradient: Vec<f64>,
    /// An upper bound of the diagonal of the curvature.
    curvature: Vec<f64>,
}

/// Sums over the values of a feature between two bends: of `r`, `r x`; of `v`, `v x`, `v x^2`.
type Segment = [f64; 5];

/// Sums of one feature.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    segments: [Segment; SEGMENTS],
    /// Of `r l x`, and of `v (l x)^2`.
    length: [f64; 2],
}

fn pass(sets: &[&Scaled], shapes: &Shapes, parameters: &[f64]) -> Sums {
    let curves: Vec<Curve> = shapes.shapes.iter().map(|shape| shape.curve(parameters)).collect();
    let sums = |sets: &[&Scaled]| {
        let mut likelihood = 0.0;
        let mut parts = vec![Part::default(); curves.len()];
        sets.iter().for_each(|set| likelihood += add(set, shapes, &curves, &mut parts));
        (likelihood, parts)
    };
    let sums: Vec<(f64, Vec<Part>)> = sets.par_chunks(CHUNK).map(sums).collect();
    let mut all = Sums {
        likelihood: 0.0,
        gradient: vec![0.0; shapes.parameters],
        curvature: vec![0.0; shapes.parameters],
    };
    for (likelihood, parts) in sums {
        all.likelihood += likelihood;
        shapes.shapes.iter().zip(&parts).for_each(|(shape, part)| all.take(shape, part));
    }
    all
}

/// Adds what a set tells; its log-likelihood.
fn add(set: &Scaled, shapes: &Shapes, curves: &[Curve], parts: &mut [Part]) -> f64 {
    let length = set.rows.length();
    let score = |row: &[f32]| {
        let values = shapes.shapes.iter().zip(curves);
        values.map(|(shape, curve)| f64::from(curve.unbounded(row[shape.at], length))).sum()
    };
    let scores: Vec<f64> = set.rows.rows().map(score).collect();
    let (likelihood, residuals) = residuals(set, &scores);
    for (row, (residual, variance)) in set.rows.rows().zip(residuals) {
        for (shape, part) in shapes.shapes.iter().zip(&mut *parts) {
            let x = row[shape.at];
            if x != 0.0 {
                let (own, long) = (f64::from(x), f64::from(x * length));
                let told =
                    [residual, residual * own, variance, variance * own, variance * own * own];
                let segment = &mut part.segments[shape.segment(x)];
                segment.iter_mut().zip(told).for_each(|(sum, told)| *sum += told);
                part.length[0] += residual * long;
                part.length[1] += variance * long * long;
            }
        }
    }
    likelihood
}

impl Sums {
    /// From sums between bends to sums by parameter.
    fn take(&mut self, shape: &Shape, part: &Part) {
        let mut beyond = [[0.0; 5]; SEGMENTS];
        let mut sum = [0.0; 5];
        for segment in (0..SEGMENTS).rev() {
            sum.iter_mut().zip(part.segments[segment]).for_each(|(sum, own)| *sum += own);
            beyond[segment] = sum;
        }
        let mut add = |at: usize, gradient: f64, curvature: f64| {
            self.gradient[shape.from + at] += gradient;
            self.curvature[shape.from + at] += curvature;
        };
        let [r, rx, v, _, vxx] = beyond[0];
        add(0, rx, vxx);
        add(1, part.length[0], part.length[1]);
        for (bend, &at) in shape.bends.iter().enumerate() {
            let (at, constant) = (f64::from(at), f64::from((-at).max(0.0)));
            let [own_r, own_rx, own_v, own_vx, own_vxx] = beyond[bend + 1];
            let squares = own_vxx - 2.0 * at * own_vx + at * at * own_v;
            add(2 + bend, own_rx - at * own_r - constant * r, squares + constant * constant * v);
        }
        if shape.has_step {
            add(2 + shape.bends.len(), r, v);
        }
    }
}

/// Curves of values whose root mean square is 1, as far as no value of the sets is cut, and their weights.
pub fn weighed(sets: &[&Scaled], curves: Vec<Option<Curve>>) -> (Vec<Option<Curve>>, Vec<f64>) {
    let mut weights = vec![0.0; curves.len()];
    let mut weighed = vec![None; curves.len()];
    for (at, curve) in curves.into_iter().enumerate() {
        let Some(curve) = curve else { continue };
        let (mut squares, mut count, mut most) = (0.0_f64, 0_u64, 0.0_f64);
        for set in sets {
            for row in set.rows.rows().filter(|row| row[at] != 0.0) {
                let value = f64::from(curve.unbounded(row[at], set.rows.length()));
                (squares, count, most) =
                    (squares + value * value, count + 1, most.max(value.abs()));
            }
        }
        let unit = (squares / count.max(1) as f64).sqrt().max(most / f64::from(VALUE_MAX));
        if unit > WORTH_MIN {
            weights[at] = unit;
            weighed[at] = Some(curve.divided_by(unit as f32));
        }
    }
    (weighed, weights)
}
