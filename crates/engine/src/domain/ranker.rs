//! Settings of how the ranker explores and learns from decisions.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::ranges::check_half_life;
use crate::domain::ranges::within_range;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// How a namespace's ranker explores and learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankerSettings {
    /// Factor of the standard deviations under Thompson sampling and LinUCB; 0 is greedy,
    /// 1 the textbook.
    pub exploration_scale: f32,
    /// Under SquareCB, inverse-gap weighting: gamma per square root of the impressions
    /// learnt from; 0 is uniform.
    pub square_cb_gamma: f32,
    /// Share of each position that is spread evenly over all that may take it, under
    /// Thompson sampling, LinUCB and SquareCB: weights of off-policy estimates are then
    /// at most the number of candidates divided by it.
    pub propensity_floor: f32,
    /// Decisions after which what was learnt of one counts half; 0: for ever in full.
    pub half_life_decisions: u32,
    /// That position k (from 0) is looked at with probability `(k + 1)^-examination_decay`,
    /// before it is learnt how often it is; `None`: what was not reported as seen, and
    /// nothing below was rewarded for, teaches nothing.
    pub examination_decay: Option<f32>,
    /// Share of what the ranker's lists earn that exploring may cost against greedy
    /// choices; `None`: without bound.
    pub exploration_allowance: Option<f32>,
    /// Hours for which a decision may be rewarded, as far as memory reaches.
    #[serde(rename = "credit_window")]
    pub credit_hours: u32,
    /// Memory of decisions that may still be rewarded, in MiB: at 20 items each about 900
    /// decisions take one.
    pub credit_megabytes: u32,
}

impl Default for RankerSettings {
    fn default() -> Self {
        Self {
            exploration_scale: 0.3,
            square_cb_gamma: 10.0,
            propensity_floor: 0.01,
            half_life_decisions: 0,
            examination_decay: None,
            exploration_allowance: None,
            credit_hours: 24,
            credit_megabytes: 64,
        }
    }
}

impl RankerSettings {
    pub const EXPLORATION_SCALE: (f32, f32) = (0.0, 10.0);
    pub const SQUARE_CB_GAMMA: (f32, f32) = (0.0, 1e5);
    /// Not 0: a strategy that never does something cannot be compared with one that does.
    pub const PROPENSITY_FLOOR: (f32, f32) = (1e-4, 1.0);
    pub const EXAMINATION_DECAY: (f32, f32) = (0.0, 10.0);
    pub const EXPLORATION_ALLOWANCE: (f32, f32) = (0.0, 1.0);
    /// An hour to a week.
    pub const CREDIT_HOURS: (f32, f32) = (1.0, 168.0);
    pub const CREDIT_MEGABYTES: (f32, f32) = (1.0, 4_096.0);

    /// Memory of decisions that may still be rewarded.
    pub const fn credit_bytes(&self) -> u64 {
        (self.credit_megabytes as u64) << 20
    }

    /// # Errors
    /// Every setting outside its range.
    pub fn check(self) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::default();
        for (name, value, range) in [
            ("exploration_scale", self.exploration_scale, Self::EXPLORATION_SCALE),
            ("square_cb_gamma", self.square_cb_gamma, Self::SQUARE_CB_GAMMA),
            ("propensity_floor", self.propensity_floor, Self::PROPENSITY_FLOOR),
            ("credit_hours", self.credit_hours as f32, Self::CREDIT_HOURS),
            ("credit_megabytes", self.credit_megabytes as f32, Self::CREDIT_MEGABYTES),
        ] {
            violations.take(name, within_range(value, range));
        }
        violations.take("half_life_decisions", check_half_life(self.half_life_decisions));
        if let Some(decay) = self.examination_decay {
            violations.take("examination_decay", within_range(decay, Self::EXAMINATION_DECAY));
        }
        if let Some(allowance) = self.exploration_allowance {
            let within = within_range(allowance, Self::EXPLORATION_ALLOWANCE);
            violations.take("exploration_allowance", within);
        }
        violations.finish(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        assert!(RankerSettings::default().check().is_ok());
        let wrong = RankerSettings {
            exploration_scale: -1.0,
            square_cb_gamma: f32::NAN,
            propensity_floor: 0.0,
            half_life_decisions: 15,
            examination_decay: Some(11.0),
            exploration_allowance: Some(-0.1),
            credit_hours: 0,
            credit_megabytes: 5_000,
        };
        let fields: Vec<_> = wrong.check().unwrap_err().into_iter().map(|v| v.field).collect();
        let expected = [
            "exploration_scale",
            "square_cb_gamma",
            "propensity_floor",
            "credit_hours",
            "credit_megabytes",
            "half_life_decisions",
            "examination_decay",
            "exploration_allowance",
        ];
        assert_eq!(fields, expected);
    }
}
