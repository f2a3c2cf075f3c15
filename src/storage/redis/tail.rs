//! The tail feed over one stream for all partitions.
//!
//! - A batch goes into this process's own ring at once; to the others it goes when
//!   Redis takes it, and is dropped when Redis does not.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::KeysInterface;
use fred::interfaces::StreamsInterface;
use fred::types::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connector;
use super::counters::Counters;
use super::entry;
use super::entry::ProcessId;
use super::link::Link;
use super::queue;
use super::queue::Queued;
use super::reader;
use super::ring;
use super::ring::Ring;
use crate::storage::chain::Position;
use crate::storage::partition::Partition;
use crate::storage::tail::TailBatch;
use crate::storage::tail::TailFeed;

/// Redis trims whole nodes, so that some more may stay for a while.
const ENTRIES_MAX: u64 = 256;
const LIFETIME: Duration = Duration::from_secs(3_600);
const QUEUE_ITEMS: usize = 1_024;
const QUEUE_BYTES: usize = 16 << 20;
/// What an item takes in the queue in addition to its payload.
const ITEM_BYTES: usize = 256;
/// Batches of one round trip.
const PIPELINE_MAX: usize = 64;

pub struct RedisTail {
    key: String,
    bulk: Arc<Link>,
    runtime: Handle,
    news: Arc<News>,
    queue: queue::Sender<Arc<TailBatch>>,
    counters: Arc<Counters>,
    _publisher: AbortOnDropHandle<()>,
    _reader: AbortOnDropHandle<()>,
}

/// What is known, and who waits for news.
pub struct News {
    ring: Mutex<Ring>,
    connected: AtomicBool,
    changes: watch::Sender<u64>,
}

impl News {
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
        self.changed();
    }
}

impl RedisTail {
    pub(super) fn start(
        key: String,
        bulk: Arc<Link>,
        connector: Connector,
        counters: Arc<Counters>,
    ) -> Self {
        let news = Arc::new(News {
            ring: Mutex::default(),
            connected: AtomicBool::new(false),
            changes: watch::Sender::new(0),
        });
        let process = ProcessId(uuid::Uuid::now_v7().into_bytes());
        let (queue, receiver) = queue::bounded(QUEUE_ITEMS, QUEUE_BYTES);
        let publisher =
            Publisher { key: key.clone(), process, bulk: bulk.clone(), counters: counters.clone() };
        let reader = reader::Reader::new(key.clone(), process, news.clone(), counters.clone());
        Self {
            key,
            bulk,
            runtime: Handle::current(),
            news,
            queue,
            counters,
            _publisher: AbortOnDropHandle::new(tokio::spawn(publisher.run(receiver))),
            _reader: AbortOnDropHandle::new(tokio::spawn(reader.run(connector))),
        }
    }

    /// Bytes of the batches kept in memory.
    pub fn bytes_kept(&self) -> usize {
        self.news.ring().bytes()
    }
}

impl TailFeed for RedisTail {
    fn publish(&self, batches: Vec<TailBatch>) {
        let now = Instant::now();
        for mut batch in batches {
            let size = batch.payload.as_ref().map_or(0, Vec::len);
            if size > ring::PAYLOAD_MAX {
                batch.payload = None;
            }
            let batch = Arc::new(batch);
            self.news.ring().insert(batch.clone(), now);
            let (carried, size) = if size > entry::PAYLOAD_MAX {
                (Arc::new(TailBatch { payload: None, ..TailBatch::clone(&batch) }), 0)
            } else {
                (batch, size)
            };
            if !self.queue.push(ITEM_BYTES + size, || carried) {
                self.counters.dropped.add(1);
            }
        }
        self.news.changed();
    }

    fn recent(&self, partition: &Partition, after: Position) -> Vec<Arc<TailBatch>> {
        self.news.ring().recent(partition, after)
    }

    fn newest(&self, partition: &Partition) -> Option<Position> {
        self.news.ring().newest(partition)
    }

    /// The stream is one for all partitions: it goes whole, and readers ask the store.
    fn forget(&self, partition: &Partition) {
        self.news.ring().forget(partition);
        let (key, bulk) = (self.key.clone(), self.bulk.clone());
        let delete = |client: Arc<Client>| async move { client.del::<(), _>(key).await };
        self.runtime.spawn(async move { bulk.run(delete).await });
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.news.changes.subscribe()
    }

    fn is_connected(&self) -> bool {
        self.news.connected.load(Ordering::Acquire)
    }
}

struct Publisher {
    key: String,
    process: ProcessId,
    bulk: Arc<Link>,
    counters: Arc<Counters>,
}

impl Publisher {
    async fn run(self, mut queue: queue::Receiver<Arc<TailBatch>>) {
        loop {
            let batches = queue.take(PIPELINE_MAX).await;
            if batches.is_empty() {
                break;
            }
            let taken = self.bulk.run(|client| self.send(client, &batches)).await.unwrap_or(0);
            self.counters.published.add(taken);
            self.counters.dropped.add(batches.len() - taken);
        }
    }

    /// Returns how many Redis has taken.
    async fn send(
        &self,
        client: Arc<Client>,
        batches: &[Queued<Arc<TailBatch>>],
    ) -> Result<usize, Error> {
        let pipeline = client.pipeline();
        for batch in batches {
            let value = entry::encode(&batch.item, self.process).into_boxed_slice();
            let cap = ("MAXLEN", "~", ENTRIES_MAX);
            let pair = (entry::FIELD, Value::from(value));
            pipeline.xadd::<(), _, _, _, _>(&self.key, false, cap, "*", pair).await?;
        }
        // Each time: the stream may have been deleted since.
        let lifetime = i64::try_from(LIFETIME.as_secs()).unwrap_or(i64::MAX);
        pipeline.expire::<(), _>(&self.key, lifetime, None).await?;
        let mut answers = pipeline.try_all::<Value>().await;
        answers.truncate(batches.len());
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        match answers.into_iter().find_map(Result::err) {
            Some(error) if taken == 0 => Err(error),
            _ => Ok(taken),
        }
    }
}
