//! The page, section by section.

use crate::evaluation::curve;
use crate::evaluation::measured::Figure;
use crate::evaluation::measured::NEW_USER_MAX;
use crate::evaluation::measured::Subset;
use crate::evaluation::measured::WARM_USER_MAX;
use crate::evaluation::protocols::Protocol;
use crate::evaluation::report::Inside;
use crate::evaluation::report::LearningCurve;
use crate::evaluation::report::Page;
use crate::evaluation::report::TradeoffPoint;
use crate::evaluation::report::chart;
use crate::evaluation::report::chart::Bar;
use crate::evaluation::report::chart::Curve;
use crate::evaluation::report::chart::Line;
use crate::evaluation::report::chart::Value;
use crate::evaluation::report::markup::escape;
use crate::evaluation::report::markup::number;
use crate::evaluation::report::markup::table;
use crate::evaluation::summary::headline;
use crate::evaluation::tradeoff;
use crate::evaluation::verdict::verdicts;

const STYLE: &str = include_str!("style.css");

/// Metrics with a plot of their own and what they say.
const PLOTTED: [(&str, &str); 12] = [
    ("NDCG", "hits, weighted by position"),
    ("DCG", "hits, weighted by position"),
    ("Recall", "share of the test positives found"),
    ("Hit", "share of cases with a hit"),
    ("MRR", "1 / rank of the first hit"),
    ("MAP", "precision at the hits"),
    ("Coverage", "share of the catalogue shown"),
    ("Gini", "concentration of what is shown; lower is fairer"),
    ("Novelty", "bits of surprise of the items"),
    ("Diversity", "mean distance within a list"),
    ("Serendipity", "hits that popularity would miss"),
    ("Calibration error", "from the user's own mix; lower is closer"),
];
/// Width of a drawing on a card.
const CARD: f64 = 340.0;
/// Series of the style sheet.
const SERIES: usize = 6;

/// The whole page as HTML.
pub fn render(page: &Page<'_>) -> String {
    let sections = [
        head(page),
        metrics(page),
        segments(page),
        page.curve.as_ref().map_or_else(String::new, |curve| learning_curve(page, curve)),
        page.inside.as_ref().map_or_else(String::new, |inside| ablations(page, inside)),
        page.inside.as_ref().map_or_else(String::new, accuracy_against_diversity),
        every_figure(page),
    ];
    document(&format!("Ranking quality, {}", page.protocol.name()), &sections.concat())
}

/// A whole page around its sections.
pub fn document(title: &str, sections: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{sections}</main>\n</body>\n</html>\n",
        escape(title),
    )
}

fn metric(page: &Page<'_>) -> String {
    headline(page.k, page.protocol == Protocol::Prequential)
}

fn value(figure: &Figure) -> Value {
    Value { point: figure.point, interval: figure.low.zip(figure.high) }
}

/// The series of the model at a position.
pub fn series(position: usize) -> usize {
    position.min(SERIES - 1)
}

/// What the colours stand for.
pub fn legend<'a>(names: impl Iterator<Item = (usize, &'a str)>) -> String {
    let entry = |(series, name): (usize, &str)| {
        format!("<span><i class=\"s{series}\"></i>{}</span>", escape(name))
    };
    format!("<div class=\"legend\">{}</div>\n", names.map(entry).collect::<String>())
}

/// A sentence that matters.
pub fn verdict(words: &str) -> String {
    format!("<p class=\"verdict\">{}</p>\n", escape(words))
}

/// Numbers about what was measured: name, value.
pub fn facts(facts: &[(&str, String)]) -> String {
    let fact = |(name, value): &(&str, String)| {
        format!("<div><b>{}</b><span>{}</span></div>", escape(value), escape(name))
    };
    format!("<div class=\"facts\">{}</div>\n", facts.iter().map(fact).collect::<String>())
}

fn head(page: &Page<'_>) -> String {
    let facts = facts(&page.data);
    let notes: String =
        page.notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    let told = verdicts(page.summary, &metric(page));
    let told = told.iter().chain(&page.told);
    let verdicts: String = told.map(|words| verdict(words)).collect();
    format!(
        "<h1>Ranking quality</h1>\n<p class=\"soft\">Protocol: {}. Bars and points with whiskers: \
         mean and 95 % bootstrap interval over users.</p>\n{facts}\
         {verdicts}<p class=\"soft\">What was assumed about the data:</p>\n<ul class=\"soft\">\n{notes}</ul>\n",
        page.protocol.name(),
    )
}

fn metrics(page: &Page<'_>) -> String {
    let mut cards = String::new();
    for (name, meaning) in PLOTTED {
        let metric = format!("{name}@{}", page.k);
        let bar = |(at, model): (usize, &crate::evaluation::ModelFigures)| {
            let figure = model.find(&metric, Subset::All)?;
            Some(Bar { label: model.model.clone(), value: value(figure), series: series(at) })
        };
        let bars: Vec<Bar> = page.summary.models.iter().enumerate().filter_map(bar).collect();
        if !bars.is_empty() {
            cards.push_str(&format!(
                "<div class=\"card\"><h3>{metric} <span class=\"soft\">{meaning}</span></h3>{}</div>\n",
                chart::bars(&bars, &metric, 142.0, CARD),
            ));
        }
    }
    format!("<h2>Metrics at {}</h2>\n<div class=\"cards\">\n{cards}</div>\n", page.k)
}

fn segments(page: &Page<'_>) -> String {
    const SEGMENTS: [Subset; 5] = [
        Subset::NewUsers,
        Subset::WarmUsers,
        Subset::HeavyUsers,
        Subset::HeadItems,
        Subset::TailItems,
    ];
    let metric = metric(page);
    let mut cards = String::new();
    for segment in SEGMENTS {
        let mut cases = 0;
        let mut bars = Vec::new();
        for (at, model) in page.summary.models.iter().enumerate() {
            if let Some(figure) = model.find(&metric, segment) {
                cases = figure.n;
                bars.push(Bar {
                    label: model.model.clone(),
                    value: value(figure),
                    series: series(at),
                });
            }
        }
        if !bars.is_empty() {
            cards.push_str(&format!(
                "<div class=\"card\"><h3>{} <span class=\"soft\">{cases} cases</span></h3>{}</div>\n",
                segment.label(),
                chart::bars(&bars, &format!("{metric}, {}", segment.label()), 142.0, CARD),
            ));
        }
    }
    format!(
        "<h2>{metric} by segment</h2>\n<p class=\"soft\">New users have at most {NEW_USER_MAX} \
         positives in training, warm ones at most {WARM_USER_MAX}, heavy ones more. Head items are the \
         fewest that together have half of all positives; the others are the tail.</p>\n\
         <div class=\"cards\">\n{cards}</div>\n"
    )
}

fn learning_curve(page: &Page<'_>, learning: &LearningCurve<'_>) -> String {
    let points = learning.points;
    let steps: Vec<String> = points.iter().map(|point| point.label()).collect();
    let models = points.first().map_or(&[][..], |point| &point.summary.models);
    let line = |(at, model): (usize, &crate::evaluation::ModelFigures)| Line {
        label: model.model.clone(),
        series: series(at),
        values: points.iter().map(|point| point.figure(at, page.k).map(value)).collect(),
    };
    let lines: Vec<Line> = models.iter().enumerate().map(line).collect();
    let verdicts: String =
        curve::verdicts(points, page.k).iter().map(|words| verdict(words)).collect();
    format!(
        "<h2>Learning curve of new users</h2>\n<p class=\"soft\">Of {}. Nothing is trained in \
         between.</p>\n{verdicts}<figure>{}{}</figure>\n{}",
        escape(learning.plan),
        legend(lines.iter().map(|line| (line.series, line.label.as_str()))),
        chart::lines(
            &steps,
            "events of the user that were learnt",
            &headline(page.k, false),
            &lines
        ),
        table(&steps_in_figures(page, &steps, &lines)),
    )
}

fn steps_in_figures(page: &Page<'_>, steps: &[String], lines: &[Line]) -> Vec<Vec<String>> {
    let head = std::iter::once(format!("{} after", headline(page.k, false)));
    let mut rows = vec![head.chain(lines.iter().map(|line| line.label.clone())).collect()];
    for (position, step) in steps.iter().enumerate() {
        let value =
            |line: &Line| line.values[position].map_or_else(String::new, |value| value.told());
        rows.push(std::iter::once(step.clone()).chain(lines.iter().map(value)).collect());
    }
    rows
}

fn ablations(page: &Page<'_>, inside: &Inside<'_>) -> String {
    let metric = headline(page.k, false);
    let mut bars: Vec<Bar> = inside
        .ablations
        .comparisons
        .iter()
        .filter_map(|gain| {
            let figure = gain.figures.iter().find(|figure| figure.metric == metric)?;
            let value = Value {
                point: -figure.point,
                interval: figure.low.zip(figure.high).map(|(low, high)| (-high, -low)),
            };
            let label = format!("without {}", gain.baseline);
            Some(Bar { label, value, series: usize::from(figure.point <= 0.0) })
        })
        .collect();
    bars.sort_by(|a, b| a.value.point.total_cmp(&b.value.point));
    let change = format!("change of {metric}");
    let mut rows = vec![vec!["the engine".to_owned(), change.clone()]];
    rows.extend(bars.iter().map(|bar| vec![bar.label.clone(), bar.value.told()]));
    let whole = inside.ablations.models.first().and_then(|model| model.find(&metric, Subset::All));
    format!(
        "<h2>What each component is worth</h2>\n<p class=\"soft\">Change of {metric} when each \
         component of the ranker is left out and everything else stays ({}; {} with all of them). The \
         weights were learnt with the component, so this is what it does now, not what an engine that \
         never had it would lack.</p>\n<figure>{}</figure>\n{}",
        inside.protocol.name(),
        whole.map_or_else(String::new, |figure| number(figure.point)),
        chart::bars(&bars, &change, 150.0, 720.0),
        table(&rows),
    )
}

fn accuracy_against_diversity(inside: &Inside<'_>) -> String {
    let points = &inside.tradeoff.points;
    let Some(plain) = points.iter().find(|point| point.strength == 0.0) else {
        return String::new();
    };
    let told = |point: &TradeoffPoint| {
        let words = format!("{:.1}: NDCG {}", point.strength, number(point.accuracy.point));
        (point.diversity.point, point.accuracy.point, words)
    };
    let mut curves: Vec<Curve> = Vec::new();
    for point in points.iter().filter(|point| point.strength > 0.0) {
        if point.method == tradeoff::SERVED {
            let (label, series) = (point.method.to_owned(), 1);
            curves.push(Curve { label, series, points: vec![told(point)] });
            continue;
        }
        match curves.last_mut().filter(|curve| curve.label == point.method) {
            Some(curve) => curve.points.push(told(point)),
            None => curves.push(Curve {
                label: point.method.to_owned(),
                series: [0, 2, 3, 4][curves.len().min(3)],
                points: vec![told(plain), told(point)],
            }),
        }
    }
    let words: String =
        tradeoff::verdicts(inside.tradeoff).iter().map(|words| verdict(words)).collect();
    format!(
        "<h2>Accuracy against diversity</h2>\n<p class=\"soft\">The same scores, listed with rising \
         strength of diversification (0 to 1); the single dot is what is served by default, with its bound on the \
         share of a topic. Diversity is the mean distance within a list, by the \
         items' {}; {}.</p>\n{words}<figure>{}{}</figure>\n{}",
        escape(inside.distance),
        inside.protocol.name(),
        legend(curves.iter().map(|curve| (curve.series, curve.label.as_str()))),
        chart::curves("diversity of the list", &plain.accuracy.metric, &curves),
        table(&strengths_in_figures(plain, points)),
    )
}

fn strengths_in_figures(plain: &TradeoffPoint, points: &[TradeoffPoint]) -> Vec<Vec<String>> {
    let (accuracy, diversity) = (plain.accuracy.metric.clone(), plain.diversity.metric.clone());
    let mut rows = vec![vec!["method".to_owned(), "strength".to_owned(), diversity, accuracy]];
    rows.extend(points.iter().map(|point| {
        let figures = [&point.diversity, &point.accuracy].map(told);
        let strength = format!("{:.1}", point.strength);
        [point.method.to_owned(), strength].into_iter().chain(figures).collect()
    }));
    rows
}

fn told(figure: &Figure) -> String {
    value(figure).told()
}

fn every_figure(page: &Page<'_>) -> String {
    let models = &page.summary.models;
    let names = models.iter().map(|model| model.model.clone());
    let mut rows = vec![
        ["figure", "of", "cases"].map(str::to_owned).into_iter().chain(names).collect::<Vec<_>>(),
    ];
    for figure in models.first().map_or(&[][..], |model| &model.figures) {
        let values = models
            .iter()
            .map(|model| model.find(&figure.metric, figure.subset).map_or_else(String::new, told));
        let first = [figure.metric.clone(), figure.subset.label().to_owned(), figure.n.to_string()];
        rows.push(first.into_iter().chain(values).collect());
    }
    let mut seconds = vec![["time", "seconds", "rows learnt"].map(str::to_owned).to_vec()];
    let timed = models.iter().zip(&page.seconds);
    for (model, (spent, learnt)) in timed.filter_map(|(model, spent)| Some((model, (*spent)?))) {
        seconds.push(vec![model.model.clone(), format!("{spent:.1}"), learnt.to_string()]);
    }
    format!("<h2>Every figure</h2>\n{}<p></p>\n{}", table(&rows), table(&seconds))
}
