//! What came of a run, and what it says.

use super::analyses::Analyses;
use super::observe::Cost;
use super::question::Question;
use engine::TrainingReport;
use engine::evaluation::Subset;
use engine::evaluation::Summary;
use engine::evaluation::served::AsServed;

/// What was measured.
#[derive(Debug, Default)]
pub struct Results {
    /// Means over the seeds. Of the cold-start protocol the warm step.
    pub summary: Summary,
    /// The same of each seed; empty with one.
    pub by_seed: Vec<Summary>,
    /// Of the first seed, one for each model of the summary; `None` for one that is part of another's pass.
    pub costs: Vec<Option<Cost>>,
    /// Of each seed.
    pub trainings: Vec<Vec<TrainingReport>>,
    /// What variety and exploring cost, where lists were made as they are served.
    pub served: Option<AsServed>,
    /// Of the first seed.
    pub analyses: Analyses,
}

impl Results {
    /// The lowest and the highest of a figure over the seeds.
    pub fn spread(&self, figure: impl Fn(&Summary) -> Option<f64>) -> Option<(f64, f64)> {
        let figures = self.by_seed.iter().map(figure);
        figures.collect::<Option<Vec<f64>>>()?.into_iter().fold(None, |bounds, figure| {
            let (low, high) = bounds.unwrap_or((figure, figure));
            Some((figure.min(low), figure.max(high)))
        })
    }

    /// What was chosen, what serving costs and how far the seeds are apart, a sentence each.
    pub fn told(&self, question: &Question) -> Vec<String> {
        let mut told: Vec<String> = self.served.iter().map(AsServed::verdict).collect();
        let metric = question.headline();
        let figure =
            |summary: &Summary| Some(summary.models.first()?.find(&metric, Subset::All)?.point);
        if let Some((low, high)) = self.spread(figure) {
            let seeds = question.seeds.len();
            told.push(format!(
                "Over {seeds} seeds {metric} of the engine is {low:.4} to {high:.4}."
            ));
        }
        for (seed, trainings) in question.seeds.iter().zip(&self.trainings) {
            let last = trainings.iter().rev().find_map(TrainingReport::chosen_in_words);
            told.extend(last.map(|words| {
                format!("Seed {seed}, of {} trainings the last: {words}.", trainings.len())
            }));
        }
        told
    }
}
