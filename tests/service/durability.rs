//! What was acknowledged is there, whatever happens to the process.

use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use personalization::proto::GetModelStatusResponse;
use tokio::task::JoinSet;

use crate::harness::Api;
use crate::harness::Ledger;
use crate::harness::Random;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::command;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::produce;

const PRODUCERS: usize = 3;
const PER_MESSAGE: u64 = 10;

type Ledgers = Vec<Arc<Mutex<Ledger>>>;

fn ledgers() -> Ledgers {
    (0..PRODUCERS).map(|_| Arc::default()).collect()
}

fn read(ledger: &Arc<Mutex<Ledger>>) -> Ledger {
    *ledger.lock().expect("producers do not panic")
}

/// Producers on connections of their own, until the server is gone.
async fn start_producers(server: &Server, ledgers: &Ledgers) -> JoinSet<()> {
    let mut producers = JoinSet::new();
    for (n, ledger) in ledgers.iter().enumerate() {
        let api = server.api().await;
        producers.spawn(produce(api, format!("producer-{n}"), ledger.clone(), PER_MESSAGE));
    }
    producers
}

/// Runs `verify` on a directory nobody serves; returns its standard output.
fn verify(server: &Server) -> String {
    let mut verify: Command = command("verify");
    let output = verify.arg("--data-dir").arg(server.data_dir()).output().expect("verify runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn assert_same_state(after: &GetModelStatusResponse, before: &GetModelStatusResponse) {
    assert_eq!(after.watermark, before.watermark);
    assert_eq!(after.state_digest, before.state_digest);
    assert_eq!(after, before);
}

/// Sends everything again: what was acknowledged must all be known already.
async fn resend_all(api: &Api, ledgers: &Ledgers) -> u64 {
    let mut sent = 0;
    for (n, ledger) in ledgers.iter().enumerate() {
        let name = format!("producer-{n}");
        let ledger = read(ledger);
        let acked = api.record(events(&name, 0..ledger.acked)).await;
        assert_eq!(acked.duplicates, ledger.acked, "{name} lost acknowledged events: {acked:?}");
        let rest = api.record(events(&name, ledger.acked..ledger.sent)).await;
        assert_eq!(rest.accepted + rest.duplicates, ledger.sent - ledger.acked);
        sent += ledger.sent;
    }
    sent
}

#[tokio::test]
async fn twenty_kills_during_heavy_ingest_lose_nothing_that_was_acknowledged() {
    let mut server = Server::start_with(&["--snapshot-every-records", "1000"]).await;
    let mut random = Random(1_906);
    let ledgers = ledgers();
    for _ in 0..20 {
        let before: Vec<Ledger> = ledgers.iter().map(read).collect();
        let mut producers = start_producers(&server, &ledgers).await;
        eventually("the first ack of each producer", async || {
            let pairs = ledgers.iter().zip(&before);
            pairs.clone().all(|(now, before)| read(now).acked > before.acked).then_some(())
        })
        .await;
        let moment = Duration::from_millis(50 + random.below(350));
        // Not a wait for something: the moment of the cut is what the test varies.
        let _still_running = tokio::time::timeout(moment, producers.join_next()).await;
        server.kill_9();
        producers.join_all().await;
        server.restart().await;
    }
    let api = server.api().await;
    let acked: u64 = ledgers.iter().map(|ledger| read(ledger).acked).sum();
    let recovered = api.settled_status().await;
    assert!(recovered.interactions >= acked, "{} of {acked}", recovered.interactions);

    let sent = resend_all(&api, &ledgers).await;
    let status = api.settled_status().await;
    assert_eq!(status.interactions, sent);

    assert!(server.stop_gracefully().await.success());
    let report = verify(&server);
    let expected = format!("default: {} records, digest {}", status.watermark, status.state_digest);
    assert!(report.contains(&expected), "{report} does not say {expected}");
    assert!(report.contains("leads to the same state"), "{report}");
    println!("{sent} events sent, {acked} acknowledged before the last kill");
}

#[tokio::test]
async fn a_stop_during_ingest_ends_well_and_keeps_what_was_acknowledged() {
    let mut server = Server::start().await;
    let ledgers = ledgers();
    for round in 1..=3_u64 {
        let producers = start_producers(&server, &ledgers).await;
        eventually("some acks", async || {
            let enough = |ledger: &_| read(ledger).acked > round * 500;
            ledgers.iter().all(enough).then_some(())
        })
        .await;
        let ended = server.stop_gracefully().await;
        assert_eq!(ended.code(), Some(0), "{}", server.log());
        producers.join_all().await;
        server.restart().await;
    }
    let api = server.api().await;
    let sent = resend_all(&api, &ledgers).await;
    assert_eq!(api.settled_status().await.interactions, sent);
}

#[tokio::test]
async fn a_restart_leads_to_the_same_state_by_snapshot_and_by_replay() {
    for flags in [["--snapshot-every-records", "1000"], ["--snapshot-every-records", "100000000"]] {
        let mut server = Server::start_with(&flags).await;
        let api = server.api().await;
        World::fill(&api).await;
        api.record(events("e", 0..3_000)).await;
        for user in ["jazz-fan-1", "metal-fan-1", "new-user"] {
            api.personalize(greedy(user, 10)).await;
        }
        let before = api.settled_status().await;
        assert!(server.stop_gracefully().await.success());
        server.restart().await;
        assert!(!server.log().contains("snapshot_at=0"), "a stop stores a snapshot");
        assert_same_state(&server.api().await.settled_status().await, &before);
        server.kill_9();
        server.restart().await;
        assert_same_state(&server.api().await.settled_status().await, &before);
        assert!(server.stop_gracefully().await.success());
        // Without any snapshot the log alone gives the same.
        let report = verify(&server);
        assert!(report.contains(&before.state_digest), "{report} {}", before.state_digest);
    }
}

#[tokio::test]
async fn after_a_kill_without_any_snapshot_the_log_is_enough() {
    let mut server = Server::start_with(&["--snapshot-every-records", "100000000"]).await;
    let api = server.api().await;
    World::fill(&api).await;
    let before = api.settled_status().await;
    server.kill_9();
    server.restart().await;
    // What the process has written may be read a moment later.
    eventually("a replay from the first record", async || {
        server.log().contains("snapshot_at=0").then_some(())
    })
    .await;
    let api = server.api().await;
    assert_same_state(&api.settled_status().await, &before);
    let again = api.record(World::likes()).await;
    assert_eq!((again.accepted, again.duplicates), (0, 280));
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_refuses_to_start_and_says_why() {
    let server = Server::start().await;
    let output = command("serve")
        .args(["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir"])
        .arg(server.data_dir())
        .output()
        .expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(errors.contains("in use by another server"), "{errors}");
    assert!(errors.contains(&server.data_dir().display().to_string()), "{errors}");
    let output = command("verify").arg("--data-dir").arg(server.data_dir()).output().unwrap();
    assert!(!output.status.success(), "a directory that is served is not verified");
    assert_eq!(server.api().await.record(events("e", 0..10)).await.accepted, 10);
}

#[tokio::test]
async fn a_stop_leaves_everything_in_the_database_file_itself() {
    let mut server = Server::start().await;
    server.api().await.record(events("e", 0..2_000)).await;
    assert!(server.stop_gracefully().await.success());
    let files = std::fs::read_dir(server.data_dir()).expect("a directory");
    let names: Vec<_> = files.map(|file| file.expect("an entry").file_name()).collect();
    // A copy of the one file is a backup; a torn write-ahead log would lose its end silently.
    assert!(names.iter().all(|name| name != "personalization.db-wal"), "{names:?}");
    verify(&server);
}

#[tokio::test]
async fn a_stored_log_that_was_damaged_is_noticed() {
    let mut server = Server::start().await;
    let api = server.api().await;
    api.record(events("a-name-to-find", 0..2_000)).await;
    api.settled_status().await;
    assert!(server.stop_gracefully().await.success());
    let path = server.data_dir().join("personalization.db");
    let mut bytes = std::fs::read(&path).expect("the database");
    let found = bytes.windows(14).position(|window| window == b"a-name-to-find");
    bytes[found.expect("events are stored uncompressed")] = b'A';
    std::fs::write(&path, bytes).expect("a writable file");
    let output = command("verify").arg("--data-dir").arg(server.data_dir()).output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("corrupt") || errors.contains("another state"), "{errors}");
}
