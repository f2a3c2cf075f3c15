//! The weights of the features, fitted with each training on the people who are held out.
//!
//! - Features are those of the trial, which does not know what is held out, over a state from which it was
//!   taken back ([`withheld`]). What was taken from a list is compared with that list ([`lists`]).
//! - Several ways to score are compared by cross-validation over people: fits with a weak and with a
//!   strong prior, one near the best feature alone, the best of these with a [curve](curves) for each feature, the mean
//!   of those that are about as good as the best, fits near what serves, which has learnt from far more choices than are
//!   held out, and what serves as it is: that stays only where it is better beyond one standard error.
//! - Newcomers are fitted on, too.
//! - What comes out is published with the model. The online learner goes on from there.

mod choices;
mod crossed;
mod curves;
mod lists;
mod logit;
mod segments;
mod sets;
#[cfg(test)]
mod tests;
mod ways;
mod withheld;

use crate::features::FEATURES;
use crate::models::hybrid::HybridFit;
use crate::state::View;
use crate::training::holdout::Holdout;
use crate::training::holdout::mean;
use crate::training::progress::TrainingError;
use crate::training::report::HybridReport;
use curves::Bent;
use sets::Sets;
use ways::STEPS_AFTER;
use ways::Scores;

pub use crossed::GoOn;
pub use withheld::without;

/// Fewest people to fit on: with fewer, chance decides more than the data.
pub const PEOPLE_MIN: usize = 100;

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
    let alone = ways::alone(&sets);
    let serving_hybrid = holdout.view().hybrid();
    let served = || Sets::as_served(&choices, &sets.units, serving_hybrid);
    let mut ways = ways::as_served(&served(), holdout.view(), go_on)?;
    let bent = Bent::new(&sets.all());
    ways.extend(ways::fitted(&sets, &bent, &alone, go_on)?);
    let Some(chosen) = ways::chosen(&ways, choices.are_of_lists()) else {
        return Ok(None);
    };
    let mut tried: Vec<(String, f64)> =
        ways.iter().map(|way| (way.name.clone(), mean(&way.figures))).collect();
    tried.extend(alone.iter().map(|&(at, ndcg)| (format!("{} alone", FEATURES[at].name), ndcg)));
    tried.sort_by(|a, b| b.1.total_cmp(&a.1));
    let choices_fitted = sets.all().iter().map(|set| set.chosen).sum();
    let name = chosen.name.clone();
    let fit = match &chosen.scores {
        Scores::Weights(prior, start) => {
            logit::fit(&sets.all(), prior, start).map(|weights| sets.straight(weights))
        }
        Scores::Curves(prior, start) => {
            let parameters = bent.fit(None, prior, start.clone(), STEPS_AFTER);
            Some(sets.curved(&bent, &parameters))
        }
        Scores::Mean(parameters) => Some(sets.curved(&bent, parameters)),
        Scores::NearServing(prior, start) => {
            let served = served();
            logit::fit(&served.all(), prior, start)
                .map(|weights| served.served(serving_hybrid, weights))
        }
        Scores::Serving => Some(served().served(serving_hybrid, serving_hybrid.weights().to_vec())),
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
