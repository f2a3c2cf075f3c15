//! Flags and environment variables of `serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use super::arms::ArmsConfig;
use super::edge::EdgeConfig;
use super::privacy::PrivacyConfig;
use super::ranker::RankerConfig;
use super::rules::RulesConfig;
use super::stores::StoreConfig;
use engine::domain::Settings;
use engine::domain::SettingsRange;
use engine::domain::check_half_life;
use engine::domain::within_range;

/// Where the process runs; decides the form of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// Logs as text.
    Development,
    /// Logs as JSON.
    Production,
}

/// How much of a decision is recorded, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecisionDetail {
    /// What was shown, with scores, propensities and features.
    Shown,
    /// And the call, and every candidate with its score: what an audit needs.
    Candidates,
    /// And the items that requests describe themselves.
    Full,
}

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// Address of the gRPC server
    #[arg(long, env = "GRPC_ADDR", default_value = "127.0.0.1:50051")]
    pub grpc_addr: SocketAddr,

    /// Address of the HTTP server: /metrics, /healthz, /readyz
    #[arg(long, env = "HTTP_ADDR", default_value = "127.0.0.1:9090")]
    pub http_addr: SocketAddr,

    #[command(flatten)]
    pub edge: EdgeConfig,

    #[command(flatten)]
    pub stores: StoreConfig,

    /// Decides the form of the logs: text or JSON
    #[arg(long, env = "ENVIRONMENT", value_enum, default_value = "development")]
    pub environment: Environment,

    /// More logs
    #[arg(long, env = "DEBUG", value_parser = clap::builder::FalseyValueParser::new(),
          action = clap::ArgAction::SetTrue)]
    pub debug: bool,

    /// Longest time, in seconds, that a shutdown waits for running calls
    #[arg(long, env = "SHUTDOWN_SECONDS", default_value = "20",
          value_parser = clap::value_parser!(u64).range(0..=600))]
    pub shutdown_seconds: u64,

    /// Records between two snapshots of a namespace (1,000 to 100,000,000)
    #[arg(long, env = "SNAPSHOT_EVERY_RECORDS", default_value = "100000",
          value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub snapshot_every_records: u64,

    /// Records behind the log up to which a starting replica counts as ready, and from
    /// which answers say that they are late (100 to 100,000,000)
    #[arg(long, env = "READY_LAG_RECORDS", default_value = "10000",
          value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    pub ready_lag_records: u64,

    /// Namespaces that are open at a time; beyond these the least used are closed
    /// (1 to 1,000,000)
    #[arg(long, env = "OPEN_NAMESPACES_MAX", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub open_namespaces_max: u32,

    /// Requests a second that a namespace may make, over all replicas; 0 is no limit
    #[arg(long, env = "RATE_LIMIT_REQUESTS", value_name = "PER_SECOND", default_value = "0")]
    pub rate_limit_requests: u64,

    /// Events and items a second that a namespace may send, over all replicas; 0 is no limit
    #[arg(long, env = "RATE_LIMIT_EVENTS", value_name = "PER_SECOND", default_value = "0")]
    pub rate_limit_events: u64,

    /// Train a model whenever enough was learnt since the last one
    #[arg(long, env = "AUTO_RETRAIN", default_value = "true", action = clap::ArgAction::Set)]
    pub auto_retrain: bool,

    /// Length of user and item factors (8 to 256; multiples of 16 are fastest)
    #[arg(long, env = "COLLABORATIVE_FACTORS", default_value_t = defaults().collaborative_factors,
          value_parser = integer(SettingsRange::FACTORS))]
    pub collaborative_factors: u32,

    /// L2 regularization of the matrix factorization (0.000001 to 100)
    #[arg(long, env = "COLLABORATIVE_REGULARIZATION",
          default_value_t = defaults().collaborative_regularization,
          value_parser = number(SettingsRange::REGULARIZATION))]
    pub collaborative_regularization: f32,

    /// Weight of unobserved pairs in the matrix factorization (0.000001 to 10)
    #[arg(long, env = "UNOBSERVED_WEIGHT", default_value_t = defaults().unobserved_weight,
          value_parser = number(SettingsRange::UNOBSERVED_WEIGHT))]
    pub unobserved_weight: f32,

    /// Trainings that a search for better values of the three may take, from these on; 0 or
    /// 1: none (0 to 100)
    #[arg(long, env = "SEARCH_TRIALS", default_value_t = defaults().search_trials,
          value_parser = integer(SettingsRange::SEARCH_TRIALS))]
    pub search_trials: u32,

    /// Length of the embeddings that items may carry (1 to 4096)
    #[arg(long, env = "CONTENT_EMBEDDING_DIM", default_value_t = defaults().embedding_dimension,
          value_parser = integer(SettingsRange::EMBEDDING_DIMENSION))]
    pub content_embedding_dim: u32,

    /// Days for which records of a user who was erased are dropped when they arrive: events sent late
    /// (1 to 3650)
    #[arg(long, env = "SUPPRESSION_DAYS", default_value_t = 90,
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub suppression_days: u32,

    #[command(flatten)]
    pub privacy: PrivacyConfig,

    /// Directory of a sentence-transformer that makes the embeddings of items that come
    /// without one; its vectors must be as long as CONTENT_EMBEDDING_DIM. Needs a build
    /// with the feature `embedder`
    #[arg(long, env = "EMBEDDING_MODEL_DIR", value_name = "DIR")]
    pub embedding_model_dir: Option<PathBuf>,

    /// Most terms of the TF-IDF vocabulary (16 to 1000000)
    #[arg(long, env = "TFIDF_MAX_FEATURES", default_value_t = defaults().tfidf_max_features,
          value_parser = integer(SettingsRange::TFIDF_MAX_FEATURES))]
    pub tfidf_max_features: u32,

    /// Users that are remembered; beyond it, those who did least are forgotten (100 to 100000000)
    #[arg(long, env = "USERS_MAX", default_value_t = defaults().users_max,
          value_parser = integer(SettingsRange::USERS_MAX))]
    pub users_max: u32,

    /// Items outside the catalogue that are remembered; beyond it, those with the least evidence are
    /// forgotten (100 to 10000000)
    #[arg(long, env = "UNKNOWN_ITEMS_MAX", default_value_t = defaults().unknown_items_max,
          value_parser = integer(SettingsRange::UNKNOWN_ITEMS_MAX))]
    pub unknown_items_max: u32,

    #[command(flatten)]
    pub ranker: RankerConfig,

    /// Share of a list that must lie outside its most frequent topic (0 to 1)
    #[arg(long, env = "DIVERSITY_THRESHOLD", default_value_t = defaults().topic_diversity_threshold,
          value_parser = number(SettingsRange::TOPIC_DIVERSITY))]
    pub diversity_threshold: f32,

    /// How much of each decision is recorded: what was shown; the call and all candidates,
    /// too; or also the items that a request describes itself
    #[arg(long, env = "DECISION_DETAIL", value_enum, default_value = "candidates")]
    pub decision_detail: DecisionDetail,

    #[command(flatten)]
    pub rules: RulesConfig,

    #[command(flatten)]
    pub arms: ArmsConfig,

    /// Key of the engine's random streams
    #[arg(long, env = "SEED", default_value_t = defaults().seed)]
    pub seed: u64,
}

pub(super) fn defaults() -> Settings {
    Settings::default()
}

pub(super) fn number(
    range: SettingsRange,
) -> impl Fn(&str) -> Result<f32, String> + Clone + Send + Sync {
    move |text| {
        let value: f32 = text.parse().map_err(|_not_a_number| "is not a number".to_owned())?;
        range.check(f64::from(value)).map(|_within| value)
    }
}

/// As [`number`], for a range that is a pair.
pub(super) fn within(
    range: (f32, f32),
) -> impl Fn(&str) -> Result<f32, String> + Clone + Send + Sync {
    move |text| {
        let value: f32 = text.parse().map_err(|_not_a_number| "is not a number".to_owned())?;
        within_range(value, range)
    }
}

/// As [`within`], of whole numbers.
pub(super) fn whole_within(
    range: (f32, f32),
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync {
    move |text| {
        let value: u32 =
            text.parse().map_err(|_not_a_number| "is not a whole number".to_owned())?;
        within_range(value as f32, range).map(|_within| value)
    }
}

/// Events of a half-life; 0 is for ever.
pub(super) fn half_life(text: &str) -> Result<u32, String> {
    let value = text.parse().map_err(|_not_a_number| "is not a whole number".to_owned())?;
    check_half_life(value)
}

pub(super) fn integer(
    range: SettingsRange,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync {
    move |text| {
        let value: u32 =
            text.parse().map_err(|_not_a_number| "is not a whole number".to_owned())?;
        range.check(f64::from(value)).map(|_within| value)
    }
}

impl ServeConfig {
    /// The settings of namespaces that have none of their own.
    pub fn settings(&self) -> Settings {
        let settings = Settings {
            collaborative_factors: self.collaborative_factors,
            collaborative_regularization: self.collaborative_regularization,
            unobserved_weight: self.unobserved_weight,
            search_trials: self.search_trials,
            embedding_dimension: self.content_embedding_dim,
            tfidf_max_features: self.tfidf_max_features,
            topic_diversity_threshold: self.diversity_threshold,
            arms: self.arms.settings(),
            users_max: self.users_max,
            unknown_items_max: self.unknown_items_max,
            seed: self.seed,
            ..Settings::default()
        };
        self.rules.overlaid(self.ranker.overlaid(settings))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        config: ServeConfig,
    }

    fn parse(args: &[&str]) -> Result<ServeConfig, String> {
        let args = std::iter::once("serve").chain(args.iter().copied());
        Command::try_parse_from(args).map(|c| c.config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_domain() {
        assert_eq!(parse(&[]).unwrap().settings(), Settings::default());
    }

    #[test]
    fn a_value_out_of_range_names_the_flag_and_the_range() {
        let error = parse(&["--epsilon", "1.5"]).unwrap_err();
        assert!(error.contains("--epsilon") && error.contains("must be 0 to 1"), "{error}");
        let error = parse(&["--collaborative-factors", "4"]).unwrap_err();
        assert!(error.contains("--collaborative-factors") && error.contains("8 to 256"), "{error}");
        assert!(parse(&["--epsilon", "NaN"]).is_err());
    }
}
