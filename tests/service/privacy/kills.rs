//! A server that is killed while it erases.

use std::time::Duration;

use personalization::proto::ErasureStage;

use super::erase::EVENTS;
use super::erase::USER;
use super::erase::VISIT;
use super::erase::erase;
use super::erase::found_in;
use super::erase::lived;
use super::erase::reached;
use super::erase::verified;
use crate::harness::Random;
use crate::harness::Server;
use crate::harness::events;

/// Kills, each a little later than the one before.
const KILLS: u64 = 10;

#[tokio::test]
async fn an_erasure_that_was_asked_for_is_done_however_often_the_server_is_killed_meanwhile() {
    let mut random = Random(41);
    let mut server = Server::start_with(&["--snapshot-every-records", "1000"]).await;
    lived(&server.api().await).await;
    server.api().await.record(events("other", 0..1_500)).await;
    let mut asked = None;
    for round in 0..KILLS {
        let api = server.api().await;
        let asking = tokio::spawn(async move { erase(&api, USER).await.ok() });
        tokio::time::sleep(Duration::from_millis(random.below(8 * (round + 1)))).await;
        server.kill_9();
        asked = asking.await.unwrap().or(asked);
        server.restart().await;
    }
    let api = server.api().await;
    let begun = match asked {
        Some(begun) => begun,
        None => erase(&api, USER).await.unwrap(),
    };
    reached(&api, &begun.erasure_id, ErasureStage::Finished).await;
    assert!(server.stop_gracefully().await.success());
    let left = found_in(server.data_dir(), &[USER, VISIT, EVENTS]);
    assert_eq!(left, [] as [String; 0]);
    let directory = server.data_dir().to_str().unwrap();
    verified(&["--data-dir", directory, "--receipt", &begun.erasure_id]);
    verified(&["--data-dir", directory]);
}
