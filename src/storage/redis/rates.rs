//! The shared rate counters.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::LuaInterface;
use fred::types::Value;

use super::link::Link;
use crate::storage::cache::RateCounters;

/// In one step: a counter must not be without a lifetime. One that another replica
/// has left without gets one.
const ADD: &str = "local sum = redis.call('INCRBY', KEYS[1], ARGV[1]) \
    if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end \
    return sum";

pub struct RedisRates {
    prefix: String,
    requests: Arc<Link>,
}

impl RedisRates {
    pub(super) const fn new(prefix: String, requests: Arc<Link>) -> Self {
        Self { prefix, requests }
    }
}

#[async_trait::async_trait]
impl RateCounters for RedisRates {
    async fn add(&self, key: &str, amount: u64, lifetime: Duration) -> Option<u64> {
        let key = format!("{}:{key}", self.prefix);
        let amount = i64::try_from(amount).ok()?;
        let millis = i64::try_from(lifetime.as_millis()).ok()?.max(1);
        let arguments = vec![Value::from(amount), Value::from(millis)];
        let add = |client: Arc<Client>| async move { client.eval(ADD, key, arguments).await };
        let sum: i64 = self.requests.run(add).await?;
        u64::try_from(sum).ok()
    }
}
