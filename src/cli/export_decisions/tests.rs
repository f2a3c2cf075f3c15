//! What came of decisions, and bringing a file into another format. The export of a
//! server's store is tested with the service.

use std::fs;

use clap::Parser;

use super::*;
use engine::domain::DecisionId;
use engine::domain::EventId;
use engine::domain::FeatureLayout;
use engine::domain::Interaction;
use engine::domain::InteractionContext;
use engine::domain::InteractionType;
use engine::domain::ItemId;
use engine::domain::Settings;
use engine::domain::Strategy;
use engine::domain::Timestamp;
use engine::domain::UserId;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

fn decision() -> Decision {
    let shown = |item: &str, features: Vec<f32>| ShownItem {
        item_id: ItemId::parse(item).unwrap(),
        score: 0.5,
        propensity: 0.25,
        features,
    };
    Decision {
        decision_id: DecisionId::parse("d").unwrap(),
        user_id: UserId::parse("u").unwrap(),
        decided_at: Timestamp::from_seconds(1),
        strategy: Strategy::EpsilonGreedy,
        epsilon: 0.1,
        segment: 0,
        layout: FeatureLayout::default(),
        model_version: 3,
        watermark: 9,
        candidates: 10,
        exploration_cost: 0.0,
        trial: None,
        assignments: Vec::new(),
        division: None,
        continues: None,
        detail: None,
        shown: vec![shown("a", vec![1.0, 2.0]), shown("pinned", Vec::new()), shown("b", vec![0.5])],
    }
}

fn interaction(user: &str, item: &str, kind: InteractionType) -> Interaction {
    Interaction {
        event_id: EventId::parse("e").unwrap(),
        user_id: UserId::parse(user).unwrap(),
        item_id: ItemId::parse(item).unwrap(),
        kind,
        value: None,
        occurred_at: Timestamp::from_seconds(2),
        session_id: None,
        decision_id: Some(DecisionId::parse("d").unwrap()),
        position: None,
        context: InteractionContext::default(),
    }
}

#[test]
fn a_decision_is_a_round_for_each_position_that_was_the_rankers_choice() {
    let mut rewards = Rewards::default();
    rewards.add(&interaction("u", "b", InteractionType::Purchase));
    let rounds: Vec<LoggedRound> = rounds(&decision(), &rewards, false).collect();
    let found: Vec<_> =
        rounds.iter().map(|round| (round.position, round.action.as_str(), round.reward)).collect();
    assert_eq!(found, [(0, "a", 0.0), (2, "b", 1.0)]);
    assert_eq!(rounds[0].timestamp.as_deref(), Some("1970-01-01T00:00:01.000Z"));
    assert_eq!(rounds[0].features, [1.0, 2.0]);
    // The pinned position was no choice.
    assert!(rounds.iter().all(|round| round.slate_propensity == Some(0.25 * 0.25)));
    assert_eq!((rounds[0].propensity, rounds[0].model.as_deref()), (0.25, Some("3")));
}

#[test]
fn the_best_interaction_of_the_same_user_counts_and_a_negative_one_outweighs_it() {
    let reward = |kinds: &[(&str, InteractionType)]| {
        let mut rewards = Rewards::default();
        for (user, kind) in kinds {
            rewards.add(&interaction(user, "a", *kind));
        }
        rewards.of(&decision(), "a")
    };
    let settings = Settings::default();
    let confidence = |kind| settings.confidence(kind, None).clamp(-1.0, 1.0);
    let (click, like) = (InteractionType::Click, InteractionType::Like);
    assert_eq!(reward(&[("u", InteractionType::Impression)]), 0.0);
    let best = confidence(click).max(confidence(like));
    assert_eq!(reward(&[("u", like), ("u", click)]), best);
    assert_eq!(reward(&[("other", like)]), 0.0);
    let hide = InteractionType::Hide;
    assert_eq!(reward(&[("u", like), ("u", hide)]), confidence(hide));
    assert!(confidence(hide) < 0.0);
}

#[test]
fn what_another_id_of_the_same_user_did_counts_once_both_are_merged() {
    let [user, other] = ["u", "other"].map(|id| UserId::parse(id).unwrap());
    for (from, into) in [(&user, &other), (&other, &user)] {
        let mut rewards = Rewards::default();
        rewards.add(&interaction("other", "a", InteractionType::Like));
        assert_eq!(rewards.of(&decision(), "a"), 0.0);
        rewards.merge(from, into, 2);
        assert_eq!(rewards.of(&decision(), "a"), 1.0);
        rewards.add(&interaction("u", "a", InteractionType::Hide));
        assert_eq!(rewards.of(&decision(), "a"), -1.0);
    }
}

#[test]
fn a_file_is_brought_into_another_format_without_its_bad_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let line = r#"{"_label_cost":-1,"_label_probability":0.5,"_labelIndex":0,"EventId":"e","a":[1,2],"p":[0.5,0.5],"c":{"_multi":[{"id":"x"},{"id":"y"}]}}"#;
    let other = line.replace(r#""e""#, r#""f""#);
    fs::write(path("log.dsjson"), format!("{line}\nnot json\n{other}\n")).unwrap();
    let convert = |from: &str, to: &str| {
        let (from, to) = (path(from), path(to));
        let words = ["export-decisions", "--from", &from, "--output", &to];
        run(&CommandLine::parse_from(words).args).unwrap();
        fs::read_to_string(to).unwrap()
    };
    let table = convert("log.dsjson", "log.csv");
    assert_eq!(table.lines().count(), 3);
    assert!(table.contains("e,,,0,x,1,0.5,"), "{table}");
    assert!(table.contains("x|y,0.5|0.5"), "{table}");
    let again = convert("log.csv", "again.dsjson");
    let first: serde_json::Value = serde_json::from_str(again.lines().next().unwrap()).unwrap();
    assert_eq!(first["_label_Action"], 1);
    assert_eq!(first["p"], serde_json::json!([0.5, 0.5]));
}
