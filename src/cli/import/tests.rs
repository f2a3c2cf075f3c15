//! Whole imports against a server in this process that keeps what it is sent, and fails on demand.

pub mod fake;

use std::fs;

use tempfile::TempDir;

use super::*;
use fake::FakeServer;
use fake::Faults;

/// A directory in the layout of the project: `rows` interactions of 7 users, each user and item present.
fn directory(rows: u64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, lines: Vec<String>| {
        fs::write(directory.path().join(name), lines.join("\n") + "\n").unwrap();
    };
    let numbered = |head: &str, count: u64, line: &dyn Fn(u64) -> String| {
        std::iter::once(head.to_owned()).chain((0..count).map(line)).collect()
    };
    // Times fall, so that sorting turns the file round.
    let interaction =
        |n: u64| format!("user-{},item-{},{},{}", n % 7, n % 11, n % 6, 1_000_000_000 - n);
    write("interactions.csv", numbered("user_id,item_id,rating,timestamp", rows, &interaction));
    write("items.csv", numbered("item_id,title,topics", 11, &|n| format!("item-{n},Item {n},a|b")));
    write("users.csv", numbered("user_id,age", 7, &|n| format!("user-{n},{}", 20 + n)));
    directory
}

fn args(server: &FakeServer, directory: &TempDir) -> Args {
    Args {
        addr: server.url.clone(),
        namespace: "default".to_owned(),
        interactions: Some(directory.path().to_owned()),
        items: None,
        users: None,
        movielens: None,
        sort: false,
        batch: 10,
        window: 4,
        state: None,
        retry_seconds: 20,
    }
}

fn state_of(directory: &TempDir) -> PathBuf {
    directory.path().join("interactions.csv.import-state.json")
}

#[tokio::test]
async fn an_import_delivers_everything_once_and_leaves_no_state() {
    let server = FakeServer::start(Faults::default()).await;
    let directory = directory(1_003);
    run(args(&server, &directory)).await.unwrap();
    let kept = server.kept();
    assert_eq!(kept.events.len(), 1_003);
    assert_eq!(kept.duplicates, 0);
    assert_eq!(kept.items.len(), 11);
    assert_eq!(kept.users.len(), 7);
    assert!(!state_of(&directory).exists());
}

#[tokio::test]
async fn a_second_import_of_a_moved_file_is_all_duplicates() {
    let server = FakeServer::start(Faults::default()).await;
    let first = directory(57);
    let second = directory(57);
    run(args(&server, &first)).await.unwrap();
    let mut again = args(&server, &second);
    again.sort = true;
    run(again).await.unwrap();
    let kept = server.kept();
    assert_eq!((kept.events.len(), kept.duplicates), (57, 57));
}

#[tokio::test]
async fn cuts_are_bridged_and_nothing_is_lost_or_learnt_twice() {
    let faults = Faults { cut_every: Some(13), cuts: 5, drop_acks: true, ..Faults::default() };
    let server = FakeServer::start(faults).await;
    let directory = directory(1_000);
    run(args(&server, &directory)).await.unwrap();
    let kept = server.kept();
    assert_eq!(kept.events.len(), 1_000);
    assert!(kept.duplicates > 0, "acknowledgements were lost, so rows came again");
    assert_eq!(kept.openings, 6);
}

#[tokio::test]
async fn a_stopped_import_continues_at_the_last_acknowledgement() {
    // The server ends all later streams after 20 messages, and there are no retries.
    let faults = Faults { cut_every: Some(20), cuts: u64::MAX, ..Faults::default() };
    let server = FakeServer::start(faults).await;
    let directory = directory(400);
    let mut without_retry = args(&server, &directory);
    without_retry.retry_seconds = 0;
    run(without_retry).await.unwrap_err();
    let text = fs::read_to_string(state_of(&directory)).unwrap();
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["files"]["interactions"]["rows"], 200);
    assert_eq!(state["files"]["items"]["complete"], true);
    assert_eq!(server.kept().item_calls, 1);

    server.set(Faults::default());
    run(args(&server, &directory)).await.unwrap();
    let kept = server.kept();
    assert_eq!(kept.events.len(), 400);
    assert_eq!(kept.duplicates, 0, "what was acknowledged was not sent again");
    assert_eq!(kept.item_calls, 1, "the items were complete");
    assert!(!state_of(&directory).exists());
}

#[tokio::test]
async fn a_changed_file_is_not_resumed() {
    let faults = Faults { cut_every: Some(5), cuts: u64::MAX, ..Faults::default() };
    let server = FakeServer::start(faults).await;
    let directory = directory(100);
    let mut without_retry = args(&server, &directory);
    without_retry.retry_seconds = 0;
    run(without_retry).await.unwrap_err();
    server.set(Faults::default());
    let file = directory.path().join("interactions.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "new,item-1,5,1\n").unwrap();
    run(args(&server, &directory)).await.unwrap();
    let kept = server.kept();
    assert_eq!(kept.events.len(), 101);
    assert_eq!(kept.duplicates, 50);
}

#[tokio::test]
async fn sorted_rows_arrive_in_the_order_of_time() {
    let server = FakeServer::start(Faults::default()).await;
    let directory = directory(100);
    let channel = Channel::from_shared(server.url.clone()).unwrap().connect_lazy();
    let options = Options { batch: 7, progress: false, ..Options::default() };
    let stop = CancellationToken::new();
    let summary =
        stream_movielens(channel, "default", directory.path(), &options, stop).await.unwrap();
    assert_eq!(summary.interactions.accepted, 100);
    assert_eq!((summary.items.accepted, summary.users.accepted), (11, 7));
    let times = server.kept().times;
    assert_eq!(times.len(), 100);
    assert!(times.is_sorted());
}

#[tokio::test]
async fn rejected_and_unreadable_rows_are_counted_and_named() {
    let faults = Faults { reject_user: Some("user-3".to_owned()), ..Faults::default() };
    let server = FakeServer::start(faults).await;
    let directory = directory(70);
    let file = directory.path().join("interactions.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "u,i,good,5\nu,i,3,noon\n").unwrap();
    let channel = Channel::from_shared(server.url.clone()).unwrap().connect_lazy();
    let options = Options { batch: 7, progress: false, ..Options::default() };
    let stop = CancellationToken::new();
    let summary =
        stream_movielens(channel, "default", directory.path(), &options, stop).await.unwrap();
    let tally = &summary.interactions;
    assert_eq!((tally.accepted, tally.rejected, tally.unreadable), (60, 10, 2));
    let text = summary.to_string();
    assert!(text.contains("user user-3, item item-"), "{text}");
    assert!(text.contains("interactions.csv:72: column rating"), "{text}");
}

#[tokio::test]
async fn a_cancelled_import_ends_at_once() {
    // Nothing listens there, and the timeout is long.
    let channel = Channel::from_static("http://127.0.0.1:1").connect_lazy();
    let directory = directory(10);
    let options = Options { progress: false, ..Options::default() };
    let stop = CancellationToken::new();
    stop.cancel();
    let failure =
        stream_movielens(channel, "default", directory.path(), &options, stop).await.unwrap_err();
    assert_eq!(failure.to_string(), "interrupted");
}

#[tokio::test]
async fn a_rejection_by_the_server_ends_the_import() {
    let faults = Faults { refuse: true, ..Faults::default() };
    let server = FakeServer::start(faults).await;
    let failure = run(args(&server, &directory(10))).await.unwrap_err();
    assert!(failure.to_string().contains("NotFound"), "{failure}");
}

#[test]
fn no_input_at_all_is_an_error_with_advice() {
    let args = Args {
        addr: String::new(),
        namespace: String::new(),
        interactions: None,
        items: None,
        users: None,
        movielens: None,
        sort: false,
        batch: 1,
        window: 1,
        state: None,
        retry_seconds: 0,
    };
    assert!(inputs(&args).unwrap_err().to_string().contains("--interactions"));
}
