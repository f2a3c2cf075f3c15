//! The linear model of one arm's reward: Bayesian ridge regression in square-root form.
//!
//! `r ~ N(theta' x, s^2)` with the prior `theta ~ N(0, s^2 / ridge)`. The selection of the
//! arm adds `x x'`. A reward adds `r x`, whenever it comes. See `numeric::square_root` for
//! the numerical stability over millions of updates.

use serde::Deserialize;
use serde::Serialize;

use crate::numeric::downdate;
use crate::numeric::packed_len;
use crate::numeric::square_root;
use crate::numeric::square_root::Projection;

/// Observations along each axis that the prior counts as.
pub const RIDGE: f64 = 1.0;
/// Models that are solved interleaved: their factors fit the L2 cache.
const IN_TURNS: usize = 4;

/// Sufficient statistics of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Of its prior.
    ridge: f64,
    factor: Vec<f64>,
    inverse_diagonal: Vec<f64>,
    z: Vec<f64>,
}

/// The prediction of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    pub mean: f64,
    /// Variance of the mean divided by that of a single reward.
    pub variance: f64,
}

impl Prediction {
    /// Of an arm without a model.
    pub fn without_evidence(x: &[f64], ridge: f64) -> Self {
        let square: f64 = x.iter().map(|x| x * x).sum();
        Self { mean: 0.0, variance: square / ridge }
    }
}

/// The predictions of all models for the same vector; `None` is an arm without
/// a model.
pub fn predict_all(models: &[Option<&Linear>], x: &[f64]) -> Vec<Prediction> {
    let mut predicted = vec![Prediction::without_evidence(x, RIDGE); models.len()];
    let mut vectors = vec![0.0; IN_TURNS * x.len()];
    let mut known = models.iter().enumerate().filter_map(|(arm, model)| Some((arm, (*model)?)));
    loop {
        let group: Vec<(usize, &Linear)> = known.by_ref().take(IN_TURNS).collect();
        if group.is_empty() {
            return predicted;
        }
        let vectors = vectors.chunks_exact_mut(x.len());
        let mut projections: Vec<Projection<'_>> = group
            .iter()
            .zip(vectors)
            .map(|((_, model), vector)| {
                vector.copy_from_slice(x);
                model.projection(vector)
            })
            .collect();
        square_root::project(&mut projections);
        for ((arm, _), one) in group.iter().zip(projections) {
            predicted[*arm] = Prediction { mean: one.mean, variance: one.square };
        }
    }
}

impl Linear {
    pub fn new(dimension: usize, ridge: f64) -> Self {
        let mut factor = vec![0.0; packed_len(dimension)];
        let mut diagonal = 0;
        for column in 0..dimension {
            factor[diagonal] = ridge.sqrt();
            diagonal += dimension - column;
        }
        let inverse_diagonal = vec![ridge.sqrt().recip(); dimension];
        Self { ridge, factor, inverse_diagonal, z: vec![0.0; dimension] }
    }

    pub fn dimension(&self) -> usize {
        self.z.len()
    }

    /// Its size in memory.
    pub fn bytes(&self) -> u64 {
        let numbers = self.factor.len() + self.inverse_diagonal.len() + self.z.len();
        (size_of::<Self>() + numbers * size_of::<f64>()) as u64
    }

    fn projection<'a>(&'a self, x: &'a mut [f64]) -> Projection<'a> {
        Projection::new(&self.factor, &self.inverse_diagonal, &self.z, x)
    }

    /// Overwrites `x`.
    pub fn predict(&self, x: &mut [f64]) -> Prediction {
        let mut projections = [self.projection(x)];
        square_root::project(&mut projections);
        let [found] = projections;
        Prediction { mean: found.mean, variance: found.square }
    }

    /// The prediction; of `x` remains what the model knows nothing of, `ridge A^-1 x`.
    pub fn unknown_part(&self, x: &mut [f64]) -> Prediction {
        let predicted = self.predict(x);
        downdate::back_substitute(&self.factor, &self.inverse_diagonal, x);
        x.iter_mut().for_each(|x| *x *= self.ridge);
        predicted
    }

    /// Takes a selection back whose reward is taken back already. Overwrites `x`, which is
    /// times the root of its weight.
    pub fn withdraw(&mut self, x: &mut [f64]) {
        let Self { ridge, factor, inverse_diagonal, z } = self;
        downdate::withdraw(factor, inverse_diagonal, z, x, *ridge);
    }

    /// Learns of a selection, so far without reward. Overwrites `x`.
    pub fn select(&mut self, x: &mut [f64]) {
        square_root::observe(&mut self.factor, &mut self.inverse_diagonal, &mut self.z, x);
    }

    /// Learns of a reward, or of a change of one. Overwrites `x`.
    pub fn reward(&mut self, x: &mut [f64], change: f64) {
        square_root::project(&mut [self.projection(x)]);
        for (z, y) in self.z.iter_mut().zip(x.iter()) {
            *z += change * y;
        }
    }

    /// Scales all evidence by this factor.
    pub fn fade(&mut self, keep: f64) {
        square_root::fade(
            &mut self.factor,
            &mut self.inverse_diagonal,
            &mut self.z,
            keep,
            self.ridge,
        );
    }
}
