//! Redis away, hanging, emptied, or holding what it should not.

use std::time::Duration;
use std::time::Instant;

use personalization::storage::Cache;
use personalization::storage::RateCounters;
use personalization::storage::RedisOptions;
use personalization::storage::TailFeed;
use personalization::storage::connect_redis;

use crate::redis::IDENTITY;
use crate::redis::MINUTE;
use crate::redis::STREAM;
use crate::redis::arrives;
use crate::redis::batch;
use crate::redis::connected;
use crate::redis::firsts;
use crate::redis::options;
use crate::redis::position_at;
use crate::redis::series;
use crate::redis::shares_values;
use crate::redis_process::RedisProcess;
use crate::redis_process::eventually;

/// How long one looks for a connection that was just cut to be gone.
const LOOK: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_every_call_answers_at_once_and_a_redis_that_comes_is_used() {
    let mut server = RedisProcess::stopped(&[]);
    let options = options(server.url());
    let redis = connect_redis(&options, IDENTITY).await.unwrap();
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(redis.cache().get("key").await, None);
        assert_eq!(redis.rates().add("key", 1, MINUTE).await, None);
        redis.cache().put("key".to_owned(), vec![1], MINUTE);
        redis.tail().publish(vec![batch(1, 100)]);
    }
    assert!(begun.elapsed() < Duration::from_millis(200), "{:?}", begun.elapsed());
    assert_eq!(firsts(&*redis.tail(), position_at(0)), [1], "its own batches are there");
    assert!(!redis.health().is_connected());
    server.run();
    eventually("the connection", async || redis.health().is_connected()).await;
    let other = connected(&options).await;
    arrives(&redis, &other, 11).await;
    arrives(&other, &redis, 21).await;
    shares_values(&redis, &other, "key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_goes_on_after_redis_was_killed_and_started_again() {
    let mut server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    for round in 0..3 {
        arrives(&here, &there, 1 + 100 * round).await;
        server.kill();
        eventually("both to notice", async || {
            !here.health().requests && !here.health().bulk && !there.tail().is_connected()
        })
        .await;
        assert_eq!(here.cache().get("key").await, None);
        server.run();
        arrives(&here, &there, 11 + 100 * round).await;
        shares_values(&there, &here, &format!("key {round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_goes_on_after_redis_was_emptied() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    for round in 0..5 {
        arrives(&here, &there, 1 + 100 * round).await;
        assert_eq!(server.cli(&["FLUSHALL"]), "OK");
        arrives(&here, &there, 11 + 100 * round).await;
        assert_ne!(server.cli(&["TTL", STREAM]), "-1");
    }
    assert_eq!(there.counts().connections, 3, "no connection was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_created_again_with_lower_ids_is_followed() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    arrives(&here, &there, 1).await;
    // As after a failover to a machine whose clock is behind: no id is ever lower
    // than one that its own stream has had.
    server.cli(&["XADD", STREAM, "99999999999999-0", "b", "from the future"]);
    eventually("the entry to be seen", async || there.counts().rejected == 1).await;
    server.cli(&["DEL", STREAM]);
    arrives(&here, &there, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_the_reader_was_away_is_read_when_it_is_back() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    arrives(&here, &there, 1).await;
    // A batch of a third process, as it lies in Redis.
    let third = connected(&options).await;
    let sent = series(&[100; 4]);
    for next in &sent[1..] {
        // All connections of all processes; again, should they be back before one has looked.
        eventually("the connection to be gone", async || {
            server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
            let killed = Instant::now();
            let mut is_gone = false;
            while !is_gone && killed.elapsed() < LOOK {
                is_gone = !there.tail().is_connected();
                tokio::task::yield_now().await;
            }
            is_gone
        })
        .await;
        let before = third.counts().published;
        eventually("a way to Redis", async || {
            third.tail().publish(vec![next.clone()]);
            third.counts().published > before
        })
        .await;
    }
    eventually("all", async || firsts(&*there.tail(), position_at(0)) == [1, 11, 21, 31]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_costs_no_more_than_the_deadline_and_bounded_memory() {
    let server = RedisProcess::start(&[]);
    let options = RedisOptions::new(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    arrives(&here, &there, 1).await;
    server.pause();
    let before = resident_bytes();
    let (mut slowest, mut spent) = (Duration::ZERO, Duration::ZERO);
    let mut latest = Duration::ZERO;
    for i in 0..100_000_u64 {
        let batch = batch(1_001 + 10 * i, 2_000);
        let begun = Instant::now();
        here.tail().publish(vec![batch]);
        latest = begun.elapsed();
        spent += latest;
        if i % 500 == 0 {
            here.cache().put(format!("key {i}"), vec![0; 100_000], MINUTE);
            let begun = Instant::now();
            assert_eq!(here.cache().get("key").await, None);
            assert_eq!(here.rates().add("key", 1, MINUTE).await, None);
            slowest = slowest.max(begun.elapsed());
        }
    }
    assert!(slowest < Duration::from_millis(150), "two calls took {slowest:?}");
    assert!(spent < Duration::from_secs(5), "publishing took {spent:?}, at last {latest:?}");
    assert!(here.counts().timeouts < 100, "{:?}", here.counts());
    assert!(here.tail().bytes_kept() <= 32 << 20);
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 120 << 20, "{} MiB more", grown >> 20);
    eventually("the hanging to be noticed", async || !there.tail().is_connected()).await;
    assert_eq!(here.cache().get("key").await, None);
    server.resume();
    arrives(&here, &there, 100_000_001).await;
    shares_values(&here, &there, "after").await;
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_another_format_are_counted_and_ignored() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    arrives(&here, &there, 1).await;
    server.cli(&["XADD", STREAM, "*", "b", "text"]);
    server.cli(&["XADD", STREAM, "*", "other", "text"]);
    server.cli(&["XADD", STREAM, "*", "b", "text", "b", "text"]);
    server.cli_with(&["XADD", STREAM, "*", "b"], &[1; 300]);
    server.cli_with(&["XADD", STREAM, "*", "b"], &[2; 300]);
    server.cli_with(&["XADD", STREAM, "*", "b"], &[0xff; 1 << 20]);
    arrives(&here, &there, 11).await;
    for redis in [&here, &there] {
        eventually("the count", async || redis.counts().rejected == 6).await;
        assert_eq!(redis.counts().connections, 3);
    }
    assert_eq!(firsts(&*there.tail(), position_at(0)), [1]);
    assert_eq!(firsts(&*there.tail(), position_at(10)), [11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_type_instead_of_the_stream_is_waited_out() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    server.cli(&["SET", STREAM, "text"]);
    here.tail().publish(vec![batch(1, 100)]);
    eventually("the rejection", async || here.counts().dropped == 1).await;
    eventually("the reader to stop", async || !there.tail().is_connected()).await;
    shares_values(&here, &there, "key").await;
    server.cli(&["DEL", STREAM]);
    arrives(&here, &there, 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_until_it_is_right() {
    let server = RedisProcess::start(&["--requirepass", "other"]);
    let url = format!("redis://:secret@127.0.0.1:{}", server.port);
    let redis = connect_redis(&options(url), IDENTITY).await.unwrap();
    let refused = || {
        let stats = server.cli(&["-a", "other", "INFO", "errorstats"]);
        stats.contains("errorstat_WRONGPASS:count=") || stats.contains("NOAUTH")
    };
    eventually("a rejection", async || refused()).await;
    assert!(!redis.health().requests && !redis.health().tail);
    assert_eq!(server.cli(&["-a", "other", "CONFIG", "SET", "requirepass", "secret"]), "OK");
    eventually("the login", async || redis.health().is_connected()).await;
    assert_eq!(redis.rates().add("key", 1, MINUTE).await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_takes_nothing_and_harms_nobody() {
    let server = RedisProcess::start(&[]);
    let options = options(server.url());
    let (here, there) = (connected(&options).await, connected(&options).await);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    here.tail().publish(vec![batch(1, 100)]);
    eventually("the rejection", async || here.counts().dropped == 1).await;
    assert_eq!(here.rates().add("key", 1, MINUTE).await, None);
    assert!(here.health().is_connected() && there.health().is_connected());
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    arrives(&here, &there, 11).await;
}
