//! Whether a new model may take the place of the serving one.
//!
//! Both rank what people wanted since the serving one was trained; neither has seen it: the
//! new one stands here as its trial, trained without. It is refused when it ranks that
//! worse by more than one standard error of the paired difference. Where too little was
//! wanted since, there is nothing to judge by, and the new one knows what came since.

use crate::state::View;
use crate::training::TrainingError;
use crate::training::holdout::Holdout;
use crate::training::holdout::is_worse;
use crate::training::holdout::mean;
use crate::training::trial;
use crate::training::trial::Trial;

/// Fewest people whose newest positives are judged by.
const PEOPLE_MIN: usize = 30;

/// # Errors
/// `NotBetter` with the figures of both.
pub fn pass(view: &View, holdout: &Holdout<'_>, candidate: &Trial) -> Result<(), TrainingError> {
    let Some(model) = view.model() else {
        return Ok(());
    };
    let recent = holdout.after(model.origin.trained_until);
    if recent.len() < PEOPLE_MIN {
        return Ok(());
    }
    let factors = view.items.factors.to_vec();
    let weighing = &model.origin.weighing;
    let serving = trial::judge(&recent, &factors, model.k, &model.regularization, weighing);
    let Trial { configuration, item_factors, regularization, .. } = candidate;
    let k = configuration.hyperparameters.factors;
    let new = trial::judge(&recent, item_factors, k, regularization, &configuration.weighing);
    if is_worse(&new, &serving) {
        return Err(TrainingError::NotBetter { candidate: mean(&new), serving: mean(&serving) });
    }
    Ok(())
}
