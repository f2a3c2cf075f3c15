//! The sums of a metric that its results are made of.

use serde::Deserialize;
use serde::Serialize;
use statistics::Pairs;

use crate::domain::Split;
use crate::numeric::WeightedDifference;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// By variant.
    pub arms: Vec<Pairs>,
    /// Of each variant but the control, against the control; where lists are drawn.
    pub differences: Vec<WeightedDifference>,
}

impl Sums {
    pub fn new(variants: usize, split: Split) -> Self {
        let is_drawn = matches!(split, Split::Learnt { .. });
        let treatments = if is_drawn { variants.saturating_sub(1) } else { 0 };
        Self {
            arms: vec![Pairs::default(); variants],
            differences: vec![WeightedDifference::default(); treatments],
        }
    }

    /// Complete units. Of an interleaved list each is one of both variants.
    pub fn units(&self, split: Split) -> u64 {
        units(split, self.arms.iter().map(|arm| arm.metric.units))
    }
}

/// Units of all variants.
pub fn units(split: Split, mut by_variant: impl Iterator<Item = u64>) -> u64 {
    match split {
        Split::Interleaved => by_variant.next().unwrap_or(0),
        Split::Users | Split::TimeSlices { .. } | Split::Learnt { .. } => by_variant.sum(),
    }
}
