//! Decisions of a running service, exported from its store and evaluated.

use std::collections::BTreeMap;
use std::path::Path;

use personalization::proto::GetEvaluationMetricsRequest;
use personalization::proto::Interaction;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Strategy;

use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::eventually;
use crate::harness::greedy;

const POSITIONS: u32 = 3;
const DECISIONS: usize = 120;

/// Runs a command that must succeed; its standard output.
fn ran(name: &str, arguments: &[&str]) -> String {
    let output = command(name).args(arguments).output().expect("the command runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What was shown by decision, with propensities.
type Shown = BTreeMap<String, Vec<(String, f64)>>;

/// A stopped server whose users were shown three of four items by chance, and clicked at
/// jazz.
async fn logged() -> (Server, Shown) {
    let mut server = Server::start_with(&["--epsilon", "1"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    let candidate_ids = ["jazz-01", "jazz-02", "metal-01", "metal-02"].map(str::to_owned).to_vec();
    let mut shown = Shown::new();
    for n in 0..DECISIONS {
        let user = format!("visitor-{n}");
        let request = PersonalizeRequest {
            strategy: Strategy::EpsilonGreedy.into(),
            candidate_ids: candidate_ids.clone(),
            min_watermark,
            ..greedy(&user, POSITIONS)
        };
        let answer = api.personalize(request).await;
        let items: Vec<_> = answer
            .recommendations
            .iter()
            .map(|item| (item.item_id.clone(), item.propensity))
            .collect();
        let clicks: Vec<Interaction> = items
            .iter()
            .filter(|(item, _)| item.starts_with("jazz"))
            .map(|(item, _)| Interaction {
                decision_id: answer.decision_id.clone(),
                ..click(&user, item)
            })
            .collect();
        api.record(clicks).await;
        shown.insert(answer.decision_id, items);
    }
    assert!(server.stop_gracefully().await.success());
    (server, shown)
}

#[tokio::test]
async fn decisions_of_a_store_are_exported_with_their_rewards_and_evaluated() {
    let (server, shown) = logged().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("decisions.jsonl");
    ran("export-decisions", &["--data-dir", text(server.data_dir()), "--output", text(&file)]);
    let lines = std::fs::read_to_string(&file).expect("the export");
    let rounds: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rounds.len(), DECISIONS * POSITIONS as usize);
    for round in &rounds {
        let decision = &shown[round["decision_id"].as_str().expect("an id")];
        let (item, propensity) =
            &decision[round["position"].as_u64().expect("a position") as usize];
        assert_eq!(round["action"], **item);
        assert!((round["propensity"].as_f64().expect("a number") - propensity).abs() < 1e-6);
        let is_rewarded = round["reward"].as_f64() > Some(0.0);
        assert_eq!(is_rewarded, item.starts_with("jazz"), "{round}");
        assert_eq!(round["strategy"], "epsilon_greedy");
    }

    let reward = rounds.iter().find_map(|round| round["reward"].as_f64().filter(|r| *r > 0.0));
    let reward = reward.expect("a user clicked");
    for name in ["decisions.jsonl", "again.csv", "again.dsjson"] {
        let other = directory.path().join(name);
        if name != "decisions.jsonl" {
            ran("export-decisions", &["--from", text(&file), "--output", text(&other)]);
        }
        let words = [text(&other), "--policy", "constant:jazz-01", "--json", "-"];
        let figures: serde_json::Value =
            serde_json::from_str(&ran("evaluate-policy", &words)).expect("JSON");
        assert_eq!(figures["decisions"], DECISIONS, "{name}");
        let estimates = figures["policies"][0]["estimates"].as_array().expect("estimates");
        let snips = estimates.iter().find(|one| one["estimator"] == "snips").expect("SNIPS");
        // Every impression of jazz-01 was clicked at.
        let value = snips["value"].as_f64().expect("a number");
        assert!((value - reward).abs() < 1e-6, "{name}: {snips}");
    }
}

#[tokio::test]
async fn what_could_have_been_shown_is_exported_with_what_the_ranker_believed() {
    let (server, _) = logged().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("listed.jsonl");
    let words = ["--data-dir", text(server.data_dir()), "--candidates", "--output", text(&file)];
    ran("export-decisions", &words);
    let lines = std::fs::read_to_string(&file).expect("the export");
    for line in lines.lines() {
        let round: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let candidates = round["candidates"].as_array().expect("candidates");
        assert_eq!(candidates.len() as u64, 4 - round["position"].as_u64().expect("a position"));
        let is_uncertain = |one: &serde_json::Value| one["deviation"].as_f64() > Some(0.0);
        assert!(candidates.iter().all(is_uncertain), "{round}");
    }
    let mut golden = None;
    for name in ["listed.jsonl", "listed.csv", "listed.dsjson"] {
        let other = directory.path().join(name);
        if name != "listed.jsonl" {
            ran("export-decisions", &["--from", text(&file), "--output", text(&other)]);
        }
        let policies = ["--policy", "thompson:0.5:0.02", "--policy", "lin-ucb", "--json", "-"];
        let words = [&[text(&other)], &policies[..]].concat();
        let figures: serde_json::Value =
            serde_json::from_str(&ran("evaluate-policy", &words)).expect("JSON");
        let ips = |policy: &serde_json::Value| policy["estimates"][0]["value"].as_f64();
        let policies = figures["policies"].as_array().expect("policies");
        let found: Vec<_> = policies.iter().map(ips).collect();
        let golden = golden.get_or_insert_with(|| found.clone());
        for (found, golden) in found.iter().zip(&*golden) {
            let (found, golden) = (found.expect("a value"), golden.expect("a value"));
            assert!((found - golden).abs() < 1e-9, "{name}: {found} is not {golden}");
        }
    }
}

#[tokio::test]
async fn decisions_of_the_variants_of_an_experiment_are_separated() {
    let mut server = Server::start().await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    // Users of the variant "loud" click at everything, others at nothing.
    for n in 0..60 {
        let user = format!("visitor-{n}");
        let variant = ["loud", "quiet", ""][n % 3].to_owned();
        let request = PersonalizeRequest { variant, min_watermark, ..greedy(&user, POSITIONS) };
        let answer = api.personalize(request).await;
        let items = answer.recommendations.iter().filter(|_| n % 3 == 0);
        let clicks = items.map(|item| Interaction {
            decision_id: answer.decision_id.clone(),
            ..click(&user, &item.item_id)
        });
        api.record(clicks.collect()).await;
    }
    let evaluated = async |variant: &str| {
        let variant = variant.to_owned();
        let request = GetEvaluationMetricsRequest { variant, ..Default::default() };
        Ok::<_, tonic::Status>(
            api.model.clone().get_evaluation_metrics(request).await?.into_inner(),
        )
    };
    eventually("all decisions in the log", async || {
        evaluated("").await.ok().filter(|found| found.decisions == 60)
    })
    .await;
    for (variant, earned) in [("loud", 1.0), ("quiet", 0.0)] {
        let found = evaluated(variant).await.expect("an evaluation");
        assert_eq!((found.decisions, found.users), (20, 20), "{variant}");
        let logged = found.logged.expect("what was earned").value;
        assert!((logged - earned).abs() < 1e-6, "{variant}: {logged}");
    }
    let none = evaluated("unknown").await.expect_err("no decision is of this variant");
    assert_eq!(none.code(), tonic::Code::FailedPrecondition);
    assert!(server.stop_gracefully().await.success());

    let directory = tempfile::tempdir().expect("a directory");
    for name in ["decisions.jsonl", "decisions.csv", "decisions.dsjson"] {
        let file = directory.path().join(name);
        ran("export-decisions", &["--data-dir", text(server.data_dir()), "--output", text(&file)]);
        let words = [text(&file), "--variant", "loud", "--policy", "uniform", "--json", "-"];
        let figures: serde_json::Value =
            serde_json::from_str(&ran("evaluate-policy", &words)).expect("JSON");
        assert_eq!(figures["decisions"], 20, "{name}");
        assert_eq!(figures["policies"][0]["logged"]["value"], 1.0, "{name}");
    }
}
