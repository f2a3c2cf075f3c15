//! Choice sets on a scale, and what a fit to them publishes.

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::features::FEATURES;
use crate::features::hybrid_prior;
use crate::models::hybrid::Curves;
use crate::models::hybrid::FeatureMatrix;
use crate::models::hybrid::FeatureScale;
use crate::models::hybrid::Hybrid;
use crate::models::hybrid::HybridFit;
use crate::models::hybrid::ScaleOf;
use crate::models::hybrid::UNIT_RANGE;
use crate::models::hybrid::VALUE_MAX;
use crate::training::holdout::gain;
use crate::training::hybrid::choices::ChoiceSet;
use crate::training::hybrid::choices::ChoiceSets;
use crate::training::hybrid::curves::Bent;
use crate::training::hybrid::curves::weighed;
use crate::training::hybrid::logit;
use crate::training::hybrid::logit::Scaled;

pub const FOLDS: usize = 4;

/// Choice sets on a scale.
pub struct Sets {
    pub units: Vec<Option<f64>>,
    pub known: Vec<Scaled>,
    pub newcomers: Vec<Scaled>,
    /// See [`ChoiceSets::present`].
    present: FeatureMatrix,
}

impl Sets {
    pub fn of(choices: &ChoiceSets) -> Self {
        let units = units(choices.known.iter().chain(&choices.newcomers), &choices.present);
        let scale = scale_of(&units);
        Self::on_scale(choices, units, &scale)
    }

    fn on_scale(choices: &ChoiceSets, units: Vec<Option<f64>>, scale: &FeatureScale) -> Self {
        let known = choices.known.iter();
        let known = known.map(|set| scaled(set, scale, Some(set.person % FOLDS))).collect();
        let newcomers = choices.newcomers.iter().map(|set| scaled(set, scale, None)).collect();
        let mut present = choices.present.clone();
        scale.apply(&mut present);
        Self { units, known, newcomers, present }
    }

    /// On the scale and with the curves that serve; what they do not use yet has its unit of the fit.
    pub fn as_served(choices: &ChoiceSets, units: &[Option<f64>], serving: &Hybrid) -> Self {
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
    pub fn served(&self, serving: &Hybrid, weights: Vec<f64>) -> HybridFit {
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

    pub fn straight(&self, weights: Vec<f64>) -> HybridFit {
        published(&self.all(), &self.units, Curves::default(), weights)
    }

    pub fn curved(&self, bent: &Bent<'_>, parameters: &[f64]) -> HybridFit {
        let all = self.all();
        let (curves, weights) = weighed(&all, &self.present, bent.shapes.curves(parameters));
        let lengths = all.iter().map(|set| set.rows.length());
        let least = lengths.clone().fold(f32::INFINITY, f32::min);
        let greatest = lengths.fold(f32::NEG_INFINITY, f32::max);
        published(&all, &self.units, Curves::new(curves, (least, greatest)), weights)
    }

    pub fn all(&self) -> Vec<&Scaled> {
        self.known.iter().chain(&self.newcomers).collect()
    }

    /// All but the known people of a fold.
    pub fn without(&self, fold: usize) -> Vec<&Scaled> {
        let mut others = self.all();
        others.retain(|set| set.fold != Some(fold));
        others
    }
}

/// What each feature is divided by: the root mean square of its values that are not 0, or more, so
/// that none of them is cut, nor one of the present: the highest are the ones to tell apart. `None` where all are 0.
pub fn units<'s>(
    sets: impl Iterator<Item = &'s ChoiceSet>,
    present: &FeatureMatrix,
) -> Vec<Option<f64>> {
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
    for row in present.rows() {
        for ((_, _, most), value) in sums.iter_mut().zip(row).filter(|(_, value)| value.is_finite())
        {
            *most = most.max(f64::from(value.abs()));
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

fn scaled(set: &ChoiceSet, scale: &FeatureScale, fold: Option<usize>) -> Scaled {
    let mut rows = set.features.clone();
    scale.apply(&mut rows);
    Scaled { rows, chosen: set.chosen, counts: set.counts.clone(), fold }
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

/// Mean over the rows chosen, each ranked among those that were not; ties count half.
pub fn ndcg(set: &Scaled, scores: &[f64]) -> f64 {
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
