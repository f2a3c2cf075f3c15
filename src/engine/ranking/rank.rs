//! One ranking: candidates to an ordered, scored, explained list.
//!
//! The score is the posterior mean of the reward. Its prior is the hybrid: with no
//! decision rewarded yet, the order is the hybrid's. Rewards then teach the
//! Bayesian linear ranker where showing an item pays off differently than the
//! hybrid thinks.

use std::collections::BTreeMap;

use super::choose::Choice;
use super::choose::choose;
use super::explain;
use super::features::Candidate;
use super::features::FEATURE_COUNT;
use super::features::FEATURES;
use super::features::FeatureMatrix;
use super::features::Occasion;
use super::features::UserContext;
use super::hybrid::Hybrid;
use super::mask::FeatureMask;
use crate::engine::profile::User;
use crate::engine::seed;
use crate::engine::view::View;

/// The ranker's vector: a constant, the hybrid's score standardised over the
/// candidates, and the features.
pub const RANKER_DIMENSION: usize = FEATURE_COUNT + 2;
const BIAS: usize = 0;
const HYBRID: usize = 1;
/// Expected reward of an average candidate, and gain per standard deviation of the
/// hybrid, before any reward was seen.
const PRIOR_REWARD: f64 = 0.05;
const PRIOR_GAIN: f64 = 0.05;

/// Prior mean of the ranker: the hybrid, and nothing beside it.
pub fn prior_mean() -> [f64; RANKER_DIMENSION] {
    let mut mean = [0.0; RANKER_DIMENSION];
    (mean[BIAS], mean[HYBRID]) = (PRIOR_REWARD, PRIOR_GAIN);
    mean
}

/// What to rank, for whom and how.
#[derive(Debug)]
pub struct RankRequest<'a> {
    pub user: Option<&'a User>,
    pub context: &'a UserContext,
    pub occasion: Occasion,
    pub choice: Choice,
    pub explain: bool,
    /// Keys the random stream of the choice.
    pub decision_id: &'a str,
}

/// Why an item is in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// People who wanted this item of yours, by index, want the recommended one.
    BecauseOf(u32),
    /// It is close to what you want, by people with your taste.
    YourTaste,
    /// It is about what you like.
    LikeYourContent,
    /// You like this topic, by index.
    Topic(u32),
    Popular,
    Trending,
    PopularInCohort,
    Fresh,
    /// Shown to learn about it.
    Exploration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RankedItem {
    /// Place in the candidates of the request.
    pub candidate: usize,
    pub score: f64,
    pub propensity: f64,
    /// Parts of the score by name; they add up to it.
    pub components: BTreeMap<&'static str, f64>,
    pub reasons: Vec<Reason>,
    /// The ranker's vector, for the decision record.
    pub features: Vec<f32>,
}

/// The list, best place first.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    pub items: Vec<RankedItem>,
}

/// Scores of candidates by the view's ranker, in their order. Features that `mask`
/// leaves out count as "nothing known" for every candidate.
pub fn score_candidates(
    view: &View,
    user: Option<&User>,
    context: &UserContext,
    occasion: &Occasion,
    candidates: &[Candidate<'_>],
    mask: FeatureMask,
) -> Vec<f64> {
    let mut features = FeatureMatrix::describe(view, user, context, occasion, candidates);
    features.keep(mask);
    Scale::over(view, &features).scores(&features)
}

/// Ranks candidates by the view's ranker.
pub fn rank(view: &View, candidates: &[Candidate<'_>], request: &RankRequest<'_>) -> Ranked {
    let features =
        FeatureMatrix::describe(view, request.user, request.context, &request.occasion, candidates);
    let scale = Scale::over(view, &features);
    let scores = scale.scores(&features);
    let key = request.decision_id.as_bytes();
    let mut rng = seed::stream(view.settings().seed, seed::Purpose::Choose, key);
    let chosen = choose(candidates, &scores, &request.choice, &mut rng);
    let rows: Vec<&[f32]> = features.rows().collect();
    let items = chosen
        .into_iter()
        .map(|chosen| {
            let row = rows[chosen.candidate];
            let components = scale.components(row);
            let explored = chosen.propensity < 0.5;
            let reasons = if request.explain {
                explain::reasons(
                    view,
                    request,
                    &candidates[chosen.candidate],
                    &components,
                    explored,
                )
            } else {
                Vec::new()
            };
            RankedItem {
                candidate: chosen.candidate,
                score: scores[chosen.candidate],
                propensity: chosen.propensity,
                components,
                reasons,
                features: scale.vector(row),
            }
        })
        .collect();
    Ranked { items }
}

/// The ranker of a view on the scale of a request: mean and spread of the hybrid's
/// score over its candidates.
struct Scale<'v> {
    hybrid: &'v Hybrid,
    /// Posterior mean of the ranker.
    ranker: &'v [f64],
    mean: f64,
    deviation: f64,
}

impl<'v> Scale<'v> {
    fn over(view: &'v View, features: &FeatureMatrix) -> Self {
        let hybrid = view.hybrid();
        let scores: Vec<f64> = features.rows().map(|row| hybrid.score(row)).collect();
        let n = scores.len().max(1) as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|score| (score - mean) * (score - mean)).sum::<f64>() / n;
        let deviation = variance.sqrt().max(1e-9);
        Self { hybrid, ranker: &view.posterior_mean().mean, mean, deviation }
    }

    fn standardised(&self, row: &[f32]) -> f64 {
        (self.hybrid.score(row) - self.mean) / self.deviation
    }

    fn vector(&self, row: &[f32]) -> Vec<f32> {
        let mut vector = Vec::with_capacity(RANKER_DIMENSION);
        vector.extend([1.0, self.standardised(row) as f32]);
        vector.extend_from_slice(row);
        vector
    }

    fn scores(&self, features: &FeatureMatrix) -> Vec<f64> {
        features.rows().map(|row| self.score(row)).collect()
    }

    fn score(&self, row: &[f32]) -> f64 {
        let mean = self.ranker;
        let own: f64 = mean[2..].iter().zip(row).map(|(m, &x)| m * f64::from(x)).sum();
        mean[BIAS] + mean[HYBRID] * self.standardised(row) + own
    }

    /// The score by feature, each with its part in the hybrid and its own; what
    /// belongs to none is `base`.
    fn components(&self, row: &[f32]) -> BTreeMap<&'static str, f64> {
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
