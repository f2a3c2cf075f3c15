//! How many units were exposed to each variant, and the alarm when that is not the planned split.
//!
//! It is looked at at fixed counts, over all and for each kind of device with new and with known
//! users. An alarm stays: the greatest evidence so far counts.

use serde::Deserialize;
use serde::Serialize;
use statistics::Level;
use statistics::sample_ratio::Finding;
use statistics::sample_ratio::SampleRatio;
use statistics::sample_ratio::Watch;

use crate::bandit::SEGMENTS;

/// Units between two looks.
const LOOK_EVERY: u64 = 64;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExposureCounts {
    /// By variant.
    pub all: Vec<u64>,
    watch: Watch,
    /// By segment of the ranker.
    segments: Vec<(Vec<u64>, Watch)>,
}

/// An alarm, or that there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct RatioFinding {
    /// None: all units.
    pub segment: Option<u8>,
    pub finding: Finding,
}

impl ExposureCounts {
    pub fn new(variants: usize) -> Self {
        let (all, watch) = (vec![0; variants], Watch::default());
        Self { all: all.clone(), watch, segments: vec![(all, watch); SEGMENTS] }
    }

    pub fn total(&self) -> u64 {
        self.all.iter().sum()
    }

    /// Counts a unit. `weights`: the shares that the variants should have, if these decide.
    pub fn add(&mut self, variant: u8, segment: u8, weights: Option<&[f64]>) {
        let at = usize::from(variant);
        let segment = self.segments.get_mut(usize::from(segment)).map(|(counts, _)| counts);
        for counts in [Some(&mut self.all), segment].into_iter().flatten() {
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
            }
        }
        if let Some(weights) = weights
            && self.total().is_multiple_of(LOOK_EVERY)
        {
            self.look(weights);
        }
    }

    fn look(&mut self, weights: &[f64]) {
        let Ok(ratio) = SampleRatio::new(weights, Level::ONE_PER_MILLE) else {
            return;
        };
        ratio.look(&self.all, &mut self.watch);
        let of_segments = ratio.of_segments(SEGMENTS);
        for (counts, watch) in &mut self.segments {
            of_segments.look(counts, watch);
        }
    }

    /// What holds now: of all units first, then of each segment with an alarm.
    pub fn findings(&self, weights: &[f64]) -> Vec<RatioFinding> {
        let Ok(ratio) = SampleRatio::new(weights, Level::ONE_PER_MILLE) else {
            return Vec::new();
        };
        let look = |ratio: &SampleRatio, counts: &[u64], watch: Watch, segment| {
            let finding = ratio.look(counts, &mut watch.clone());
            RatioFinding { segment, finding }
        };
        let of_segments = ratio.of_segments(SEGMENTS);
        let segments = self.segments.iter().zip(0..);
        let segments = segments
            .map(|((counts, watch), segment)| look(&of_segments, counts, *watch, Some(segment)))
            .filter(|it| it.finding.alarm);
        [look(&ratio, &self.all, self.watch, None)].into_iter().chain(segments).collect()
    }
}
