//! Flags of `serve` about arms.

use clap::Args;
use clap::ValueEnum;

use super::serve::defaults;
use super::serve::half_life;
use super::serve::within;
use engine::domain::ArmSettings;
use engine::domain::ArmStrategy;

/// Strategy by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ArmStrategyName {
    Greedy,
    EpsilonGreedy,
    Thompson,
    UpperConfidence,
    SquareCb,
}

/// Settings of namespaces that have none of their own, by request overridden.
#[derive(Debug, Clone, Args)]
pub struct ArmsConfig {
    /// How an arm is chosen when the request does not say
    #[arg(long, env = "ARM_STRATEGY", value_enum, default_value = "thompson")]
    pub arm_strategy: ArmStrategyName,

    /// Successes that every arm starts with (0.001 to 1000000)
    #[arg(long, env = "BANDIT_ALPHA", default_value_t = defaults().arms.alpha,
          value_parser = within(ArmSettings::PRIOR))]
    pub bandit_alpha: f32,

    /// Failures that every arm starts with (0.001 to 1000000)
    #[arg(long, env = "BANDIT_BETA", default_value_t = defaults().arms.beta,
          value_parser = within(ArmSettings::PRIOR))]
    pub bandit_beta: f32,

    /// With a context: factor of the standard deviations under thompson and
    /// upper_confidence (0 to 10)
    #[arg(long, env = "ARM_EXPLORATION", default_value_t = defaults().arms.exploration,
          value_parser = within(ArmSettings::EXPLORATION))]
    pub arm_exploration: f32,

    /// Share of selections that is spread evenly over the arms (0 to 1)
    #[arg(long, env = "ARM_FLOOR", default_value_t = defaults().arms.floor,
          value_parser = within(ArmSettings::FLOOR))]
    pub arm_floor: f32,

    /// Selections of an arm set after which an observation counts half; 0: for ever in full
    #[arg(long, env = "ARM_HALF_LIFE", value_name = "SELECTIONS",
          default_value_t = defaults().arms.half_life_selections, value_parser = half_life)]
    pub arm_half_life: u32,
}

impl ArmsConfig {
    pub fn settings(&self) -> ArmSettings {
        ArmSettings {
            strategy: match self.arm_strategy {
                ArmStrategyName::Greedy => ArmStrategy::Greedy,
                ArmStrategyName::EpsilonGreedy => ArmStrategy::EpsilonGreedy,
                ArmStrategyName::Thompson => ArmStrategy::Thompson,
                ArmStrategyName::UpperConfidence => ArmStrategy::UpperConfidence,
                ArmStrategyName::SquareCb => ArmStrategy::SquareCb,
            },
            alpha: self.bandit_alpha,
            beta: self.bandit_beta,
            exploration: self.arm_exploration,
            floor: self.arm_floor,
            half_life_selections: self.arm_half_life,
        }
    }
}
