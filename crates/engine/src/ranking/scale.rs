//! The ranker's scores on the scale of a request.

use std::collections::BTreeMap;

use crate::bandit::Belief;
use crate::features::FEATURES;
use crate::features::FeatureMatrix;
use crate::features::Hybrid;
use crate::ranking::rank::RANKER_DIMENSION;
use crate::state::View;

/// Places in the ranker's vector.
pub const BIAS: usize = 0;
pub const HYBRID: usize = 1;

/// The ranker of a view on the scale of a request: mean and spread of the hybrid's
/// score over its candidates.
pub struct Scale<'v> {
    hybrid: &'v Hybrid,
    pub belief: &'v Belief,
    /// Posterior mean of the ranker.
    ranker: &'v [f64],
    /// Of the candidates, by the hybrid.
    pub hybrid_scores: Vec<f64>,
    mean: f64,
    /// Of these scores.
    pub deviation: f64,
}

impl<'v> Scale<'v> {
    pub fn over(view: &'v View, segment: u8, features: &FeatureMatrix) -> Self {
        let hybrid = view.hybrid();
        let scores: Vec<f64> = features.rows().map(|row| hybrid.score(row)).collect();
        let n = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / n;
        let deviation = variance.sqrt().max(1e-9);
        let belief = view.belief_of(segment);
        let ranker = &belief.mean;
        Self { hybrid, belief, ranker, hybrid_scores: scores, mean, deviation }
    }

    /// Standard deviations of the expected rewards.
    pub fn deviations(&self, features: &FeatureMatrix) -> Vec<f64> {
        let head = |score: &f64| [1.0, ((score - self.mean) / self.deviation) as f32];
        let heads: Vec<[f32; 2]> = self.hybrid_scores.iter().map(head).collect();
        let mut deviations = Vec::new();
        let vectors = heads.iter().zip(features.rows()).map(|(head, row)| [&head[..], row]);
        self.belief.deviations(vectors, &mut deviations);
        deviations
    }

    fn standardised(&self, row: &[f32]) -> f64 {
        (self.hybrid.score(row) - self.mean) / self.deviation
    }

    pub fn vector(&self, row: &[f32]) -> Vec<f32> {
        let mut vector = Vec::with_capacity(RANKER_DIMENSION);
        vector.extend([1.0, self.standardised(row) as f32]);
        vector.extend_from_slice(row);
        vector
    }

    pub fn scores(&self, features: &FeatureMatrix) -> Vec<f64> {
        let mean = self.ranker;
        let score = |(row, hybrid): (&[f32], &f64)| {
            let own: f64 = mean[2..].iter().zip(row).map(|(m, &x)| m * f64::from(x)).sum();
            mean[BIAS] + mean[HYBRID] * ((hybrid - self.mean) / self.deviation) + own
        };
        features.rows().zip(&self.hybrid_scores).map(score).collect()
    }

    /// The score by feature, each with its part in the hybrid and its own; what
    /// belongs to none is `base`.
    pub fn components(&self, row: &[f32]) -> BTreeMap<&'static str, f64> {
        let (mean, weights) = (self.ranker, self.hybrid.weights());
        let gain = mean[HYBRID] / self.deviation;
        let mut components: BTreeMap<_, _> = FEATURES
            .iter()
            .enumerate()
            .map(|(place, name)| {
                let weight = gain * weights[place] + mean[2 + place];
                (*name, weight * f64::from(row[place]))
            })
            .filter(|(_, part)| *part != 0.0)
            .collect();
        components.insert("base", mean[BIAS] - gain * self.mean);
        components
    }
}
