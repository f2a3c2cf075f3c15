//! The figures of an evaluation as aligned text, and a verdict in plain words.

use crate::evaluation::Comparison;
use crate::evaluation::Dataset;
use crate::evaluation::Figure;
use crate::evaluation::RecommenderOptions;
use crate::evaluation::Report;
use crate::evaluation::Subset;
use crate::evaluation::protocols::Protocol;

use super::Cost;

/// The report as text; `costs` are those of its models, in order.
pub fn render(
    dataset: &Dataset,
    options: RecommenderOptions,
    report: &Report,
    costs: &[Cost],
) -> String {
    let mut text = heading(dataset, options, report);
    let is_prequential = options.protocol == Protocol::Prequential;
    let first = &report.models[0].figures;
    for block in blocks(first, is_prequential) {
        let title = match first[block[0]].subset {
            Subset::Warm => "warm users' events",
            Subset::All if is_prequential => "all events",
            Subset::All => "",
        };
        let names = block.iter().map(|at| first[*at].metric.clone());
        let mut rows: Vec<Vec<String>> =
            vec![std::iter::once(title.to_owned()).chain(names).collect()];
        for model in &report.models {
            let values = block.iter().map(|at| with_interval(&model.figures[*at]));
            rows.push(std::iter::once(model.model.clone()).chain(values).collect());
        }
        align(&mut text, &rows);
    }
    align(&mut text, &cost_rows(report, costs));
    for gain in &report.comparisons {
        align(&mut text, &gain_rows(gain));
    }
    text.push('\n');
    for gain in &report.comparisons {
        text += &verdict(report, gain);
    }
    text
}

fn heading(dataset: &Dataset, options: RecommenderOptions, report: &Report) -> String {
    format!(
        "{}: {} users, {} items, {} rows, {} of them positive (at least {})\n\
         tested: {} users, {} cases; in brackets: 95 % bootstrap intervals over users\n",
        options.protocol.name(),
        dataset.users.len(),
        dataset.items.len(),
        dataset.rows.len(),
        dataset.positives(options.positive),
        options.positive,
        report.users,
        report.cases,
    )
}

/// Places of the figures that share a table: one cut-off of lists, or one subset of
/// events.
fn blocks(figures: &[Figure], is_prequential: bool) -> Vec<Vec<usize>> {
    let shared = |a: &Figure, b: &Figure| a.subset == b.subset && (is_prequential || a.k == b.k);
    let mut blocks: Vec<Vec<usize>> = Vec::new();
    for (at, figure) in figures.iter().enumerate() {
        match blocks.iter_mut().find(|block| shared(&figures[block[0]], figure)) {
            Some(block) => block.push(at),
            None => blocks.push(vec![at]),
        }
    }
    blocks
}

fn cost_rows(report: &Report, costs: &[Cost]) -> Vec<Vec<String>> {
    let header =
        ["time", "rows learnt", "learning s", "rankings", "scoring s", "all s", "events/s"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (model, cost) in report.models.iter().zip(costs) {
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
    for figure in &gain.figures {
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

/// Four places, without the zero before the point.
fn decimal(value: f64) -> String {
    let text = format!("{value:.4}");
    match text.strip_prefix("-0.") {
        Some(places) => format!("-.{places}"),
        None => text.strip_prefix('0').map_or(text.clone(), str::to_owned),
    }
}

/// Appends a table after an empty line: the first column to the left, the others to
/// the right.
fn align(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![0; columns];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    text.push('\n');
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line += &format!("{cell:<width$}");
            } else {
                line += &format!("  {cell:>width$}");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// One plain sentence on the first discounted metric.
fn verdict(report: &Report, gain: &Comparison) -> String {
    let is_discounted = |figure: &&Figure| figure.metric.contains("DCG");
    let Some(difference) = gain.figures.iter().find(is_discounted) else { return String::new() };
    let value_of = |name: &str| {
        let model = report.models.iter().find(|model| model.model == name);
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
    use crate::evaluation::ModelFigures;

    fn figure(metric: &str, k: usize, point: f64, low: f64, high: f64) -> Figure {
        let metric = format!("{metric}@{k}");
        let (low, high) = (Some(low), Some(high));
        Figure { metric, k: Some(k), subset: Subset::All, point, low, high, n: 7 }
    }

    fn report(low: f64, high: f64) -> Report {
        let model = |model: &str, point| ModelFigures {
            model: model.to_owned(),
            figures: vec![
                figure("Recall", 1, 1.0, 0.9, 1.0),
                figure("NDCG", 1, point, 0.1, 0.4),
                figure("NDCG", 2, 0.5, 0.4, 0.6),
            ],
        };
        let gain = Comparison {
            model: "engine".to_owned(),
            baseline: "popularity".to_owned(),
            figures: vec![figure("NDCG", 1, 0.05, low, high)],
        };
        let models = vec![model("engine", 0.25), model("popularity", 0.2)];
        Report { users: 7, cases: 7, models, comparisons: vec![gain] }
    }

    fn rendered(report: &Report) -> String {
        let options = RecommenderOptions { protocol: Protocol::Temporal, positive: 4.0, seed: 1 };
        render(&Dataset::default(), options, report, &[Cost::default(), Cost::default()])
    }

    #[test]
    fn columns_are_aligned_and_each_cut_off_has_its_table() {
        let text = rendered(&report(-0.01, 0.1));
        let golden = "
                            Recall@1                  NDCG@1
engine      1.0000 (.9000 to 1.0000)  .2500 (.1000 to .4000)
popularity  1.0000 (.9000 to 1.0000)  .2000 (.1000 to .4000)

                            NDCG@2
engine      .5000 (.4000 to .6000)
popularity  .5000 (.4000 to .6000)
";
        assert!(text.contains(golden), "{text}");
    }

    #[test]
    fn the_verdict_follows_the_interval() {
        let text = rendered(&report(0.01, 0.1));
        assert!(text.ends_with(
            "By NDCG@1, engine ranks better than popularity: .2500 against .2000, \
             a difference of .0500 (95 % interval .0100 to .1000).\n"
        ));
        assert!(rendered(&report(-0.1, -0.01)).contains("engine ranks worse than popularity"));
        assert!(rendered(&report(-0.1, 0.1)).contains("do not tell engine and popularity apart"));
    }

    #[test]
    fn decimals_have_no_zero_before_the_point() {
        assert_eq!([decimal(0.5), decimal(-0.25), decimal(1.5)], [".5000", "-.2500", "1.5000"]);
        assert_eq!(decimal(f64::NAN), "NaN");
    }
}
