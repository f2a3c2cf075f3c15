//! What an experiment has come to: every figure of it, as numbers.
//!
//! A function of the entry alone, so of the log: the same on every replica and after a replay. It
//! works on sums, so it takes as long for a million users as for ten.

use statistics::Effect;

use crate::domain::Timestamp;
use crate::experiments::entry::Entry;
use crate::experiments::figures::MetricResult;
use crate::experiments::figures::figures;
use crate::experiments::judge;
use crate::experiments::sample_ratio::RatioFinding;
use crate::experiments::verdict::Verdict;
use crate::experiments::verdict::verdict;

#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// In the order of the experiment's metrics; none before its start.
    pub metrics: Vec<MetricResult>,
    /// Units that exposed, by variant.
    pub exposed: Vec<u64>,
    /// Different items that lists of each variant have shown, about.
    pub covered: Vec<u64>,
    /// Chances of the variants at present, where they are learnt.
    pub chances: Vec<f64>,
    /// Of all units first, then alarms of segments. Empty where weights do not decide.
    pub sample_ratio: Vec<RatioFinding>,
    /// The primary metric over time.
    pub series: Vec<SeriesPoint>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoint {
    pub at: Timestamp,
    pub units: u64,
    /// The lift of each variant but the control, or the difference where there is no lift.
    pub effects: Vec<Option<Effect>>,
}

impl Entry {
    pub fn results(&self) -> Results {
        let metrics = figures(self);
        let is_weighted = self.experiment.split.is_weighted();
        let weights = Some(self.weights()).filter(|_| is_weighted);
        let sample_ratio =
            weights.map_or_else(Vec::new, |weights| self.exposed().findings(&weights));
        let verdict = verdict(self, &metrics, &sample_ratio);
        Results {
            metrics,
            exposed: self.exposed().all.clone(),
            covered: self.covered(),
            chances: self.chances().map_or_else(Vec::new, <[f64]>::to_vec),
            sample_ratio,
            series: self.points(),
            verdict,
        }
    }

    fn points(&self) -> Vec<SeriesPoint> {
        let experiment = &*self.experiment;
        let Some(primary) = experiment.primary() else {
            return Vec::new();
        };
        let metric = &experiment.metrics[primary];
        let points = self.series().points.iter().map(|point| SeriesPoint {
            at: point.at,
            units: point.sums.units(experiment.split),
            effects: (1..experiment.variants.len())
                .map(|variant| {
                    let comparison = judge::compare(experiment, metric, &point.sums, variant);
                    comparison.lift.or(comparison.difference)
                })
                .collect(),
        });
        points.collect()
    }
}
