//! Flags of `serve` about the variety of lists and what may be shown again.

use clap::Args;
use clap::ValueEnum;

use super::serve::defaults;
use super::serve::integer;
use super::serve::number;
use engine::domain::DiversityMethod;
use engine::domain::Settings;
use engine::domain::SettingsRange;

/// Method by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    None,
    Dpp,
    Calibrated,
}

/// Settings of namespaces that have none of their own, by request overridden.
#[derive(Debug, Clone, Args)]
pub struct RulesConfig {
    /// How a list is varied when the request does not say
    #[arg(long, env = "DIVERSITY_METHOD", value_enum, default_value = "dpp")]
    pub diversity_method: MethodName,

    /// Weight of a list's variety against the scores (0 to 1)
    #[arg(long, env = "DIVERSITY_WEIGHT", default_value_t = defaults().diversity_weight,
          value_parser = number(SettingsRange::DIVERSITY_WEIGHT))]
    pub diversity_weight: f32,

    /// How much relevance depends on being unlike what the user took last (0 to 1)
    #[arg(long, env = "SERENDIPITY_WEIGHT", default_value_t = defaults().serendipity_weight,
          value_parser = number(SettingsRange::SERENDIPITY_WEIGHT))]
    pub serendipity_weight: f32,

    /// Weight of being little known against relevance (0 to 1)
    #[arg(long, env = "NOVELTY_WEIGHT", default_value_t = defaults().novelty_weight,
          value_parser = number(SettingsRange::NOVELTY_WEIGHT))]
    pub novelty_weight: f32,

    /// Most items of one topic in a list; 0 is any number (0 to 500)
    #[arg(long, env = "MAX_PER_TOPIC", default_value_t = defaults().max_per_topic,
          value_parser = integer(SettingsRange::MAX_PER_TOPIC))]
    pub max_per_topic: u32,

    /// Most items of one source in a list; 0 is any number (0 to 500)
    #[arg(long, env = "MAX_PER_SOURCE", default_value_t = defaults().max_per_source,
          value_parser = integer(SettingsRange::MAX_PER_SOURCE))]
    pub max_per_source: u32,

    /// How often an item may be shown to a user in 24 hours; 0 is any number (0 to 1000)
    #[arg(long, env = "FREQUENCY_CAP_PER_DAY", default_value_t = defaults().frequency_cap_per_day,
          value_parser = integer(SettingsRange::FREQUENCY_CAP))]
    pub frequency_cap_per_day: u32,

    /// Hours for which an item stays away after an interaction; 0 is no such rule
    #[arg(long, env = "SEEN_COOLDOWN_HOURS", default_value_t = defaults().seen_cooldown_hours,
          value_parser = number(SettingsRange::SEEN_COOLDOWN))]
    pub seen_cooldown_hours: f32,

    /// Interactions from which on an item stays away; 0 is no such rule (0 to 65535)
    #[arg(long, env = "SEEN_AFTER_SESSIONS",
          default_value_t = defaults().seen_after_sessions,
          value_parser = integer(SettingsRange::SEEN_AFTER))]
    pub seen_after_sessions: u32,
}

impl RulesConfig {
    /// `base` with what these flags say.
    pub fn overlaid(&self, base: Settings) -> Settings {
        Settings {
            diversity_method: match self.diversity_method {
                MethodName::None => DiversityMethod::None,
                MethodName::Dpp => DiversityMethod::Dpp,
                MethodName::Calibrated => DiversityMethod::Calibrated,
            },
            diversity_weight: self.diversity_weight,
            serendipity_weight: self.serendipity_weight,
            novelty_weight: self.novelty_weight,
            max_per_topic: self.max_per_topic,
            max_per_source: self.max_per_source,
            frequency_cap_per_day: self.frequency_cap_per_day,
            seen_cooldown_hours: self.seen_cooldown_hours,
            seen_after_sessions: self.seen_after_sessions,
            ..base
        }
    }
}
