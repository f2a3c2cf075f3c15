//! Redis as it should be: the tail, the cache and the counters between processes.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use engine::domain::NamespaceName;
use engine::domain::Sequence;
use engine::domain::Timestamp;
use personalization::storage::BatchHead;
use personalization::storage::Cache;
use personalization::storage::Chain;
use personalization::storage::Error;
use personalization::storage::Partition;
use personalization::storage::Position;
use personalization::storage::RateCounters;
use personalization::storage::Redis;
use personalization::storage::RedisOptions;
use personalization::storage::Seal;
use personalization::storage::Stamp;
use personalization::storage::TailBatch;
use personalization::storage::TailFeed;
use personalization::storage::connect_redis;

use crate::redis_process::RedisProcess;
use crate::redis_process::eventually;

pub const MINUTE: Duration = Duration::from_secs(60);
/// Of the database whose values the tests share.
pub const IDENTITY: &str = "d1";
pub const STREAM: &str = "personalization:d1:tail";

/// A process that is connected.
pub async fn connected(options: &RedisOptions) -> Redis {
    let redis = connect_redis(options, IDENTITY).await.unwrap();
    eventually("the connection", async || redis.health().is_connected()).await;
    redis
}

/// With time enough for a busy machine.
pub fn options(url: impl Into<String>) -> RedisOptions {
    RedisOptions { read_deadline: Duration::from_millis(500), ..RedisOptions::new(url) }
}

pub fn partition(incarnation: u64) -> Partition {
    Partition { namespace: NamespaceName::parse("shop").unwrap(), incarnation }
}

/// Where a reader stands that has read up to a record, on the log that [`batch`] goes on.
pub fn position_at(sequence: Sequence) -> Position {
    Position { sequence, chain: Chain::from_bytes(sequence.to_le_bytes()), revision: 0 }
}

/// Ten records behind a position.
pub fn batch_after(before: Position, payload_bytes: usize) -> TailBatch {
    let first = before.sequence + 1;
    let recorded_at = Timestamp::from_millis(1_700_000_000_000);
    let head = BatchHead { first, count: 10, recorded_at };
    let payload: Vec<u8> = (0..payload_bytes).map(|i| (first as usize * 31 + i) as u8).collect();
    let seal = Seal::stamped(
        before.chain,
        head,
        (head.checksum(&payload), 0),
        Stamp::from_column(first as i64),
    );
    TailBatch { partition: partition(1), revision: 0, seal, payload: Some(payload) }
}

/// Ten records from `first` on. It follows no other batch but the position before it.
pub fn batch(first: Sequence, payload_bytes: usize) -> TailBatch {
    batch_after(position_at(first - 1), payload_bytes)
}

/// Batches that follow each other from the beginning of a log.
pub fn series(payload_bytes: &[usize]) -> Vec<TailBatch> {
    let mut end = Position::default();
    let next = |bytes: &usize| {
        let batch = batch_after(end, *bytes);
        end = batch.seal.end(0);
        batch
    };
    payload_bytes.iter().map(next).collect()
}

pub fn firsts(feed: &dyn TailFeed, after: Position) -> Vec<Sequence> {
    feed.recent(&partition(1), after).iter().map(|batch| batch.seal.head.first).collect()
}

/// Publishes until it arrives: right after a fault the first ones may get lost.
pub async fn arrives(from: &Redis, to: &Redis, first: Sequence) {
    eventually("a batch to arrive", async || {
        from.tail().publish(vec![batch(first, 100)]);
        tokio::time::sleep(Duration::from_millis(20)).await;
        firsts(&*to.tail(), position_at(first - 1)) == [first]
    })
    .await;
}

/// The cache and the counters, one process writing, another one reading.
pub async fn shares_values(writer: &Redis, reader: &Redis, key: &str) {
    eventually("a value to arrive", async || {
        writer.cache().put(key.to_owned(), b"value".to_vec(), MINUTE);
        reader.cache().get(key).await.as_deref() == Some(b"value")
    })
    .await;
    eventually("the counters", async || {
        let Some(sum) = writer.rates().add(key, 2, MINUTE).await else { return false };
        reader.rates().add(key, 3, MINUTE).await == Some(sum + 3)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_reach_another_process_and_at_once_this_one() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    let sent = series(&[20_000; 100]);
    let (start, end) = (Position::default(), sent[99].seal.end(0));
    for batches in sent.chunks(7) {
        here.tail().publish(batches.to_vec());
    }
    let here_has = here.tail().recent(&partition(1), start);
    assert!(here_has.iter().map(Arc::as_ref).eq(&sent), "without waiting for Redis");
    eventually("the last batch", async || there.tail().newest(&partition(1)) == Some(end)).await;
    let there_has = there.tail().recent(&partition(1), start);
    assert!(there_has.iter().map(Arc::as_ref).eq(&sent));
    assert_eq!(there.counts().received, 100);
    eventually("Redis to have said so", async || here.counts().published == 100).await;
    let (sender, receiver) = (here.counts(), there.counts());
    assert_eq!((sender.received, sender.dropped, sender.rejected), (0, 0, 0));
    assert_eq!((receiver.published, receiver.dropped, receiver.rejected), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_out_of_order_are_put_in_order_and_a_hole_ends_the_answer() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    let sent = series(&[100; 5]);
    let end = |position: usize| sent[position].seal.end(0);
    for position in [4, 2, 0, 1, 1] {
        here.tail().publish(vec![sent[position].clone()]);
    }
    eventually("all batches", async || there.counts().received == 5).await;
    for redis in [&here, &there] {
        let tail = redis.tail();
        assert_eq!(firsts(&*tail, Position::default()), [1, 11, 21]);
        assert_eq!(firsts(&*tail, end(0)), [11, 21]);
        assert_eq!(firsts(&*tail, end(2)), [] as [u64; 0]);
        assert_eq!(firsts(&*tail, end(3)), [41]);
        assert_eq!(tail.newest(&partition(1)), Some(end(4)));
    }
    here.tail().publish(vec![sent[3].clone()]);
    let filled = async || firsts(&*there.tail(), end(1)) == [21, 31, 41];
    eventually("the hole to be filled", filled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_is_announced_without_its_payload() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    let sent = series(&[256 << 10, (256 << 10) + 1]);
    let (start, ends) = (Position::default(), [0, 1].map(|position| sent[position].seal.end(0)));
    here.tail().publish(sent);
    eventually("the news", async || there.tail().newest(&partition(1)) == Some(ends[1])).await;
    assert_eq!(firsts(&*there.tail(), start), [1], "the log has the second one");
    assert_eq!(firsts(&*there.tail(), ends[0]), [] as [u64; 0]);
    assert_eq!(firsts(&*here.tail(), start), [1, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_life_of_a_namespace_has_its_own_tail() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    let earlier = batch(11, 100);
    let later = TailBatch { partition: partition(2), ..batch(1, 100) };
    let ends = [earlier.seal.end(0), later.seal.end(0)];
    here.tail().publish(vec![earlier, later]);
    eventually("both", async || there.counts().received == 2).await;
    assert_eq!(there.tail().newest(&partition(1)), Some(ends[0]));
    assert_eq!(there.tail().newest(&partition(2)), Some(ends[1]));
    assert_eq!(there.tail().newest(&partition(3)), None);
    assert!(there.tail().recent(&partition(2), ends[1]).is_empty());
}

/// Two deployments with the same prefix on one Redis, and the same numbers in both.
#[tokio::test(flavor = "multi_thread")]
async fn two_databases_on_one_redis_never_meet() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let ours = [connected(&options).await, connected(&options).await];
    let theirs = connect_redis(&options, "d2").await.unwrap();
    eventually("the connection", async || theirs.health().is_connected()).await;
    arrives(&ours[0], &ours[1], 1).await;
    shares_values(&ours[0], &ours[1], "key").await;
    assert_eq!(theirs.tail().newest(&partition(1)), None);
    assert_eq!(theirs.cache().get("key").await, None);
    assert_eq!(theirs.rates().add("key", 1, MINUTE).await, Some(1));
    theirs.tail().publish(vec![batch(101, 100)]);
    eventually("their batch", async || theirs.counts().published == 1).await;
    arrives(&ours[0], &ours[1], 11).await;
    assert_eq!(ours[1].tail().newest(&partition(1)).unwrap().sequence, 20);
    assert_eq!(theirs.counts().received, 0);
    assert_eq!(ours[1].counts().rejected + theirs.counts().rejected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiter_for_changes_learns_of_batches_and_of_the_connection() {
    let mut server = RedisProcess::stopped(&[]);
    let options = options(server.url());
    let there = connect_redis(&options, IDENTITY).await.unwrap();
    let mut changes = there.tail().changes();
    changes.borrow_and_update();
    assert!(!there.tail().is_connected());
    server.run();
    changes.changed().await.unwrap();
    assert!(there.tail().is_connected());
    let here = connected(&options).await;
    changes.borrow_and_update();
    here.tail().publish(vec![batch(1, 100)]);
    changes.changed().await.unwrap();
    assert_eq!(firsts(&*there.tail(), position_at(0)), [1]);
    server.kill();
    changes.changed().await.unwrap();
    assert!(!there.tail().is_connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_begins_at_the_end_of_the_stream() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let here = connected(&options).await;
    here.tail().publish(vec![batch(1, 100)]);
    eventually("the first batch to be in Redis", async || here.counts().published == 1).await;
    let there = connected(&options).await;
    here.tail().publish(vec![batch(11, 100)]);
    eventually("the second batch", async || firsts(&*there.tail(), position_at(10)) == [11]).await;
    assert_eq!(firsts(&*there.tail(), position_at(0)), [] as [u64; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_values_are_shared_until_their_lifetime_ends() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    let (cache, reader) = (here.cache(), there.cache());
    let binary: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    cache.put("binary".to_owned(), binary.clone(), MINUTE);
    cache.put("empty".to_owned(), Vec::new(), MINUTE);
    cache.put("short".to_owned(), vec![1], Duration::from_millis(300));
    cache.put("too large".to_owned(), vec![0; (1 << 20) + 1], MINUTE);
    eventually("the value", async || reader.get("short").await == Some(vec![1])).await;
    assert_eq!(reader.get("binary").await, Some(binary));
    assert_eq!(reader.get("empty").await, Some(Vec::new()));
    assert_eq!(reader.get("too large").await, None);
    assert_eq!(reader.get("never put").await, None);
    assert_eq!(here.counts().dropped, 1);
    eventually("the end", async || reader.get("short").await.is_none()).await;
    cache.put("empty".to_owned(), vec![2], MINUTE);
    eventually("the newer value", async || reader.get("empty").await == Some(vec![2])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_entry_of_another_service_is_not_there() {
    let server = RedisProcess::start(&[]);
    let redis = connected(&options(server.url())).await;
    server.cli(&["SET", "personalization:d1:cache:text", "hello"]);
    server.cli(&["LPUSH", "personalization:d1:cache:list", "hello"]);
    server.cli(&["SETRANGE", "personalization:d1:cache:huge", "100000000", "x"]);
    for key in ["text", "list", "huge"] {
        assert_eq!(redis.cache().get(key).await, None);
    }
    assert_eq!(redis.counts().rejected, 2);
    assert!(redis.health().is_connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_counters_sum_over_processes_and_end_after_their_lifetime() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    assert_eq!(here.rates().add("user", 5, MINUTE).await, Some(5));
    assert_eq!(there.rates().add("user", 7, MINUTE).await, Some(12));
    let short = Duration::from_millis(300);
    let begun = Instant::now();
    assert_eq!(here.rates().add("short", 1, short).await, Some(1));
    eventually("the counter to start again", async || {
        there.rates().add("short", 1, short).await == Some(1)
    })
    .await;
    assert!(begun.elapsed() >= short, "adding must not lengthen the lifetime");
    server.cli(&["SET", "personalization:d1:rate:for ever", "1"]);
    assert_eq!(here.rates().add("for ever", 1, MINUTE).await, Some(2));
    assert_ne!(server.cli(&["TTL", "personalization:d1:rate:for ever"]), "-1");
    server.cli(&["SET", "personalization:d1:rate:text", "hello"]);
    assert_eq!(here.rates().add("text", 1, MINUTE).await, None);
    assert_eq!(here.rates().add("user", u64::MAX, MINUTE).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_has_a_lifetime_and_the_stream_is_trimmed() {
    let server = RedisProcess::start(&[]);
    let redis = connected(&options(server.url())).await;
    for i in 0..2_000 {
        redis.tail().publish(vec![batch(1 + 10 * i, 2_000)]);
        redis.cache().put(format!("value {i}"), vec![0; 100], MINUTE);
        if i % 100 == 0 {
            redis.rates().add(&format!("user {i}"), 1, MINUTE).await.unwrap();
        }
    }
    eventually("all to be sent", async || {
        let counts = redis.counts();
        let keys: u64 = server.cli(&["DBSIZE"]).parse().unwrap();
        counts.published + keys + counts.dropped == 4_000 + 20 + 1
    })
    .await;
    let length: u64 = server.cli(&["XLEN", STREAM]).parse().unwrap();
    assert!((256..=256 + 100).contains(&length), "{length} entries");
    let script = "local without = {} for _, key in ipairs(redis.call('KEYS', '*')) do \
        if redis.call('TTL', key) < 0 then table.insert(without, key) end end return without";
    assert_eq!(server.cli(&["EVAL", script, "0"]), "");
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_an_error_that_does_not_show_the_password() {
    let urls = [
        "",
        "localhost:6379",
        "http://:secret@localhost",
        "redis://:secret@localhost:port",
        "redis://secret@localhost",
        "redis://:secret@localhost/not-a-number",
        "redis-sentinel://:secret@localhost:26379",
        "redis-tls://:secret@localhost",
    ];
    for url in urls {
        let error = connect_redis(&RedisOptions::new(url), IDENTITY).await.expect_err(url);
        assert!(matches!(error, Error::Misconfigured { .. }), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{url}: {error}");
    }
    let options = RedisOptions {
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..RedisOptions::new("rediss://:secret@localhost")
    };
    assert!(!format!("{options:?}").contains("secret"));
    let error = connect_redis(&options, IDENTITY).await.unwrap_err();
    assert!(error.to_string().contains("ca.pem"), "{error}");
}
