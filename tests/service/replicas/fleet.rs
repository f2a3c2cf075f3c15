//! What tests of several replicas have in common: how they are started, and what must
//! hold of all of them in the end.

use std::time::Duration;
use std::time::Instant;

use personalization::proto::GetModelStatusResponse;
use personalization::proto::PersonalizeResponse;
use tonic::Code;
use tonic::Status;
use tonic_types::StatusExt;

use crate::harness::INGEST;
use crate::harness::Producers;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::command;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::is_serving;

/// Interactions of `World::fill` that are no duplicates.
pub const LIKES: u64 = 274;
/// A producer sends a message at most this often: load, but not all of the machine.
pub const PACE: Duration = Duration::from_millis(4);

/// The flags of a replica that trains only when told to.
pub fn flags<'a>(database: &'a str, redis: Option<&'a str>) -> Vec<&'a str> {
    let mut flags = vec!["--database-url", database, "--auto-retrain", "false"];
    flags.extend(redis.into_iter().flat_map(|redis| ["--redis-url", redis]));
    flags
}

/// The state that all replicas come to once nothing more is written; that it is the same
/// state is asserted.
pub async fn agreed(replicas: &[&Server]) -> GetModelStatusResponse {
    let mut apis = Vec::new();
    for replica in replicas {
        apis.push(replica.api().await);
    }
    let mut before = Vec::new();
    let statuses = eventually("replicas without lag at one watermark", async || {
        // Decisions reach the log a moment after their answer.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut now = Vec::new();
        for api in &apis {
            now.push(api.status().await);
        }
        let ends = now.iter().all(|one| one.lag == 0 && one.watermark == now[0].watermark);
        let settled = ends && now == before;
        before = now;
        settled.then(|| before.clone())
    })
    .await;
    for status in &statuses {
        assert_eq!(status.state_digest, statuses[0].state_digest);
        assert_eq!(status, &statuses[0]);
    }
    statuses[0].clone()
}

/// Ends the producers and asserts that what was acknowledged was learnt once, by every
/// replica, and that the log alone says the same. `others` are the interactions that did
/// not come from these producers.
pub async fn nothing_lost_or_doubled(
    replicas: &[&Server],
    database: &str,
    producers: &mut [&mut Producers],
    others: u64,
) {
    let mut sent = others;
    let mut acked = 0;
    let api = replicas[0].api().await;
    for producers in producers {
        producers.stop().await;
        acked += producers.acked();
        sent += producers.resend_all(&api).await;
    }
    let status = agreed(replicas).await;
    assert_eq!(status.interactions, sent);
    let report = verify(database).await;
    let expected = format!("default: {} records, digest {}", status.watermark, status.state_digest);
    assert!(report.contains(&expected), "{report} does not say {expected}");
    println!("{sent} events, {acked} of them acknowledged by then, are in the log once");
}

/// Replays the log of the database; returns what `verify` prints.
async fn verify(database: &str) -> String {
    let mut verify = command("verify");
    verify.args(["--database-url", database]);
    // Proxies of the test go on meanwhile.
    let output = tokio::task::spawn_blocking(move || verify.output()).await.expect("no panic");
    let output = output.expect("the binary runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Asserts that a call was refused for now, and that the caller is told when to come back.
pub fn assert_come_back(refused: &Status, code: Code) {
    assert_eq!(refused.code(), code, "{refused:?}");
    assert!(refused.get_error_details().retry_info().is_some(), "{refused:?}");
}

/// Waits for a condition; prints and returns how long it took.
pub async fn time_until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    eventually(what, async || holds().await.then_some(())).await;
    println!("{what}: after {:?}", started.elapsed());
    started.elapsed()
}

/// Fills the world through the first and waits until all of them have learnt it.
pub async fn fill(replicas: &[&Server]) {
    let sequence = World::fill(&replicas[0].api().await).await;
    for replica in replicas {
        replica.api().await.profile("jazz-fan-1", sequence).await;
    }
}

/// A ranking, which must come within a second whatever is broken.
pub async fn prompt_ranking(server: &Server) -> PersonalizeResponse {
    let api = server.api().await;
    let started = Instant::now();
    let answer = api.personalize(greedy("jazz-fan-1", 10)).await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(answer.recommendations.len(), 10);
    answer
}

/// Whether a server says that all is well, in its answers and to probes.
pub async fn is_well(server: &Server) -> bool {
    let answer = prompt_ranking(server).await;
    answer.degraded.is_empty() && is_serving(server.grpc, INGEST).await
}

/// Whether a server says in both that something is not.
pub async fn is_unwell(server: &Server) -> bool {
    let answer = prompt_ranking(server).await;
    !answer.degraded.is_empty() && !is_serving(server.grpc, INGEST).await
}

/// Durations as percentiles, to read.
pub fn percentiles(mut durations: Vec<Duration>) -> String {
    durations.sort();
    let at = |percent: usize| durations[(durations.len() - 1) * percent / 100];
    format!("p50 {:?}, p99 {:?}, max {:?} of {}", at(50), at(99), at(100), durations.len())
}
