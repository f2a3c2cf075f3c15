//! The figures of an evaluation as aligned text, and a verdict in plain words.

use super::observe::Cost;
use super::question::Question;
use super::results::Results;
use crate::cli::output::align;
use engine::evaluation::CurvePoint;
use engine::evaluation::Figure;
use engine::evaluation::ModelFigures;
use engine::evaluation::Subset;
use engine::evaluation::Summary;
use engine::evaluation::headline;
use engine::evaluation::plain;
use engine::evaluation::protocols::Protocol;
use engine::evaluation::tradeoff;
use engine::evaluation::verdict::verdicts;

/// Metrics of accuracy; all others make lists good in other ways and are shown apart.
const ACCURACY: [&str; 6] = ["Recall", "NDCG", "DCG", "Hit", "MRR", "MAP"];

/// Everything as text.
pub fn render(question: &Question, results: &Results) -> String {
    let Results { summary, costs, analyses, .. } = results;
    let mut text = heading(question, summary);
    let first_k = question.ks[0];
    append_figures(&mut text, question, summary);
    align(&mut text, &cost_rows(summary, costs));
    if let Some(curve) = &analyses.curve {
        align(&mut text, &curve_rows(curve, first_k));
    }
    if let Some(ablations) = &analyses.ablations {
        align(&mut text, &ablation_rows(ablations, first_k));
    }
    align(&mut text, &gain_rows(question, results));
    text.push('\n');
    let told = verdicts(summary, &question.headline());
    let of_curve =
        analyses.curve.iter().flat_map(|curve| engine::evaluation::verdicts(curve, first_k));
    let of_tradeoff = analyses.tradeoff.iter().flat_map(tradeoff::verdicts);
    for words in told.into_iter().chain(results.told(question)).chain(of_curve).chain(of_tradeoff) {
        text += &format!("{words}\n");
    }
    text
}

fn heading(question: &Question, summary: &Summary) -> String {
    let Question { dataset, protocol, task, seeds, .. } = question;
    let of_seeds = if seeds.len() > 1 {
        format!("; means over the seeds {} to {}", seeds[0], seeds[seeds.len() - 1])
    } else {
        String::new()
    };
    format!(
        "{}: {} users, {} items, {} rows, {} of them positive (at least {})\n\
         tested: {} users, {} cases{of_seeds}; in brackets: 95 % bootstrap intervals over users\n",
        protocol.name(),
        dataset.users.len(),
        dataset.items.len(),
        dataset.rows.len(),
        dataset.positives(task.positive),
        task.positive,
        summary.users,
        summary.cases,
    )
}

/// The figures of all cases, a table for each kind and cut-off, then the headline metric by segment. Components
/// of the engine are in those of accuracy only.
fn append_figures(text: &mut String, question: &Question, summary: &Summary) {
    let is_prequential = question.protocol == Protocol::Prequential;
    let components = plain::components(&question.dataset);
    let shown = |is_accurate: bool| -> Vec<&ModelFigures> {
        let is_shown =
            |model: &&ModelFigures| is_accurate || !components.contains(&model.model.as_str());
        summary.models.iter().filter(is_shown).collect()
    };
    let first = &summary.models[0].figures;
    for block in blocks(first, is_prequential) {
        let is_accurate = is_accuracy(&first[block[0]]);
        let title = match first[block[0]].subset {
            _ if !is_accurate => "beyond accuracy",
            Subset::Warm => "warm users' events",
            _ if is_prequential => "all events",
            _ if question.protocol == Protocol::ColdStart => "warm",
            _ => "",
        };
        let names = block.iter().map(|at| first[*at].metric.clone());
        let mut rows: Vec<Vec<String>> =
            vec![std::iter::once(title.to_owned()).chain(names).collect()];
        for model in shown(is_accurate) {
            let values = block.iter().map(|at| with_interval(&model.figures[*at]));
            rows.push(std::iter::once(model.model.clone()).chain(values).collect());
        }
        align(text, &rows);
    }
    let metric = question.headline();
    let is_segment = |figure: &&Figure| {
        figure.metric == metric && !matches!(figure.subset, Subset::All | Subset::Warm)
    };
    let segments: Vec<&Figure> = first.iter().filter(is_segment).collect();
    if !segments.is_empty() {
        let names =
            segments.iter().map(|figure| format!("{} ({})", figure.subset.label(), figure.n));
        let mut rows: Vec<Vec<String>> =
            vec![std::iter::once(metric.clone()).chain(names).collect()];
        for model in shown(false) {
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

fn cost_rows(summary: &Summary, costs: &[Option<Cost>]) -> Vec<Vec<String>> {
    let header =
        ["time", "rows learnt", "learning s", "rankings", "scoring s", "all s", "events/s"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (model, cost) in summary.models.iter().zip(costs) {
        let Some(cost) = cost else { continue };
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

/// The headline figure of each model and what the first one gains over it; of several seeds with the lowest and
/// the highest.
fn gain_rows(question: &Question, results: &Results) -> Vec<Vec<String>> {
    let (summary, metric) = (&results.summary, question.headline());
    let several = !results.by_seed.is_empty();
    let with_spread = |spread: Option<(f64, f64)>| {
        let spread = spread.map_or_else(String::new, |(low, high)| {
            format!("{} to {}", decimal(low), decimal(high))
        });
        several.then_some(spread)
    };
    let row = |name: &str, cells: [Option<String>; 4]| -> Vec<String> {
        std::iter::once(name.to_owned()).chain(cells.into_iter().flatten()).collect()
    };
    let seeds = several.then(|| "over seeds".to_owned());
    let first = summary.models.first().map_or("", |model| model.model.as_str());
    let gains = format!("{first} gains");
    let mut rows = vec![row("", [Some(metric.clone()), seeds.clone(), Some(gains), seeds])];
    for model in summary.models.iter().map(|model| model.model.as_str()) {
        let figure = |summary: &Summary| Some(summary.figure(model, &metric)?.point);
        let gain = |summary: &Summary| Some(summary.gain(model, &metric)?.point);
        let cells = [
            summary.figure(model, &metric).map(with_interval),
            with_spread(results.spread(figure)),
            summary.gain(model, &metric).map(with_interval),
            with_spread(results.spread(gain)),
        ];
        rows.push(row(model, cells));
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::evaluation::Comparison;
    use engine::evaluation::Dataset;
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

    fn question(seeds: Vec<u64>) -> Question {
        let task = Task { positive: 4.0, repeats: false, k: 2, max_cases: 9 };
        let (dataset, protocol) = (Dataset::default(), Protocol::Temporal);
        Question { dataset, protocol, task, ks: vec![1, 2], seeds, notes: Vec::new() }
    }

    fn rendered(summary: &Summary) -> String {
        let costs = vec![Some(Cost::default()), None];
        let results = Results { summary: summary.clone(), costs, ..Results::default() };
        render(&question(vec![1]), &results)
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
    fn what_the_engine_gains_is_one_table_and_its_verdict_ends_the_text() {
        let text = rendered(&summary(0.01, 0.1));
        let golden = "
                            NDCG@1            engine gains
engine      .2500 (.1000 to .4000)
popularity  .2000 (.1000 to .4000)  .0500 (.0100 to .1000)
";
        assert!(text.contains(golden), "{text}");
        assert!(text.ends_with("(95 % interval 0.0100 to 0.1000).\n"), "{text}");
    }

    #[test]
    fn of_several_seeds_the_lowest_and_the_highest_are_shown() {
        let of_seed = |gain: f64| {
            let mut one = summary(0.01, 0.1);
            one.comparisons[0].figures[0].point = gain;
            one
        };
        let by_seed = vec![of_seed(0.02), of_seed(0.08), of_seed(0.05)];
        let results = Results { summary: summary(0.01, 0.1), by_seed, ..Results::default() };
        let text = render(&question(vec![1, 2, 3]), &results);
        assert!(text.contains("means over the seeds 1 to 3"), "{text}");
        assert!(text.contains(".0500 (.0100 to .1000)  .0200 to .0800\n"), "{text}");
    }

    #[test]
    fn decimals_have_no_zero_before_the_point() {
        assert_eq!([decimal(0.5), decimal(-0.25), decimal(1.5)], [".5000", "-.2500", "1.5000"]);
        assert_eq!(decimal(f64::NAN), "NaN");
    }
}
