//! The weights of the features, fitted with each training on the people who are held out.
//!
//! - Features are those of the trial, which does not know what is held out, over a state from which it was
//!   taken back ([`withheld`]). What was taken from a list is compared with that list ([`lists`]).
//! - Several ways to score are compared by cross-validation over people: fits with a weak and with a
//!   strong prior, one near the best feature alone, the best of these with a [curve](curves) for each feature, fits near
//!   what serves, which has learnt from far more choices than are held out, and what serves as it is: that stays only
//!   where it is better beyond one standard error. Newcomers are fitted on, too.
//! - What comes out is published with the model. The online learner goes on from there.

mod choices;
mod curves;
mod lists;
mod logit;
#[cfg(test)]
mod tests;
mod withheld;

use std::ops::ControlFlow;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::features::FEATURES;
use crate::features::feature;
use crate::features::hybrid_prior;
use crate::models::hybrid::Curves;
use crate::models::hybrid::FeatureScale;
use crate::models::hybrid::Hybrid;
use crate::models::hybrid::HybridFit;
use crate::models::hybrid::ScaleOf;
use crate::models::hybrid::UNIT_RANGE;
use crate::models::hybrid::VALUE_MAX;
use crate::state::View;
use crate::training::holdout::Holdout;
use crate::training::holdout::difference;
use crate::training::holdout::gain;
use crate::training::holdout::mean;
use crate::training::progress::TrainingError;
use crate::training::report::HybridReport;
use crate::training::report::SERVING;
use choices::ChoiceSet;
use choices::ChoiceSets;
use curves::Shapes;
use logit::Prior;
use logit::Scaled;

pub use withheld::without;

/// Fewest people to fit on: with fewer, chance decides more than the data.
pub const PEOPLE_MIN: usize = 100;
const FOLDS: usize = 4;
/// Precisions of the prior that are compared: a choice tells at most as much as 1 about a weight.
const PRECISIONS: [f64; 3] = [3.0, 60.0, 1_000.0];
/// How sure the prior is that the best feature alone is right, and that all others are nothing when
/// this feature is fitted alone.
const NEAR: [f64; 2] = [300.0, 30_000.0];
const ALONE: f64 = 1e9;
/// How sure the prior is of the weights that serve.
const NEAR_SERVING: [f64; 2] = [100.0, 1_000.0];
/// What orders items for people of whom nothing is known.
const NEWCOMERS: &str = "popularity_for_newcomers";

/// Asks whether to go on: a fit takes seconds.
pub type GoOn<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// A way to score.
struct Way {
    name: String,
    /// NDCG@20 of each set, by a fit without it.
    figures: Vec<f64>,
    scores: Scores,
}

impl Way {
    fn is_serving(&self) -> bool {
        matches!(self.scores, Scores::NearServing(_) | Scores::Serving)
    }
}

enum Scores {
    /// Weights that are fitted with this prior.
    Weights(Prior),
    /// Curves, from such weights.
    Curves(Prior),
    /// Weights that are fitted with this prior on the scale and with the curves that serve.
    NearServing(Prior),
    /// What serves.
    Serving,
}

/// Choice sets on a scale.
struct Sets {
    units: Vec<Option<f64>>,
    known: Vec<Scaled>,
    newcomers: Vec<Scaled>,
}

/// Fits the hybrid. `view` knows nothing of what is held out ([`without`]). `None` where too little is.
///
/// # Errors
/// [`TrainingError::Cancelled`].
pub fn fit(
    view: &View,
    holdout: &Holdout<'_>,
    go_on: GoOn<'_>,
) -> Result<Option<(HybridFit, HybridReport)>, TrainingError> {
    let choices = choices::of(view, holdout);
    if choices.known.len() < PEOPLE_MIN {
        return Ok(None);
    }
    let sets = Sets::of(&choices);
    let alone = alone(&sets);
    let shapes = Shapes::of(&sets.all());
    let mut ways = fitted(&sets, &shapes, &alone, go_on)?;
    let serving_hybrid = holdout.view().hybrid();
    let served = Sets::as_served(&choices, &sets.units, serving_hybrid);
    ways.extend(near_serving(&served, serving_hybrid, go_on)?);
    if holdout.view().model().is_some() {
        ways.push(serving(serving_hybrid, &served));
    }
    let Some(chosen) = chosen(&ways, choices.are_of_lists()) else {
        return Ok(None);
    };
    let mut tried: Vec<(String, f64)> =
        ways.iter().map(|way| (way.name.clone(), mean(&way.figures))).collect();
    tried.extend(alone.iter().map(|&(at, ndcg)| (format!("{} alone", FEATURES[at].name), ndcg)));
    tried.sort_by(|a, b| b.1.total_cmp(&a.1));
    let choices_fitted = sets.all().iter().map(|set| set.chosen).sum();
    let name = chosen.name.clone();
    let fit = match &chosen.scores {
        Scores::Weights(prior) => {
            logit::fit(&sets.all(), prior).map(|weights| sets.straight(weights))
        }
        Scores::Curves(prior) => {
            logit::fit(&sets.all(), prior).map(|start| sets.curved(&shapes, prior, &start))
        }
        Scores::NearServing(prior) => {
            logit::fit(&served.all(), prior).map(|weights| served.served(serving_hybrid, weights))
        }
        Scores::Serving => Some(served.served(serving_hybrid, serving_hybrid.weights().to_vec())),
    };
    Ok(fit.filter(HybridFit::is_sound).map(|fit| {
        let weights = largest(&fit.weights);
        (fit, HybridReport { choices: choices_fitted, tried, chosen: name, weights })
    }))
}

/// Weights by name, the largest first.
fn largest(weights: &[f64]) -> Vec<(&'static str, f64)> {
    let named = FEATURES.iter().zip(weights).filter(|(_, weight)| **weight != 0.0);
    let mut named: Vec<_> = named.map(|(feature, &weight)| (feature.name, weight)).collect();
    named.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    named
}

/// The ways that are fitted, each with its figures by cross-validation.
fn fitted(
    sets: &Sets,
    shapes: &Shapes,
    alone: &[(usize, f64)],
    go_on: GoOn<'_>,
) -> Result<Vec<Way>, TrainingError> {
    let mut straight: Vec<(String, Prior, Crossed<Vec<f64>>)> = Vec::new();
    for (name, prior) in priors(sets, alone) {
        if let Some(crossed) = lines(sets, &prior, go_on)? {
            straight.push((name, prior, crossed));
        }
    }
    let figure = |at: &usize| mean(&straight[*at].2.figures);
    let best = (0..straight.len()).max_by(|a, b| figure(a).total_cmp(&figure(b)));
    let mut ways = Vec::new();
    // Curves from the best lines, and from those of the weakest prior: they leave curves more room.
    for at in best.into_iter().chain((best > Some(0)).then_some(0)) {
        let (name, prior, lines) = &straight[at];
        let fit = |fold: usize, sets: &[&Scaled]| {
            Some(curves::fit(sets, shapes, prior, &lines.fits[fold]))
        };
        let score = |parameters: &Vec<f64>, set: &Scaled| shapes.scores(parameters, set);
        if let Some(Crossed { figures, .. }) = cross_validated(sets, fit, score, go_on)? {
            let name = format!("{name}, with curves");
            ways.push(Way { name, figures, scores: Scores::Curves(prior.clone()) });
        }
    }
    ways.extend(straight.into_iter().map(|(name, prior, Crossed { figures, .. })| Way {
        name,
        figures,
        scores: Scores::Weights(prior),
    }));
    Ok(ways)
}

/// What cross-validation gives.
struct Crossed<F> {
    /// NDCG@20 of each set of a known person, by a fit on the other folds and on newcomers.
    figures: Vec<f64>,
    /// By fold.
    fits: Vec<F>,
}

/// What is published.
fn published(
    sets: &[&Scaled],
    units: &[Option<f64>],
    curves: Curves,
    weights: Vec<f64>,
) -> HybridFit {
    let shaped: Vec<Scaled> = sets.par_iter().map(|set| set.shaped(&curves)).collect();
    let shaped: Vec<&Scaled> = shaped.iter().collect();
    let information = logit::information(&shaped, &weights);
    let (mean, variance) = level(&shaped, &weights);
    let (layout, units) = (hybrid_prior().layout, units.to_vec());
    HybridFit { layout, units, curves, weights, information, mean, variance }
}

impl Sets {
    fn of(choices: &ChoiceSets) -> Self {
        let units = units(choices.known.iter().chain(&choices.newcomers));
        let scale = scale_of(&units);
        Self::on_scale(choices, units, &scale)
    }

    fn on_scale(choices: &ChoiceSets, units: Vec<Option<f64>>, scale: &FeatureScale) -> Self {
        let on_scale = |sets: &[ChoiceSet]| sets.iter().map(|set| scaled(set, scale)).collect();
        let (known, newcomers) = (on_scale(&choices.known), on_scale(&choices.newcomers));
        Self { units, known, newcomers }
    }

    /// On the scale and with the curves that serve; what they do not use yet has its unit of the fit.
    fn as_served(choices: &ChoiceSets, units: &[Option<f64>], serving: &Hybrid) -> Self {
        let own = serving.scale().units().zip(units);
        let units: Vec<Option<f64>> =
            own.map(|(own, unit)| if own > 0.0 { Some(own) } else { *unit }).collect();
        let scale = scale_of(&units);
        let mut sets = Self::on_scale(choices, units, &scale);
        for set in sets.known.iter_mut().chain(&mut sets.newcomers) {
            serving.curves().apply(&mut set.rows);
        }
        sets
    }

    /// Weights of sets [`Self::as_served`], with what was learnt before: it has the choices that are held out, too.
    fn served(&self, serving: &Hybrid, weights: Vec<f64>) -> HybridFit {
        let (mean, variance) = level(&self.all(), &weights);
        HybridFit {
            layout: hybrid_prior().layout,
            units: self.units.clone(),
            curves: serving.curves().clone(),
            weights,
            information: serving.information(),
            mean,
            variance,
        }
    }

    fn straight(&self, weights: Vec<f64>) -> HybridFit {
        published(&self.all(), &self.units, Curves::default(), weights)
    }

    fn curved(&self, shapes: &Shapes, prior: &Prior, start: &[f64]) -> HybridFit {
        let all = self.all();
        let parameters = curves::fit(&all, shapes, prior, start);
        let (curves, weights) = curves::weighed(&all, shapes.curves(&parameters));
        let lengths = all.iter().map(|set| set.rows.length());
        let least = lengths.clone().fold(f32::INFINITY, f32::min);
        let greatest = lengths.fold(f32::NEG_INFINITY, f32::max);
        published(&all, &self.units, Curves::new(curves, (least, greatest)), weights)
    }

    fn all(&self) -> Vec<&Scaled> {
        self.known.iter().chain(&self.newcomers).collect()
    }

    /// All but the known people of a fold.
    fn without(&self, fold: usize) -> Vec<&Scaled> {
        let others = self.known.iter().filter(|set| set.person % FOLDS != fold);
        others.chain(&self.newcomers).collect()
    }
}

/// What each feature is divided by: the root mean square of its values that are not 0, or more, so
/// that none of them is cut: the highest are the ones to tell apart. `None` where all are 0.
fn units<'s>(sets: impl Iterator<Item = &'s ChoiceSet>) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0_f64, 0_u64, 0.0_f64); FEATURES.len()];
    for row in sets.flat_map(|set| set.features.rows()) {
        for ((squares, count, most), &value) in sums.iter_mut().zip(row) {
            if value != 0.0 && value.is_finite() {
                let value = f64::from(value);
                *squares += value * value;
                *count += 1;
                *most = most.max(value.abs());
            }
        }
    }
    let (least, greatest) = UNIT_RANGE;
    let unit = |(squares, count, most): (f64, u64, f64)| {
        let mean = (squares / count.max(1) as f64).sqrt();
        (count > 0).then(|| mean.max(most / f64::from(VALUE_MAX)).clamp(least, greatest))
    };
    sums.into_iter().map(unit).collect()
}

fn scale_of(units: &[Option<f64>]) -> FeatureScale {
    FeatureScale::new(units.iter().map(|unit| unit.map_or(ScaleOf::Fitted, ScaleOf::Fixed)))
}

fn scaled(set: &ChoiceSet, scale: &FeatureScale) -> Scaled {
    let mut rows = set.features.clone();
    scale.apply(&mut rows);
    Scaled { rows, chosen: set.chosen, counts: set.counts.clone(), person: set.person }
}

/// NDCG@20 of each feature alone, by position, without those that say nothing.
fn alone(sets: &Sets) -> Vec<(usize, f64)> {
    let says = (0..FEATURES.len()).filter(|&at| sets.units[at].is_some());
    let figure = |at: usize| {
        let mut weights = vec![0.0; FEATURES.len()];
        weights[at] = 1.0;
        let figures: Vec<f64> =
            sets.known.iter().map(|set| ndcg(set, &set.scores(&weights))).collect();
        (at, mean(&figures))
    };
    says.map(figure).collect()
}

/// The priors that are compared, by name.
fn priors(sets: &Sets, alone: &[(usize, f64)]) -> Vec<(String, Prior)> {
    let table = hybrid_prior().weights;
    let of_table =
        |precision| (format!("all features, prior {precision}"), Prior::even(&table, precision));
    let mut priors: Vec<(String, Prior)> = PRECISIONS.map(of_table).into();
    let best = alone.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|best| best.0);
    let near = best.and_then(|best| Some((best, weights_alone(sets, best)?)));
    if let Some((best, weights)) = near {
        let name = FEATURES[best].name;
        priors.extend(NEAR.map(|precision| {
            (format!("near {name} alone, prior {precision}"), Prior::even(&weights, precision))
        }));
    }
    priors
}

/// The weights of one feature alone, with what orders items for newcomers.
fn weights_alone(sets: &Sets, at: usize) -> Option<Vec<f64>> {
    let mut prior = Prior::even(&vec![0.0; FEATURES.len()], ALONE);
    let newcomers = feature(NEWCOMERS).expect("the name of a feature").0;
    for free in [at, newcomers] {
        prior.precision[free] = PRECISIONS[0];
    }
    logit::fit(&sets.all(), &prior)
}

/// Fits near the weights that serve.
fn near_serving(
    served: &Sets,
    serving: &Hybrid,
    go_on: GoOn<'_>,
) -> Result<Vec<Way>, TrainingError> {
    let mut ways = Vec::new();
    for precision in NEAR_SERVING {
        let prior = Prior::even(serving.weights(), precision);
        if let Some(Crossed { figures, .. }) = lines(served, &prior, go_on)? {
            let name = format!("near {SERVING}, prior {precision}");
            ways.push(Way { name, figures, scores: Scores::NearServing(prior) });
        }
    }
    Ok(ways)
}

/// What serves.
fn serving(serving: &Hybrid, served: &Sets) -> Way {
    let figure = |set: &Scaled| ndcg(set, &set.scores(serving.weights()));
    let figures = served.known.iter().map(figure).collect();
    Way { name: SERVING.to_owned(), figures, scores: Scores::Serving }
}

/// Weights with a prior.
fn lines(
    sets: &Sets,
    prior: &Prior,
    go_on: GoOn<'_>,
) -> Result<Option<Crossed<Vec<f64>>>, TrainingError> {
    let fit = |_: usize, sets: &[&Scaled]| logit::fit(sets, prior);
    cross_validated(sets, fit, |weights, set| set.scores(weights), go_on)
}

/// `None` where one cannot be fitted.
fn cross_validated<F: Sync>(
    sets: &Sets,
    fit: impl Fn(usize, &[&Scaled]) -> Option<F>,
    score: impl Fn(&F, &Scaled) -> Vec<f64> + Sync,
    go_on: GoOn<'_>,
) -> Result<Option<Crossed<F>>, TrainingError> {
    let mut fits = Vec::new();
    for fold in 0..FOLDS {
        if go_on().is_break() {
            return Err(TrainingError::Cancelled);
        }
        let Some(fitted) = fit(fold, &sets.without(fold)) else {
            return Ok(None);
        };
        fits.push(fitted);
    }
    let figure = |set: &Scaled| ndcg(set, &score(&fits[set.person % FOLDS], set));
    let figures = sets.known.par_iter().map(figure).collect();
    Ok(Some(Crossed { figures, fits }))
}

/// The best fit, unless what serves, or what is near to it, is better beyond one standard error. What serves has
/// learnt from lists one after the other: where most choices are of lists, it is enough that the fit is not
/// better beyond one standard error.
fn chosen(ways: &[Way], of_lists: bool) -> Option<&Way> {
    let (serving, fitted): (Vec<&Way>, Vec<&Way>) = ways.iter().partition(|way| way.is_serving());
    let (serving, fit) = match (best(serving), best(fitted)) {
        (Some(serving), Some(fit)) => (serving, fit),
        (serving, fit) => return serving.or(fit),
    };
    let (gain, error) = difference(&serving.figures, &fit.figures);
    let least = if of_lists { -error } else { error };
    Some(if gain > least { serving } else { fit })
}

/// The way with the highest figure.
fn best(ways: Vec<&Way>) -> Option<&Way> {
    ways.into_iter().max_by(|a, b| mean(&a.figures).total_cmp(&mean(&b.figures)))
}

/// Mean over the rows chosen, each ranked among those that were not; ties count half.
fn ndcg(set: &Scaled, scores: &[f64]) -> f64 {
    let (chosen, others) = scores.split_at(set.chosen);
    let gain_of = |own: &f64| {
        let mut rank = 1.0;
        for (other, &count) in others.iter().zip(&set.counts[set.chosen..]) {
            if other >= own {
                rank += f64::from(count) * if other > own { 1.0 } else { 0.5 };
            }
        }
        gain(rank)
    };
    chosen.iter().map(gain_of).sum::<f64>() / chosen.len().max(1) as f64
}

/// Mean and variance of all scores.
fn level(sets: &[&Scaled], weights: &[f64]) -> (f64, f64) {
    let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0_f64);
    for score in sets.iter().flat_map(|set| set.scores(weights)) {
        (sum, squares, n) = (sum + score, squares + score * score, n + 1.0);
    }
    let centre = sum / n.max(1.0);
    (centre, (squares / n.max(1.0) - centre * centre).max(0.0))
}
