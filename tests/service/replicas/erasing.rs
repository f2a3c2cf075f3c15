//! Erasing a user where several replicas share PostgreSQL and Redis.

use personalization::proto::ErasureStage;
use personalization::proto::GetProfileRequest;
use tonic::Code;

use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::eventually;
use crate::privacy::erase::EVENTS;
use crate::privacy::erase::USER;
use crate::privacy::erase::VISIT;
use crate::privacy::erase::deeds;
use crate::privacy::erase::erase;
use crate::privacy::erase::found_in;
use crate::privacy::erase::lived;
use crate::privacy::erase::reached;
use crate::privacy::erase::verified;

#[tokio::test]
async fn all_replicas_forget_a_user_and_neither_tables_nor_redis_hold_anything() {
    let (postgres, redis) = tokio::join!(Postgres::start(), Redis::start());
    let (url, cache) = (postgres.url(), redis.url());
    let flags = flags(&url, Some(&cache));
    let (mut a, mut b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    let (to_a, to_b) = (a.api().await, b.api().await);
    let learnt = lived(&to_a).await;
    to_b.profile(USER, learnt).await;
    let projected = async || {
        let rows = "SELECT count(*) FROM interactions WHERE user_id LIKE 'zz-erased%'";
        (postgres.query(rows).await[0][0] == "17").then_some(())
    };
    eventually("the tables to hold what the user did", projected).await;

    let begun = erase(&to_b, USER).await.unwrap();
    for api in [&to_a, &to_b] {
        let request = GetProfileRequest {
            user_id: USER.to_owned(),
            min_watermark: begun.sequence,
            ..Default::default()
        };
        let unknown = api.personalization.clone().get_profile(request).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
    let late = to_a.record(deeds(USER)).await;
    assert_eq!((late.accepted, late.suppressed), (0, 8));
    let erasure = reached(&to_a, &begun.erasure_id, ErasureStage::Finished).await;
    let both = async || {
        let (of_a, of_b) = (to_a.status().await, to_b.status().await);
        (of_a.state_digest == of_b.state_digest).then_some(of_a)
    };
    let status = eventually("the other replica to build its state again", both).await;
    assert!(status.watermark >= erasure.watermark);
    let rows = "SELECT (SELECT count(*) FROM interactions WHERE user_id LIKE 'zz-erased%')
        + (SELECT count(*) FROM decisions WHERE user_id LIKE 'zz-erased%')
        + (SELECT count(*) FROM profiles WHERE user_id LIKE 'zz-erased%')
        + (SELECT count(*) FROM user_aliases WHERE user_id LIKE 'zz-erased%')";
    assert_eq!(postgres.query(rows).await[0][0], "0");
    assert_ne!(postgres.query("SELECT count(*) FROM interactions").await[0][0], "0");
    for server in [&mut a, &mut b] {
        assert!(server.stop_gracefully().await.success());
    }
    let keys = redis.command("KEYS *").await.unwrap();
    let profiles = redis.command("KEYS *zz-erased*").await.unwrap();
    assert_eq!(profiles.trim(), "*0", "{keys}");
    let receipt = ["--database-url", &url, "--receipt", &begun.erasure_id];
    verified(&receipt);

    // The documented step of the operator.
    postgres.query("VACUUM FULL").await;
    postgres.query("CHECKPOINT").await;
    let left = found_in(&postgres.tables(), &[USER, VISIT, EVENTS]);
    assert_eq!(left, [] as [String; 0]);
}
