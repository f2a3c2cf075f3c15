//! Arms: a few named choices, such as layouts, of which one is selected and later
//! rewarded; the records of both, and the settings of how arms are chosen.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::attributes::Attributes;
use crate::domain::ids::ArmName;
use crate::domain::ids::ArmSetName;
use crate::domain::ids::DecisionId;
use crate::domain::ids::EventId;
use crate::domain::ranges::check_half_life;
use crate::domain::ranges::within_range;
use crate::domain::timestamp::Timestamp;
use crate::domain::violation::Violation;
use crate::domain::violation::Violations;

/// How an arm is chosen. The discriminants are stored: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum ArmStrategy {
    /// The arm of the highest mean.
    Greedy = 1,
    /// The same, but with probability epsilon any arm.
    EpsilonGreedy = 2,
    /// Each arm as often as it is probably the best: Beta-Bernoulli without a context,
    /// linear with one.
    Thompson = 3,
    /// Optimism: UCB1 without a context, LinUCB with one.
    UpperConfidence = 4,
    /// Inverse-gap weighting.
    SquareCb = 5,
}

impl ArmStrategy {
    pub const ALL: [Self; 5] =
        [Self::Greedy, Self::EpsilonGreedy, Self::Thompson, Self::UpperConfidence, Self::SquareCb];

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    pub const fn code(self) -> u8 {
        self as u8
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::EpsilonGreedy => "epsilon_greedy",
            Self::Thompson => "thompson",
            Self::UpperConfidence => "upper_confidence",
            Self::SquareCb => "square_cb",
        }
    }
}

/// The context of a selection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArmContext {
    /// Numbers of the caller's on any scale; as many in all selections of an arm set.
    pub numbers: Vec<f32>,
    pub attributes: Attributes,
}

impl ArmContext {
    /// Of numbers, names and values.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.numbers) + self.attributes.bytes()
    }

    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.attributes.is_empty()
    }
}

/// What describes an arm, in the form of a context; empty for an arm that is only a name.
pub type ArmFeatures = ArmContext;

/// One arm as it was offered, and answered.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedArm {
    pub name: ArmName,
    pub features: ArmFeatures,
    pub propensity: f64,
    /// Expected reward, in the context where there is one.
    pub mean: f64,
    /// Standard deviation of the expected reward.
    pub deviation: f64,
}

/// A selection of an arm, with all that is needed to learn from it and to audit it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmSelection {
    pub decision_id: DecisionId,
    pub set: ArmSetName,
    /// All arms that were offered; at least one.
    pub offered: Vec<OfferedArm>,
    /// Index in `offered` of the one that was chosen.
    pub chosen: u32,
    pub context: ArmContext,
    pub strategy: ArmStrategy,
    pub epsilon: f32,
    pub selected_at: Timestamp,
    /// Sequence of the last record the view had learnt from.
    pub watermark: u64,
    /// With the decision id, the key of the random stream that chose.
    pub seed: u64,
}

/// What is reported of a selection. Rewards are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ArmOutcome {
    /// The best of several counts.
    Reward(f32),
    /// Replaces the reward so far.
    Correction(f32),
    /// The arm was never shown: the selection is taken back, whatever else is reported of it.
    Withdrawal,
}

/// What came of a selection.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmReward {
    pub event_id: EventId,
    pub decision_id: DecisionId,
    pub outcome: ArmOutcome,
    pub occurred_at: Timestamp,
}

/// How a namespace chooses arms and learns about them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSettings {
    /// How an arm is chosen when the request does not say.
    pub strategy: ArmStrategy,
    /// Prior successes of every arm, of the Beta belief.
    pub alpha: f32,
    /// Prior failures of every arm.
    pub beta: f32,
    /// Factor of the standard deviations under Thompson sampling and optimism with a
    /// context.
    pub exploration: f32,
    /// Share of all selections that is spread evenly over the arms, under any strategy.
    pub floor: f32,
    /// Selections of an arm set after which an observation counts half; 0: for ever in
    /// full.
    pub half_life_selections: u32,
}

impl Default for ArmSettings {
    fn default() -> Self {
        Self {
            strategy: ArmStrategy::Thompson,
            alpha: 1.0,
            beta: 1.0,
            exploration: 0.3,
            floor: 0.01,
            half_life_selections: 0,
        }
    }
}

impl ArmSettings {
    pub const PRIOR: (f32, f32) = (0.001, 1e6);
    pub const EXPLORATION: (f32, f32) = (0.0, 10.0);
    pub const FLOOR: (f32, f32) = (0.0, 1.0);

    /// # Errors
    /// Every setting outside its range.
    pub fn check(self) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::default();
        for (name, value, range) in [
            ("alpha", self.alpha, Self::PRIOR),
            ("beta", self.beta, Self::PRIOR),
            ("exploration", self.exploration, Self::EXPLORATION),
            ("floor", self.floor, Self::FLOOR),
        ] {
            violations.take(name, within_range(value, range));
        }
        violations.take("half_life_selections", check_half_life(self.half_life_selections));
        violations.finish(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_strategies_map_onto_each_other() {
        for strategy in ArmStrategy::ALL {
            assert_eq!(ArmStrategy::from_code(strategy.code()), Some(strategy));
        }
        assert_eq!(ArmStrategy::from_code(0), None);
        assert_eq!(ArmStrategy::from_code(6), None);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert!(ArmSettings::default().check().is_ok());
        let wrong = ArmSettings {
            alpha: 0.0,
            beta: f32::NAN,
            floor: 1.5,
            half_life_selections: 3,
            ..ArmSettings::default()
        };
        let fields: Vec<_> = wrong.check().unwrap_err().into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["alpha", "beta", "floor", "half_life_selections"]);
    }
}
