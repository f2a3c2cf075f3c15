//! Owners of several processes on one log: who does the duties, and what becomes of a log
//! that lost its end.

use std::time::Duration;

use personalization::proto::CreateNamespaceRequest;
use personalization::proto::DeleteNamespaceRequest;
use personalization::proto::GetProfileRequest;
use tonic::Code;
use tonic::Request;

use super::fleet::agreed;
use super::fleet::fill;
use super::fleet::flags;
use super::fleet::time_until;
use crate::harness::Postgres;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::counter;
use crate::harness::events;

/// How long a profile is waited for that will not be there.
const TIMEOUT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_namespace_that_only_a_follower_has_open_is_trained_and_has_snapshots() {
    let postgres = Postgres::start().await;
    let url = postgres.url();
    let flags = [
        ["--database-url", &url],
        ["--auto-retrain", "true"],
        ["--snapshot-every-records", "1000"],
    ];
    let flags = flags.concat();
    let first = Server::replica(&flags).await;
    let second = Server::replica(&flags).await;
    let request = CreateNamespaceRequest { namespace: "shop".to_owned(), ..Default::default() };
    first.api().await.admin.clone().create_namespace(request).await.expect("a new namespace");
    // The first leads what it has open, which is the default namespace alone.
    let shop = second.api().await.within("shop");
    shop.record(events("e", 0..2_500)).await;
    time_until("a model", async || shop.status().await.model_version == 1).await;
    time_until("a snapshot", async || counter(&second, "snapshots").await > 0).await;
    assert_eq!(counter(&second, "trainings").await, 1);
    assert_eq!(counter(&first, "trainings").await, 0);
}

/// Cuts the newest batch off every log, as a standby that lagged would.
async fn lose_the_newest_batch(postgres: &Postgres) {
    let newest = "(namespace_id, first_sequence) IN
        (SELECT namespace_id, max(first_sequence) FROM log_batches GROUP BY namespace_id)";
    let lost = postgres
        .query(&format!("DELETE FROM log_batches WHERE {newest} RETURNING first_sequence"))
        .await;
    assert_eq!(lost.len(), 1, "{lost:?}");
}

async fn converge_after_a_loss(redis: bool) {
    let postgres = Postgres::start().await;
    let redis = if redis { Some(Redis::start().await) } else { None };
    let (url, redis_url) = (postgres.url(), redis.as_ref().map(Redis::url));
    let flags = flags(&url, redis_url.as_deref());
    let (writer, paused) = (Server::replica(&flags).await, Server::replica(&flags).await);
    fill(&[&writer, &paused]).await;
    writer.api().await.record(events("lost", 0..50)).await;
    agreed(&[&writer, &paused]).await;
    paused.pause();
    lose_the_newest_batch(&postgres).await;
    writer.api().await.record(events("kept", 0..60)).await;
    paused.resume();
    let status = agreed(&[&writer, &paused]).await;
    assert_eq!(status.interactions, super::fleet::LIKES + 60);
    for replica in [&writer, &paused] {
        assert!(counter(replica, "log_chain_breaks").await >= 1);
        assert!(replica.log().contains("not the one that was learnt from"), "{}", replica.log());
    }
    // And both go on.
    paused.api().await.record(events("more", 0..40)).await;
    assert_eq!(agreed(&[&writer, &paused]).await.interactions, status.interactions + 40);
}

#[tokio::test]
async fn replicas_converge_when_the_log_lost_its_newest_records() {
    converge_after_a_loss(false).await;
}

#[tokio::test]
async fn replicas_converge_when_the_log_lost_its_newest_records_and_redis_still_has_them() {
    converge_after_a_loss(true).await;
}

#[tokio::test]
async fn a_profile_of_a_deleted_namespace_is_never_one_of_its_successor() {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags = flags(&url, Some(&redis_url));
    let (first, second) = (Server::replica(&flags).await, Server::replica(&flags).await);
    let admin = first.api().await.admin;
    let create = || CreateNamespaceRequest { namespace: "shop".to_owned(), ..Default::default() };
    admin.clone().create_namespace(create()).await.expect("a new namespace");
    let shop = first.api().await.within("shop");
    let sequence = shop.record(events("e", 0..200)).await.last_sequence;
    assert!(shop.profile("user-1", sequence).await.profile.is_some(), "and it is cached");
    let delete = DeleteNamespaceRequest { namespace: "shop".to_owned() };
    admin.clone().delete_namespace(delete).await.expect("it is deleted");
    admin.clone().create_namespace(create()).await.expect("the name is free");
    for replica in [&first, &second] {
        // Its log ends long before what is asked for, so the cache is asked.
        let request = GetProfileRequest {
            namespace: "shop".to_owned(),
            user_id: "user-1".to_owned(),
            min_watermark: sequence,
        };
        let mut client = replica.api().await.personalization;
        let mut request = Request::new(request);
        request.set_timeout(TIMEOUT);
        let refused = client.get_profile(request).await.expect_err("nobody is known yet");
        assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
    }
}
