//! Every figure as JSON, for machines.

use serde::Serialize;

use super::observe::Cost;
use super::question::Question;
use super::results::Results;
use engine::TrainingReport;
use engine::evaluation::Comparison;
use engine::evaluation::CurvePoint;
use engine::evaluation::ModelFigures;
use engine::evaluation::Summary;
use engine::evaluation::bootstrap;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::report::Tradeoff;
use engine::evaluation::served::AsServed;

/// Everything that was measured. Of the cold-start protocol, `models` has the warm step.
#[derive(Serialize)]
pub struct Document<'a> {
    protocol: Protocol,
    positive: f32,
    repeats: bool,
    seeds: &'a [u64],
    k: &'a [usize],
    max_cases: usize,
    confidence: f64,
    resamples: usize,
    /// What was assumed about the data.
    assumed: &'a [String],
    dataset: DatasetSize,
    users_tested: u64,
    cases: u64,
    models: Vec<ModelDocument<'a>>,
    /// The first model minus each other one, paired by user.
    comparisons: &'a [Comparison],
    /// The same of each seed, if there are several.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    by_seed: &'a [Summary],
    /// What each training tried and chose, by seed.
    trainings: &'a [Vec<TrainingReport>],
    #[serde(skip_serializing_if = "Option::is_none")]
    as_served: Option<&'a AsServed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learning_curve: Option<&'a [CurvePoint]>,
    /// The engine, and the engine without each component.
    #[serde(skip_serializing_if = "Option::is_none")]
    ablations: Option<&'a Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_against_diversity: Option<&'a Tradeoff>,
}

#[derive(Serialize)]
struct DatasetSize {
    users: usize,
    items: usize,
    rows: usize,
    positives: usize,
}

#[derive(Serialize)]
struct ModelDocument<'a> {
    #[serde(flatten)]
    model: &'a ModelFigures,
    /// Of the first seed; absent for a model that is part of the pass of another.
    cost: Option<Cost>,
}

impl<'a> Document<'a> {
    pub fn new(question: &'a Question, results: &'a Results) -> Self {
        let Results { summary, costs, analyses, .. } = results;
        let models = summary.models.iter().zip(costs);
        let dataset = &question.dataset;
        Self {
            protocol: question.protocol,
            positive: question.task.positive,
            repeats: question.task.repeats,
            seeds: &question.seeds,
            k: &question.ks,
            max_cases: question.task.max_cases,
            confidence: bootstrap::CONFIDENCE,
            resamples: bootstrap::RESAMPLES,
            assumed: &question.notes,
            dataset: DatasetSize {
                users: dataset.users.len(),
                items: dataset.items.len(),
                rows: dataset.rows.len(),
                positives: dataset.positives(question.task.positive),
            },
            users_tested: summary.users,
            cases: summary.cases,
            models: models.map(|(model, cost)| ModelDocument { model, cost: *cost }).collect(),
            comparisons: &summary.comparisons,
            by_seed: &results.by_seed,
            trainings: &results.trainings,
            as_served: results.served.as_ref(),
            learning_curve: analyses.curve.as_deref(),
            ablations: analyses.ablations.as_ref(),
            accuracy_against_diversity: analyses.tradeoff.as_ref(),
        }
    }
}
