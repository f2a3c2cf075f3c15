//! Where the service keeps what it keeps; shared by all commands that open a store.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use engine::domain::Timestamp;

/// Options of the stores. Without a URL the embedded kind is used.
#[derive(Clone, Args)]
pub struct StoreConfig {
    /// Directory of the embedded store; created if missing
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// PostgreSQL 15 or newer instead of the embedded store, shared by any number of
    /// replicas; a URL or key=value pairs, with sslmode and sslrootcert as in libpq
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// A read replica for long reads that may be a little behind (verify)
    #[arg(long, env = "DATABASE_READ_URL", value_name = "URL", hide_env_values = true)]
    pub database_read_url: Option<String>,

    /// Connections to PostgreSQL at most (2 to 200)
    #[arg(long, env = "DATABASE_POOL_SIZE", default_value = "8",
          value_parser = clap::value_parser!(u16).range(2..=200))]
    pub database_pool_size: u16,

    /// What a statement may take, and an append with all its retries, in milliseconds
    /// (100 to 600000)
    #[arg(long, env = "DATABASE_STATEMENT_TIMEOUT_MS", default_value = "5000",
          value_parser = clap::value_parser!(u64).range(100..=600_000))]
    pub database_statement_timeout_ms: u64,

    /// Redis 7 or newer for news between replicas, shared caches and rate limits:
    /// redis://, redis-sentinel://, redis-cluster://, with TLS rediss:// and so on
    #[arg(long, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// First part of every Redis key
    #[arg(long, env = "REDIS_KEY_PREFIX", default_value = "personalization")]
    pub redis_key_prefix: String,

    /// CA certificates (PEM) to trust for Redis instead of the system's
    #[arg(long, env = "REDIS_CA_FILE", value_name = "FILE")]
    pub redis_ca_file: Option<PathBuf>,

    /// Events within which a resent event id is recognised, at least (1,000 to 100,000,000);
    /// 20 to 72 bytes of memory each
    #[arg(long, env = "DEDUP_HORIZON_EVENTS", default_value = "1000000",
          value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub dedup_horizon_events: u64,

    /// Days for which decisions are exported, replayed, evaluated and kept in the table
    /// `decisions`; 0 is for ever (0 to 36500)
    #[arg(long, env = "DECISION_RETENTION_DAYS", default_value = "0",
          value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub decision_retention_days: u32,
}

impl StoreConfig {
    pub const fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.database_statement_timeout_ms)
    }

    /// Decisions recorded before this are past their retention.
    pub fn decisions_kept_since(&self, now: Timestamp) -> Timestamp {
        decisions_kept_since(self.decision_retention_days, now)
    }
}

/// URLs may hold passwords.
impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreConfig")
            .field("data_dir", &self.data_dir)
            .field("postgres", &self.database_url.is_some())
            .field("redis", &self.redis_url.is_some())
            .finish_non_exhaustive()
    }
}

/// When the oldest decision that a retention of so many days keeps was recorded.
pub fn decisions_kept_since(retention_days: u32, now: Timestamp) -> Timestamp {
    match retention_days {
        0 => Timestamp::from_millis(i64::MIN),
        days => now.plus_millis(-i64::from(days) * Timestamp::DAY_MS),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        stores: StoreConfig,
    }

    #[test]
    fn a_password_is_not_shown() {
        let arguments = ["serve", "--database-url", "postgres://u:secret@h/d"];
        let command = Command::try_parse_from(arguments).unwrap();
        assert_eq!(command.stores.database_url.as_deref(), Some("postgres://u:secret@h/d"));
        assert!(!format!("{command:?}").contains("secret"));
    }

    #[test]
    fn decisions_are_kept_for_so_many_days_and_by_default_for_ever() {
        let now = Timestamp::from_seconds(1_700_000_000);
        assert_eq!(decisions_kept_since(3, now), now.plus_millis(-3 * 24 * 3_600_000));
        let command = Command::try_parse_from(["serve"]).unwrap();
        assert_eq!(command.stores.decisions_kept_since(now), Timestamp::from_millis(i64::MIN));
    }

    #[test]
    fn a_value_out_of_range_names_the_flag() {
        let error = Command::try_parse_from(["serve", "--database-pool-size", "1"]).unwrap_err();
        assert!(error.to_string().contains("--database-pool-size"), "{error}");
    }
}
