//! The shared cache.
//!
//! - A stored value is a version byte, a checksum and the value; what does not fit
//!   that is not there.

use std::sync::Arc;
use std::time::Duration;

use fred::bytes::Bytes;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::KeysInterface;
use fred::types::Expiration;
use fred::types::Value;
use tokio_util::task::AbortOnDropHandle;

use super::counters::Counters;
use super::link::Link;
use super::queue;
use super::queue::Queued;
use crate::storage::cache::Cache;

/// A larger value takes longer to fetch than the deadline allows.
const VALUE_MAX: usize = 1 << 20;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 1 + size_of::<u32>();
const QUEUE_ITEMS: usize = 1_024;
const QUEUE_BYTES: usize = 16 << 20;
/// What an item takes in the queue in addition to its value.
const ITEM_BYTES: usize = 256;
const PIPELINE_MAX: usize = 64;

pub struct RedisCache {
    prefix: String,
    requests: Arc<Link>,
    queue: queue::Sender<Put>,
    counters: Arc<Counters>,
    _writer: AbortOnDropHandle<()>,
}

struct Put {
    key: String,
    value: Box<[u8]>,
    lifetime: Duration,
}

impl RedisCache {
    pub(super) fn start(
        prefix: String,
        requests: Arc<Link>,
        bulk: Arc<Link>,
        counters: Arc<Counters>,
    ) -> Self {
        let (queue, receiver) = queue::bounded(QUEUE_ITEMS, QUEUE_BYTES);
        let writer = tokio::spawn(write(receiver, bulk, counters.clone()));
        Self { prefix, requests, queue, counters, _writer: AbortOnDropHandle::new(writer) }
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.prefix)
    }
}

#[async_trait::async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        // No more than a value can have, whatever is stored there.
        let end = HEADER_BYTES + VALUE_MAX - 1;
        let key = self.key(key);
        let get = |client: Arc<Client>| async move { client.getrange(key, 0, end).await };
        let stored: Bytes = self.requests.run(get).await?;
        if stored.is_empty() {
            return None;
        }
        let value = open(&stored);
        if value.is_none() {
            self.counters.rejected.add(1);
        }
        value
    }

    async fn remove(&self, key: &str) {
        let key = self.key(key);
        let remove = |client: Arc<Client>| async move { client.del::<(), _>(key).await };
        self.requests.run(remove).await;
    }

    fn put(&self, key: String, value: Vec<u8>, lifetime: Duration) {
        let size = ITEM_BYTES + key.len() + value.len();
        let fits = value.len() <= VALUE_MAX && !lifetime.is_zero();
        let put = || Put { key: self.key(&key), value: seal(&value), lifetime };
        if !fits || !self.queue.push(size, put) {
            self.counters.dropped.add(1);
        }
    }
}

fn seal(value: &[u8]) -> Box<[u8]> {
    let mut stored = Vec::with_capacity(HEADER_BYTES + value.len());
    stored.push(VERSION);
    stored.extend_from_slice(&crc32fast::hash(value).to_le_bytes());
    stored.extend_from_slice(value);
    stored.into_boxed_slice()
}

fn open(stored: &[u8]) -> Option<Vec<u8>> {
    let (&VERSION, rest) = stored.split_first()? else { return None };
    let (checksum, value) = rest.split_first_chunk()?;
    (u32::from_le_bytes(*checksum) == crc32fast::hash(value)).then(|| value.to_vec())
}

async fn write(mut queue: queue::Receiver<Put>, bulk: Arc<Link>, counters: Arc<Counters>) {
    loop {
        let mut puts = queue.take(PIPELINE_MAX).await;
        if puts.is_empty() {
            break;
        }
        let count = puts.len();
        let stored = bulk.run(|client| send(client, &mut puts)).await.unwrap_or(0);
        counters.dropped.add(count - stored);
    }
}

/// Returns how many values Redis has taken.
async fn send(client: Arc<Client>, puts: &mut [Queued<Put>]) -> Result<usize, Error> {
    let pipeline = client.pipeline();
    for put in puts {
        let put = &mut put.item;
        let millis = i64::try_from(put.lifetime.as_millis()).unwrap_or(i64::MAX).max(1);
        let (key, value) = (std::mem::take(&mut put.key), std::mem::take(&mut put.value));
        let expire = Some(Expiration::PX(millis));
        pipeline.set::<(), _, _>(key, Value::from(value), expire, None, false).await?;
    }
    let answers = pipeline.try_all::<Value>().await;
    let stored = answers.iter().filter(|answer| answer.is_ok()).count();
    match answers.into_iter().find_map(Result::err) {
        Some(error) if stored == 0 => Err(error),
        _ => Ok(stored),
    }
}
