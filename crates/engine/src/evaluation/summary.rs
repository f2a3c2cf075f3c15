//! From what was measured of several models to figures with intervals, and to what one model
//! gains over another.
//!
//! - All models of a summary were tested on the same cases in the same order, hence
//!   share their users and resamples.
//! - A figure has an interval where it is a mean over cases. Coverage and Gini are of
//!   all lists together; resampling users would bias them.
//! - Of several seeds each user counts by the mean over them, so an interval is of the users; how far seeds are
//!   apart is shown next to it.

use serde::Serialize;

use crate::evaluation::bootstrap::Bootstrap;
use crate::evaluation::bootstrap::Column;
use crate::evaluation::bootstrap::Estimate;
use crate::evaluation::bootstrap::RESAMPLES;
use crate::evaluation::facts::Facts;
use crate::evaluation::measured::Figure;
use crate::evaluation::measured::Measured;
use crate::evaluation::measured::Metric;
use crate::evaluation::measured::Subset;
use crate::evaluation::protocols::Case;

/// The figures of one model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelFigures {
    pub model: String,
    pub figures: Vec<Figure>,
}

impl ModelFigures {
    /// The figure of that name and subset, such as `NDCG@10`.
    pub fn find(&self, metric: &str, subset: Subset) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.metric == metric && figure.subset == subset)
    }
}

/// The figures of `model` minus those of `baseline`, paired by user.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub model: String,
    pub baseline: String,
    pub figures: Vec<Figure>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Users with at least one case.
    pub users: u64,
    pub cases: u64,
    pub models: Vec<ModelFigures>,
    /// The first model against every other one.
    pub comparisons: Vec<Comparison>,
}

/// The metric that verdicts and plots go by: discounted gain at `k`.
pub fn headline(k: usize, is_prequential: bool) -> String {
    format!("{}@{k}", if is_prequential { "DCG" } else { "NDCG" })
}

/// Measures every model at every cut-off of `ks`, with 95 % intervals.
pub fn summarize(
    models: &[(String, Vec<Case>)],
    ks: &[usize],
    facts: &Facts,
    seed: u64,
) -> Summary {
    Summary::of(&Measured::of(models, ks, facts), seed)
}

impl Summary {
    /// What was measured, with 95 % intervals of resamples by the seed.
    pub fn of(measured: &Measured, seed: u64) -> Self {
        let models = &measured.models;
        let all = models.iter().flat_map(|(_, metrics)| metrics);
        let columns: Vec<&Column> = all.filter_map(|metric| metric.column.as_ref()).collect();
        let bootstrap = Bootstrap::new(&columns, RESAMPLES, seed);
        // Every model has the same metrics, so its columns follow at a fixed stride.
        let stride = columns.len() / models.len().max(1);
        let figures = |(at, (model, metrics)): (usize, &(String, Vec<Metric>))| ModelFigures {
            model: model.clone(),
            figures: with_intervals(metrics, at * stride, &bootstrap),
        };
        let compared = |other: usize| Comparison {
            model: models[0].0.clone(),
            baseline: models[other].0.clone(),
            figures: differences(&models[0].1, other * stride, &bootstrap),
        };
        Self {
            users: columns.first().map_or(0, |column| column.sums.len()) as u64,
            cases: columns.first().map_or(0, |column| column.cases()),
            models: models.iter().enumerate().map(figures).collect(),
            comparisons: (1..models.len()).map(compared).collect(),
        }
    }

    /// The first model minus another one, by a metric of all cases.
    pub fn gain(&self, baseline: &str, metric: &str) -> Option<&Figure> {
        let mut gains = self.comparisons.iter();
        let gain = gains.find(|gain| gain.baseline == baseline)?;
        let is_it = |figure: &&Figure| figure.metric == metric && figure.subset == Subset::All;
        gain.figures.iter().find(is_it)
    }

    /// A figure of all cases.
    pub fn figure(&self, model: &str, metric: &str) -> Option<&Figure> {
        self.models.iter().find(|found| found.model == model)?.find(metric, Subset::All)
    }
}

/// The metrics of the first model minus those of the one whose columns begin at `other`.
fn differences(metrics: &[Metric], other: usize, bootstrap: &Bootstrap) -> Vec<Figure> {
    let means = metrics.iter().filter(|metric| metric.column.is_some()).enumerate();
    let difference = |(position, metric): (usize, &Metric)| {
        estimated(&metric.label, bootstrap.difference(position, other + position))
    };
    means.map(difference).collect()
}

fn with_intervals(measured: &[Metric], first: usize, bootstrap: &Bootstrap) -> Vec<Figure> {
    let mut next = first..;
    let figure = |metric: &Metric| match &metric.column {
        None => metric.label.clone(),
        Some(_) => {
            let column = next.next().expect("the range has no end");
            estimated(&metric.label, bootstrap.estimate(column))
        }
    };
    measured.iter().map(figure).collect()
}

fn estimated(label: &Figure, estimate: Estimate) -> Figure {
    let Estimate { point, low, high } = estimate;
    Figure { point, low: Some(low), high: Some(high), ..label.clone() }
}

#[cfg(test)]
mod tests;
