//! Opens the backends that the configuration asks for: with `serve` the composition
//! root, and with it the only file that names them.

use std::sync::Arc;
use std::time::Duration;

use super::Failure;
use crate::config::StoreConfig;
use crate::service::Stores;
use crate::storage;
use crate::storage::MemoryCache;
use crate::storage::MemoryLeases;
use crate::storage::MemoryRates;
use crate::storage::PostgresOptions;
use crate::storage::PostgresStore;
use crate::storage::Redis;
use crate::storage::RedisCounts;
use crate::storage::RedisOptions;
use crate::storage::SqliteOptions;
use crate::storage::connect_redis;
use crate::storage::open_postgres;
use crate::storage::open_postgres_reading;
use crate::storage::open_sqlite;
use crate::telemetry::Observed;

/// A server that does not listen is known to be away at once; this is for one that
/// does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The cache of a process without Redis.
const CACHED_VALUES: usize = 50_000;
const CACHED_BYTES: u64 = 64 << 20;

/// The options of PostgreSQL, when it is asked for.
pub fn postgres_options(config: &StoreConfig) -> Option<PostgresOptions> {
    Some(PostgresOptions {
        url: config.database_url.clone()?,
        read_url: config.database_read_url.clone(),
        pool_size: config.database_pool_size.into(),
        statement_timeout: config.statement_timeout(),
        connect_timeout: CONNECT_TIMEOUT,
        dedup_horizon: config.dedup_horizon_events,
    })
}

/// The opened stores, and what Redis is to be joined to.
pub struct Opened {
    pub stores: Stores,
    postgres: Option<Arc<PostgresStore>>,
}

/// Opens the store. Blocks.
///
/// # Errors
/// `Unavailable` when it may work later, anything else when it will not.
pub fn open(config: &StoreConfig) -> Result<Opened, storage::Error> {
    match postgres_options(config) {
        Some(options) => {
            let store = open_postgres(&options)?;
            Ok(Opened { stores: with_postgres(store.clone()), postgres: Some(store) })
        }
        None => Ok(Opened { stores: embedded(config)?, postgres: None }),
    }
}

impl Opened {
    /// Begins to connect to Redis, when it is asked for, and shares by it what it can.
    ///
    /// # Errors
    /// When its URL cannot be used; not when it is away.
    pub async fn join_redis(
        &mut self,
        config: &StoreConfig,
    ) -> Result<Option<Arc<Redis>>, storage::Error> {
        let Some(url) = &config.redis_url else {
            return Ok(None);
        };
        let mut options = RedisOptions::new(url);
        options.key_prefix = config.redis_key_prefix.clone();
        options.ca_file = config.redis_ca_file.clone();
        let redis = connect_redis(&options, &self.stores.identity).await?;
        if let Some(postgres) = &self.postgres {
            postgres.set_feed(redis.tail());
            self.stores.feed = Some(redis.tail());
        }
        self.stores.cache = redis.cache();
        self.stores.rates = redis.rates();
        Ok(Some(Arc::new(redis)))
    }
}

/// Opens the store for a command that reads all of it: a read replica where one is
/// configured. Blocks.
///
/// # Errors
/// As `open`.
pub fn open_for_reading(config: &StoreConfig) -> Result<Stores, storage::Error> {
    match postgres_options(config) {
        Some(options) => Ok(with_postgres(open_postgres_reading(&options)?)),
        None if !config.data_dir.is_dir() => {
            let reason = format!("there is no data directory {}", config.data_dir.display());
            Err(storage::Error::Misconfigured { reason })
        }
        None => embedded(config),
    }
}

fn with_postgres(store: Arc<PostgresStore>) -> Stores {
    Stores {
        identity: store.identity().to_owned(),
        log: store.clone(),
        snapshots: store.clone(),
        namespaces: store.clone(),
        leases: store.clone(),
        trainings: store.clone(),
        erasures: store.clone(),
        budgets: store.clone(),
        projection: Some(store),
        feed: None,
        cache: Arc::new(MemoryCache::new(CACHED_VALUES, CACHED_BYTES)),
        rates: Arc::new(MemoryRates::default()),
    }
}

fn embedded(config: &StoreConfig) -> Result<Stores, storage::Error> {
    let path = config.data_dir.clone();
    let store = open_sqlite(&SqliteOptions { path, dedup_horizon: config.dedup_horizon_events })?;
    Ok(Stores {
        identity: store.identity().to_owned(),
        log: store.clone(),
        snapshots: store.clone(),
        namespaces: store.clone(),
        leases: Arc::new(MemoryLeases::default()),
        trainings: store.clone(),
        erasures: store.clone(),
        budgets: store,
        projection: None,
        feed: None,
        cache: Arc::new(MemoryCache::new(CACHED_VALUES, CACHED_BYTES)),
        rates: Arc::new(MemoryRates::default()),
    })
}

/// The options of PostgreSQL for a command that works on nothing else.
///
/// # Errors
/// When it is not asked for.
pub fn required_postgres(config: &StoreConfig) -> Result<PostgresOptions, Failure> {
    let missing = "this command works on PostgreSQL: set --database-url or DATABASE_URL";
    Ok(postgres_options(config).ok_or(missing)?)
}

/// What the log counts, as a metric.
pub fn log_metrics(stores: &Stores) -> Observed {
    let log = stores.log.clone();
    Observed {
        name: "event_hashes_rebuilt",
        help: "Batches whose damaged event hashes were rebuilt",
        read: Box::new(move || log.event_hashes_rebuilt()),
    }
}

/// What Redis counts, as metrics.
pub fn redis_metrics(redis: &Arc<Redis>) -> Vec<Observed> {
    let count = |name, help, read: fn(&RedisCounts) -> u64| {
        let redis = redis.clone();
        Observed { name, help, read: Box::new(move || read(&redis.counts())) }
    };
    vec![
        count("redis_batches_published", "Log batches sent to other replicas", |c| c.published),
        count("redis_batches_received", "Log batches of other replicas", |c| c.received),
        count("redis_dropped", "Batches and values not sent", |c| c.dropped),
        count("redis_rejected", "Entries and values that were not readable", |c| c.rejected),
        count("redis_timeouts", "Commands without an answer in time", |c| c.timeouts),
        count("redis_errors", "Commands answered by an error", |c| c.errors),
        count("redis_connections", "Connections made", |c| c.connections),
    ]
}
