//! The ranker's vectors of the candidates of a request, and their scores.
//!
//! A score is the expected reward of an impression of the item. It depends only on the view,
//! the user, the request context and the item, not on the other candidates. So scores of two
//! requests compare.

use std::collections::BTreeMap;

use crate::bandit::Belief;
use crate::bandit::OwnRankerId;
use crate::features::FEATURES;
use crate::models::hybrid::FeatureMatrix;
use crate::models::hybrid::Hybrid;
use crate::ranking::prior::RANKER_DIMENSION;
use crate::state::View;

/// Positions in the ranker's vector.
const BIAS: usize = 0;
const HYBRID: usize = 1;
/// The component of a score that belongs to no feature.
pub const BASE: &str = "base";

/// The ranker of a view with the vectors of candidates.
pub struct Scale<'v> {
    hybrid: &'v Hybrid,
    pub belief: &'v Belief,
    /// Rows of [`RANKER_DIMENSION`] values.
    pub vectors: FeatureMatrix,
    /// What the features add to the hybrid, by row.
    shaped: FeatureMatrix,
}

impl<'v> Scale<'v> {
    /// `features` are on the scale of the view; `own`: the ranker of a variant, if not the shared one.
    pub fn over(
        view: &'v View,
        own: Option<OwnRankerId>,
        segment: u8,
        features: &FeatureMatrix,
    ) -> Self {
        let hybrid = view.hybrid();
        let shaped = hybrid.shaped(features);
        let mut vectors = FeatureMatrix::zeros(features.len(), RANKER_DIMENSION);
        let rows = features.rows().zip(hybrid.scores(&shaped));
        for (vector, (row, score)) in vectors.rows_mut().zip(rows) {
            vector[BIAS] = 1.0;
            vector[HYBRID] = hybrid.standardise(score);
            vector[2..].copy_from_slice(row);
        }
        Self { hybrid, belief: view.belief_for(own, segment), vectors, shaped }
    }

    /// The values of the features of a candidate.
    pub fn features(&self, candidate: usize) -> &[f32] {
        &self.vectors.row(candidate)[2..]
    }

    pub fn scores(&self) -> Vec<f64> {
        self.vectors.rows().map(|vector| self.score(vector)).collect()
    }

    fn score(&self, vector: &[f32]) -> f64 {
        self.belief.mean.iter().zip(vector).map(|(mean, &x)| mean * f64::from(x)).sum()
    }

    /// Standard deviations of the scores against each other. The gain of the hybrid is left out, as
    /// the constant is: an error of it scales all differences alike and changes no order.
    pub fn deviations(&self) -> Vec<f64> {
        let mut own = self.vectors.clone();
        own.rows_mut().for_each(|vector| vector[HYBRID] = 0.0);
        let mut deviations = Vec::new();
        self.belief.deviations(own.rows(), &mut deviations);
        deviations
    }

    /// The score of a candidate by feature, each with its part by the hybrid and its own weight. The
    /// rest is `base`.
    pub fn components(&self, candidate: usize) -> BTreeMap<&'static str, f64> {
        self.parts(self.vectors.row(candidate), self.shaped.row(candidate))
    }

    fn parts(&self, vector: &[f32], shaped: &[f32]) -> BTreeMap<&'static str, f64> {
        let (mean, weights) = (&self.belief.mean, self.hybrid.weights());
        let gain = mean[HYBRID] * self.hybrid.per_spread();
        let mut base = self.score(vector);
        let mut components = BTreeMap::new();
        for (at, feature) in FEATURES.iter().enumerate() {
            let by_hybrid = gain * weights[at] * f64::from(shaped[at]);
            let part = by_hybrid + mean[2 + at] * f64::from(vector[2 + at]);
            if part != 0.0 {
                components.insert(feature.name, part);
                base -= part;
            }
        }
        components.insert(BASE, base);
        components
    }

    /// The components of the average candidate.
    pub fn average(&self) -> BTreeMap<&'static str, f64> {
        self.parts(&self.vectors.mean(), &self.shaped.mean())
    }
}
