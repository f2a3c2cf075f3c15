//! Flags of `serve` about how the ranker chooses and learns from decisions.

use clap::Args;
use clap::ValueEnum;

use super::serve::defaults;
use super::serve::half_life;
use super::serve::number;
use super::serve::whole_within;
use super::serve::within;
use engine::domain::RankerSettings;
use engine::domain::Settings;
use engine::domain::SettingsRange;
use engine::domain::Strategy;

/// Strategy by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum StrategyName {
    Greedy,
    EpsilonGreedy,
    Thompson,
    LinUcb,
    SquareCb,
}

/// Settings of namespaces that have none of their own.
#[derive(Debug, Clone, Args)]
pub struct RankerConfig {
    /// How the ranker chooses when the request does not say
    #[arg(long, env = "STRATEGY", value_enum, default_value = "epsilon_greedy")]
    pub strategy: StrategyName,

    /// Probability per position of an exploring choice under epsilon_greedy (0 to 1)
    #[arg(long, env = "EPSILON", default_value_t = defaults().epsilon,
          value_parser = number(SettingsRange::EPSILON))]
    pub epsilon: f32,

    /// Factor of the standard deviations under thompson and lin_ucb (0 to 10)
    #[arg(long, env = "EXPLORATION_SCALE", default_value_t = defaults().ranker.exploration_scale,
          value_parser = within(RankerSettings::EXPLORATION_SCALE))]
    pub exploration_scale: f32,

    /// Gamma of square_cb per square root of the impressions learnt from (0 to 100000)
    #[arg(long, env = "SQUARE_CB_GAMMA", default_value_t = defaults().ranker.square_cb_gamma,
          value_parser = within(RankerSettings::SQUARE_CB_GAMMA))]
    pub square_cb_gamma: f32,

    /// Share of each position spread evenly over its candidates under thompson, lin_ucb and
    /// square_cb (0.0001 to 1)
    #[arg(long, env = "PROPENSITY_FLOOR", default_value_t = defaults().ranker.propensity_floor,
          value_parser = within(RankerSettings::PROPENSITY_FLOOR))]
    pub propensity_floor: f32,

    /// Decisions after which what was learnt of one counts half; 0 is for ever in full
    #[arg(long, env = "RANKER_HALF_LIFE", value_name = "DECISIONS",
          default_value_t = defaults().ranker.half_life_decisions, value_parser = half_life)]
    pub ranker_half_life: u32,

    /// Positions are presumed to be looked at with probability 1 / position^THIS, for callers that
    /// report rewards and no impressions (0 to 10); unset: nothing is presumed
    #[arg(long, env = "EXAMINATION_DECAY",
          value_parser = within(RankerSettings::EXAMINATION_DECAY))]
    pub examination_decay: Option<f32>,

    /// Share of what the ranker's lists earn that exploring may cost (0 to 1); unset: without
    /// bound
    #[arg(long, env = "EXPLORATION_ALLOWANCE",
          value_parser = within(RankerSettings::EXPLORATION_ALLOWANCE))]
    pub exploration_allowance: Option<f32>,

    /// Hours for which a decision may be rewarded, as far as its memory reaches (1 to 168)
    #[arg(long, env = "CREDIT_HOURS", default_value_t = defaults().ranker.credit_hours,
          value_parser = whole_within(RankerSettings::CREDIT_HOURS))]
    pub credit_hours: u32,

    /// Memory of decisions that may still be rewarded, in MiB; one holds about 900 of 20 items (1 to
    /// 4096)
    #[arg(long, env = "CREDIT_MEGABYTES", default_value_t = defaults().ranker.credit_megabytes,
          value_parser = whole_within(RankerSettings::CREDIT_MEGABYTES))]
    pub credit_megabytes: u32,
}

impl RankerConfig {
    /// `base` with what these flags say.
    pub fn overlaid(&self, base: Settings) -> Settings {
        Settings {
            strategy: match self.strategy {
                StrategyName::Greedy => Strategy::Greedy,
                StrategyName::EpsilonGreedy => Strategy::EpsilonGreedy,
                StrategyName::Thompson => Strategy::Thompson,
                StrategyName::LinUcb => Strategy::LinUcb,
                StrategyName::SquareCb => Strategy::SquareCb,
            },
            epsilon: self.epsilon,
            ranker: RankerSettings {
                exploration_scale: self.exploration_scale,
                square_cb_gamma: self.square_cb_gamma,
                propensity_floor: self.propensity_floor,
                half_life_decisions: self.ranker_half_life,
                examination_decay: self.examination_decay,
                exploration_allowance: self.exploration_allowance,
                credit_hours: self.credit_hours,
                credit_megabytes: self.credit_megabytes,
            },
            ..base
        }
    }
}
