//! The lists of the service as it starts, next to the pure ranking: with its variety, and with what it explores.
//!
//! As in the service, candidates are retrieved first (here: the best by score), and the list of the usual length
//! is chosen among them by the settings of the engine.

use serde::Serialize;

use crate::Choice;
use crate::domain::Settings;
use crate::domain::Strategy;
use crate::domain::limits::RESULTS_DEFAULT;
use crate::evaluation::engine_recommender::EngineRecommender;
use crate::evaluation::measured::Subset;
use crate::evaluation::protocols::Outcome;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Split;
use crate::evaluation::protocols::Test;
use crate::evaluation::summary::Summary;
use crate::evaluation::tradeoff;

/// Names in reports: greedily, and by the strategy of the settings.
pub const SERVED: &str = tradeoff::SERVED;
pub const EXPLORING: &str = "as served, exploring";

/// The cases of the lists as they are served: greedily, then by the strategy of the settings.
pub fn served(
    engine: &EngineRecommender,
    split: &Split,
    items: usize,
    k: usize,
    progress: Progress<'_>,
) -> Outcome {
    let exploring = Choice::served(engine.settings(), RESULTS_DEFAULT.max(k));
    let varied = Choice { strategy: Strategy::Greedy, ..exploring };
    let lists = |test: &Test| {
        let candidates = split.ranking(engine, test, items, tradeoff::CANDIDATES);
        let list = |choice| engine.list(test.user, test.now, &candidates, choice);
        vec![list(varied), list(exploring)]
    };
    let names = [SERVED, EXPLORING].map(str::to_owned).to_vec();
    split.lists_of(names, &lists, k, progress)
}

/// Whether a model of a summary is not a plain one, but the engine in another dress.
pub fn is_served(model: &str) -> bool {
    [SERVED, EXPLORING].contains(&model)
}

/// What the service costs as it starts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AsServed {
    /// The settings, in words.
    pub settings: String,
    pub metric: String,
    /// The pure ranking: the engine's order of the whole catalogue.
    pub pure: f64,
    /// With the variety of the settings, greedily.
    pub varied: f64,
    /// With the strategy of the settings, too.
    pub exploring: f64,
}

impl AsServed {
    /// By the metric of all cases; `None` where lists were not made as they are served.
    pub fn of(summary: &Summary, metric: &str, settings: &Settings) -> Option<Self> {
        let figure = |name: Option<&str>| {
            let mut models = summary.models.iter();
            let model = models.find(|model| name.is_none_or(|name| model.model == name))?;
            Some(model.find(metric, Subset::All)?.point)
        };
        Some(Self {
            settings: in_words(settings),
            metric: metric.to_owned(),
            pure: figure(None)?,
            varied: figure(Some(SERVED))?,
            exploring: figure(Some(EXPLORING))?,
        })
    }

    /// Such as `As served by default (...): NDCG@10 .0810, 1.7 % below the pure ranking`.
    pub fn verdict(&self) -> String {
        let Self { settings, metric, pure, varied, exploring } = self;
        let below = |value: &f64| {
            let share = 100.0 * (1.0 - value / pure);
            let side = if share < 0.0 { "above" } else { "below" };
            format!("{value:.4} ({:.1} % {side} the pure ranking)", share.abs())
        };
        format!(
            "As served by default ({settings}): {metric} {}; with what it explores, too: {}.",
            below(varied),
            below(exploring),
        )
    }
}

/// Such as `DPP 0.1, a topic in at most 0.7 of a list; epsilon_greedy 0.02`.
fn in_words(settings: &Settings) -> String {
    let method = tradeoff::name(settings.diversity_method);
    let mut words = format!("{method} {}", settings.diversity_weight);
    if settings.topic_diversity_threshold > 0.0 {
        let most = 1.0 - settings.topic_diversity_threshold;
        words += &format!(", a topic in at most {most:.1} of a list");
    }
    words += &format!("; {}", settings.strategy.name());
    if settings.strategy == Strategy::EpsilonGreedy {
        words += &format!(" {}", settings.epsilon);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serving_costs_is_told_as_a_share_of_the_pure_ranking() {
        let served = AsServed {
            settings: in_words(&Settings::default()),
            metric: "NDCG@10".to_owned(),
            pure: 0.1,
            varied: 0.098,
            exploring: 0.101,
        };
        assert_eq!(
            served.verdict(),
            "As served by default (DPP 0.1; epsilon_greedy 0.02): NDCG@10 0.0980 (2.0 % \
              below the pure ranking); with what it explores, too: 0.1010 (1.0 % above the pure ranking)."
        );
    }
}
