//! Whether a new model may replace the serving one.
//!
//! - Both rank what users consumed since the serving one was trained; neither has seen it: the
//!   new one stands here as its trial, trained without.
//! - Both are judged by their rows of training alone. Rows that the serving model's state solved
//!   since then know the very events held out. So items that either was not trained on are left
//!   out of what is ranked, of what is ranked against and of what users are folded in by.
//! - The new one is refused when it is worse beyond chance and by more than a trifle: two standard
//!   errors of the paired difference and a fiftieth of the figure. Equal models pass 49 times in
//!   50. Before that, its configuration has a second trial, without the newest of half as many
//!   users: where few users came, the first one missed all that is new and had the data of
//!   the serving model at best.
//! - Where too little was consumed since, or too few items are common, there is nothing to
//!   judge by, and the new one knows what came since.

use std::ops::ControlFlow;

use crate::state::View;
use crate::training::holdout::Holdout;
use crate::training::holdout::difference;
use crate::training::holdout::mean;
use crate::training::progress::TrainingProgress;
use crate::training::report::Judgement;
use crate::training::trial;
use crate::training::trial::End;
use crate::training::trial::Trial;

/// Fewest users whose newest positives are judged by, of a second trial half as many.
const USERS_MIN: usize = 30;
const STANDARD_ERRORS: f64 = 2.0;
/// Of the serving model's figure, what may be lost.
const TRIFLE: f64 = 0.02;

/// The verdict; `None` where there is nothing to judge by.
pub fn judge(
    view: &View,
    holdout: &Holdout<'_>,
    candidate: &Trial,
    report: &mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
) -> Option<Judgement> {
    let first = compare(view, holdout, candidate, USERS_MIN)?;
    if !first.is_refused {
        return Some(first);
    }
    let half = holdout.half_after(view.model()?.origin.trained_until);
    let second = match trial::run(&half, candidate.configuration, report) {
        End::Judged(again) => compare(view, &half, &again, USERS_MIN / 2),
        End::Dead | End::Cancelled => None,
    };
    second.or(Some(first))
}

fn compare(
    view: &View,
    holdout: &Holdout<'_>,
    candidate: &Trial,
    users_min: usize,
) -> Option<Judgement> {
    let model = view.model()?;
    let serving = Serving::of(view, holdout, model.k);
    let Trial { configuration, item_factors, regularization, .. } = candidate;
    let k = configuration.hyperparameters.factors;
    let is_seen = item_factors.chunks_exact(k).map(|row| row.iter().any(|value| *value != 0.0));
    let common: Vec<bool> =
        serving.is_trained.iter().zip(is_seen).map(|(old, new)| *old && new).collect();
    let recent = holdout.within(model.origin.trained_until, &common);
    if recent.len() < users_min {
        return None;
    }
    let weighing = &model.origin.configuration.weighing;
    let old = trial::judge(&recent, &serving.factors, model.k, &model.regularization, weighing);
    let new = trial::judge(&recent, item_factors, k, regularization, &configuration.weighing);
    let (candidate, serving) = (mean(&new), mean(&old));
    let (gain, error) = difference(&new, &old);
    let is_refused = gain < -(STANDARD_ERRORS * error).max(TRIFLE * serving);
    Some(Judgement { users: recent.len(), candidate, serving, is_refused })
}

/// The serving model as it was published.
struct Serving {
    /// By column, zero where the model was not trained on the item.
    factors: Vec<f32>,
    is_trained: Vec<bool>,
}

impl Serving {
    fn of(view: &View, holdout: &Holdout<'_>, k: usize) -> Self {
        let items = holdout.columns().items();
        let rows = &view.items.factors;
        let is_trained: Vec<bool> = items.iter().map(|&item| rows.is_trained(item)).collect();
        let mut factors = vec![0.0; items.len() * k];
        for ((target, &item), is_trained) in factors.chunks_exact_mut(k).zip(items).zip(&is_trained)
        {
            if let Some(row) = rows.row(item).filter(|_| *is_trained) {
                target.copy_from_slice(row);
            }
        }
        Self { factors, is_trained }
    }
}
