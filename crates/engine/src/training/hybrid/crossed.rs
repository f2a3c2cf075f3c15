//! Cross-validation over people.

use std::ops::ControlFlow;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::training::hybrid::logit;
use crate::training::hybrid::logit::Prior;
use crate::training::hybrid::logit::Scaled;
use crate::training::hybrid::sets::FOLDS;
use crate::training::hybrid::sets::Sets;
use crate::training::hybrid::sets::ndcg;
use crate::training::progress::TrainingError;

/// Asks whether to go on: a fit takes seconds.
pub type GoOn<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// What cross-validation gives.
pub struct Crossed {
    /// NDCG@20 of each set of a known person, by a fit on the other folds and on newcomers.
    pub figures: Vec<f64>,
    /// By fold.
    pub fits: Vec<Vec<f64>>,
}

impl Crossed {
    pub fn middle(&self) -> Vec<f64> {
        middle(self.fits.iter())
    }
}

/// The mean of fits; there is one at least.
pub fn middle<'f>(fits: impl ExactSizeIterator<Item = &'f Vec<f64>>) -> Vec<f64> {
    let share = 1.0 / fits.len() as f64;
    let mut middle = Vec::new();
    for fit in fits {
        middle.resize(fit.len(), 0.0);
        middle.iter_mut().zip(fit).for_each(|(sum, own)| *sum += share * own);
    }
    middle
}

/// Weights with a prior. A fit starts from the one before.
pub fn lines(
    sets: &Sets,
    prior: &Prior,
    start: &mut Vec<f64>,
    go_on: GoOn<'_>,
) -> Result<Option<Crossed>, TrainingError> {
    let fit = |fold: usize| {
        *start = logit::fit(&sets.without(fold), prior, start)?;
        Some(start.clone())
    };
    cross_validated(sets, fit, |weights, set| set.scores(weights), go_on)
}

/// `fit` leaves a fold out; `None` where one cannot be fitted.
pub fn cross_validated(
    sets: &Sets,
    mut fit: impl FnMut(usize) -> Option<Vec<f64>>,
    score: impl Fn(&[f64], &Scaled) -> Vec<f64> + Sync,
    go_on: GoOn<'_>,
) -> Result<Option<Crossed>, TrainingError> {
    let mut fits = Vec::new();
    for fold in 0..FOLDS {
        if go_on().is_break() {
            return Err(TrainingError::Cancelled);
        }
        let Some(fitted) = fit(fold) else {
            return Ok(None);
        };
        fits.push(fitted);
    }
    let figure = |set: &Scaled| {
        let fold = set.fold.expect("a known person has a fold");
        ndcg(set, &score(&fits[fold], set))
    };
    let figures = sets.known.par_iter().map(figure).collect();
    Ok(Some(Crossed { figures, fits }))
}
