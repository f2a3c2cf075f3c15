//! What is asked of every recommender of a run.

use engine::evaluation::Dataset;
use engine::evaluation::EngineRecommender;
use engine::evaluation::RecommenderOptions;
use engine::evaluation::headline;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::protocols::Task;

#[derive(Debug)]
pub struct Question {
    pub dataset: Dataset,
    pub protocol: Protocol,
    pub task: Task,
    /// Ascending, not empty.
    pub ks: Vec<usize>,
    /// Of the engine, not empty; the first is also that of the resamples.
    pub seeds: Vec<u64>,
    /// What was assumed about the data.
    pub notes: Vec<String>,
}

impl Question {
    pub fn engine(&self, protocol: Protocol, seed: u64) -> EngineRecommender {
        let Task { positive, repeats, .. } = self.task;
        let options = RecommenderOptions { protocol, positive, repeats, seed };
        EngineRecommender::new(&self.dataset, options)
    }

    /// The metric that verdicts go by.
    pub fn headline(&self) -> String {
        headline(self.ks[0], self.protocol == Protocol::Prequential)
    }
}
