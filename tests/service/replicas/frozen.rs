//! A database that does not answer and does not break the connection either.

use std::time::Duration;
use std::time::Instant;

use tonic::Code;

use super::fleet::LIKES;
use super::fleet::assert_come_back;
use super::fleet::flags;
use super::fleet::is_unwell;
use super::fleet::is_well;
use super::fleet::time_until;
use crate::harness::Postgres;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::events;
use crate::harness::get;

/// Within so long callers are told: two seconds, and what a probe takes.
const NOTICE: Duration = Duration::from_millis(2_500);
/// An error that waits for nothing.
const AT_ONCE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_frozen_database_is_noticed_while_the_commit_hangs_and_nobody_queues_behind_it() {
    let postgres = Postgres::start().await;
    let server = Server::replica(&flags(&postgres.url(), None)).await;
    let api = server.api().await;
    World::fill(&api).await;
    assert!(is_well(&server).await);
    // Nothing is on its way: the commit that hangs is that of the event.
    api.settled_status().await;

    postgres.freeze();
    let frozen = Instant::now();
    let stuck = tokio::spawn({
        let api = api.clone();
        async move { api.try_record(events("stuck", 0..1)).await }
    });
    let noticed = time_until("the database is known to hang", async || is_unwell(&server).await);
    assert!(noticed.await < NOTICE);
    for number in 0..20 {
        let asked = Instant::now();
        let refused = api.try_record(events("refused", number..number + 1)).await;
        assert_come_back(&refused.expect_err("a false ack"), Code::Unavailable);
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    }
    // It answers from memory, so it stays where requests are sent to.
    assert_eq!(get(server.http, "/readyz").await.0, 200);
    let refused = stuck.await.expect("no panic");
    println!("the commit that hung was given up after {:?}", frozen.elapsed());
    assert_come_back(&refused.expect_err("a false ack"), Code::Unavailable);

    postgres.thaw();
    time_until("all is well again", async || is_well(&server).await).await;
    // Sent again, each is there once, whatever became of the first attempt.
    let all = [events("stuck", 0..1), events("refused", 0..20)].concat();
    let again = api.record(all).await;
    assert_eq!(again.accepted + again.duplicates, 21);
    assert_eq!(api.settled_status().await.interactions, LIKES + 21);
}
