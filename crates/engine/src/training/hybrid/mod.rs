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

use crate::features::FEATURES;
use crate::features::feature;
use crate::features::hybrid_prior;
use crate::models::content::Latent;
use crate::models::hybrid::HybridFit;
use crate::models::hybrid::VALUE_MAX;
use crate::numeric::math;
use crate::training::associations;
use crate::training::content;
use crate::training::holdout::Holdout;
use crate::training::holdout::difference;
use crate::training::holdout::mean;
use crate::training::report::HybridReport;
use crate::training::report::SERVING;
use crate::training::trial;
use crate::training::trial::Trial;
use choices::ChoiceSet;
use choices::ChoiceSets;
use logit::Prior;
use logit::Scaled;

/// Fewest people to fit on: with fewer, chance decides more than the data.
const SETS_MIN: usize = 100;
const FOLDS: usize = 4;
/// Precisions of the prior that are compared: a choice tells at most as much as 1 about a weight.
const PRECISIONS: [f64; 3] = [3.0, 60.0, 1_000.0];
/// How sure the prior is that the best feature alone is right, and that all others are nothing when
/// this feature is fitted alone.
const NEAR: [f64; 2] = [300.0, 30_000.0];
const ALONE: f64 = 1e9;
const DEPTH: f64 = 20.0;
/// What orders items for people of whom nothing is known.
const NEWCOMERS: &str = "popularity_for_newcomers";

/// A way to score.
struct Way {
    name: String,
    /// NDCG@20 of each set, by weights that were fitted without it.
    figures: Vec<f64>,
    serves_by: ServesBy,
}

enum ServesBy {
    /// A fit, which is made again on everything.
    Fit(Prior),
    /// The weights that serve.
    Weights(Vec<f64>),
    /// Only told.
    Nothing,
}

/// Fits the hybrid. `None` where too little is held out.
pub fn fit(
    holdout: &Holdout<'_>,
    trial: &Trial,
    item_item_l2: f64,
    latent: Option<Latent>,
) -> Option<(HybridFit, HybridReport)> {
    let columns = holdout.columns();
    let rows = holdout.rows(&trial.configuration.weighing);
    let set = trial::training_set(columns.len(), &rows);
    let factors = (&trial.item_factors[..], trial.configuration.hyperparameters.factors);
    let (associations, content) = rayon::join(
        || associations::fit(&set, columns, item_item_l2),
        || content::fit(holdout.view(), columns, factors, &set, latent),
    );
    let view = withheld::without(holdout, trial, &associations, content);
    let ChoiceSets { known, newcomers } = choices::of(&view, holdout);
    if known.len() < SETS_MIN {
        return None;
    }
    let units = units(known.iter().chain(&newcomers));
    let on_scale = |sets: &[ChoiceSet]| -> Vec<Scaled> {
        sets.iter().map(|set| scaled(set, &units)).collect()
    };
    let (mut all, more) = (on_scale(&known), on_scale(&newcomers));
    let mut ways = ways(holdout, &known, (&all, &more), &units);
    all.extend(more);
    ways.sort_by(|a, b| mean(&b.figures).total_cmp(&mean(&a.figures)));
    let chosen = chosen(&ways)?;
    let sets: Vec<&Scaled> = all.iter().collect();
    let fitted = match &chosen.serves_by {
        ServesBy::Fit(prior) => logit::fit(&sets, prior)?,
        ServesBy::Weights(weights) => logit::fit(&sets, &Prior::even(weights, ALONE))?,
        ServesBy::Nothing => return None,
    };
    let weights = fitted.weights;
    let (mean_score, variance) = level(&all, &weights);
    let report = HybridReport {
        choices: all.iter().map(|set| set.chosen).sum(),
        tried: ways.iter().map(|way| (way.name.clone(), mean(&way.figures))).collect(),
        chosen: chosen.name.clone(),
    };
    let fit = HybridFit {
        layout: hybrid_prior().layout,
        units,
        weights,
        precision: fitted.precision,
        mean: mean_score,
        variance,
        choices: report.choices as u64,
    };
    fit.is_sound().then_some((fit, report))
}

/// What each feature is divided by: the root mean square of its values that are not 0, or more, so
/// that none of them is cut: the highest are the ones to tell apart.
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
    let unit = |(squares, count, most): (f64, u64, f64)| {
        let mean = (squares / count.max(1) as f64).sqrt();
        (count > 0).then(|| mean.max(most / f64::from(VALUE_MAX)).clamp(1e-6, 1e6))
    };
    sums.into_iter().map(unit).collect()
}

/// The features on the scale. One that is 0 throughout stays so.
fn scaled(set: &ChoiceSet, units: &[Option<f64>]) -> Scaled {
    let mut features = set.features.clone();
    for row in features.rows_mut() {
        for (value, unit) in row.iter_mut().zip(units) {
            let scaled = *value / unit.unwrap_or(1.0) as f32;
            *value = if scaled.is_finite() { scaled.clamp(-VALUE_MAX, VALUE_MAX) } else { 0.0 };
        }
    }
    Scaled { rows: features, chosen: set.chosen, counts: set.counts.clone() }
}

fn ways(
    holdout: &Holdout<'_>,
    sets: &[ChoiceSet],
    (scaled, newcomers): (&[Scaled], &[Scaled]),
    units: &[Option<f64>],
) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    let mut fits = Vec::new();
    for precision in PRECISIONS {
        let prior = Prior::even(&hybrid_prior().weights, precision);
        fits.push((format!("all features, prior {precision}"), prior));
    }
    for (at, feature) in FEATURES.iter().enumerate().filter(|(at, _)| units[*at].is_some()) {
        let mut weights = vec![0.0; FEATURES.len()];
        weights[at] = 1.0;
        let figures = scaled.iter().map(|set| ndcg(set, &weights)).collect();
        let name = format!("{} alone", feature.name);
        ways.push(Way { name, figures, serves_by: ServesBy::Nothing });
    }
    let figure = |way: &Way| mean(&way.figures);
    if let Some(best) = ways.iter().max_by(|a, b| figure(a).total_cmp(&figure(b))) {
        let name = best.name.trim_end_matches(" alone");
        if let Some(weights) = alone(name, scaled, newcomers) {
            fits.extend(NEAR.map(|precision| {
                (format!("near {}, prior {precision}", best.name), Prior::even(&weights, precision))
            }));
        }
    }
    for (name, prior) in fits {
        if let Some(figures) = cross_validated(scaled, newcomers, &prior) {
            ways.push(Way { name, figures, serves_by: ServesBy::Fit(prior) });
        }
    }
    if holdout.view().model().is_some() {
        ways.push(serving(holdout, sets, units));
    }
    ways
}

/// The weights of one feature alone, with what orders items for newcomers.
fn alone(name: &str, scaled: &[Scaled], newcomers: &[Scaled]) -> Option<Vec<f64>> {
    let mut prior = Prior::even(&vec![0.0; FEATURES.len()], ALONE);
    for free in [name, NEWCOMERS] {
        prior.precision[feature_position(free)] = PRECISIONS[0];
    }
    let all: Vec<&Scaled> = scaled.iter().chain(newcomers).collect();
    Some(logit::fit(&all, &prior)?.weights)
}

/// The weights that serve.
fn serving(holdout: &Holdout<'_>, sets: &[ChoiceSet], units: &[Option<f64>]) -> Way {
    let serving = holdout.view().hybrid();
    let figure = |set: &ChoiceSet| {
        let mut rows = set.features.clone();
        serving.scale().apply(&mut rows);
        let set = Scaled { rows, chosen: set.chosen, counts: set.counts.clone() };
        ndcg(&set, serving.weights())
    };
    let figures = sets.iter().map(figure).collect();
    // The same scores on the scale of this fit.
    let weights = serving.weights().iter().zip(serving.scale().units()).zip(units);
    let weights = weights.map(|((weight, own), unit)| match unit {
        Some(unit) if own > 0.0 => weight * unit / own,
        _ => 0.0,
    });
    Way { name: SERVING.to_owned(), figures, serves_by: ServesBy::Weights(weights.collect()) }
}

/// NDCG@20 of each set by a fit on the other folds and on newcomers.
fn cross_validated(scaled: &[Scaled], newcomers: &[Scaled], prior: &Prior) -> Option<Vec<f64>> {
    let mut figures = vec![0.0; scaled.len()];
    for fold in 0..FOLDS {
        let others = scaled.iter().enumerate().filter(|(at, _)| at % FOLDS != fold);
        let others: Vec<&Scaled> = others.map(|(_, set)| set).chain(newcomers).collect();
        let fitted = logit::fit(&others, prior)?;
        for (at, set) in scaled.iter().enumerate().skip(fold).step_by(FOLDS) {
            figures[at] = ndcg(set, &fitted.weights);
        }
    }
    Some(figures)
}

/// The best fit, unless the weights that serve are better beyond one standard error.
fn chosen(ways: &[Way]) -> Option<&Way> {
    let fit = ways.iter().find(|way| matches!(way.serves_by, ServesBy::Fit(_)))?;
    let serving = ways.iter().find(|way| matches!(way.serves_by, ServesBy::Weights(_)));
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
    let gain = |own: &f64| {
        let mut rank = 1.0;
        for (other, &count) in others.iter().zip(&set.counts[set.chosen..]) {
            if other >= own {
                rank += f64::from(count) * if other > own { 1.0 } else { 0.5 };
            }
        }
        if rank > DEPTH { 0.0 } else { 1.0 / math::log2(rank + 1.0) }
    };
    chosen.iter().map(gain).sum::<f64>() / chosen.len().max(1) as f64
}

/// Mean and variance of all scores.
fn level(sets: &[Scaled], weights: &[f64]) -> (f64, f64) {
    let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0_f64);
    for score in sets.iter().flat_map(|set| set.scores(weights)) {
        (sum, squares, n) = (sum + score, squares + score * score, n + 1.0);
    }
    let centre = sum / n.max(1.0);
    (centre, (squares / n.max(1.0) - centre * centre).max(0.0))
}

fn feature_position(name: &str) -> usize {
    feature(name).map(|(at, _)| at).expect("the name of a feature")
}
