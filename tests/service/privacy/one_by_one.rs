//! Erasures one after the other, and what users do in between.

use personalization::proto::ErasureStage;
use personalization::proto::Interaction;
use personalization::proto::InteractionType;

use super::erase::erase;
use super::erase::reached;
use super::erase::readmit;
use super::erase::verified;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::event;

fn likes(user: &str, from: usize) -> Vec<Interaction> {
    let like = |n: usize| {
        let item = format!("jazz-{:02}", from + n);
        event(&format!("{user}-{from}-{n}"), user, &item, InteractionType::Like)
    };
    (0..4).map(like).collect()
}

#[tokio::test]
async fn users_are_erased_one_after_the_other_while_others_go_on_and_trainings_are_possible_after()
{
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let mut kept = 0;
    for round in 0..4 {
        let user = format!("leaves-{round}");
        api.record(likes(&user, 0)).await;
        let begun = erase(&api, &user).await.unwrap();
        kept += api.record(likes("stays", 4 * round)).await.accepted;
        reached(&api, &begun.erasure_id, ErasureStage::OutOfState).await;
    }
    let learnt = api.record(likes("stays", 16)).await;
    kept += learnt.accepted;
    let profile = api.profile("stays", learnt.last_sequence).await.profile.unwrap();
    assert_eq!(profile.interaction_counts.iter().map(|one| one.count).sum::<u64>(), kept);
    assert_eq!(api.retrain().await.model_version, 1);
}

#[tokio::test]
async fn what_a_user_does_after_being_readmitted_stays_though_the_erasure_is_done_later() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    for round in 0..8 {
        let user = format!("returns-{round}");
        api.record(likes(&user, 0)).await;
        erase(&api, &user).await.unwrap();
        assert!(readmit(&api, &user).await);
        assert_eq!(api.record(likes(&user, 8)).await.accepted, 4);
    }
    let last = erase(&api, "returns-7").await.unwrap();
    reached(&api, &last.erasure_id, ErasureStage::Finished).await;
    assert!(server.stop_gracefully().await.success());
    let directory = server.data_dir().to_str().unwrap();
    verified(&["--data-dir", directory, "--receipt", &last.erasure_id]);
    server.restart().await;
    let api = server.api().await;
    for round in 0..7 {
        let profile = api.profile(&format!("returns-{round}"), 0).await.profile.unwrap();
        let count: u64 = profile.interaction_counts.iter().map(|one| one.count).sum();
        assert_eq!(count, 4, "round {round}");
    }
}
