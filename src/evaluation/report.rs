//! From the cases of several models to figures with intervals, and to what one
//! model gains over another.
//!
//! All models of a report were tested on the same cases in the same order, hence
//! share their users and resamples.

use serde::Serialize;

use super::bootstrap::Bootstrap;
use super::bootstrap::Column;
use super::bootstrap::Estimate;
use super::bootstrap::RESAMPLES;
use super::metrics;
use super::protocols::EventCase;
use super::protocols::ListCase;

/// What a protocol observed of one model.
#[derive(Debug, Clone)]
pub enum Outcome {
    Lists(Vec<ListCase>),
    Events(Vec<EventCase>),
}

impl Outcome {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Lists(cases) => cases.is_empty(),
            Self::Events(cases) => cases.is_empty(),
        }
    }
}

/// Which cases a figure averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subset {
    All,
    /// Events of users that had an earlier one.
    Warm,
}

/// A metric's value. Without interval where resampling users would bias it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Such as `Recall@10`.
    pub metric: String,
    /// How many places of the ranking it looks at; all when absent.
    pub k: Option<usize>,
    pub subset: Subset,
    pub point: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Cases averaged.
    pub n: u64,
}

/// The figures of one model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelFigures {
    pub model: String,
    pub figures: Vec<Figure>,
}

/// The figures of `model` minus those of `baseline`, paired by user.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub model: String,
    pub baseline: String,
    pub figures: Vec<Figure>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Users with at least one case.
    pub users: u64,
    pub cases: u64,
    pub models: Vec<ModelFigures>,
    /// The first model against every other one.
    pub comparisons: Vec<Comparison>,
}

/// A metric before its interval is known.
struct Measured {
    label: Figure,
    /// Absent for what is not a mean over cases.
    column: Option<Column>,
}

type ListMetric = fn(usize, &[u32], &[u32]) -> f64;
const LIST_METRICS: [(&str, ListMetric); 4] = [
    ("Recall", metrics::recall_at),
    ("NDCG", metrics::ndcg_at),
    ("Hit", metrics::hit_at),
    ("MRR", metrics::reciprocal_rank_at),
];

type RankMetric = fn(usize, u32) -> f64;
const RANK_METRICS: [(&str, RankMetric); 2] =
    [("Hit", metrics::rank_hit_at), ("DCG", metrics::rank_dcg_at)];

/// Measures every model at every cut-off of `ks`, with 95 % intervals. `items` is
/// the size of the catalogue.
pub fn summarize(models: &[(String, Outcome)], ks: &[usize], items: usize, seed: u64) -> Report {
    let measured: Vec<Vec<Measured>> = models
        .iter()
        .map(|(_, outcome)| match outcome {
            Outcome::Lists(cases) => measure_lists(cases, ks, items),
            Outcome::Events(cases) => measure_events(cases, ks),
        })
        .collect();
    let columns: Vec<&Column> =
        measured.iter().flatten().filter_map(|metric| metric.column.as_ref()).collect();
    let bootstrap = Bootstrap::new(&columns, RESAMPLES, seed);
    let users = columns.first().map_or(0, |column| column.sums.len()) as u64;
    let cases = columns.first().map_or(0, |column| column.cases());

    // Every model has the same metrics, so its columns follow at a fixed stride.
    let stride = columns.len() / models.len().max(1);
    let figures = |model: usize| with_intervals(&measured[model], model * stride, &bootstrap);
    let compared = |other: usize| {
        let means = measured[0].iter().filter(|metric| metric.column.is_some()).enumerate();
        let difference = |(place, metric): (usize, &Measured)| {
            estimated(&metric.label, bootstrap.difference(place, other * stride + place))
        };
        means.map(difference).collect()
    };
    Report {
        users,
        cases,
        models: (0..models.len())
            .map(|at| ModelFigures { model: models[at].0.clone(), figures: figures(at) })
            .collect(),
        comparisons: (1..models.len())
            .map(|other| Comparison {
                model: models[0].0.clone(),
                baseline: models[other].0.clone(),
                figures: compared(other),
            })
            .collect(),
    }
}

fn with_intervals(measured: &[Measured], first: usize, bootstrap: &Bootstrap) -> Vec<Figure> {
    let mut next = first..;
    let figure = |metric: &Measured| match &metric.column {
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

fn label(name: &str, k: Option<usize>, subset: Subset, point: f64, n: u64) -> Figure {
    let metric = k.map_or_else(|| name.to_owned(), |k| format!("{name}@{k}"));
    Figure { metric, k, subset, point, low: None, high: None, n }
}

/// Recall, NDCG, hit rate, MRR and catalogue coverage at every cut-off.
fn measure_lists(cases: &[ListCase], ks: &[usize], items: usize) -> Vec<Measured> {
    let n = cases.len() as u64;
    let mut measured = Vec::new();
    for &k in ks {
        for (name, metric) in LIST_METRICS {
            let value = |case: &ListCase| metric(k, &case.list, &case.relevant);
            let sums: Vec<f64> = cases.iter().map(value).collect();
            let column = Column { counts: vec![1.0; sums.len()], sums };
            let label = label(name, Some(k), Subset::All, column.mean(), n);
            measured.push(Measured { label, column: Some(column) });
        }
        let lists = cases.iter().map(|case| case.list.as_slice());
        let coverage = metrics::catalogue_coverage(k, lists, items);
        let label = label("Coverage", Some(k), Subset::All, coverage, n);
        measured.push(Measured { label, column: None });
    }
    measured
}

/// Hit rate and DCG at every cut-off and MRR, over all events and over warm ones.
fn measure_events(cases: &[EventCase], ks: &[usize]) -> Vec<Measured> {
    let mut users: Vec<u32> = cases.iter().map(|case| case.user).collect();
    users.sort_unstable();
    users.dedup();
    let mut measured = Vec::new();
    for subset in [Subset::All, Subset::Warm] {
        let mut add = |name: &str, k: Option<usize>, metric: &dyn Fn(u32) -> f64| {
            let mut column =
                Column { sums: vec![0.0; users.len()], counts: vec![0.0; users.len()] };
            for case in cases.iter().filter(|case| subset == Subset::All || case.warm) {
                let user = users.binary_search(&case.user).expect("users of the cases");
                column.sums[user] += metric(case.rank);
                column.counts[user] += 1.0;
            }
            let label = label(name, k, subset, column.mean(), column.cases());
            measured.push(Measured { label, column: Some(column) });
        };
        for &k in ks {
            for (name, metric) in RANK_METRICS {
                add(name, Some(k), &|rank| metric(k, rank));
            }
        }
        add("MRR", None, &metrics::reciprocal_rank);
    }
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(figures: &[Figure], metric: &str, subset: Subset) -> f64 {
        let wanted = |figure: &&Figure| figure.metric == metric && figure.subset == subset;
        figures.iter().find(wanted).unwrap().point
    }

    fn list(user: u32, list: &[u32], relevant: &[u32]) -> ListCase {
        ListCase { user, list: list.to_vec(), relevant: relevant.to_vec() }
    }

    #[test]
    fn figures_of_lists_are_means_over_users_and_coverage_has_no_interval() {
        let hit = Outcome::Lists(vec![list(3, &[5, 1], &[1]), list(8, &[5, 2], &[0])]);
        let miss = Outcome::Lists(vec![list(3, &[5, 2], &[1]), list(8, &[5, 2], &[0])]);
        let report = summarize(&[("a".into(), hit), ("b".into(), miss)], &[1, 2], 10, 1);
        let figures = &report.models[0].figures;
        assert_eq!((report.users, report.cases), (2, 2));
        assert_eq!(point(figures, "Recall@1", Subset::All), 0.0);
        assert_eq!(point(figures, "Recall@2", Subset::All), 0.5);
        assert_eq!(point(figures, "MRR@2", Subset::All), 0.25);
        assert_eq!(point(figures, "Coverage@2", Subset::All), 0.3);
        assert!(figures.iter().all(|f| f.low.is_some() != f.metric.starts_with("Coverage")));
        let gain = &report.comparisons[0];
        assert_eq!((gain.model.as_str(), gain.baseline.as_str()), ("a", "b"));
        assert_eq!(point(&gain.figures, "Recall@2", Subset::All), 0.5);
        assert_eq!(point(&gain.figures, "Recall@1", Subset::All), 0.0);
    }

    #[test]
    fn figures_of_events_are_means_over_events_and_over_warm_events() {
        let case = |user, rank, warm| EventCase { user, rank, warm };
        let cases = vec![case(4, 1, false), case(9, 4, false), case(4, 2, true), case(4, 8, true)];
        let report = summarize(&[("a".into(), Outcome::Events(cases))], &[2], 10, 1);
        let figures = &report.models[0].figures;
        assert_eq!((report.users, report.cases), (2, 4));
        assert_eq!(point(figures, "Hit@2", Subset::All), 0.5);
        assert_eq!(point(figures, "Hit@2", Subset::Warm), 0.5);
        // (1 + 1/4 + 1/2 + 1/8) / 4 and (1/2 + 1/8) / 2.
        assert_eq!(point(figures, "MRR", Subset::All), 0.46875);
        assert_eq!(point(figures, "MRR", Subset::Warm), 0.3125);
        assert_eq!(figures.last().unwrap().n, 2);
        assert!(report.comparisons.is_empty());
    }
}
