//! A rolling upgrade: two versions of the binary side by side on one log.
//!
//! `OLD_BINARY` names the older version. Without it this version takes both parts, which
//! tests the way of the upgrade and not the difference.

use std::path::PathBuf;

use super::fleet::LIKES;
use super::fleet::PACE;
use super::fleet::agreed;
use super::fleet::flags;
use super::fleet::nothing_lost_or_doubled;
use crate::harness::Postgres;
use crate::harness::Producers;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::binary;

#[tokio::test]
async fn replicas_are_replaced_by_a_newer_version_one_by_one_under_load() {
    let older = std::env::var_os("OLD_BINARY").map_or_else(binary, PathBuf::from);
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags = flags(&url, Some(&redis_url));
    let mut replicas = [Server::replica_of(&older, &flags), Server::replica_of(&older, &flags)];
    for replica in &mut replicas {
        replica.serves().await;
    }
    World::fill(&replicas[0].api().await).await;
    let mut producers = Producers::start("p", &[replicas[0].grpc, replicas[1].grpc], PACE);
    for replica in &mut replicas {
        producers.progress().await;
        assert_eq!(replica.stop_gracefully().await.code(), Some(0), "{}", replica.log());
        producers.progress().await;
        replica.restart_as(&binary()).await;
        producers.progress().await;
    }
    producers.stop().await;
    let [a, b] = &replicas;
    agreed(&[a, b]).await;
    nothing_lost_or_doubled(&[b, a], &url, &mut [&mut producers], LIKES).await;
}
