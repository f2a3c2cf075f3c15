//! Full training: a view becomes a model to publish.
//!
//! 1. The newest positives of some users are held out.
//! 2. A search over configurations, when it is due and there are enough data, else one trial of
//!    the configuration that serves; each trial ends early when what is held out is ranked no
//!    better.
//! 3. The gate: where enough was consumed since the serving model was trained, the trial must
//!    not rank it worse than that model, beyond chance. Else nothing comes out.
//! 4. The hybrid is fitted on what is held out, with the features of the trial.
//! 5. The winner is trained on with everything, from where its trial ended.
//!
//! The result depends on the view alone, not on threads or time.

mod associations;
mod columns;
mod content;
mod gate;
mod holdout;
mod hybrid;
mod progress;
mod publish;
mod report;
mod schedule;
mod search;
#[cfg(test)]
mod tests;
mod trial;
mod watch;

use std::ops::ControlFlow;

use crate::domain::PublishedModel;
use crate::domain::Settings;
use crate::models::collaborative;
use crate::models::collaborative::Hyperparameters;
use crate::models::collaborative::Trained;
use crate::models::collaborative::TrainingSet;
use crate::models::content::Latent;
use crate::models::hybrid::HybridFit;
use crate::models::published::Configuration;
use crate::models::published::Found;
use crate::models::published::Origin;
use crate::models::weighing::Weighing;
use crate::state::View;
use columns::Columns;
use holdout::Holdout;
use search::Search;
use trial::Trial;
use watch::watched;

pub use progress::Effort;
pub use progress::Report;
pub use progress::TRAINING_POSITIVES_MIN;
pub use progress::TrainingError;
pub use progress::TrainingProgress;
pub use progress::TrainingStage;
pub use report::HybridReport;
pub use report::Judgement;
pub use report::TrainingReport;
pub use report::Tried;
pub use schedule::Staleness;
pub use schedule::is_due as training_is_due;
pub use watch::Part;
pub use watch::Unwatched;
pub use watch::Watch;

/// Growth of the positives from which on a search is due again.
const SEARCH_GROWTH: u64 = 2;
/// Fewest positives, and fewest users to hold some out of, that a search is made on. With fewer
/// the noise of a figure is larger than what configurations differ by.
const SEARCH_POSITIVES_MIN: u64 = 2_000;
const SEARCH_USERS_MIN: usize = 100;
/// Epochs over everything from the factors of the trial.
const FINAL_EPOCHS: usize = 3;

/// Trains a model on everything the view has learnt from. Takes seconds to minutes.
///
/// # Errors
/// [`TrainingError`].
pub fn train(
    view: &View,
    effort: Effort,
    report: Report<'_>,
) -> Result<PublishedModel, TrainingError> {
    train_and_tell(view, effort, report).1
}

/// As [`train`], also telling what was tried, chosen and refused.
pub fn train_and_tell(
    view: &View,
    effort: Effort,
    report: Report<'_>,
) -> (TrainingReport, Result<PublishedModel, TrainingError>) {
    train_watched(view, effort, report, &Unwatched)
}

/// As [`train_and_tell`]; `watch` hears when parts begin and end.
pub fn train_watched(
    view: &View,
    effort: Effort,
    report: Report<'_>,
    watch: &dyn Watch,
) -> (TrainingReport, Result<PublishedModel, TrainingError>) {
    let mut told = TrainingReport { positives: view.counts.positives, ..TrainingReport::default() };
    let trained = train_telling(view, effort, (report, watch), &mut told);
    told.outcome = Some(trained.as_ref().map(|model| model.version).map_err(TrainingError::clone));
    (told, trained)
}

/// Who hears of the epochs and may cancel, and who measures.
type Heard<'a> = (Report<'a>, &'a dyn Watch);

fn train_telling(
    view: &View,
    effort: Effort,
    (report, watch): Heard<'_>,
    told: &mut TrainingReport,
) -> Result<PublishedModel, TrainingError> {
    let found = view.profiled_users().map(|(_, user)| user.history.positives().count()).sum();
    if found < TRAINING_POSITIVES_MIN {
        return Err(TrainingError::TooLittleData { found });
    }
    let columns = Columns::of(view);
    told.items = columns.len();
    let previous = view.model().map(|model| model.origin);
    let latent = watched(watch, Part::Content, || content::latent(view));
    told.item_item_l2 = associations::previous_l2(previous.as_ref());
    let holdout = Holdout::new(view, &columns);
    let decided = match &holdout {
        Some(holdout) => decide(holdout, effort, latent.as_ref(), (&mut *report, watch), told)?,
        None => Decided::default(),
    };
    let Decided { warm, hybrid } = decided;
    let configuration = *told.chosen.get_or_insert_with(|| starts(view, true)[0]);
    let histories = view.profiled_users().map(|(_, user)| user.history.as_ref());
    let rows = columns.rows(&configuration.weighing, histories);
    let set = trial::training_set(columns.len(), &rows);
    let trained =
        watched(watch, Part::Factors, || finish(&set, &configuration, warm.as_deref(), report))?;
    let origin = Origin {
        configuration,
        asked: asked(&view.settings),
        best: best_ever(view, told),
        item_item_l2: told.item_item_l2,
        searched_positives: match previous {
            _ if told.searched => view.counts.positives,
            Some(previous) => previous.searched_positives,
            None => 0,
        },
        positives: view.counts.positives,
        positive_mass: Staleness::of(view).mass,
        trained_until: view.clock,
    };
    let outcome = publish::Outcome { trained, origin, latent, hybrid };
    Ok(publish::published(view, &columns, &set, outcome, (told, watch)))
}

/// What the trials without what is held out decided.
#[derive(Default)]
struct Decided {
    /// Factors to go on from.
    warm: Option<Vec<f32>>,
    hybrid: Option<HybridFit>,
}

/// Tries, chooses and fits the hybrid on what is held out.
fn decide(
    holdout: &Holdout<'_>,
    effort: Effort,
    latent: Option<&Latent>,
    (report, watch): Heard<'_>,
    told: &mut TrainingReport,
) -> Result<Decided, TrainingError> {
    let (view, columns) = (holdout.view(), holdout.columns());
    told.held_out_users = holdout.len();
    told.searched = searches(view, effort, holdout);
    let mut newest = None;
    let heard = &mut |progress| {
        newest = Some(progress);
        report(progress)
    };
    let trial = watched(watch, Part::Search, || tried(view, holdout, heard, told))?;
    refuse_worse(effort, told)?;
    told.chosen = Some(trial.configuration);
    let weighing = &trial.configuration.weighing;
    let set = trial::training_set(columns.len(), &holdout.rows(weighing));
    let best = told.searched.then(|| {
        watched(watch, Part::Together, || associations::best(holdout, &set, weighing, told))
    });
    let mut hybrid = None;
    if holdout.len() >= hybrid::PEOPLE_MIN {
        let l2 = told.item_item_l2;
        let weights = || associations::fit(&set, columns, l2, best.flatten(), watch);
        let factors = (&trial.item_factors[..], trial.configuration.hyperparameters.factors);
        let content = || content::fit(view, columns, factors, &set, latent.cloned());
        let content = || watched(watch, Part::Content, content);
        let (weights, content) = rayon::join(weights, content);
        let without =
            watched(watch, Part::Withheld, || hybrid::without(holdout, &trial, &weights, content));
        // There is nothing new to tell: the last word is repeated to hear whether to go on.
        let go_on = &mut || newest.map_or(ControlFlow::Continue(()), &mut *report);
        let fit = watched(watch, Part::Hybrid, || hybrid::fit(&without, holdout, go_on))?;
        (hybrid, told.hybrid) = fit.unzip();
    }
    Ok(Decided { warm: Some(trial.item_factors), hybrid })
}

/// Whether a training searches: when it is asked to, or the data have doubled, or other settings
/// are asked for; and only on enough data.
fn searches(view: &View, effort: Effort, holdout: &Holdout<'_>) -> bool {
    let is_due = view.model().is_none_or(|model| {
        let Origin { asked: before, searched_positives, .. } = model.origin;
        before != asked(&view.settings)
            || view.counts.positives >= SEARCH_GROWTH * searched_positives
    });
    (effort == Effort::Search || is_due)
        && view.settings.search_trials > 1
        && view.counts.positives >= SEARCH_POSITIVES_MIN
        && holdout.len() >= SEARCH_USERS_MIN
}

/// Configurations to start from, each once: what the settings ask for and, of a model with the
/// same settings, its own and the best of all searches. A search begins with what is asked for,
/// another training with what serves, which the last search chose.
fn starts(view: &View, searches: bool) -> Vec<Configuration> {
    let asked = asked(&view.settings);
    let mut starts = vec![Configuration { hyperparameters: asked, weighing: Weighing::default() }];
    if let Some(model) = view.model().filter(|model| model.origin.asked == asked) {
        starts.push(model.origin.configuration);
        starts.extend(model.origin.best.map(|found| found.configuration));
    }
    if !searches {
        starts.rotate_left(1);
    }
    let mut distinct: Vec<Configuration> = Vec::new();
    for mut start in starts {
        // Trials may end as early or as late as they need.
        let Hyperparameters { factors, epochs, .. } = &mut start.hyperparameters;
        *epochs = Hyperparameters::with_factors(*factors).epochs;
        start.weighing.repeats = view.recommends_seen();
        if !distinct.contains(&start) {
            distinct.push(start);
        }
    }
    distinct
}

/// What the settings ask for.
fn asked(settings: &Settings) -> Hyperparameters {
    Hyperparameters {
        regularization: settings.collaborative_regularization,
        unobserved_weight: settings.unobserved_weight,
        seed: settings.seed,
        ..Hyperparameters::with_factors(settings.collaborative_factors as usize)
    }
}

/// The trial that is trained on, with what the gate says of it.
fn tried(
    view: &View,
    holdout: &Holdout<'_>,
    report: Report<'_>,
    told: &mut TrainingReport,
) -> Result<Trial, TrainingError> {
    let starts = starts(view, told.searched);
    let Search { best, tried, cancelled } = if told.searched {
        search::search(holdout, &starts, view.settings.search_trials as usize, report)
    } else {
        search::first_alive(holdout, &starts, report)
    };
    told.tried = tried;
    if cancelled {
        return Err(TrainingError::Cancelled);
    }
    let best = best.ok_or(TrainingError::Diverged)?;
    told.chosen = Some(best.configuration);
    let trial = told.tried.len();
    told.judgement = gate::judge(view, holdout, &best, &mut |progress| {
        report(TrainingProgress { trial, trials: trial, ..progress })
    });
    Ok(best)
}

/// # Errors
/// `NotBetter` where the gate refuses the trial, unless the serving model must go.
fn refuse_worse(effort: Effort, told: &TrainingReport) -> Result<(), TrainingError> {
    match told.judgement {
        Some(Judgement { candidate, serving, is_refused: true, .. })
            if effort != Effort::Replace =>
        {
            Err(TrainingError::NotBetter { candidate, serving })
        }
        _ => Ok(()),
    }
}

/// The best of all searches, this one included, for the settings of now.
fn best_ever(view: &View, told: &TrainingReport) -> Option<Found> {
    let model = view.model().filter(|model| model.origin.asked == asked(&view.settings));
    let before = model.and_then(|model| model.origin.best);
    let searched = told.chosen.filter(|_| told.searched);
    let now = searched.and_then(|configuration| {
        Some(Found { configuration, ndcg: told.ndcg_of(&configuration)? })
    });
    match (before, now) {
        (Some(before), Some(now)) if now.ndcg > before.ndcg => Some(now),
        (before, now) => before.or(now),
    }
}

/// The training on everything.
fn finish(
    set: &TrainingSet,
    configuration: &Configuration,
    warm: Option<&[f32]>,
    report: Report<'_>,
) -> Result<Trained, TrainingError> {
    let mut hyperparameters = configuration.hyperparameters;
    if warm.is_some() {
        hyperparameters.epochs = FINAL_EPOCHS;
    }
    let trained = collaborative::train(set, &hyperparameters, warm, &mut |epoch| {
        report(TrainingProgress { stage: TrainingStage::Fitting, ..TrainingProgress::of(epoch) })
    });
    let trained = trained.ok_or(TrainingError::Cancelled)?;
    if !trial::is_alive(&trained.item_factors, trained.factors) {
        return Err(TrainingError::Diverged);
    }
    Ok(trained)
}
