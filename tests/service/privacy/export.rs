//! Everything held about a user, as JSON Lines.

use std::collections::BTreeSet;

use personalization::proto::ExplorationParams;
use personalization::proto::ExportUserRequest;
use personalization::proto::ExportUserResponse;
use personalization::proto::Interaction;
use personalization::proto::InteractionContext;
use personalization::proto::InteractionType;
use personalization::proto::PersonalizeRequest;
use personalization::proto::PersonalizeResponse;
use personalization::proto::RequestContext;
use personalization::proto::UpdateUserRequest;
use personalization::proto::User;
use personalization::proto::UserRules;
use personalization::proto::VariantOverrides;
use personalization::proto::privacy_service_client::PrivacyServiceClient;
use serde_json::Value;
use serde_json::json;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;

use crate::experiments::lab;
use crate::harness::Api;
use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::event;
use crate::harness::eventually;
use crate::harness::greedy;
use crate::harness::is_serving;
use crate::harness::reason_of;
use crate::harness::strings;
use crate::harness::structure;
use crate::harness::text;

const CHUNK_BYTES: usize = 64 * 1024;

async fn begin(api: &Api, user_id: &str) -> Result<Streaming<ExportUserResponse>, Status> {
    let (namespace, user_id) = (api.namespace.clone(), user_id.to_owned());
    let request = ExportUserRequest { namespace, user_id };
    let mut client = PrivacyServiceClient::new(api.channel.clone());
    Ok(client.export_user(request).await?.into_inner())
}

/// The whole file.
async fn try_export(api: &Api, user_id: &str) -> Result<String, Status> {
    let mut chunks = begin(api, user_id).await?;
    let mut file = String::new();
    while let Some(chunk) = chunks.message().await? {
        let lines = chunk.json_lines;
        assert!(lines.ends_with('\n'), "whole lines");
        assert!(lines.len() <= CHUNK_BYTES || lines.matches('\n').count() == 1);
        file.push_str(&lines);
    }
    Ok(file)
}

async fn export(api: &Api, user_id: &str) -> Vec<Value> {
    let file = try_export(api, user_id).await.expect("an export");
    file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

fn texts(lines: &[&Value], name: &str) -> Vec<String> {
    lines.iter().map(|line| line[name].as_str().expect("a text").to_owned()).collect()
}

/// What users have done.
struct Done {
    /// Ids of events of ada, and of the visitor that she was.
    events: Vec<String>,
    /// Answers to her and to the visitor.
    answers: Vec<PersonalizeResponse>,
    variant: String,
}

async fn ask(api: &Api, user: &str, min_watermark: u64) -> PersonalizeResponse {
    let attributes = structure([("page", text("home"))]);
    let context = Some(RequestContext { attributes, ..RequestContext::default() });
    api.personalize(PersonalizeRequest { context, min_watermark, ..greedy(user, 4) }).await
}

/// A visitor who signs in as ada, who sets something and takes part in an experiment; bert does
/// the same.
async fn fill(api: &Api) -> Done {
    World::fill(api).await;
    let exploration = Some(ExplorationParams { epsilon: Some(0.2), ..Default::default() });
    let overrides = VariantOverrides { exploration, ..VariantOverrides::default() };
    let started = lab::run(api, lab::experiment("calm", overrides)).await;
    let (mut events, mut answers, mut variant) = (Vec::new(), Vec::new(), String::new());
    for (user, visitor) in [("ada", "visit-1"), ("bert", "visit-2")] {
        let answer = ask(api, visitor, started).await;
        let shown = &answer.recommendations[1];
        let context = InteractionContext {
            topics: strings(["jazz"]),
            source: "blue".to_owned(),
            attributes: structure([("mood", text("calm"))]),
            ..InteractionContext::default()
        };
        let clicked = Interaction {
            decision_id: answer.decision_id.clone(),
            position: Some(1),
            context: Some(context),
            ..click(visitor, &shown.item_id)
        };
        let rated = Interaction {
            value: Some(4.5),
            ..event(&format!("rated/{user}"), user, "jazz-02", InteractionType::Rating)
        };
        let bought = event(&format!("bought/{user}"), user, "own", InteractionType::Purchase);
        let done = vec![clicked, rated, bought];
        let ids = done.iter().map(|event| event.event_id.clone()).collect::<Vec<_>>();
        let recorded = api.record(done).await;
        assert_eq!(recorded.accepted, 3);
        let set = User {
            user_id: user.to_owned(),
            attributes: structure([("country", text(user))]),
            ..User::default()
        };
        let blocks = UserRules { blocked_topics: strings(["tennis"]), ..UserRules::default() };
        let update = UpdateUserRequest { user: Some(set), add: Some(blocks), ..Default::default() };
        api.update_user(update).await;
        let assigned = lab::assign(api, "calm", user).await.expect("a variant");
        let merged = api.merge(visitor, user).await;
        let last = ask(api, user, merged.sequence).await;
        if user == "ada" {
            (events, answers, variant) = (ids, vec![answer, last], assigned);
        }
    }
    api.settled_status().await;
    Done { events, answers, variant }
}

#[tokio::test]
async fn everything_that_a_user_did_is_in_the_export_once_and_nothing_of_another_user() {
    let server = Server::start().await;
    let api = server.api().await;
    let done = fill(&api).await;
    let lines = export(&api, "ada").await;

    let [first, .., last] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&first["kind"], &first["version"]), (&json!("export"), &json!(1)));
    assert_eq!(first["namespace"], "default");
    assert_eq!(first["user_ids"], json!(["ada", "visit-1"]));
    assert_eq!(first["watermark"], api.status().await.watermark);
    let records: Vec<&Value> = lines.iter().filter(|it| it.get("sequence").is_some()).collect();
    assert_eq!(last, &json!({ "kind": "end", "records": records.len() }));
    let sequences: Vec<u64> = records.iter().map(|it| it["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");

    let interactions = of_kind(&lines, "interaction");
    assert_eq!(texts(&interactions, "event_id"), done.events);
    assert_eq!(texts(&interactions, "type"), ["click", "rating", "purchase"]);
    assert_eq!(interactions[0]["context"]["attributes"], json!({ "mood": "calm" }));
    assert_eq!(interactions[0]["decision_id"], done.answers[0].decision_id);
    assert_eq!(interactions[1]["value"], 4.5);

    let merges = of_kind(&lines, "users_merged");
    assert_eq!(texts(&merges, "from_user_id"), ["visit-1"]);
    let updates = of_kind(&lines, "user_update");
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0]["attributes"]["set"], json!({ "country": "ada" }));
    assert_eq!(updates[0]["rules"]["blocked_topics"]["add"], json!(["tennis"]));
    let exposures = of_kind(&lines, "exposure");
    assert_eq!(exposures.len(), 1);
    let assignment = &exposures[0]["assignments"][0];
    assert_eq!((&assignment["experiment"], &assignment["tester"]), (&json!("calm"), &json!(false)));
    assert_eq!(assignment["variant"], done.variant);
    let known = interactions.len() + merges.len() + updates.len() + exposures.len();
    assert_eq!(records.len(), known + of_kind(&lines, "decision").len());

    let [profile, rules] = ["profile", "rules"].map(|kind| of_kind(&lines, kind));
    assert_eq!((profile.len(), rules.len()), (1, 1));
    assert_eq!(profile[0]["merged_user_ids"], json!(["visit-1"]));
    let counts = &profile[0]["interaction_counts"];
    assert!(counts.as_array().unwrap().contains(&json!({ "type": "rating", "count": 1 })));
    assert_eq!(rules[0]["attributes"], json!({ "country": "ada" }));
    assert_eq!(rules[0]["rules"], json!({ "blocked_topics": ["tennis"] }));

    let file = try_export(&api, "ada").await.unwrap();
    for other in ["bert", "visit-2", "jazz-fan"] {
        assert!(!file.contains(other), "{other} in {file}");
    }
}

#[tokio::test]
async fn a_decision_is_exported_as_it_was_answered_with_its_request() {
    let server = Server::start().await;
    let api = server.api().await;
    let done = fill(&api).await;
    let lines = export(&api, "visit-1").await;
    let decisions = of_kind(&lines, "decision");
    let answered = done.answers.iter().map(|answer| answer.decision_id.clone());
    assert_eq!(texts(&decisions, "decision_id"), answered.collect::<Vec<_>>());
    assert_eq!(texts(&decisions, "user_id"), ["visit-1", "ada"]);
    for (decision, answer) in decisions.iter().zip(&done.answers) {
        let items = decision["items"].as_array().expect("items");
        assert_eq!(items.len(), answer.recommendations.len());
        for (item, shown) in items.iter().zip(&answer.recommendations) {
            assert_eq!(item["item_id"], shown.item_id);
            assert_eq!(item["position"], shown.position);
            let propensity = item["propensity"].as_f64().expect("a number");
            assert!((propensity - shown.propensity).abs() < 1e-6);
            let features = item["features"].as_array().expect("features").len();
            assert_eq!(features, decision["feature_names"].as_array().expect("names").len());
        }
        assert_eq!(decision["assignments"][0]["experiment"], "calm");
        assert_eq!(decision["strategy"], "greedy");
        let request = &decision["detail"]["request"];
        assert_eq!((&request["max_results"], &request["strategy"]), (&json!(4), &json!("greedy")));
        assert_eq!(request["context"]["attributes"], json!({ "page": "home" }));
        let candidates = decision["detail"]["candidate_scores"].as_array().expect("candidates");
        assert_eq!(candidates.len() as u64, decision["candidates"].as_u64().unwrap());
    }
}

/// Without what differs by the time of the export.
async fn undated(api: &Api, user_id: &str) -> Vec<Value> {
    let mut lines = export(api, user_id).await;
    let exported_at = lines[0]["exported_at"].take();
    assert!(exported_at.as_str().is_some_and(|at| at.ends_with('Z') && at.len() == 24));
    lines
}

#[tokio::test]
async fn any_id_of_a_merged_user_gives_the_same_export_also_after_a_restart() {
    let mut server = Server::start().await;
    let api = server.api().await;
    fill(&api).await;
    let before = undated(&api, "ada").await;
    assert_eq!(undated(&api, "visit-1").await, before);
    server.kill_9();
    server.restart().await;
    let api = server.api().await;
    for id in ["visit-1", "ada"] {
        assert_eq!(undated(&api, id).await, before, "{id}");
    }
}

#[tokio::test]
async fn of_a_user_of_whom_nothing_is_held_the_export_has_its_first_and_its_last_line() {
    let server = Server::start().await;
    let api = server.api().await;
    World::fill(&api).await;
    let lines = export(&api, "nobody").await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["user_ids"], json!(["nobody"]));
    assert_eq!(lines[1], json!({ "kind": "end", "records": 0 }));
    let code = async |api: &Api, user: &str| begin(api, user).await.unwrap_err().code();
    assert_eq!(code(&api, "").await, Code::InvalidArgument);
    assert_eq!(code(&api.within("elsewhere"), "ada").await, Code::NotFound);
}

/// More than all buffers between the log and a caller who does not read.
const MANY: usize = 8_000;

async fn do_much(api: &Api) -> BTreeSet<String> {
    let note = "x".repeat(1_000);
    let noted = |number: usize| {
        let attributes = structure([("note", text(&note))]);
        let context = Some(InteractionContext { attributes, ..InteractionContext::default() });
        let (id, item) = (format!("much/{number}"), format!("item-{}", number % 50));
        Interaction { context, ..event(&id, "ada", &item, InteractionType::Click) }
    };
    let recorded = api.record((0..MANY).map(noted).collect()).await;
    assert_eq!(recorded.accepted, MANY as u64);
    (0..MANY).map(|number| format!("much/{number}")).collect()
}

#[tokio::test]
async fn an_export_whose_caller_goes_away_ends_and_makes_way_for_the_next_one() {
    let server = Server::start().await;
    let api = server.api().await;
    let events = do_much(&api).await;
    let mut abandoned = begin(&api, "ada").await.expect("an export");
    assert!(abandoned.message().await.expect("a chunk").is_some());
    // It waits for its caller, who does not read.
    let refused = begin(&api, "bert").await.unwrap_err();
    assert_eq!(reason_of(&refused), (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    drop(abandoned);
    let file = eventually("an export", async || match try_export(&api, "ada").await {
        Ok(file) => Some(file),
        Err(status) if status.code() == Code::ResourceExhausted => None,
        Err(status) => panic!("{status}"),
    })
    .await;
    let lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let exported = texts(&of_kind(&lines, "interaction"), "event_id");
    assert_eq!((exported.len(), exported.into_iter().collect()), (MANY, events));
}

#[tokio::test]
async fn an_export_that_a_stop_of_the_server_cuts_says_so_and_lacks_its_last_line() {
    let mut server = Server::start().await;
    let api = server.api().await;
    do_much(&api).await;
    let mut chunks = begin(&api, "ada").await.expect("an export");
    let mut file = chunks.message().await.expect("a chunk").expect("a chunk").json_lines;
    server.terminate();
    eventually("a server that stops", async || (!is_serving(server.grpc, "").await).then_some(()))
        .await;
    let status = loop {
        match chunks.message().await {
            Ok(Some(chunk)) => file.push_str(&chunk.json_lines),
            Ok(None) => panic!("the export ended as if it were whole"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason_of(&status), (Code::Unavailable, "SHUTTING_DOWN".to_owned()));
    assert!(file.ends_with('\n') && !file.contains(r#""kind":"end""#));
    assert!(server.ended().await.success());
}
