//! The figures of an evaluation as aligned text, and a verdict in plain words.

use super::Analyses;
use super::Cost;
use super::Question;
use crate::cli::output::align;
use engine::evaluation::Comparison;
use engine::evaluation::CurvePoint;
use engine::evaluation::Dataset;
use engine::evaluation::Figure;
use engine::evaluation::Subset;
use engine::evaluation::Summary;
use engine::evaluation::headline;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::tradeoff;
use engine::evaluation::verdicts;

/// Metrics of accuracy; all others make lists good in other ways and are shown apart.
const ACCURACY: [&str; 6] = ["Recall", "NDCG", "DCG", "Hit", "MRR", "MAP"];

/// Everything as text; `costs` are those of the summary's models, in order.
pub fn render(
    question: &Question,
    protocol: Protocol,
    summary: &Summary,
    costs: &[Cost],
    analyses: &Analyses,
) -> String {
    let mut text = heading(&question.dataset, question.task.positive, protocol, summary);
    let first_k = question.ks[0];
    append_figures(&mut text, protocol, first_k, summary);
    align(&mut text, &cost_rows(summary, costs));
    if let Some(curve) = &analyses.curve {
        align(&mut text, &curve_rows(curve, first_k));
    }
    if let Some(ablations) = &analyses.ablations {
        align(&mut text, &ablation_rows(ablations, first_k));
    }
    for gain in &summary.comparisons {
        align(&mut text, &gain_rows(gain));
    }
    text.push('\n');
    for gain in &summary.comparisons {
        text += &verdict(summary, gain);
    }
    for words in analyses.curve.iter().flat_map(|curve| verdicts(curve, first_k)) {
        text += &format!("{words}\n");
    }
    for words in analyses.tradeoff.iter().flat_map(tradeoff::verdicts) {
        text += &format!("{words}\n");
    }
    text
}

fn heading(dataset: &Dataset, positive: f32, protocol: Protocol, summary: &Summary) -> String {
    format!(
        "{}: {} users, {} items, {} rows, {} of them positive (at least {positive})\n\
         tested: {} users, {} cases; in brackets: 95 % bootstrap intervals over users\n",
        protocol.name(),
        dataset.users.len(),
        dataset.items.len(),
        dataset.rows.len(),
        dataset.positives(positive),
        summary.users,
        summary.cases,
    )
}

/// The figures of all cases, a table for each kind and cut-off, then the headline
/// metric by segment.
fn append_figures(text: &mut String, protocol: Protocol, first_k: usize, summary: &Summary) {
    let is_prequential = protocol == Protocol::Prequential;
    let first = &summary.models[0].figures;
    for block in blocks(first, is_prequential) {
        let title = match first[block[0]].subset {
            _ if !is_accuracy(&first[block[0]]) => "beyond accuracy",
            Subset::Warm => "warm users' events",
            _ if is_prequential => "all events",
            _ if protocol == Protocol::ColdStart => "warm",
            _ => "",
        };
        let names = block.iter().map(|at| first[*at].metric.clone());
        let mut rows: Vec<Vec<String>> =
            vec![std::iter::once(title.to_owned()).chain(names).collect()];
        for model in &summary.models {
            let values = block.iter().map(|at| with_interval(&model.figures[*at]));
            rows.push(std::iter::once(model.model.clone()).chain(values).collect());
        }
        align(text, &rows);
    }
    let metric = headline(first_k, is_prequential);
    let is_segment = |figure: &&Figure| {
        figure.metric == metric && !matches!(figure.subset, Subset::All | Subset::Warm)
    };
    let segments: Vec<&Figure> = first.iter().filter(is_segment).collect();
    if !segments.is_empty() {
        let names =
            segments.iter().map(|figure| format!("{} ({})", figure.subset.label(), figure.n));
        let mut rows: Vec<Vec<String>> =
            vec![std::iter::once(metric.clone()).chain(names).collect()];
        for model in &summary.models {
            let value = |figure: &&Figure| {
                model.find(&metric, figure.subset).map_or_else(String::new, with_interval)
            };
            let values = segments.iter().map(value);
            rows.push(std::iter::once(model.model.clone()).chain(values).collect());
        }
        align(text, &rows);
    }
}

fn is_accuracy(figure: &Figure) -> bool {
    let name = figure.metric.split('@').next().unwrap_or_default();
    ACCURACY.contains(&name)
}

/// Positions of the figures of all or of warm cases that share a table: one kind and
/// cut-off of lists, or one subset of events.
fn blocks(figures: &[Figure], is_prequential: bool) -> Vec<Vec<usize>> {
    let shared = |a: &Figure, b: &Figure| {
        let is_accurate = is_accuracy(a);
        let is_same_k = a.k == b.k || is_prequential && is_accurate;
        is_accurate == is_accuracy(b) && a.subset == b.subset && is_same_k
    };
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    for (at, figure) in figures.iter().enumerate() {
        if !matches!(figure.subset, Subset::All | Subset::Warm) {
            continue;
        }
        match blocks.iter_mut().find(|block| shared(&figures[block[0]], figure)) {
            Some(block) => block.push(at),
            None => blocks.push(vec![at]),
        }
    }
    blocks
}

fn curve_rows(curve: &[CurvePoint], k: usize) -> Vec<Vec<String>> {
    let title = format!("learning curve, {}", headline(k, false));
    let mut rows: Vec<Vec<String>> =
        vec![std::iter::once(title).chain(curve.iter().map(CurvePoint::label)).collect()];
    for (at, model) in
        curve.first().iter().flat_map(|point| point.summary.models.iter().enumerate())
    {
        let value =
            |point: &CurvePoint| point.figure(at, k).map_or_else(String::new, with_interval);
        rows.push(std::iter::once(model.model.clone()).chain(curve.iter().map(value)).collect());
    }
    rows
}

/// What is lost without each component.
fn ablation_rows(ablations: &Summary, k: usize) -> Vec<Vec<String>> {
    let metric = headline(k, false);
    let mut rows = vec![vec!["without".to_owned(), format!("{metric} lost")]];
    for lost in &ablations.comparisons {
        let figure = lost.figures.iter().find(|figure| figure.metric == metric);
        rows.push(vec![lost.baseline.clone(), figure.map_or_else(String::new, with_interval)]);
    }
    rows
}

fn cost_rows(summary: &Summary, costs: &[Cost]) -> Vec<Vec<String>> {
    let header =
        ["time", "rows learnt", "learning s", "rankings", "scoring s", "all s", "events/s"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (model, cost) in summary.models.iter().zip(costs) {
        rows.push(vec![
            model.model.clone(),
            cost.rows_learnt.to_string(),
            format!("{:.2}", cost.learning_seconds),
            cost.rankings.to_string(),
            format!("{:.2}", cost.scoring_seconds),
            format!("{:.2}", cost.seconds),
            format!("{:.0}", cost.events_per_second),
        ]);
    }
    rows
}

fn gain_rows(gain: &Comparison) -> Vec<Vec<String>> {
    let title = format!("{} - {}", gain.model, gain.baseline);
    let mut rows = vec![vec![title, "paired difference".to_owned()]];
    let is_shown = |figure: &&Figure| matches!(figure.subset, Subset::All | Subset::Warm);
    for figure in gain.figures.iter().filter(is_shown) {
        let warm = if figure.subset == Subset::Warm { ", warm" } else { "" };
        rows.push(vec![format!("{}{warm}", figure.metric), with_interval(figure)]);
    }
    rows
}

/// Such as `.1063 (.0992 to .1148)`.
fn with_interval(figure: &Figure) -> String {
    let point = decimal(figure.point);
    match (figure.low, figure.high) {
        (Some(low), Some(high)) => format!("{point} ({} to {})", decimal(low), decimal(high)),
        _ => point,
    }
}

/// Four decimals, without the zero before the point.
fn decimal(value: f64) -> String {
    let text = format!("{value:.4}");
    match text.strip_prefix("-0.") {
        Some(positions) => format!("-.{positions}"),
        None => text.strip_prefix('0').map_or(text.clone(), str::to_owned),
    }
}

/// One plain sentence on the first discounted metric.
fn verdict(summary: &Summary, gain: &Comparison) -> String {
    let is_discounted = |figure: &&Figure| figure.metric.contains("DCG");
    let Some(difference) = gain.figures.iter().find(is_discounted) else { return String::new() };
    let value_of = |name: &str| {
        let model = summary.models.iter().find(|model| model.model == name);
        let figures = &model.expect("comparisons are between models of the report").figures;
        let same = |figure: &&Figure| figure.metric == difference.metric;
        figures.iter().find(same).map_or(f64::NAN, |figure| figure.point)
    };
    let (low, high) = (difference.low.unwrap_or(f64::NAN), difference.high.unwrap_or(f64::NAN));
    let (model, baseline) = (&gain.model, &gain.baseline);
    let judgement = if low > 0.0 {
        format!("{model} ranks better than {baseline}")
    } else if high < 0.0 {
        format!("{model} ranks worse than {baseline}")
    } else {
        format!("these data do not tell {model} and {baseline} apart")
    };
    format!(
        "By {}, {judgement}: {} against {}, a difference of {} (95 % interval {} to {}).\n",
        difference.metric,
        decimal(value_of(model)),
        decimal(value_of(baseline)),
        decimal(difference.point),
        decimal(low),
        decimal(high),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::evaluation::ModelFigures;
    use engine::evaluation::protocols::Task;

    fn figure(metric: &str, k: usize, point: f64, low: f64, high: f64) -> Figure {
        let metric = format!("{metric}@{k}");
        let (low, high) = (Some(low), Some(high));
        Figure { metric, k: Some(k), subset: Subset::All, point, low, high, n: 7 }
    }

    fn summary(low: f64, high: f64) -> Summary {
        let tail = Figure { subset: Subset::TailItems, ..figure("NDCG", 1, 0.125, 0.1, 0.2) };
        let model = |model: &str, point| ModelFigures {
            model: model.to_owned(),
            figures: vec![
                figure("Recall", 1, 1.0, 0.9, 1.0),
                figure("NDCG", 1, point, 0.1, 0.4),
                figure("NDCG", 2, 0.5, 0.4, 0.6),
                tail.clone(),
                Figure { low: None, high: None, ..figure("Gini", 1, 0.75, 0.0, 0.0) },
            ],
        };
        let gain = Comparison {
            model: "engine".to_owned(),
            baseline: "popularity".to_owned(),
            figures: vec![figure("NDCG", 1, 0.05, low, high)],
        };
        let models = vec![model("engine", 0.25), model("popularity", 0.2)];
        Summary { users: 7, cases: 7, models, comparisons: vec![gain] }
    }

    fn rendered(summary: &Summary) -> String {
        let task = Task { positive: 4.0, repeats: false, k: 2, max_cases: 9 };
        let (dataset, ks) = (Dataset::default(), vec![1, 2]);
        let question = Question { dataset, task, ks, seed: 1, notes: Vec::new() };
        let costs = [Cost::default(), Cost::default()];
        render(&question, Protocol::Temporal, summary, &costs, &Analyses::default())
    }

    #[test]
    fn columns_are_aligned_and_each_cut_off_has_its_table() {
        let text = rendered(&summary(-0.01, 0.1));
        let golden = "
                            Recall@1                  NDCG@1
engine      1.0000 (.9000 to 1.0000)  .2500 (.1000 to .4000)
popularity  1.0000 (.9000 to 1.0000)  .2000 (.1000 to .4000)

                            NDCG@2
engine      .5000 (.4000 to .6000)
popularity  .5000 (.4000 to .6000)

beyond accuracy  Gini@1
engine            .7500
popularity        .7500

NDCG@1              tail items (7)
engine      .1250 (.1000 to .2000)
popularity  .1250 (.1000 to .2000)
";
        assert!(text.contains(golden), "{text}");
    }

    #[test]
    fn the_verdict_follows_the_interval() {
        let text = rendered(&summary(0.01, 0.1));
        assert!(text.ends_with(
            "By NDCG@1, engine ranks better than popularity: .2500 against .2000, \
             a difference of .0500 (95 % interval .0100 to .1000).\n"
        ));
        assert!(rendered(&summary(-0.1, -0.01)).contains("engine ranks worse than popularity"));
        assert!(rendered(&summary(-0.1, 0.1)).contains("do not tell engine and popularity apart"));
    }

    #[test]
    fn decimals_have_no_zero_before_the_point() {
        assert_eq!([decimal(0.5), decimal(-0.25), decimal(1.5)], [".5000", "-.2500", "1.5000"]);
        assert_eq!(decimal(f64::NAN), "NaN");
    }
}
