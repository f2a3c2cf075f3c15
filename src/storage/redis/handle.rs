//! All that a process has in Redis.

use std::sync::Arc;
use std::time::Duration;

use super::cache::RedisCache;
use super::connection::Connector;
use super::counters::Counters;
use super::counters::RedisCounts;
use super::link::Link;
use super::options::RedisOptions;
use super::rates::RedisRates;
use super::tail::RedisTail;
use crate::storage::error::Error;
use crate::storage::tail::TailFeed;

/// For commands that nobody waits for.
const BULK_DEADLINE: Duration = Duration::from_secs(1);

/// See [`connect`]; dropping the last handle closes the connections.
pub struct Redis {
    tail: Arc<RedisTail>,
    cache: Arc<RedisCache>,
    rates: Arc<RedisRates>,
    requests: Arc<Link>,
    bulk: Arc<Link>,
    counters: Arc<Counters>,
}

/// Which connections are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisHealth {
    /// Cache reads and rate counters.
    pub requests: bool,
    /// Publishing and cache writes.
    pub bulk: bool,
    /// Following the tail.
    pub tail: bool,
}

impl RedisHealth {
    pub const fn is_connected(self) -> bool {
        self.requests && self.bulk && self.tail
    }
}

/// Begins to connect, and returns without waiting for it: an unreachable Redis is no
/// error. Every key carries the identity of the database whose values these are, so that
/// deployments which share a Redis never meet. Must be called within a tokio runtime.
///
/// # Errors
/// `Misconfigured` when the URL or the CA file cannot be used.
pub async fn connect(options: &RedisOptions, identity: &str) -> Result<Redis, Error> {
    let owned = options.clone();
    // Reads certificate files.
    let config = tokio::task::spawn_blocking(move || owned.config())
        .await
        .map_err(|error| Error::Unavailable { reason: error.to_string() })??;
    let counters = Arc::<Counters>::default();
    let connector =
        |purpose, deadline| Connector::new(purpose, config.clone(), deadline, counters.clone());
    let link =
        |purpose, deadline| Arc::new(Link::start(connector(purpose, deadline), counters.clone()));
    let requests = link("requests", options.read_deadline);
    let bulk = link("bulk", BULK_DEADLINE);
    let key = |kind: &str| format!("{}:{identity}:{kind}", options.key_prefix);
    Ok(Redis {
        tail: Arc::new(RedisTail::start(
            key("tail"),
            bulk.clone(),
            connector("tail", BULK_DEADLINE),
            counters.clone(),
        )),
        cache: Arc::new(RedisCache::start(
            key("cache"),
            requests.clone(),
            bulk.clone(),
            counters.clone(),
        )),
        rates: Arc::new(RedisRates::new(key("rate"), requests.clone())),
        requests,
        bulk,
        counters,
    })
}

impl Redis {
    pub fn tail(&self) -> Arc<RedisTail> {
        self.tail.clone()
    }

    pub fn cache(&self) -> Arc<RedisCache> {
        self.cache.clone()
    }

    pub fn rates(&self) -> Arc<RedisRates> {
        self.rates.clone()
    }

    pub fn health(&self) -> RedisHealth {
        RedisHealth {
            requests: self.requests.is_up(),
            bulk: self.bulk.is_up(),
            tail: self.tail.is_connected(),
        }
    }

    pub fn counts(&self) -> RedisCounts {
        self.counters.read()
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("health", &self.health()).finish_non_exhaustive()
    }
}
