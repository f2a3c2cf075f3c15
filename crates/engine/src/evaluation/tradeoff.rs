//! Accuracy against diversity: the lists of the service at rising strengths of its
//! diversification, all from the same scores.
//!
//! As in the service, candidates are retrieved first (here: the best by score) and the
//! list is chosen among them, greedily and without caps.
//!
//! The best strength of the curve is overestimated on the cases it was chosen by. So the
//! users are split in two by the hash of their number: the most diverse variation up to
//! which a method costs at most [`LOSS_MAX`] of the accuracy is looked up in either half
//! and measured in the other.

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::Choice;
use crate::Exploring;
use crate::domain::DiversityMethod;
use crate::domain::RankerSettings;
use crate::domain::Settings;
use crate::domain::Strategy;
use crate::domain::limits::RESULTS_DEFAULT;
use crate::evaluation::engine_recommender::EngineRecommender;
use crate::evaluation::facts::Facts;
use crate::evaluation::measured::Figure;
use crate::evaluation::measured::Subset;
use crate::evaluation::protocols::Case;
use crate::evaluation::protocols::Progress;
use crate::evaluation::protocols::Split;
use crate::evaluation::protocols::Test;
use crate::evaluation::summary::ModelFigures;
use crate::evaluation::summary::summarize;

/// Candidates that the list is chosen among.
pub const CANDIDATES: usize = 500;
/// Strengths that are tried, besides 0.
const STRENGTHS: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
const METHODS: [DiversityMethod; 2] = [DiversityMethod::Dpp, DiversityMethod::Calibrated];
/// The point of what is served by default: with the share of a topic that the curves are without.
pub const SERVED: &str = "as served";

/// How reports call a method.
pub const fn name(method: DiversityMethod) -> &'static str {
    match method {
        DiversityMethod::None => "none",
        DiversityMethod::Dpp => "DPP",
        DiversityMethod::Calibrated => "calibrated",
    }
}

/// One point of the curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Variation {
    pub method: &'static str,
    /// Weight of variety against relevance, 0 to 1.
    pub strength: f64,
    pub cases: Vec<Case>,
}

/// The split's cases without diversification, then by method and rising strength, then as served.
pub fn vary(
    engine: &EngineRecommender,
    split: &Split,
    items: usize,
    k: usize,
    progress: Progress<'_>,
) -> Vec<Variation> {
    let retrieved = |test: &Test| split.ranking(engine, test, items, CANDIDATES);
    let candidates = split.lists(&retrieved, CANDIDATES, &mut |_, _| {});
    let plan = plan(engine.settings(), k);
    let total = plan.len() as u64;
    let mut variations = Vec::with_capacity(plan.len());
    for (done, (method, choice)) in (0..).zip(plan) {
        progress(done, total);
        let list = |test: &Test| {
            let at = split.tests.binary_search_by_key(&test.user, |test| test.user);
            let candidates = &candidates[at.expect("a test of this split")].list;
            engine.list(test.user, test.now, candidates, choice)
        };
        let cases = split.lists(&list, k, &mut |_, _| {});
        variations.push(Variation { method, strength: choice.diversity_weight, cases });
    }
    progress(total, total);
    variations
}

/// All points: method and how lists are chosen.
fn plan(settings: &Settings, k: usize) -> Vec<(&'static str, Choice)> {
    let point = |method, strength| (name(method), choice(method, strength, k));
    let plain = std::iter::once(point(DiversityMethod::None, 0.0));
    let varied = METHODS
        .into_iter()
        .flat_map(|method| STRENGTHS.into_iter().map(move |strength| (method, strength)));
    let served = Choice::served(settings, RESULTS_DEFAULT.max(k));
    let served = (SERVED, Choice { strategy: Strategy::Greedy, ..served });
    plain
        .chain(varied.map(|(method, strength)| point(method, strength)))
        .chain(std::iter::once(served))
        .collect()
}

/// How a list is chosen, for all points of the curves.
fn choice(method: DiversityMethod, diversity_weight: f64, positions: usize) -> Choice {
    Choice {
        strategy: Strategy::Greedy,
        epsilon: 0.0,
        exploring: Exploring::of(&RankerSettings::default()),
        method,
        diversity_weight,
        serendipity_weight: 0.0,
        novelty_weight: 0.0,
        topic_threshold: 0.0,
        source_threshold: 0.0,
        max_per_topic: 0,
        max_per_source: 0,
        positions,
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

/// Accuracy that diversity may cost.
const LOSS_MAX: f64 = 0.03;

/// The curve, and what it is good for.
#[derive(Debug, Clone, Serialize)]
pub struct Tradeoff {
    /// Without diversification, then by method and rising strength, then what is served by default.
    pub points: Vec<TradeoffPoint>,
    pub held_out: Option<HeldOutChoice>,
}

/// The variation that one half of the users chose, measured on the other half, for all
/// users together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOutChoice {
    /// Method and strength by half of the users measured.
    pub chosen: [(&'static str, f64); 2],
    /// Share by which lists are more diverse.
    pub diversity_gain: f64,
    /// Share of the accuracy lost; negative when it is gained.
    pub accuracy_loss: f64,
}

/// The figures of variations, in their order; those without diversity (lists of one
/// item) are left out.
pub fn tradeoff(variations: &[Variation], k: usize, facts: &Facts, seed: u64) -> Tradeoff {
    let points = points(variations, k, facts, seed);
    let held_out = held_out(variations, k, facts, seed);
    Tradeoff { points, held_out }
}

fn points(variations: &[Variation], k: usize, facts: &Facts, seed: u64) -> Vec<TradeoffPoint> {
    let models: Vec<(String, Vec<Case>)> =
        variations.iter().map(|one| (one.method.to_owned(), one.cases.clone())).collect();
    let summary = summarize(&models, &[k], facts, seed);
    let point = |(variation, model): (&Variation, &ModelFigures)| {
        let find = |name: &str| model.find(&format!("{name}@{k}"), Subset::All).cloned();
        Some(TradeoffPoint {
            method: variation.method,
            strength: variation.strength,
            accuracy: find("NDCG")?,
            diversity: find("Diversity").filter(|figure| figure.point.is_finite())?,
            coverage: find("Coverage")?.point,
        })
    };
    variations.iter().zip(&summary.models).filter_map(point).collect()
}

/// The most diverse of the points that cost little, as do all of its method below its
/// strength: one that is cheap by luck does not count.
fn cheapest(points: &[TradeoffPoint]) -> Option<&TradeoffPoint> {
    let plain = points.iter().find(|point| point.strength == 0.0)?;
    let is_cheap =
        |point: &&TradeoffPoint| point.accuracy.point >= (1.0 - LOSS_MAX) * plain.accuracy.point;
    let curves: Vec<&TradeoffPoint> =
        points.iter().filter(|point| point.method != SERVED).collect();
    curves
        .chunk_by(|one, next| one.method == next.method)
        .filter_map(|method| method.iter().copied().take_while(is_cheap).last())
        .max_by(|a, b| a.diversity.point.total_cmp(&b.diversity.point))
}

fn held_out(variations: &[Variation], k: usize, facts: &Facts, seed: u64) -> Option<HeldOutChoice> {
    let is_in = |case: &Case, half: u64| xxh3_64(&case.user.to_le_bytes()) % 2 == half;
    let of_half = |half: u64| -> Vec<Variation> {
        let cases =
            |one: &Variation| one.cases.iter().filter(|case| is_in(case, half)).cloned().collect();
        variations.iter().map(|one| Variation { cases: cases(one), ..*one }).collect()
    };
    let (mut varied, mut plain) = (Vec::new(), Vec::new());
    let mut chosen = [("", 0.0); 2];
    for half in 0..2 {
        let others = points(&of_half(1 - half), k, facts, seed);
        let choice = cheapest(&others)?;
        let is_chosen =
            |one: &&Variation| (one.method, one.strength) == (choice.method, choice.strength);
        let cases = &variations.iter().find(is_chosen)?.cases;
        varied.extend(cases.iter().filter(|case| is_in(case, half)).cloned());
        let cases = &variations.iter().find(|one| one.strength == 0.0)?.cases;
        plain.extend(cases.iter().filter(|case| is_in(case, half)).cloned());
        chosen[half as usize] = (choice.method, choice.strength);
    }
    let measured = [("none", 0.0, plain), ("chosen", 1.0, varied)]
        .map(|(method, strength, cases)| Variation { method, strength, cases });
    let measured = points(&measured, k, facts, seed);
    let [plain, varied] = &measured[..] else {
        return None;
    };
    Some(HeldOutChoice {
        chosen,
        diversity_gain: varied.diversity.point / plain.diversity.point - 1.0,
        accuracy_loss: 1.0 - varied.accuracy.point / plain.accuracy.point,
    })
}

/// What the curve says.
pub fn verdicts(tradeoff: &Tradeoff) -> Vec<String> {
    let Tradeoff { points, held_out } = tradeoff;
    let read = points.iter().find(|point| point.strength == 0.0).zip(cheapest(points));
    let curve = read.map(|(plain, best)| {
        let percent = |value: f64, of: f64| 100.0 * (value / of - 1.0);
        format!(
            "At {} {:.1} lists are {:.0} % more diverse at {:+.1} % {}, and show {:.1} % of the catalogue instead of {:.1} %.",
            best.method,
            best.strength,
            percent(best.diversity.point, plain.diversity.point),
            percent(best.accuracy.point, plain.accuracy.point),
            plain.accuracy.metric,
            100.0 * best.coverage,
            100.0 * plain.coverage,
        )
    });
    let held_out = held_out.as_ref().map(|choice| {
        let [(first, a), (second, b)] = choice.chosen;
        format!(
            "Chosen on one half of the users and measured on the other ({first} {a:.1}, {second} {b:.1}): {:.0} % more diverse at {:+.1} % accuracy.",
            100.0 * choice.diversity_gain,
            -100.0 * choice.accuracy_loss,
        )
    });
    curve.into_iter().chain(held_out).collect()
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
        TradeoffPoint { method: "DPP", strength, accuracy, diversity, coverage: 0.5 }
    }

    #[test]
    fn a_strength_that_is_cheap_by_luck_does_not_count() {
        let points = [point(0.0, 0.1, 0.5), point(0.3, 0.09, 0.7), point(0.6, 0.1, 0.9)];
        assert_eq!(cheapest(&points).unwrap().strength, 0.0);
    }

    #[test]
    fn the_verdict_names_the_most_diversity_for_at_most_three_percent_of_the_accuracy() {
        let points = [point(0.0, 0.1, 0.5), point(0.3, 0.0975, 0.7), point(0.6, 0.09, 0.9)];
        let told = verdicts(&Tradeoff { points: points.to_vec(), held_out: None });
        assert!(
            told[0].starts_with("At DPP 0.3 lists are 40 % more diverse at -2.5 % NDCG@10"),
            "{told:?}"
        );
    }
}
