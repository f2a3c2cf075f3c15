//! The ways to score that are compared by cross-validation over people.

use crate::features::FEATURES;
use crate::features::feature;
use crate::features::hybrid_prior;
use crate::state::View;
use crate::training::holdout::difference;
use crate::training::holdout::mean;
use crate::training::hybrid::crossed::GoOn;
use crate::training::hybrid::crossed::cross_validated;
use crate::training::hybrid::crossed::lines;
use crate::training::hybrid::crossed::middle;
use crate::training::hybrid::curves::Bent;
use crate::training::hybrid::logit;
use crate::training::hybrid::logit::Prior;
use crate::training::hybrid::logit::Scaled;
use crate::training::hybrid::sets::Sets;
use crate::training::hybrid::sets::ndcg;
use crate::training::progress::TrainingError;
use crate::training::report::SERVING;

/// Steps of curves that are cross-validated, and of those that are published, which start from the mean of these.
pub const STEPS_MAX: usize = 60;
pub const STEPS_AFTER: usize = 15;
/// Precisions of the prior that are compared: a choice tells at most as much as 1 about a weight.
const PRECISIONS: [f64; 3] = [3.0, 60.0, 1_000.0];
/// How sure the prior is that the best feature alone is right, and that all others are nothing when
/// this feature is fitted alone.
const NEAR: [f64; 2] = [300.0, 30_000.0];
const ALONE: f64 = 1e9;
/// Fits whose figure is at least this share of the best are averaged, too.
const NEAR_BEST: f64 = 0.97;
/// How sure the prior is of the weights that serve.
const NEAR_SERVING: [f64; 2] = [100.0, 1_000.0];
/// What orders items for people of whom nothing is known.
const NEWCOMERS: &str = "popularity_for_newcomers";

/// A way to score.
pub struct Way {
    pub name: String,
    /// NDCG@20 of each set, by a fit without it.
    pub figures: Vec<f64>,
    pub scores: Scores,
}

impl Way {
    fn is_serving(&self) -> bool {
        matches!(self.scores, Scores::NearServing(..) | Scores::Serving)
    }
}

/// What is fitted, with its prior and from which start: the mean of the fits by cross-validation.
pub enum Scores {
    Weights(Prior, Vec<f64>),
    Curves(Prior, Vec<f64>),
    /// Parameters of curves as they are.
    Mean(Vec<f64>),
    /// Weights on the scale and with the curves that serve.
    NearServing(Prior, Vec<f64>),
    /// What serves.
    Serving,
}

/// A fit, cross-validated.
struct Fitted {
    prior: Prior,
    way: Way,
    /// By fold, as parameters of curves.
    fits: Vec<Vec<f64>>,
}

/// The ways that are fitted, each with its figures by cross-validation.
pub fn fitted(
    sets: &Sets,
    bent: &Bent<'_>,
    alone: &[(usize, f64)],
    go_on: GoOn<'_>,
) -> Result<Vec<Way>, TrainingError> {
    let mut found: Vec<Fitted> = Vec::new();
    let mut start = hybrid_prior().weights.clone();
    for (name, prior) in priors(sets, alone) {
        if let Some(crossed) = lines(sets, &prior, &mut start, go_on)? {
            let fits = crossed.fits.iter().map(|fit| bent.shapes.straight(fit)).collect();
            let scores = Scores::Weights(prior.clone(), crossed.middle());
            let way = Way { name, figures: crossed.figures, scores };
            found.push(Fitted { prior, way, fits });
        }
    }
    let figure = |at: &usize| mean(&found[*at].way.figures);
    let best = (0..found.len()).max_by(|a, b| figure(a).total_cmp(&figure(b)));
    // Curves from the best lines, and from those of the weakest prior: they leave curves more room.
    for at in best.into_iter().chain((best > Some(0)).then_some(0)) {
        let Fitted { prior, way, fits } = &found[at];
        let fit = |fold: usize| Some(bent.fit(Some(fold), prior, fits[fold].clone(), STEPS_MAX));
        if let Some(crossed) = cross_validated(sets, fit, bent.score(), go_on)? {
            let prior = prior.clone();
            let name = format!("{}, with curves", way.name);
            let scores = Scores::Curves(prior.clone(), crossed.middle());
            let way = Way { name, figures: crossed.figures, scores };
            found.push(Fitted { prior, way, fits: crossed.fits });
        }
    }
    let mean = mean_of_best(sets, bent, &found, go_on)?;
    Ok(found.into_iter().map(|fitted| fitted.way).chain(mean).collect())
}

/// The mean of the fits that are about as good as the best: they err in different ways. `None` where there is one.
fn mean_of_best(
    sets: &Sets,
    bent: &Bent<'_>,
    found: &[Fitted],
    go_on: GoOn<'_>,
) -> Result<Option<Way>, TrainingError> {
    let figure = |fitted: &Fitted| mean(&fitted.way.figures);
    let best = found.iter().map(figure).fold(0.0, f64::max);
    let near: Vec<&Fitted> =
        found.iter().filter(|fitted| figure(fitted) >= NEAR_BEST * best).collect();
    if near.len() < 2 {
        return Ok(None);
    }
    let fit = |fold: usize| Some(middle(near.iter().map(|fitted| &fitted.fits[fold])));
    let crossed = cross_validated(sets, fit, bent.score(), go_on)?;
    Ok(crossed.map(|crossed| Way {
        name: format!("mean of the best {}", near.len()),
        scores: Scores::Mean(crossed.middle()),
        figures: crossed.figures,
    }))
}

/// NDCG@20 of each feature alone, by position, without those that say nothing.
pub fn alone(sets: &Sets) -> Vec<(usize, f64)> {
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
    logit::fit(&sets.all(), &prior, &prior.mean)
}

/// What serves, and fits near its weights.
pub fn as_served(served: &Sets, view: &View, go_on: GoOn<'_>) -> Result<Vec<Way>, TrainingError> {
    let weights = view.hybrid().weights();
    let mut start = weights.to_vec();
    let mut ways = Vec::new();
    for precision in NEAR_SERVING {
        let prior = Prior::even(weights, precision);
        if let Some(crossed) = lines(served, &prior, &mut start, go_on)? {
            let name = format!("near {SERVING}, prior {precision}");
            let scores = Scores::NearServing(prior, crossed.middle());
            ways.push(Way { name, figures: crossed.figures, scores });
        }
    }
    if view.model().is_some() {
        let figure = |set: &Scaled| ndcg(set, &set.scores(weights));
        let figures = served.known.iter().map(figure).collect();
        ways.push(Way { name: SERVING.to_owned(), figures, scores: Scores::Serving });
    }
    Ok(ways)
}

/// The best fit, unless what serves, or what is near to it, is better beyond one standard error. What serves has
/// learnt from lists one after the other: where most choices are of lists, it is enough that the fit is not
/// better beyond one standard error.
pub fn chosen(ways: &[Way], of_lists: bool) -> Option<&Way> {
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
