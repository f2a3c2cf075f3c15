//! Curves of features, fitted to choice sets: a logit whose score is a sum of [`Curve`]s.
//!
//! - Each feature has a slope, a slope by the length of the history, a step for being known at all, and
//!   bends at quantiles of its values. All of them are linear in the score, so the objective is
//!   convex, as that of [`logit`](super::logit).
//! - There are too many of them for Newton's method. Limited-memory quasi-Newton steps ([`lbfgs`]) need the
//!   gradient only: the sums of `r` and `r x` over the values between two bends, `r` being what
//!   a row was chosen more often than expected. A pass costs a few operations for each value that is not 0.
//! - The sets are passed in fixed pieces, so threads change no bit.

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;
use rayon::slice::ParallelSlice;

use crate::features::FEATURES;
use crate::models::hybrid::BENDS_MAX;
use crate::models::hybrid::Curve;
use crate::models::hybrid::FeatureMatrix;
use crate::models::hybrid::VALUE_MAX;
use crate::numeric::lbfgs;
use crate::numeric::lbfgs::Objective;
use crate::training::hybrid::logit::Prior;
use crate::training::hybrid::logit::Residual;
use crate::training::hybrid::logit::Scaled;
use crate::training::hybrid::logit::residuals;
use crate::training::hybrid::segments::Bends;
use crate::training::hybrid::segments::Moments;
use crate::training::hybrid::segments::SEGMENTS;
use crate::training::hybrid::segments::Segmented;

/// Shares of the values of a feature below its bends.
const QUANTILES: [f64; BENDS_MAX] = [0.5, 0.9, 0.98];
/// Values that the quantiles are taken from, about.
const SAMPLE: usize = 20_000;
/// A feature that is 0 in at least this share of the rows gets a step.
const UNKNOWN_MIN: f64 = 0.1;
/// Least precision of the prior of what is no slope.
const BENT_MIN: f64 = 10.0;
/// A curve that adds less than this, in logits, is left out.
const WORTH_MIN: f64 = 1e-4;
/// Sets of which the sums are made by one thread.
const CHUNK: usize = 16;

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

    fn segmented<'s>(&self, set: &'s Scaled) -> Segmented<'s> {
        let bends = self.shapes.iter().map(|shape| Bends { feature: shape.at, at: &shape.bends });
        Segmented::new(set, bends)
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
    pub fn straight(&self, weights: &[f64]) -> Vec<f64> {
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

/// Choice sets by the bends of their features.
pub struct Bent<'s> {
    pub shapes: Shapes,
    sets: Vec<Segmented<'s>>,
}

impl<'s> Bent<'s> {
    pub fn new(sets: &[&'s Scaled]) -> Self {
        let shapes = Shapes::of(sets);
        let sets = sets.par_iter().map(|set| shapes.segmented(set)).collect();
        Self { shapes, sets }
    }

    /// Scores of the rows of a set by parameters.
    pub fn score(&self) -> impl Fn(&[f64], &Scaled) -> Vec<f64> + Sync {
        |parameters, set| self.shapes.scores(parameters, set)
    }

    /// Curves fitted to all sets but those of a fold.
    pub fn fit(
        &self,
        without: Option<usize>,
        prior: &Prior,
        start: Vec<f64>,
        steps: usize,
    ) -> Vec<f64> {
        let has = |set: &&Segmented<'_>| without.is_none() || set.set.fold != without;
        let sets: Vec<&Segmented<'_>> = self.sets.iter().filter(has).collect();
        fit(&sets, &self.shapes, prior, start, steps)
    }
}

/// Fits the parameters of the shapes, from `start`. The prior is that of the weights; what is no slope is 0 by
/// it, as surely at least.
fn fit(
    sets: &[&Segmented<'_>],
    shapes: &Shapes,
    prior: &Prior,
    start: Vec<f64>,
    steps: usize,
) -> Vec<f64> {
    let (mean, precision) = (shapes.straight(&prior.mean), shapes.precision(prior));
    let mut curvature = shapes.pass(sets, &start, Shapes::curvature).1;
    curvature.iter_mut().zip(&precision).for_each(|(own, prior)| *own += prior);
    let objective = |parameters: &[f64]| {
        let (likelihood, mut gradient) = shapes.pass(sets, parameters, Shapes::gradient);
        let mut value = -likelihood;
        for (at, gradient) in gradient.iter_mut().enumerate() {
            let off = parameters[at] - mean[at];
            value += 0.5 * precision[at] * off * off;
            *gradient = precision[at] * off - *gradient;
        }
        Objective { value, gradient }
    };
    lbfgs::minimum(start, curvature, steps, objective)
}

/// Adds what a set tells, by parameter.
type AddSums = fn(&Shapes, &Segmented<'_>, &[Residual], &mut [f64]);

impl Shapes {
    /// The log-likelihood, and the sums over all sets of what `add` adds for each.
    fn pass(&self, sets: &[&Segmented<'_>], parameters: &[f64], add: AddSums) -> (f64, Vec<f64>) {
        let curves: Vec<Curve> = self.shapes.iter().map(|shape| shape.curve(parameters)).collect();
        let sums = |sets: &[&Segmented<'_>]| {
            let (mut likelihood, mut sums) = (0.0, vec![0.0; self.parameters]);
            for set in sets {
                let (own, residuals) = residuals(set.set, &set.scores(&curves));
                likelihood += own;
                add(self, set, &residuals, &mut sums);
            }
            (likelihood, sums)
        };
        let chunks: Vec<(f64, Vec<f64>)> = sets.par_chunks(CHUNK).map(sums).collect();
        let (mut likelihood, mut all) = (0.0, vec![0.0; self.parameters]);
        for (own, sums) in chunks {
            likelihood += own;
            all.iter_mut().zip(sums).for_each(|(all, own)| *all += own);
        }
        (likelihood, all)
    }

    /// Adds the gradient of the log-likelihood of a set.
    fn gradient(&self, set: &Segmented<'_>, residuals: &[Residual], sums: &mut [f64]) {
        let length = f64::from(set.set.rows.length());
        let weights: Vec<f64> = residuals.iter().map(|residual| residual.0).collect();
        for (shape, segments) in self.shapes.iter().zip(set.moments(&weights)) {
            let beyond = beyond(segments);
            let [all, slope, _] = beyond[0];
            let bent = |at: f64, constant: f64, [r, rx, _]: Moments| rx - at * r - constant * all;
            shape.add([slope, length * slope], beyond, bent, all, sums);
        }
    }

    /// Adds an upper bound of the diagonal of the curvature.
    fn curvature(&self, set: &Segmented<'_>, residuals: &[Residual], sums: &mut [f64]) {
        let length = f64::from(set.set.rows.length());
        let weights: Vec<f64> = residuals.iter().map(|residual| residual.1).collect();
        for (shape, segments) in self.shapes.iter().zip(set.moments(&weights)) {
            let beyond = beyond(segments);
            let [all, _, squares] = beyond[0];
            let bent = |at: f64, constant: f64, [v, vx, vxx]: Moments| {
                vxx - 2.0 * at * vx + at * at * v + constant * constant * all
            };
            shape.add([squares, length * length * squares], beyond, bent, all, sums);
        }
    }
}

impl Shape {
    /// Adds sums by parameter: of the slope and of that by length, of each bend, of the step.
    fn add(
        &self,
        slopes: [f64; 2],
        beyond: [Moments; SEGMENTS],
        bent: impl Fn(f64, f64, Moments) -> f64,
        step: f64,
        sums: &mut [f64],
    ) {
        let own = &mut sums[self.from..][..self.count()];
        own[0] += slopes[0];
        own[1] += slopes[1];
        for (bend, &at) in self.bends.iter().enumerate() {
            let at = f64::from(at);
            own[2 + bend] += bent(at, (-at).max(0.0), beyond[bend + 1]);
        }
        if self.has_step {
            own[2 + self.bends.len()] += step;
        }
    }
}

/// From sums between bends to sums of each segment and all after it.
fn beyond(mut segments: [Moments; SEGMENTS]) -> [Moments; SEGMENTS] {
    for segment in (1..SEGMENTS).rev() {
        let (before, from) = segments.split_at_mut(segment);
        before[segment - 1].iter_mut().zip(from[0]).for_each(|(sum, own)| *sum += own);
    }
    segments
}

/// Curves of values whose root mean square is 1, as far as no value of the sets and of the present is cut, and their
/// weights.
pub fn weighed(
    sets: &[&Scaled],
    present: &FeatureMatrix,
    curves: Vec<Option<Curve>>,
) -> (Vec<Option<Curve>>, Vec<f64>) {
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
        for row in present.rows() {
            most = most.max(f64::from(curve.unbounded(row[at], present.length()).abs()));
        }
        let unit = (squares / count.max(1) as f64).sqrt().max(most / f64::from(VALUE_MAX));
        if unit > WORTH_MIN {
            weights[at] = unit;
            weighed[at] = Some(curve.divided_by(unit as f32));
        }
    }
    (weighed, weights)
}
