//! One training without the newest positives of some people, judged by them.

use std::ops::ControlFlow;

use crate::consumption::Weighing;
use crate::models::collaborative;
use crate::models::collaborative::FoldIn;
use crate::models::collaborative::Hyperparameters;
use crate::models::collaborative::ItemItem;
use crate::models::collaborative::Regularization;
use crate::models::collaborative::TrainingSet;
use crate::models::collaborative::Verdict;
use crate::numeric;
use crate::training::TrainingProgress;
use crate::training::holdout::Holdout;
use crate::training::holdout::Test;
use crate::training::holdout::mean;

/// Epochs after which a trial is first judged, and between judgements.
const FIRST_JUDGED: usize = 4;
const JUDGE_EVERY: usize = 2;
/// Judgements without improvement that end a trial.
const PATIENCE: usize = 2;

/// How a model is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Configuration {
    pub hyperparameters: Hyperparameters,
    pub weighing: Weighing,
}

/// What came out, as of the best epoch.
#[derive(Debug, Clone)]
pub struct Trial {
    /// With the epochs that were best.
    pub configuration: Configuration,
    pub item_factors: Vec<f32>,
    /// The weights to fold people in with.
    pub regularization: Regularization,
    /// NDCG@20 of each test.
    pub figures: Vec<f64>,
}

impl Trial {
    pub fn ndcg(&self) -> f64 {
        mean(&self.figures)
    }
}

/// Trains until the tests get no better. `None` when cancelled or diverged.
pub fn run(
    holdout: &Holdout<'_>,
    n_items: usize,
    configuration: Configuration,
    report: &mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
) -> Option<Trial> {
    let rows = holdout.rows(&configuration.weighing);
    let set = training_set(n_items, &rows);
    let k = configuration.hyperparameters.factors;
    let mut best: Option<Trial> = None;
    let mut worse = 0;
    let mut cancelled = false;
    let last = configuration.hyperparameters.epochs;
    let watch = &mut |epoch: collaborative::EpochProgress,
                      items: &[f32],
                      regularization: &Regularization| {
        let done = epoch.epoch;
        let judged = done == last
            || done >= FIRST_JUDGED && (done - FIRST_JUDGED).is_multiple_of(JUDGE_EVERY);
        if judged {
            let figures = judge(holdout, items, k, regularization, &configuration.weighing);
            if best.as_ref().is_none_or(|best| mean(&figures) > best.ndcg()) {
                let mut configuration = configuration;
                configuration.hyperparameters.epochs = done;
                best = Some(Trial {
                    configuration,
                    item_factors: items.to_vec(),
                    regularization: *regularization,
                    figures,
                });
                worse = 0;
            } else {
                worse += 1;
            }
        }
        let ndcg = best.as_ref().map(Trial::ndcg);
        if report(TrainingProgress { ndcg, ..TrainingProgress::of(epoch) }).is_break() {
            cancelled = true;
            return Verdict::Cancel;
        }
        if worse == PATIENCE { Verdict::Finish } else { Verdict::Continue }
    };
    let _trained = collaborative::train_watched(&set, &configuration.hyperparameters, None, watch);
    best.filter(|best| !cancelled && best.item_factors.iter().all(|value| value.is_finite()))
}

/// NDCG@20 of each test by factors alone.
pub fn judge(
    holdout: &Holdout<'_>,
    item_factors: &[f32],
    k: usize,
    regularization: &Regularization,
    weighing: &Weighing,
) -> Vec<f64> {
    let gram = collaborative::gram(item_factors, k);
    holdout.ndcg(|test: &Test, scores: &mut [f32]| {
        let examples = holdout.examples(test, weighing);
        let row = |item: u32| item_factors.get(item as usize * k..(item as usize + 1) * k);
        let events = examples.iter().filter_map(|&(item, weight)| Some((row(item)?, weight)));
        let mut user = vec![0.0; k];
        FoldIn::new(k).solve(&gram, regularization, events, None, &mut user);
        // Of a model that is older than the catalogue the last scores stay 0.
        let known = item_factors.len() / k;
        numeric::dot_rows(item_factors, k, &user, &mut scores[..known]);
    })
}

/// NDCG@20 of each test by item-item weights alone.
pub fn judge_item_item(holdout: &Holdout<'_>, fitted: &ItemItem, weighing: &Weighing) -> Vec<f64> {
    holdout.ndcg(|test: &Test, scores: &mut [f32]| {
        let examples = holdout.examples(test, weighing);
        let path = examples.iter().filter(|example| example.1 > 0.0).map(|example| example.0);
        for &(item, score) in fitted.scores(path).entries() {
            scores[item as usize] = score;
        }
    })
}

/// The rows as a set to train on.
pub fn training_set(n_items: usize, rows: &[Vec<(u32, f32)>]) -> TrainingSet {
    TrainingSet::from_rows(n_items, rows)
        .expect("histories hold known items once each, with confidences that are not zero")
}
