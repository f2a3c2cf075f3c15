//! Decisions of a running service, exported from its store and evaluated.

use std::collections::BTreeMap;
use std::path::Path;

use personalization::proto::Interaction;
use personalization::proto::PersonalizeRequest;
use personalization::proto::Strategy;

use crate::harness::Server;
use crate::harness::World;
use crate::harness::click;
use crate::harness::command;
use crate::harness::greedy;

const PLACES: u32 = 3;
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

#[tokio::test]
async fn decisions_of_a_store_are_exported_with_their_rewards_and_evaluated() {
    let mut server = Server::start_with(&["--epsilon", "1"]).await;
    let api = server.api().await;
    let min_watermark = World::fill(&api).await;
    // Everybody is shown three of four items by chance, and clicks at jazz.
    let candidate_ids = ["jazz-01", "jazz-02", "metal-01", "metal-02"].map(str::to_owned).to_vec();
    let mut shown: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for n in 0..DECISIONS {
        let user = format!("visitor-{n}");
        let request = PersonalizeRequest {
            strategy: Some(Strategy::EpsilonGreedy.into()),
            candidate_ids: candidate_ids.clone(),
            min_watermark,
            ..greedy(&user, PLACES)
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

    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("decisions.jsonl");
    ran("export-decisions", &["--data-dir", text(server.data_dir()), "--output", text(&file)]);
    let lines = std::fs::read_to_string(&file).expect("the export");
    let rounds: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rounds.len(), DECISIONS * PLACES as usize);
    for round in &rounds {
        let decision = &shown[round["decision_id"].as_str().expect("an id")];
        let (item, propensity) = &decision[round["position"].as_u64().expect("a place") as usize];
        assert_eq!(round["action"], **item);
        assert!((round["propensity"].as_f64().expect("a number") - propensity).abs() < 1e-6);
        let is_rewarded = round["reward"].as_f64() > Some(0.0);
        assert_eq!(is_rewarded, item.starts_with("jazz"), "{round}");
        assert_eq!(round["strategy"], "epsilon_greedy");
    }

    let reward = rounds.iter().find_map(|round| round["reward"].as_f64().filter(|r| *r > 0.0));
    let reward = reward.expect("somebody clicked");
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
        // Every showing of jazz-01 was clicked at.
        let value = snips["value"].as_f64().expect("a number");
        assert!((value - reward).abs() < 1e-6, "{name}: {snips}");
    }
}
