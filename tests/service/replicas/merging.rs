//! A merge of users is one record: all replicas know from it on who is whom.

use personalization::proto::PersonalizeRequest;
use tonic::Code;

use super::fleet::agreed;
use super::fleet::fill;
use super::fleet::flags;
use crate::harness::Postgres;
use crate::harness::Redis;
use crate::harness::Server;
use crate::harness::greedy;
use crate::harness::of_taste;
use crate::merging::VISITOR;
use crate::merging::browsed;
use crate::merging::listed;
use crate::merging::one_moment;
use crate::merging::profile;

#[tokio::test]
async fn a_sign_in_at_one_replica_is_in_the_next_answer_of_the_other() {
    let (postgres, redis) = tokio::join!(Postgres::start(), Redis::start());
    let (url, redis_url) = (postgres.url(), redis.url());
    let flags = flags(&url, Some(&redis_url));
    let (mut a, mut b) = tokio::join!(Server::replica(&flags), Server::replica(&flags));
    fill(&[&a, &b]).await;
    let (to_a, to_b) = (a.api().await, b.api().await);
    let visited = to_a.record(browsed()).await.last_sequence;
    // Profiles of before are kept for all replicas.
    for api in [&to_a, &to_b] {
        assert_eq!(profile(api, VISITOR, visited).await.user_id, VISITOR);
    }
    let min_watermark = to_a.merge(VISITOR, "ada").await.sequence;
    let account = profile(&to_b, VISITOR, min_watermark).await;
    assert_eq!((&*account.user_id, account.merged_user_ids.len()), ("ada", 1));
    let (mut lists, context) = (Vec::new(), one_moment());
    for (api, user) in [(&to_a, "ada"), (&to_b, "ada"), (&to_a, VISITOR), (&to_b, VISITOR)] {
        assert_eq!(profile(api, user, min_watermark).await, account);
        let context = context.clone();
        let request = PersonalizeRequest { min_watermark, context, ..greedy(user, 10) };
        lists.push(api.personalize(request).await);
    }
    assert!(of_taste("jazz", &lists[0]) >= 8, "{:?}", lists[0].recommendations);
    assert!(lists.iter().all(|list| listed(list) == listed(&lists[0])));

    // Opposite merges at a time: one of them is it, and both replicas know which.
    for pair in 0..8 {
        let (one, other) = (format!("left-{pair}"), format!("right-{pair}"));
        let (left, right) =
            tokio::join!(to_a.try_merge(&one, &other), to_b.try_merge(&other, &one));
        let (winner, refused) = match (left, right) {
            (Ok(merged), Err(refused)) | (Err(refused), Ok(merged)) => (merged, refused),
            both => panic!("one of them is due: {both:?}"),
        };
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        for (api, user) in [(&to_a, &one), (&to_b, &one), (&to_a, &other), (&to_b, &other)] {
            let found = profile(api, user, winner.sequence).await;
            assert_eq!(found.user_id, winner.user_id);
        }
    }
    // The same merge at a time is one merge.
    let (left, right) = tokio::join!(to_a.merge("tab", "ada"), to_b.merge("tab", "ada"));
    assert_eq!((&*left.user_id, &*right.user_id), ("ada", "ada"));
    let min_watermark = left.sequence.max(right.sequence);
    assert_eq!(profile(&to_a, "ada", min_watermark).await.merged_user_ids, ["tab", VISITOR]);
    agreed(&[&a, &b]).await;
    for server in [&mut a, &mut b] {
        assert!(server.stop_gracefully().await.success());
    }
    let again = Server::replica(&flags).await;
    let found = profile(&again.api().await, VISITOR, min_watermark).await;
    assert_eq!((&*found.user_id, found.merged_user_ids.len()), ("ada", 2));
}
