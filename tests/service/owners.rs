//! What the one owner of each open namespace keeps from happening, on the real process.

use std::time::Duration;
use std::time::Instant;

use personalization::proto::CreateNamespaceRequest;
use personalization::proto::DeleteNamespaceRequest;
use personalization::proto::InteractionType;
use personalization::proto::PersonalizeRequest;
use tonic::Code;
use tonic::Request;
use tonic_types::StatusExt;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::counter;
use crate::harness::event;
use crate::harness::events;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::item;

/// Records to replay, callers at once, and how long each of their calls may take.
const RECORDS: u64 = 110_000;
const CALLERS: usize = 8;
const DEADLINE: Duration = Duration::from_millis(860);
/// What an opening may take beyond what the open namespace takes.
const OPENING_KIB: u64 = 96 << 10;

async fn create(api: &Api, namespace: &str) -> Api {
    let request = CreateNamespaceRequest { namespace: namespace.to_owned(), ..Default::default() };
    api.admin.clone().create_namespace(request).await.expect("a new namespace");
    api.within(namespace)
}

async fn delete(api: &Api, namespace: &str) {
    let request = DeleteNamespaceRequest { namespace: namespace.to_owned() };
    api.admin.clone().delete_namespace(request).await.expect("it is deleted");
}

#[tokio::test]
async fn a_model_of_a_deleted_namespace_never_enters_the_log_of_its_successor() {
    let server = Server::start_with(&["--collaborative-factors", "256"]).await;
    let api = server.api().await;
    let t = create(&api, "t").await;
    t.record(events("e", 0..9_797)).await;
    t.settled_status().await;
    let training = t.try_retrain().await.expect("it begins");
    delete(&api, "t").await;
    let t = create(&api, "t").await;
    t.upsert((0..40).map(|n| item(&format!("new-{n}"))).collect()).await;
    let after = t.settled_status().await;
    // The work ends at its next report, long before its model would be there.
    assert_eq!(t.watch(&training.training_id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(t.personalize(greedy("new-user", 10)).await.recommendations.len(), 10);
    let now = t.settled_status().await;
    assert_eq!((now.model_version, now.items), (0, 40));
    assert!(now.watermark <= after.watermark + 1, "no more than the decision: {now:?}");
}

#[tokio::test]
async fn a_long_opening_is_one_opening_and_callers_learn_when_to_come_back() {
    let flags = ["--snapshot-every-records", "100000000"];
    let mut server = Server::start_with(&flags).await;
    let big = create(&server.api().await, "big").await;
    for start in (0..RECORDS).step_by(10_000) {
        big.record(events("e", start..start + 10_000)).await;
    }
    let before = big.settled_status().await;
    let open_kib = server.resident_kib();
    server.kill_9();
    server.restart().await;

    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let big = server.api().await.within("big");
        callers.spawn(async move {
            let mut refused = 0;
            loop {
                let request = PersonalizeRequest {
                    namespace: "big".to_owned(),
                    ..greedy(&format!("user-{caller}"), 10)
                };
                let mut request = Request::new(request);
                request.set_timeout(DEADLINE);
                match big.personalization.clone().personalize(request).await {
                    Ok(_answer) => return refused,
                    Err(status) => {
                        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                        assert!(status.get_error_details().retry_info().is_some(), "{status:?}");
                        refused += 1;
                    }
                }
            }
        });
    }
    let mut most_kib = 0;
    let mut refused = 0;
    while !callers.is_empty() {
        most_kib = most_kib.max(server.resident_kib());
        let next = tokio::time::timeout(Duration::from_millis(20), callers.join_next());
        if let Ok(Some(done)) = next.await {
            refused += done.expect("a caller that is answered in the end");
        }
    }
    println!(
        "open after {:?}, {refused} calls told to come back, {most_kib} KiB at most, {open_kib} KiB before",
        began.elapsed()
    );
    assert!(most_kib < open_kib + OPENING_KIB, "{most_kib} KiB, {open_kib} KiB when open");
    let after = server.api().await.within("big").settled_status().await;
    assert_eq!(after.interactions, before.interactions);
    // The log is read behind the answers.
    let openings = || server.log().matches("namespace=big").count();
    eventually("the opening in the log", async || (openings() > 0).then_some(())).await;
    assert_eq!(openings(), 1, "one opening: {}", server.log());
}

#[tokio::test]
async fn impressions_without_positives_train_nothing_and_cost_nothing() {
    let server = Server::replica(&["--auto-retrain", "true"]).await;
    let api = server.api().await;
    let seen = |n: u64| {
        let (user, shown) = (format!("user-{}", n % 7), format!("item-{}", n % 31));
        event(&format!("e-{n}"), &user, &shown, InteractionType::Impression)
    };
    api.record((0..1_200).map(seen).collect()).await;
    let before = api.settled_status().await;
    let cpu_before = server.cpu_millis();
    let watched = Duration::from_secs(5);
    tokio::time::sleep(watched).await;
    let cpu = server.cpu_millis() - cpu_before;
    assert!(u128::from(cpu) < watched.as_millis() / 5, "{cpu} ms of a core in {watched:?}");
    assert!(!server.log().contains("training failed"), "{}", server.log());
    assert_eq!(counter(&server, "trainings").await, 0);
    assert_eq!(api.status().await.watermark, before.watermark);
    // Positives are trained on as soon as there is enough of it.
    api.record(events("positive", 0..1_200)).await;
    eventually("a model", async || (api.status().await.model_version == 1).then_some(())).await;
    assert_eq!(counter(&server, "trainings").await, 1);
}
