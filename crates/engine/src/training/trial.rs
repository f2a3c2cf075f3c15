//! One training without the newest positives of some users, judged by them.

use std::ops::ControlFlow;

use crate::models::collaborative;
use crate::models::collaborative::FoldIn;
use crate::models::collaborative::ItemItem;
use crate::models::collaborative::Regularization;
use crate::models::collaborative::TrainingSet;
use crate::models::collaborative::Verdict;
use crate::models::published::Configuration;
use crate::models::weighing::Weighing;
use crate::numeric;
use crate::training::columns::Row;
use crate::training::holdout::Holdout;
use crate::training::holdout::Test;
use crate::training::holdout::mean;
use crate::training::progress::TrainingProgress;

/// Epochs after which a trial is first judged, and between judgements.
const FIRST_JUDGED: usize = 4;
const JUDGE_EVERY: usize = 2;
/// Judgements without improvement that end a trial.
const PATIENCE: usize = 2;
/// Where no item has a longer vector of factors, the training collapsed: regularization drove
/// all of it towards zero, and what order is left is noise. Vectors of live ones are above 0.1.
const LIVE_LENGTH: f32 = 1e-3;

/// What came out, as of the best epoch.
#[derive(Debug, Clone)]
pub struct Trial {
    /// With the epochs that were best.
    pub configuration: Configuration,
    pub item_factors: Vec<f32>,
    /// The weights to fold users in with.
    pub regularization: Regularization,
    /// NDCG@20 of each test.
    pub figures: Vec<f64>,
}

/// How a trial ended.
#[derive(Debug, Clone)]
pub enum End {
    Judged(Trial),
    /// Its factors are not finite, or all nearly zero.
    Dead,
    Cancelled,
}

impl Trial {
    pub fn ndcg(&self) -> f64 {
        mean(&self.figures)
    }
}

/// Trains until the tests get no better.
pub fn run(
    holdout: &Holdout<'_>,
    configuration: Configuration,
    report: &mut dyn FnMut(TrainingProgress) -> ControlFlow<()>,
) -> End {
    let rows = holdout.rows(&configuration.weighing);
    let set = training_set(holdout.columns().len(), &rows);
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
    match best {
        _ if cancelled => End::Cancelled,
        Some(best) if is_alive(&best.item_factors, k) => End::Judged(best),
        _ => End::Dead,
    }
}

/// Whether factors are finite and some of them are not nearly zero.
pub fn is_alive(item_factors: &[f32], k: usize) -> bool {
    let least = LIVE_LENGTH * LIVE_LENGTH;
    item_factors.iter().all(|value| value.is_finite())
        && item_factors.chunks_exact(k).any(|row| numeric::sum_squares(row) > least)
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
    let row = |column: u32| &item_factors[column as usize * k..][..k];
    // Of a large catalogue only the rows that are ranked, one after the other: what is read for each test grows no
    // more, and stays in the cache.
    let stride = holdout.stride();
    let ranked: Vec<f32> = match stride {
        1 => Vec::new(),
        _ => item_factors.chunks_exact(k).step_by(stride).flatten().copied().collect(),
    };
    holdout.ndcg(|test: &Test, scores: &mut [f32]| {
        let examples = holdout.examples(test, weighing);
        let events = examples.iter().map(|&(column, weight)| (row(column), weight));
        let mut user = vec![0.0; k];
        FoldIn::new(k).solve(&gram, regularization, events, None, &mut user);
        if stride == 1 {
            numeric::dot_rows(item_factors, k, &user, scores);
            return;
        }
        let mut products = vec![0.0; ranked.len() / k];
        numeric::dot_rows(&ranked, k, &user, &mut products);
        scores.iter_mut().step_by(stride).zip(products).for_each(|(score, own)| *score = own);
        for &column in &test.held_out {
            scores[column as usize] = numeric::dot(row(column), &user);
        }
    })
}

/// NDCG@20 of each test by item-item weights alone.
pub fn judge_item_item(holdout: &Holdout<'_>, fitted: &ItemItem, weighing: &Weighing) -> Vec<f64> {
    holdout.ndcg(|test: &Test, scores: &mut [f32]| {
        let examples = holdout.examples(test, weighing);
        let path = examples.iter().filter(|example| example.1 > 0.0).map(|example| example.0);
        let [found] = fitted.scores(path, [1.0]);
        for &(column, score) in found.entries() {
            scores[column as usize] = score;
        }
    })
}

/// The rows as a set to train on.
pub fn training_set(columns: usize, rows: &[Row]) -> TrainingSet {
    TrainingSet::from_rows(columns, rows)
        .expect("histories hold known items once each, with confidences that are not zero")
}
