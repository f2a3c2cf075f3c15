//! What is measured of the cases of several models: metrics by user, of all cases and by segment.
//!
//! - Segments: users by how many of their positives were learnt before the case (new:
//!   at most 5, warm: 6 to 50, heavy: more), relevant items by whether they are head
//!   or tail ([`Facts`]). In the segment of an item kind only relevant items of the
//!   kind count.
//! - Runs with several seeds have the same cases, so their mean is taken user by user.

use serde::Serialize;

use crate::evaluation::beyond;
use crate::evaluation::bootstrap::Column;
use crate::evaluation::facts::Facts;
use crate::evaluation::metrics;
use crate::evaluation::protocols::Case;

/// Training positives of a new user at most.
pub const NEW_USER_MAX: u32 = 5;
/// Training positives of a warm user at most; those above are heavy.
pub const WARM_USER_MAX: u32 = 50;

/// Which cases a figure averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subset {
    All,
    /// Events of users that had an earlier one; prequential only.
    Warm,
    NewUsers,
    WarmUsers,
    HeavyUsers,
    HeadItems,
    TailItems,
}

impl Subset {
    const SEGMENTS: [Self; 5] =
        [Self::NewUsers, Self::WarmUsers, Self::HeavyUsers, Self::HeadItems, Self::TailItems];

    /// For a reader.
    pub const fn label(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Warm => "after the first event",
            Self::NewUsers => "new users",
            Self::WarmUsers => "warm users",
            Self::HeavyUsers => "heavy users",
            Self::HeadItems => "head items",
            Self::TailItems => "tail items",
        }
    }

    /// What of the case's relevant items counts here; empty: the case does not.
    fn relevant(self, facts: &Facts, case: &Case) -> Vec<u32> {
        let history = case.history();
        let is_in = match self {
            Self::All => true,
            Self::Warm => history > 0,
            Self::NewUsers => history <= NEW_USER_MAX,
            Self::WarmUsers => history > NEW_USER_MAX && history <= WARM_USER_MAX,
            Self::HeavyUsers => history > WARM_USER_MAX,
            Self::HeadItems | Self::TailItems => {
                let is_head = self == Self::HeadItems;
                let is_kind = |item: &&u32| facts.is_head[**item as usize] == is_head;
                return case.relevant.iter().filter(is_kind).copied().collect();
            }
        };
        if is_in { case.relevant.clone() } else { Vec::new() }
    }
}

/// A metric's value. Without interval where resampling users would bias it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Such as `Recall@10`.
    pub metric: String,
    /// How many positions of the ranking it looks at; all when absent.
    pub k: Option<usize>,
    pub subset: Subset,
    pub point: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Cases averaged.
    pub n: u64,
}

/// A metric of one model before its interval is known.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) label: Figure,
    /// Absent for what is not a mean over cases.
    pub(super) column: Option<Column>,
}

/// The metrics of all models of a run, or their means over several.
#[derive(Debug, Clone)]
pub struct Measured {
    /// By name, all with the same metrics.
    pub(super) models: Vec<(String, Vec<Metric>)>,
}

impl Measured {
    /// Measures every model at every cut-off of `ks`. The cases of all are the same.
    pub fn of(models: &[(String, Vec<Case>)], ks: &[usize], facts: &Facts) -> Self {
        let tastes = models.first().map_or_else(Vec::new, |(_, cases)| tastes(facts, cases));
        let metrics = |cases: &Vec<Case>| Cases::new(facts, cases, &tastes).measure(ks);
        Self { models: models.iter().map(|(name, cases)| (name.clone(), metrics(cases))).collect() }
    }

    /// The mean of runs of the same models on the same cases, at least one.
    pub fn mean(runs: &[Self]) -> Self {
        let mut mean = runs[0].clone();
        for (at, (_, metrics)) in mean.models.iter_mut().enumerate() {
            for (position, metric) in metrics.iter_mut().enumerate() {
                let same = || runs.iter().map(|run| &run.models[at].1[position]);
                *metric = Metric::mean(same);
            }
        }
        mean
    }
}

impl Metric {
    /// The mean of a metric over runs.
    fn mean<'a, I: Iterator<Item = &'a Self>>(runs: impl Fn() -> I) -> Self {
        let n = runs().count() as f64;
        let mut mean = runs().next().expect("at least one run").clone();
        mean.label.point = runs().map(|run| run.label.point).sum::<f64>() / n;
        if let Some(column) = &mut mean.column {
            let columns = || runs().filter_map(|run| run.column.as_ref());
            column.sums = means(column.sums.len(), n, || columns().map(|run| &run.sums));
            column.counts = means(column.counts.len(), n, || columns().map(|run| &run.counts));
        }
        mean
    }
}

/// The means of lists of the same length, place by place.
fn means<'a, I: Iterator<Item = &'a Vec<f64>>>(
    len: usize,
    n: f64,
    runs: impl Fn() -> I,
) -> Vec<f64> {
    (0..len).map(|at| runs().map(|run| run[at]).sum::<f64>() / n).collect()
}

type ListMetric = fn(usize, &[u32], &[u32]) -> f64;
const LIST_METRICS: [(&str, ListMetric); 5] = [
    ("Recall", metrics::recall_at),
    ("NDCG", metrics::ndcg_at),
    ("Hit", metrics::hit_at),
    ("MRR", metrics::reciprocal_rank_at),
    ("MAP", metrics::average_precision_at),
];
/// Those of them that segments have, too.
const SEGMENT_LIST_METRICS: [&str; 2] = ["Recall", "NDCG"];

type RankMetric = fn(usize, u32) -> f64;
const RANK_METRICS: [(&str, RankMetric); 2] =
    [("Hit", metrics::rank_hit_at), ("DCG", metrics::rank_dcg_at)];

/// Topic shares of what was known that each case's user had chosen.
fn tastes(facts: &Facts, cases: &[Case]) -> Vec<Vec<(u32, f64)>> {
    let taste = |case: &Case| {
        let had = &facts.positives[case.user as usize];
        let had = had.get(case.had.start as usize..case.had.end as usize).unwrap_or_default();
        beyond::topic_shares(had.iter().map(|item| facts.topics[*item as usize].as_slice()))
    };
    cases.iter().map(taste).collect()
}

/// The cases of one model, ready to be measured.
struct Cases<'a> {
    facts: &'a Facts,
    cases: &'a [Case],
    /// One for each case.
    tastes: &'a [Vec<(u32, f64)>],
    /// Ascending.
    users: Vec<u32>,
    measured: Vec<Metric>,
}

impl<'a> Cases<'a> {
    fn new(facts: &'a Facts, cases: &'a [Case], tastes: &'a [Vec<(u32, f64)>]) -> Self {
        let mut users: Vec<u32> = cases.iter().map(|case| case.user).collect();
        users.sort_unstable();
        users.dedup();
        Self { facts, cases, tastes, users, measured: Vec::new() }
    }

    fn measure(mut self, ks: &[usize]) -> Vec<Metric> {
        if self.cases.iter().any(|case| case.rank.is_some()) {
            self.ranks(ks, Subset::All);
            self.ranks(ks, Subset::Warm);
            for segment in Subset::SEGMENTS {
                self.ranks_at(ks, segment);
            }
        } else {
            for &k in ks {
                for (name, metric) in LIST_METRICS {
                    self.list_metric(name, k, Subset::All, metric);
                }
            }
            for segment in Subset::SEGMENTS {
                for &k in ks {
                    let kept = |(name, _): &(&str, ListMetric)| SEGMENT_LIST_METRICS.contains(name);
                    for (name, metric) in LIST_METRICS.into_iter().filter(kept) {
                        self.list_metric(name, k, segment, metric);
                    }
                }
            }
        }
        for &k in ks {
            self.beyond(k);
        }
        self.measured
    }

    /// Hit rate and DCG at every cut-off, and MRR.
    fn ranks(&mut self, ks: &[usize], subset: Subset) {
        self.ranks_at(ks, subset);
        self.rank_metric("MRR", None, subset, metrics::reciprocal_rank);
    }

    fn ranks_at(&mut self, ks: &[usize], subset: Subset) {
        for &k in ks {
            for (name, metric) in RANK_METRICS {
                self.rank_metric(name, Some(k), subset, |rank| metric(k, rank));
            }
        }
    }

    fn rank_metric(
        &mut self,
        name: &str,
        k: Option<usize>,
        subset: Subset,
        metric: impl Fn(u32) -> f64,
    ) {
        let facts = self.facts;
        self.mean(name, k, subset, |_, case| {
            let counts = !subset.relevant(facts, case).is_empty();
            case.rank.filter(|_| counts).map(&metric)
        });
    }

    fn list_metric(&mut self, name: &str, k: usize, subset: Subset, metric: ListMetric) {
        let facts = self.facts;
        self.mean(name, Some(k), subset, |_, case| {
            let relevant = subset.relevant(facts, case);
            (!relevant.is_empty()).then(|| metric(k, &case.list, &relevant))
        });
    }

    /// What makes lists good besides accuracy.
    fn beyond(&mut self, k: usize) {
        let (facts, tastes, cases) = (self.facts, self.tastes, self.cases);
        let exposures =
            beyond::exposures(k, cases.iter().map(|case| case.list.as_slice()), facts.counts.len());
        for (name, point) in [
            ("Coverage", beyond::catalogue_coverage(&exposures)),
            ("Gini", beyond::gini(&exposures)),
        ] {
            let label = label(name, Some(k), Subset::All, point, cases.len() as u64);
            self.measured.push(Metric { label, column: None });
        }
        self.mean("Novelty", Some(k), Subset::All, |_, case| {
            beyond::novelty_at(k, &case.list, &facts.counts, facts.total)
        });
        self.mean("Diversity", Some(k), Subset::All, |_, case| {
            beyond::intra_list_diversity_at(k, &case.list, |a, b| facts.distance(a, b))
        });
        self.mean("Serendipity", Some(k), Subset::All, |_, case| {
            Some(beyond::serendipity_at(k, &case.list, &case.relevant, &case.expected))
        });
        if tastes.iter().any(|taste| !taste.is_empty()) {
            self.mean("Calibration error", Some(k), Subset::All, |at, case| {
                let topics = |item: &u32| facts.topics[*item as usize].as_slice();
                let listed = beyond::topic_shares(case.list.iter().take(k).map(topics));
                beyond::calibration_error(&tastes[at], &listed)
            });
        }
    }

    /// The mean of `value` over the cases that have one. A subset without any case is
    /// left out, for every model alike.
    fn mean(
        &mut self,
        name: &str,
        k: Option<usize>,
        subset: Subset,
        value: impl Fn(usize, &Case) -> Option<f64>,
    ) {
        let users = self.users.len();
        let mut column = Column { sums: vec![0.0; users], counts: vec![0.0; users] };
        for (at, case) in self.cases.iter().enumerate() {
            if let Some(value) = value(at, case) {
                let user = self.users.binary_search(&case.user).expect("users of the cases");
                column.sums[user] += value;
                column.counts[user] += 1.0;
            }
        }
        if column.cases() > 0 || subset == Subset::All {
            let label = label(name, k, subset, column.mean(), column.cases());
            self.measured.push(Metric { label, column: Some(column) });
        }
    }
}

fn label(name: &str, k: Option<usize>, subset: Subset, point: f64, n: u64) -> Figure {
    let metric = k.map_or_else(|| name.to_owned(), |k| format!("{name}@{k}"));
    Figure { metric, k, subset, point, low: None, high: None, n }
}
