//! Accuracy against diversity: the lists of the service at rising strengths of its
//! diversification, all from the same scores.
//!
//! As in the service, candidates are retrieved first (here: the best by score) and the
//! list is chosen among them, greedily and without caps.

use serde::Serialize;

use super::engine_recommender::EngineRecommender;
use super::facts::Facts;
use super::protocols::Case;
use super::protocols::Progress;
use super::protocols::Split;
use super::protocols::Test;
use super::protocols::best;
use super::recommender::Recommender;
use super::summary::Figure;
use super::summary::ModelFigures;
use super::summary::Subset;
use super::summary::summarize;
use crate::domain::DiversityMethod;
use crate::domain::Strategy;
use crate::engine::Choice;

/// Candidates that the list is chosen among.
const CANDIDATES: usize = 500;
/// Strengths that are tried, beside 0.
const STRENGTHS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
const METHODS: [(&str, DiversityMethod); 3] = [
    ("MMR", DiversityMethod::Mmr),
    ("DPP", DiversityMethod::Dpp),
    ("calibrated", DiversityMethod::Calibrated),
];

/// One point of the curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    pub method: &'static str,
    /// Weight of variety against relevance, 0 to 1.
    pub strength: f64,
    pub cases: Vec<Case>,
}

/// The split's cases without diversification, then by method and rising strength.
pub fn vary(
    engine: &EngineRecommender,
    split: &Split,
    items: usize,
    k: usize,
    progress: Progress<'_>,
) -> Vec<Variation> {
    let candidates = split.lists(
        &|test: &Test| {
            let mut scores = vec![f32::NAN; items];
            engine.score(test.user, test.now, &mut scores);
            for item in &test.excluded {
                scores[*item as usize] = f32::NEG_INFINITY;
            }
            best(CANDIDATES, &scores)
        },
        CANDIDATES,
        &mut |_, _| {},
    );
    let plain = std::iter::once(("none", DiversityMethod::None, 0.0));
    let varied = METHODS.into_iter().flat_map(|(name, method)| {
        STRENGTHS.into_iter().map(move |strength| (name, method, strength))
    });
    let plan: Vec<_> = plain.chain(varied).collect();
    let total = plan.len() as u64;
    let mut variations = Vec::with_capacity(plan.len());
    for (done, (name, method, strength)) in (0..).zip(plan) {
        progress(done, total);
        let list = |test: &Test| {
            let at = split.tests.binary_search_by_key(&test.user, |test| test.user);
            let candidates = &candidates[at.expect("a test of this split")].list;
            engine.list(test.user, test.now, candidates, choice(method, strength, k))
        };
        let cases = split.lists(&list, k, &mut |_, _| {});
        variations.push(Variation { method: name, strength, cases });
    }
    progress(total, total);
    variations
}

/// The one place that says how a list is chosen.
fn choice(method: DiversityMethod, diversity_weight: f64, places: usize) -> Choice {
    Choice {
        strategy: Strategy::Greedy,
        epsilon: 0.0,
        method,
        diversity_weight,
        serendipity_weight: 0.0,
        novelty_weight: 0.0,
        topic_threshold: 0.0,
        source_threshold: 0.0,
        max_per_topic: 0,
        max_per_source: 0,
        places,
    }
}

/// A point of the curve with its figures at the first cut-off.
#[derive(Debug, Clone, Serialize)]
pub struct TradeoffPoint {
    pub method: &'static str,
    /// Weight of variety against relevance, 0 to 1.
    pub strength: f64,
    /// NDCG.
    pub accuracy: Figure,
    /// Intra-list diversity.
    pub diversity: Figure,
    /// Share of the catalogue in any list.
    pub coverage: f64,
}

/// The figures of variations, in their order; those without diversity (lists of one
/// item) are left out.
pub fn tradeoff(
    variations: Vec<Variation>,
    k: usize,
    facts: &Facts,
    seed: u64,
) -> Vec<TradeoffPoint> {
    let (plans, models): (Vec<_>, Vec<_>) = variations
        .into_iter()
        .map(|Variation { method, strength, cases }| {
            ((method, strength), (method.to_owned(), cases))
        })
        .unzip();
    let summary = summarize(&models, &[k], facts, seed);
    let point = |((method, strength), model): ((&'static str, f64), &ModelFigures)| {
        let find = |name: &str| model.find(&format!("{name}@{k}"), Subset::All).cloned();
        Some(TradeoffPoint {
            method,
            strength,
            accuracy: find("NDCG")?,
            diversity: find("Diversity").filter(|figure| figure.point.is_finite())?,
            coverage: find("Coverage")?.point,
        })
    };
    plans.into_iter().zip(&summary.models).filter_map(point).collect()
}

/// What the curve says: the most diversity that costs at most 3 % of the accuracy.
pub fn verdict(points: &[TradeoffPoint]) -> Option<String> {
    const LOSS_MAX: f64 = 0.03;
    let plain = points.iter().find(|point| point.strength == 0.0)?;
    let is_cheap =
        |point: &&TradeoffPoint| point.accuracy.point >= (1.0 - LOSS_MAX) * plain.accuracy.point;
    let best = points
        .iter()
        .filter(is_cheap)
        .max_by(|a, b| a.diversity.point.total_cmp(&b.diversity.point))?;
    let percent = |value: f64, of: f64| 100.0 * (value / of - 1.0);
    Some(format!(
        "At {} {:.1} lists are {:.0} % more diverse at {:+.1} % {}, and show {:.1} % of the catalogue instead of {:.1} %.",
        best.method,
        best.strength,
        percent(best.diversity.point, plain.diversity.point),
        percent(best.accuracy.point, plain.accuracy.point),
        plain.accuracy.metric,
        100.0 * best.coverage,
        100.0 * plain.coverage,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(strength: f64, accuracy: f64, diversity: f64) -> TradeoffPoint {
        let figure = |point| Figure {
            metric: "NDCG@10".to_owned(),
            k: Some(10),
            subset: Subset::All,
            point,
            low: None,
            high: None,
            n: 1,
        };
        let (accuracy, diversity) = (figure(accuracy), figure(diversity));
        TradeoffPoint { method: "MMR", strength, accuracy, diversity, coverage: 0.5 }
    }

    #[test]
    fn the_verdict_names_the_most_diversity_for_at_most_three_percent_of_the_accuracy() {
        let points = [point(0.0, 0.1, 0.5), point(0.3, 0.0975, 0.7), point(0.6, 0.09, 0.9)];
        let told = verdict(&points).unwrap();
        assert!(
            told.starts_with("At MMR 0.3 lists are 40 % more diverse at -2.5 % NDCG@10"),
            "{told}"
        );
    }
}
