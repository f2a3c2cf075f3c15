//! The decision log: what is recorded, and worked out again.

use std::path::Path;
use std::process::Output;

use personalization::proto::Boost;
use personalization::proto::DiversityMethod;
use personalization::proto::DiversityParams;
use personalization::proto::Filters;
use personalization::proto::Interaction;
use personalization::proto::Item;
use personalization::proto::Mute;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::Pin;
use personalization::proto::RequestContext;
use personalization::proto::Strategy;
use personalization::proto::StreamInteractionsRequest;
use personalization::proto::UpdateUserRequest;
use personalization::proto::User;
use personalization::proto::UserRules;
use personalization::proto::boost;
use personalization::proto::mute;
use tonic::Code;

use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::get;
use crate::harness::greedy;
use crate::users::adding;
use crate::users::topics;

/// `replay-decision` on the store of a stopped server.
fn replayed(directory: &Path, decision_id: &str, flags: &[&str]) -> Output {
    let directory = directory.to_str().expect("UTF-8");
    let mut command = command("replay-decision");
    command.args([decision_id, "--data-dir", directory]).args(flags);
    command.output().expect("the command runs")
}

fn document(output: &Output) -> serde_json::Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// With half of the positions left to chance.
fn exploring(user: &str) -> PersonalizeRequest {
    PersonalizeRequest {
        user_id: user.to_owned(),
        strategy: Strategy::EpsilonGreedy.into(),
        ..PersonalizeRequest::default()
    }
}

fn ids(of: &[&str]) -> Vec<String> {
    of.iter().map(|id| (*id).to_owned()).collect()
}

fn topic_boost(topic: &str, change: boost::Change) -> Boost {
    Boost { target: Some(boost::Target::Topic(topic.to_owned())), change: Some(change) }
}

/// Calls that differ in what a record has to hold, each with a name.
fn calls() -> Vec<(&'static str, PersonalizeRequest)> {
    let by = |strategy: Strategy| PersonalizeRequest {
        strategy: strategy.into(),
        ..exploring("jazz-fan-8")
    };
    let strategies = vec![
        ("thompson", by(Strategy::Thompson)),
        ("lin_ucb", by(Strategy::LinUcb)),
        ("square_cb", by(Strategy::SquareCb)),
        ("explained", PersonalizeRequest { explain: true, ..by(Strategy::Thompson) }),
        ("a variant", PersonalizeRequest { variant: "blue".to_owned(), ..by(Strategy::Greedy) }),
    ];
    [candidate_calls(), list_calls(), strategies].concat()
}

/// Where candidates come from, and what the caller wants of them.
fn candidate_calls() -> Vec<(&'static str, PersonalizeRequest)> {
    let given = ids(&["metal-03", "jazz-01", "jazz-02", "metal-01", "jazz-05", "nothing"]);
    vec![
        ("catalogue", exploring("jazz-fan-1")),
        ("a new user", exploring("nobody-yet")),
        (
            "given ids and the catalogue",
            PersonalizeRequest {
                candidate_ids: given.clone(),
                retrieve: true,
                ..exploring("metal-fan-6")
            },
        ),
        ("given ids", PersonalizeRequest { candidate_ids: given, ..exploring("metal-fan-2") }),
        (
            "pins, one of them no candidate",
            PersonalizeRequest {
                candidate_ids: ids(&["jazz-01", "jazz-02", "jazz-03"]),
                pins: vec![
                    Pin { item_id: "metal-07".to_owned(), position: 1 },
                    Pin { item_id: "jazz-02".to_owned(), position: 2 },
                ],
                ..exploring("jazz-fan-3")
            },
        ),
        (
            "boosts",
            PersonalizeRequest {
                boosts: vec![
                    topic_boost("metal", boost::Change::Multiply(1.7)),
                    Boost {
                        target: Some(boost::Target::Expression(
                            "parity = \"odd\" and age_hours < 200.5".to_owned(),
                        )),
                        change: Some(boost::Change::Add(0.123_456_789)),
                    },
                ],
                ..exploring("jazz-fan-4")
            },
        ),
    ]
}

/// How the list is varied, what it may hold.
fn list_calls() -> Vec<(&'static str, PersonalizeRequest)> {
    let with = |method: DiversityMethod| DiversityParams {
        method: method.into(),
        diversity_weight: Some(0.4),
        serendipity_weight: Some(0.3),
        novelty_weight: Some(0.2),
        max_per_source: Some(4),
        ..DiversityParams::default()
    };
    vec![
        (
            "dpp",
            PersonalizeRequest {
                diversity: Some(with(DiversityMethod::Dpp)),
                max_results: 8,
                ..exploring("jazz-fan-5")
            },
        ),
        (
            "calibrated",
            PersonalizeRequest {
                diversity: Some(with(DiversityMethod::Calibrated)),
                max_results: 8,
                ..exploring("metal-fan-5")
            },
        ),
        (
            "filters and a location",
            PersonalizeRequest {
                filters: Some(Filters {
                    sources: vec!["blue".to_owned()],
                    exclude_item_ids: ids(&["jazz-04", "jazz-09"]),
                    expression: "not (id = \"jazz-07\")".to_owned(),
                    include_seen: Some(true),
                    ..Filters::default()
                }),
                context: Some(RequestContext {
                    device_type: "phone".to_owned(),
                    utc_offset_minutes: Some(-210),
                    location: "DE".to_owned(),
                    ..RequestContext::default()
                }),
                ..exploring("jazz-fan-6")
            },
        ),
        ("a cap", PersonalizeRequest { frequency_cap_per_day: Some(1), ..exploring("jazz-fan-7") }),
        (
            "the same cap at once",
            PersonalizeRequest { frequency_cap_per_day: Some(1), ..exploring("jazz-fan-7") },
        ),
    ]
}

/// One of a request's own items.
fn own_item(id: &str) -> Item {
    Item {
        item_id: id.to_owned(),
        title: format!("{id} saxophone swing"),
        topics: vec!["jazz".to_owned()],
        source: "street".to_owned(),
        ..Item::default()
    }
}

/// Answers for users by rules that do not hold any more later.
async fn calls_of_users_with_rules(api: &Api) -> Vec<(&'static str, PersonalizeResponse)> {
    let user_id = "jazz-fan-9";
    let mute = Mute { target: Some(mute::Target::Topic("jazz".to_owned())), until: None };
    let rules = UserRules { mutes: vec![mute], ..topics(["folk"]) };
    let non_profiled =
        User { user_id: user_id.to_owned(), non_profiled: Some(true), ..User::default() };
    let non_profiled = UpdateUserRequest { user: Some(non_profiled), ..Default::default() };
    let removal = UpdateUserRequest { remove: Some(rules.clone()), ..non_profiled.clone() };
    let mut made = Vec::new();
    for (name, request) in [
        ("a mute and a block of the user", adding(user_id, rules)),
        ("without a profile", non_profiled),
        ("without a profile and rules", removal),
    ] {
        let min_watermark = api.update_user(request).await.sequence;
        let request = PersonalizeRequest { min_watermark, ..exploring(user_id) };
        made.push((name, api.personalize(request).await));
    }
    made
}

#[tokio::test]
async fn a_past_decision_is_reproduced_bit_by_bit_from_its_record() {
    let mut server = Server::start_with(&["--epsilon", "0.5", "--seed", "77"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let mut made = Vec::new();
    for (name, request) in calls() {
        let answer = api.personalize(PersonalizeRequest { min_watermark, ..request }).await;
        assert!(!answer.recommendations.is_empty(), "{name}");
        made.push((name, answer));
    }
    made.extend(calls_of_users_with_rules(&api).await);
    // Something the fan had is described again. What is derived of the fan stays as it was,
    // in this process.
    let upserted = api.upsert(vec![own_item("jazz-01")]).await;
    let request =
        PersonalizeRequest { min_watermark: upserted.last_sequence, ..exploring("jazz-fan-1") };
    made.push(("an item described again", api.personalize(request).await));
    // The state moves on, and a snapshot of its end is stored.
    api.record((0..50).map(|n| click(&format!("late-{n}"), "metal-02")).collect()).await;
    assert!(server.stop_gracefully().await.success());

    for (name, answer) in &made {
        let output = replayed(server.data_dir(), &answer.decision_id, &["--json", "-"]);
        let found = document(&output);
        assert!(output.status.success(), "{name}: {}", found["reasons"]);
        assert_eq!(found["verdict"], "reproduced", "{name}");
        let shown = found["shown"].as_array().expect("positions");
        let recorded: Vec<_> = shown.iter().map(|one| one["item_id"].as_str().unwrap()).collect();
        let answered: Vec<_> = answer.recommendations.iter().map(|one| &*one.item_id).collect();
        assert_eq!(recorded, answered, "{name}");
        let candidates = found["candidates"].as_u64().expect("a number");
        assert_eq!(found["scores"].as_array().map(Vec::len), Some(candidates as usize), "{name}");
        assert_eq!(found["call"]["seed"], 77);
        let variant = (*name == "a variant").then_some("blue");
        assert_eq!(found["call"]["variant"].as_str(), variant, "{name}");
    }
    let (_, again) = made.last().expect("decisions were made");
    let found = document(&replayed(server.data_dir(), &again.decision_id, &["--json", "-"]));
    assert!(
        found["call"]["context_watermark"].as_u64() < found["watermark"].as_u64(),
        "what is derived of the user was kept: {found}"
    );
    let output = replayed(server.data_dir(), &again.decision_id, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\nreproduced\n") && text.contains(&again.decision_id), "{text}");
    let unknown = replayed(server.data_dir(), "no-such-decision", &[]);
    assert!(!unknown.status.success());
    let elsewhere = replayed(server.data_dir(), &again.decision_id, &["--namespace", "other"]);
    assert!(!elsewhere.status.success());
}

async fn with_own_items(flags: &[&str], retrieve: bool) -> Output {
    let mut server = Server::start_with(flags).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    // One is described in the catalogue, too, and in another way; the last may not be shown.
    let own = ["own-0", "own-1", "own-2", "jazz-15", "own-left-out"];
    let request = PersonalizeRequest {
        candidates: own.into_iter().map(own_item).collect(),
        candidate_ids: ids(&["metal-01", "jazz-02"]),
        retrieve,
        filters: Some(Filters {
            exclude_item_ids: ids(&["own-left-out"]),
            expression: "not (source = \"nowhere\")".to_owned(),
            ..Filters::default()
        }),
        min_watermark,
        ..exploring("jazz-fan-1")
    };
    let answer = api.personalize(request).await;
    assert_eq!(answer.recommendations.len(), if retrieve { 20 } else { 6 });
    assert!(server.stop_gracefully().await.success());
    replayed(server.data_dir(), &answer.decision_id, &["--json", "-"])
}

#[tokio::test]
async fn a_decision_on_items_of_the_request_is_reproduced_when_they_are_recorded() {
    for retrieve in [false, true] {
        let output = with_own_items(&["--decision-detail", "full"], retrieve).await;
        let found = document(&output);
        assert!(output.status.success(), "{found}");
        assert_eq!(found["verdict"], "reproduced");
        assert_eq!(found["call"]["described"], 5);
        let request = found["call"]["request"].as_str().expect("the request as it was sent");
        assert!(request.contains("own-2 saxophone swing"), "{request}");
        assert!(request.contains("nowhere"), "{request}");
    }
}

#[tokio::test]
async fn what_is_not_recorded_is_said_to_be_missing() {
    let output = with_own_items(&[], false).await;
    let found = document(&output);
    assert_eq!(found["verdict"], "not redone");
    let reason = found["reasons"][0].as_str().expect("a reason");
    assert!(reason.starts_with("5 of its candidates") && reason.contains("=full"), "{reason}");
    let request = found["call"]["request"].as_str().expect("the request without descriptions");
    assert!(request.contains("own-2") && !request.contains("saxophone"), "{request}");
    assert!(!output.status.success());
    assert_eq!(found["scores"].as_array().map(Vec::len), Some(6));

    let output = with_own_items(&["--decision-detail", "shown"], false).await;
    let found = document(&output);
    assert_eq!((&found["verdict"], &found["call"]), (&"not redone".into(), &().into()));
    assert!(!output.status.success());
}

#[tokio::test]
async fn what_is_too_long_for_a_record_is_left_out_and_the_decision_is_not() {
    let mut server = Server::start_with(&["--decision-detail", "full"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let long =
        |n: usize| Item { content: "swing ".repeat(10_000), ..own_item(&format!("own-{n}")) };
    let made = api
        .personalize(PersonalizeRequest {
            candidates: (0..5).map(long).collect(),
            min_watermark,
            ..exploring("jazz-fan-1")
        })
        .await;
    assert_eq!(made.recommendations.len(), 5);
    let left_out = "personalization_decision_details_left_out_total 1";
    let metrics = get(server.http, "/metrics").await.1;
    assert!(metrics.contains(left_out), "{metrics}");
    // Values that fill a record alone are refused, whatever is recorded.
    let long_ids = (0..600).map(|n| format!("{n:0>250}")).collect();
    let refused = api
        .personalization
        .clone()
        .personalize(PersonalizeRequest {
            filters: Some(Filters { exclude_item_ids: long_ids, ..Filters::default() }),
            ..exploring("jazz-fan-1")
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(server.stop_gracefully().await.success());
    let found = document(&replayed(server.data_dir(), &made.decision_id, &["--json", "-"]));
    assert_eq!((&found["verdict"], &found["call"]), (&"not redone".into(), &().into()));
    assert_eq!(found["shown"].as_array().map(Vec::len), Some(5));
}

/// A click that says which answer it came from.
fn click_after(decision_id: &str, item_id: &str, number: u32) -> Interaction {
    Interaction {
        event_id: format!("after/{decision_id}/{number}"),
        decision_id: decision_id.to_owned(),
        ..click("jazz-fan-1", item_id)
    }
}

#[tokio::test]
async fn events_that_name_a_decision_nobody_made_are_recorded_and_counted() {
    let mut server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let answer = api.personalize(greedy("jazz-fan-1", 5)).await;
    let (made, item) = (answer.decision_id.as_str(), answer.recommendations[0].item_id.as_str());
    // At once, before any replica can have learnt the decision.
    let clicks = vec![
        click_after(made, item, 0),
        click_after("never-made", item, 0),
        Interaction { event_id: "without".to_owned(), ..click("jazz-fan-1", item) },
    ];
    let recorded = api.record(clicks.clone()).await;
    assert_eq!((recorded.accepted, recorded.unknown_decisions), (3, 1));
    // What was recorded before is not counted again.
    let again = api.record(clicks).await;
    assert_eq!((again.duplicates, again.unknown_decisions), (3, 0));
    let request = StreamInteractionsRequest {
        client_sequence: 1,
        interactions: vec![click_after("never-made", item, 1), click_after(made, item, 1)],
        ..StreamInteractionsRequest::default()
    };
    let mut client = api.personalization.clone();
    let stream = client.stream_interactions(tokio_stream::iter([request])).await;
    let mut acks = stream.expect("a stream").into_inner();
    let ack = acks.message().await.expect("an answer").expect("an ack");
    assert_eq!((ack.accepted, ack.unknown_decisions), (2, 1));
    let (_, metrics) = get(server.http, "/metrics").await;
    assert!(metrics.contains("personalization_unknown_decisions_total 2"), "{metrics}");
    // Learnt from as far as it goes: all of them are in the model.
    let learnt = api.settled_status().await;
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    assert_eq!(api.settled_status().await.interactions, learnt.interactions);
    let later = vec![click_after(made, item, 2), click_after("never-made", item, 2)];
    let later = api.record(later).await;
    assert_eq!((later.accepted, later.unknown_decisions), (2, 1), "the log knows what was made");
}
