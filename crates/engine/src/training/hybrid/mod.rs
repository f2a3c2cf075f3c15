//! The weights of the features, fitted with each training on the people who are held out.
//!
//! - Features are those of the trial, which does not know what is held out, over a state from which it was
//!   taken back ([`withheld`]).
//! - Several ways to score are compared by cross-validation over people: fits with a weak and with a
//!   strong prior, one near the best feature alone, and the weights that serve, which stay only
//!   where they are better beyond one standard error. Newcomers are fitted on, too.
//! - What comes out is published with the model. The online learner goes on from there.

mod choices;
mod logit;
#[cfg(test)]
mod tests;
mod withheld;

use std::ops::ControlFlow;

use crate::features::FEATURES;
use crate::features::feature;
use crate::features::hybrid_prior;
use crate::models::hybrid::FeatureScale;
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
/// What orders items for people of whom nothing is known.
const NEWCOMERS: &str = "popularity_for_newcomers";

/// Asks whether to go on: a fit takes seconds.
pub type GoOn<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// A way to score.
struct Way {
    name: String,
    /// NDCG@20 of each set, by weights that were fitted without it.
    figures: Vec<f64>,
    weights: Weights,
}

enum Weights {
    /// Fitted with this prior.
    Fitted(Prior),
    /// Those that serve.
    Serving(Vec<f64>),
}

/// Choice sets on their scale.
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
    let mut ways = Vec::new();
    for (name, prior) in priors(&sets, &alone) {
        if let Some(figures) = cross_validated(&sets, &prior, go_on)? {
            ways.push(Way { name, figures, weights: Weights::Fitted(prior) });
        }
    }
    if holdout.view().model().is_some() {
        ways.push(serving(holdout, &choices.known, &sets.units));
    }
    let Some(chosen) = chosen(&ways) else {
        return Ok(None);
    };
    let mut tried: Vec<(String, f64)> =
        ways.iter().map(|way| (way.name.clone(), mean(&way.figures))).collect();
    tried.extend(alone.iter().map(|&(at, ndcg)| (format!("{} alone", FEATURES[at].name), ndcg)));
    tried.sort_by(|a, b| b.1.total_cmp(&a.1));
    let all = sets.all();
    let mut report = HybridReport {
        choices: all.iter().map(|set| set.chosen).sum(),
        tried,
        chosen: chosen.name.clone(),
        weights: Vec::new(),
    };
    let weights = match &chosen.weights {
        Weights::Fitted(prior) => logit::fit(&all, prior),
        Weights::Serving(weights) => Some(weights.clone()),
    };
    let fit = weights.map(|weights| published(&all, sets.units.clone(), weights));
    Ok(fit.filter(HybridFit::is_sound).map(|fit| {
        report.weights = largest(&fit.weights);
        (fit, report)
    }))
}

/// Weights by name, the largest first.
fn largest(weights: &[f64]) -> Vec<(&'static str, f64)> {
    let named = FEATURES.iter().zip(weights).filter(|(_, weight)| **weight != 0.0);
    let mut named: Vec<_> = named.map(|(feature, &weight)| (feature.name, weight)).collect();
    named.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    named
}

fn published(sets: &[&Scaled], units: Vec<Option<f64>>, weights: Vec<f64>) -> HybridFit {
    let information = logit::information(sets, &weights);
    let (mean, variance) = level(sets, &weights);
    HybridFit { layout: hybrid_prior().layout, units, weights, information, mean, variance }
}

impl Sets {
    fn of(choices: &ChoiceSets) -> Self {
        let units = units(choices.known.iter().chain(&choices.newcomers));
        let scale = FeatureScale::new(
            units.iter().map(|unit| unit.map_or(ScaleOf::Fitted, ScaleOf::Fixed)),
        );
        let on_scale = |sets: &[ChoiceSet]| sets.iter().map(|set| scaled(set, &scale)).collect();
        let (known, newcomers) = (on_scale(&choices.known), on_scale(&choices.newcomers));
        Self { units, known, newcomers }
    }

    fn all(&self) -> Vec<&Scaled> {
        self.known.iter().chain(&self.newcomers).collect()
    }

    /// All but the known people of a fold.
    fn without(&self, fold: usize) -> Vec<&Scaled> {
        let others = self.known.iter().enumerate().filter(|(at, _)| at % FOLDS != fold);
        others.map(|(_, set)| set).chain(&self.newcomers).collect()
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

fn scaled(set: &ChoiceSet, scale: &FeatureScale) -> Scaled {
    let mut rows = set.features.clone();
    scale.apply(&mut rows);
    Scaled { rows, chosen: set.chosen, counts: set.counts.clone() }
}

/// NDCG@20 of each feature alone, by position, without those that say nothing.
fn alone(sets: &Sets) -> Vec<(usize, f64)> {
    let says = (0..FEATURES.len()).filter(|&at| sets.units[at].is_some());
    let figure = |at: usize| {
        let mut weights = vec![0.0; FEATURES.len()];
        weights[at] = 1.0;
        let figures: Vec<f64> = sets.known.iter().map(|set| ndcg(set, &weights)).collect();
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

/// The weights that serve.
fn serving(holdout: &Holdout<'_>, sets: &[ChoiceSet], units: &[Option<f64>]) -> Way {
    let serving = holdout.view().hybrid();
    let figure = |set: &ChoiceSet| ndcg(&scaled(set, serving.scale()), serving.weights());
    let figures = sets.iter().map(figure).collect();
    // The same scores on the scale of this fit.
    let weights = serving.weights().iter().zip(serving.scale().units()).zip(units);
    let weights = weights.map(|((weight, own), unit)| match unit {
        Some(unit) if own > 0.0 => weight * unit / own,
        _ => 0.0,
    });
    Way { name: SERVING.to_owned(), figures, weights: Weights::Serving(weights.collect()) }
}

/// NDCG@20 of each set of a known person by a fit on the other folds and on newcomers. `None` where
/// one cannot be fitted.
fn cross_validated(
    sets: &Sets,
    prior: &Prior,
    go_on: GoOn<'_>,
) -> Result<Option<Vec<f64>>, TrainingError> {
    let mut figures = vec![0.0; sets.known.len()];
    for fold in 0..FOLDS {
        if go_on().is_break() {
            return Err(TrainingError::Cancelled);
        }
        let Some(weights) = logit::fit(&sets.without(fold), prior) else {
            return Ok(None);
        };
        for (at, set) in sets.known.iter().enumerate().skip(fold).step_by(FOLDS) {
            figures[at] = ndcg(set, &weights);
        }
    }
    Ok(Some(figures))
}

/// The best fit, unless the weights that serve are better beyond one standard error.
fn chosen(ways: &[Way]) -> Option<&Way> {
    let figure = |way: &&Way| mean(&way.figures);
    let fits = ways.iter().filter(|way| matches!(way.weights, Weights::Fitted(_)));
    let fit = fits.max_by(|a, b| figure(a).total_cmp(&figure(b)))?;
    let serving = ways.iter().find(|way| matches!(way.weights, Weights::Serving(_)));
    let is_better = |serving: &&Way| {
        let (gain, error) = difference(&serving.figures, &fit.figures);
        gain > error
    };
    Some(serving.filter(is_better).unwrap_or(fit))
}

/// Mean over the rows chosen, each ranked among those that were not; ties count half.
fn ndcg(set: &Scaled, weights: &[f64]) -> f64 {
    let scores = set.scores(weights);
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
