//! Full training: a view becomes a model to publish.
//!
//! 1. The newest positives of some people are held out.
//! 2. A search over configurations, when it is due, else one trial of the configuration
//!    that serves; each ends early when the people held out are ranked no better.
//! 3. The gate: where enough was wanted since the serving model was trained, the trial must
//!    not rank it worse than that model, beyond chance. Else nothing comes out.
//! 4. The winner is trained on with everything, from where its trial ended.
//!
//! The result depends on the view alone, not on threads or time.

mod gate;
mod holdout;
mod search;
mod trial;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::consumption::Weighing;
use crate::domain::PublishedModel;
use crate::domain::Settings;
use crate::learning::cold_items;
use crate::models::collaborative;
use crate::models::collaborative::EpochProgress;
use crate::models::collaborative::Hyperparameters;
use crate::models::collaborative::ItemItem;
use crate::models::collaborative::Trained;
use crate::models::collaborative::TrainingSet;
use crate::models::collaborative::WantedTogether;
use crate::models::published::Beside;
use crate::models::published::Origin;
use crate::models::published::encoded;
use crate::state::View;
use holdout::Holdout;
use holdout::mean;
use trial::Configuration;
use trial::Trial;

/// Fewest positive interactions worth a training.
pub const TRAINING_POSITIVES_MIN: usize = 20;
/// Growth of the positives from which on a search is due again.
const SEARCH_GROWTH: u64 = 2;
/// Epochs over everything from the factors of the trial.
const FINAL_EPOCHS: usize = 3;
/// L2 weights tried for the item-item weights, in observations.
const ITEM_ITEM_L2: [f64; 4] = [100.0, 400.0, 30.0, 1_000.0];
/// Of these, those fitted at a time: each takes memory for two more matrices.
const FITTED_TOGETHER: usize = 2;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// A search only where the data have doubled since the last one.
    WhenDue,
    /// A search.
    Search,
}

/// What a training is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingStage {
    /// Trials without what is held out.
    Training,
    /// The best configuration on everything.
    Fitting,
}

/// Where a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingProgress {
    pub stage: TrainingStage,
    /// From 1, of at most `trials`; 0 while fitting.
    pub trial: usize,
    pub trials: usize,
    pub epoch: usize,
    pub epochs: usize,
    pub loss: f64,
    /// NDCG@20 on what is held out, as far as the trial was judged.
    pub ndcg: Option<f64>,
}

impl TrainingProgress {
    fn of(epoch: EpochProgress) -> Self {
        Self {
            stage: TrainingStage::Training,
            trial: 0,
            trials: 0,
            epoch: epoch.epoch,
            epochs: epoch.epochs,
            loss: epoch.loss,
            ndcg: None,
        }
    }
}

/// Why no model came out of a training.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainingError {
    #[error(
        "{found} positive interactions are too few to train on, {TRAINING_POSITIVES_MIN} are needed"
    )]
    TooLittleData { found: usize },
    #[error("the training was cancelled")]
    Cancelled,
    #[error("the training diverged: a factor is not finite")]
    Diverged,
    #[error(
        "the new model would rank what people wanted since the last training worse \
         (NDCG@20 {candidate:.4} against {serving:.4}), so the old one stays"
    )]
    NotBetter { candidate: f64, serving: f64 },
}

/// Called after each epoch; may cancel.
pub type Report<'a> = &'a mut dyn FnMut(TrainingProgress) -> ControlFlow<()>;

/// Trains a model on everything the view has learnt from. Takes seconds to minutes.
///
/// # Errors
/// [`TrainingError`].
pub fn train(
    view: &View,
    effort: Effort,
    report: Report<'_>,
) -> Result<PublishedModel, TrainingError> {
    let found = view.users.states.iter().map(|user| user.history.positives().count()).sum();
    if found < TRAINING_POSITIVES_MIN {
        return Err(TrainingError::TooLittleData { found });
    }
    let searches = effort == Effort::Search || search_is_due(view);
    let start = starting_configuration(view);
    let mut figures = BTreeMap::new();
    let mut item_item_l2 = view
        .model()
        .map(|model| model.origin.item_item_l2)
        .filter(|l2| *l2 > 0.0)
        .unwrap_or(ITEM_ITEM_L2[0]);
    let (configuration, warm) = match Holdout::new(view) {
        Some(holdout) => {
            let tried = tried(view, &holdout, start, searches, report)?;
            gate::pass(view, &holdout, &tried)?;
            figures.insert("validation_people".to_owned(), holdout.len() as f64);
            figures.insert("validation_ndcg_at_20".to_owned(), tried.ndcg());
            let weighing = &tried.configuration.weighing;
            if searches && let Some((l2, ndcg)) = best_l2(&holdout, view.items_len(), weighing) {
                item_item_l2 = l2;
                figures.insert("item_item_validation_ndcg_at_20".to_owned(), ndcg);
            }
            (tried.configuration, Some(tried.item_factors))
        }
        None => (start, None),
    };
    let rows: Vec<Vec<(u32, f32)>> = view
        .users
        .states
        .iter()
        .map(|user| configuration.weighing.examples(&user.history, 0))
        .collect();
    let set = trial::training_set(view.items_len(), &rows);
    let trained = finish(&set, &configuration, warm.as_deref(), report)?;
    let searched_positives = match (searches, view.model()) {
        (false, Some(model)) => model.origin.searched_positives,
        _ => view.counts.positives,
    };
    let origin = Origin {
        hyperparameters: configuration.hyperparameters,
        asked: asked(&view.settings),
        weighing: configuration.weighing,
        item_item_l2,
        searched_positives,
        trained_until: view.clock,
    };
    let counts = item_counts(view.items_len(), &rows);
    // One core each, beside each other.
    let (content, item_item) = rayon::join(
        || cold_items::fit_content(view, &trained.item_factors, trained.factors, &counts),
        || ItemItem::fit(&set, item_item_l2).unwrap_or_default(),
    );
    figures.append(&mut cold_items::content_figures(&content));
    figures.insert("loss".to_owned(), trained.loss);
    let beside = Beside { origin, item_item, content };
    describe(&mut figures, &beside, &set, view);
    Ok(PublishedModel {
        version: view.model_version() + 1,
        trained_at: view.watermark(),
        encoded: encoded(view, trained, &beside, figures).into(),
    })
}

/// How many people wanted each item.
fn item_counts(items: usize, rows: &[Vec<(u32, f32)>]) -> Vec<u32> {
    let mut counts = vec![0; items];
    let wanted = rows.iter().flatten().filter(|example| example.1 > 0.0);
    wanted.for_each(|&(item, _)| counts[item as usize] += 1);
    counts
}

fn search_is_due(view: &View) -> bool {
    let due = view.model().is_none_or(|model| {
        let Origin { asked: before, searched_positives, .. } = model.origin;
        before != asked(&view.settings)
            || view.counts.positives >= SEARCH_GROWTH * searched_positives
    });
    due && view.settings.search_trials > 1
}

/// That of the serving model; without one, that of the settings.
fn starting_configuration(view: &View) -> Configuration {
    let settings = &view.settings;
    let repeats = view.recommends_seen();
    if let Some(model) = view.model().filter(|model| model.origin.asked == asked(settings)) {
        let Origin { hyperparameters, weighing, .. } = model.origin;
        // Trials may end as early or as late as they need.
        let full = Hyperparameters::with_factors(hyperparameters.factors).epochs;
        return Configuration {
            hyperparameters: Hyperparameters { epochs: full, ..hyperparameters },
            weighing: Weighing { repeats, ..weighing },
        };
    }
    Configuration {
        hyperparameters: asked(settings),
        weighing: Weighing { repeats, ..Weighing::default() },
    }
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

fn tried(
    view: &View,
    holdout: &Holdout<'_>,
    start: Configuration,
    searches: bool,
    report: Report<'_>,
) -> Result<Trial, TrainingError> {
    let trials = if searches { view.settings.search_trials.max(1) as usize } else { 1 };
    let mut cancelled = false;
    let best = search::search(holdout, view.items_len(), start, trials, &mut |progress| {
        let flow = report(progress);
        cancelled |= flow.is_break();
        flow
    });
    best.ok_or(if cancelled { TrainingError::Cancelled } else { TrainingError::Diverged })
}

/// The L2 weight of the item-item weights that ranks best what is held out, and how well.
/// `None` when none can be fitted.
fn best_l2(holdout: &Holdout<'_>, n_items: usize, weighing: &Weighing) -> Option<(f64, f64)> {
    let set = trial::training_set(n_items, &holdout.rows(weighing));
    let counts = WantedTogether::of(&set)?;
    let judged = |&l2: &f64| {
        let fitted = counts.fit(l2)?;
        Some((l2, mean(&trial::judge_item_item(holdout, &fitted, weighing))))
    };
    let mut best: Option<(f64, f64)> = None;
    for some in ITEM_ITEM_L2.chunks(FITTED_TOGETHER) {
        let tried: Vec<Option<(f64, f64)>> = some.par_iter().map(judged).collect();
        for (l2, ndcg) in tried.into_iter().flatten() {
            if best.is_none_or(|(_, highest)| ndcg > highest) {
                best = Some((l2, ndcg));
            }
        }
    }
    best
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
    if trained.item_factors.iter().any(|value| !value.is_finite()) {
        return Err(TrainingError::Diverged);
    }
    Ok(trained)
}

/// The figures that are kept with the model.
fn describe(figures: &mut BTreeMap<String, f64>, beside: &Beside, set: &TrainingSet, view: &View) {
    let Origin { hyperparameters, weighing, item_item_l2, .. } = beside.origin;
    let more = [
        ("users", set.n_users() as f64),
        ("items", view.items_len() as f64),
        ("examples", set.len() as f64),
        ("positives", view.counts.positives as f64),
        ("factors", hyperparameters.factors as f64),
        ("regularization", f64::from(hyperparameters.regularization)),
        ("unobserved_weight", f64::from(hyperparameters.unobserved_weight)),
        ("epochs", hyperparameters.epochs as f64),
        ("confidence_half_life_hours", f64::from(weighing.half_life_hours)),
        ("negatives", f64::from(u8::from(weighing.negatives))),
        ("item_item_items", beside.item_item.len() as f64),
        ("item_item_l2", item_item_l2),
    ];
    figures.extend(more.map(|(name, value)| (name.to_owned(), value)));
}
