//! Files of rounds: what is read, what is reported, and that what is written is read again.

use std::fs;

use proptest::prelude::*;

use super::*;

fn read(name: &str, text: &str) -> (Vec<LoggedRound>, Vec<String>, u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    let mut reader = Reader::open(&path, Format::of(&path)).unwrap();
    let (mut rounds, mut faults) = (Vec::new(), Vec::new());
    for round in reader.by_ref() {
        match round {
            Ok(round) => rounds.push(round),
            Err(fault) => {
                assert!(fault.is_about_one_line(), "{fault}");
                faults.push(fault.to_string());
            }
        }
    }
    (rounds, faults, reader.unlabelled)
}

fn written(rounds: &[LoggedRound], format: Format) -> String {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, format).unwrap();
    rounds.iter().for_each(|round| writer.write(round.clone()).unwrap());
    writer.finish().unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A line of the format as the reference documents it.
const DECISION: &str = r#"{"_label_cost":-1.5,"_label_probability":0.7,"_label_Action":2,"_labelIndex":1,"o":[{"v":1.5,"EventId":"e1","ActionTaken":false}],"Timestamp":"2024-05-01T12:00:00.0000000Z","Version":"1","EventId":"e1","a":[2,1,3],"c":{"User":{"age":30},"context":[0.5,2],"_multi":[{"_tag":"x"},{"i":{"constant":1,"id":"y"},"f":[1,2.5]},{"TAction":{"value":2}}]},"p":[0.7,0.2,0.1],"VWState":{"m":"abc"}}"#;

#[test]
fn a_dsjson_decision_is_read() {
    let (rounds, faults, _) = read("log.dsjson", DECISION);
    assert!(faults.is_empty(), "{faults:?}");
    let candidate = |action: &str, propensity, features: &[f32]| LoggedCandidate {
        action: action.to_owned(),
        propensity: Some(propensity),
        features: features.to_vec(),
        ..LoggedCandidate::default()
    };
    let golden = LoggedRound {
        decision_id: "e1".to_owned(),
        timestamp: Some("2024-05-01T12:00:00.0000000Z".to_owned()),
        action: "y".to_owned(),
        reward: 1.5,
        propensity: 0.7,
        model: Some("abc".to_owned()),
        features: vec![1.0, 2.5],
        context: vec![0.5, 2.0],
        candidates: vec![
            candidate("x", 0.2, &[]),
            candidate("y", 0.7, &[1.0, 2.5]),
            candidate(r#"{"TAction":{"value":2}}"#, 0.1, &[]),
        ],
        ..LoggedRound::default()
    };
    assert_eq!(rounds, [golden]);
}

#[test]
fn what_was_shown_is_read_in_several_forms() {
    let line = |label: &str| {
        format!(
            r#"{{"_label_cost":0,{label}"EventId":"e","a":[2,1],"p":[0.75,0.25],"c":{{"_multi":[{{"id":"x"}},{{"id":"y"}}]}}}}"#
        )
    };
    for label in ["", r#""_labelIndex":1,"#, r#""_label_Action":2,"#] {
        let (rounds, faults, _) = read("log.dsjson", &line(label));
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!((rounds[0].action.as_str(), rounds[0].propensity), ("y", 0.75));
    }
}

#[test]
fn slots_are_rounds_at_their_positions() {
    let line = r#"{"Version":"1","EventId":"e","c":{"_multi":[{"id":"x"},{"id":"y"},{"id":"z"}],"_slots":[{},{"_inc":[0,2]},{}]},"_outcomes":[{"_label_cost":-1,"_id":"1","_a":[1,0,2],"_p":[0.5,0.25,0.25]},{"_label_cost":0,"_id":"2","_a":2,"_p":0.4},{"_id":"3","_a":[0],"_p":[1]}],"VWState":{}}"#;
    let (rounds, faults, _) = read("log.dsjson", line);
    assert!(faults.is_empty(), "{faults:?}");
    let found: Vec<_> = rounds
        .iter()
        .map(|r| (r.position, r.action.as_str(), r.reward, r.propensity, r.candidates.len()))
        .collect();
    assert_eq!(found, [(0, "y", 1.0, 0.5, 3), (1, "z", 0.0, 0.4, 2)], "the third has no label");
    assert_eq!(rounds[0].candidates[0].propensity, Some(0.25));
    assert_eq!(rounds[1].candidates[1].propensity, None);
}

#[test]
fn lines_that_cannot_be_read_are_reported_by_number_and_the_others_are_read() {
    let text = format!(
        "{DECISION}\n\n{}\n[1]\n{}\n{}\n{}\n{}\n{DECISION}",
        r#"{"_label_cost":-1,"#,
        r#"{"RewardValue":1,"EventId":"e"}"#,
        r#"{"_label_cost":1,"_skipLearn":true,"c":{}}"#,
        r#"{"_label_cost":1,"_labelIndex":5,"_label_probability":1,"c":{"_multi":[{}]}}"#,
        r#"{"_label_cost":1,"_outcomes":[],"c":{"_multi":[{}]}}"#,
    );
    let (rounds, faults, unlabelled) = read("log.dsjson", &text);
    assert_eq!((rounds.len(), unlabelled), (2, 2));
    let golden =
        ["line 3: EOF", "line 4: must be", "line 7: action 6 of 1 is not", "line 8: slates"];
    assert_eq!(faults.len(), golden.len(), "{faults:?}");
    for (fault, golden) in faults.iter().zip(golden) {
        assert!(fault.starts_with(golden), "{fault} is not {golden}");
    }
}

#[test]
fn the_open_bandit_layout_is_read_as_it_is() {
    let text = "timestamp,item_id,position,click,propensity_score,user_feature_0\n\
                2019-11-24,79,2,0,0.087125,abc\n2019-11-24,14,1,yes,0.5,abc\n";
    let (rounds, faults, _) = read("all.csv", text);
    assert_eq!(faults, [r#"line 3: column click: must be a finite number, is "yes""#]);
    let LoggedRound { decision_id, action, position, reward, propensity, .. } = &rounds[0];
    assert_eq!((decision_id.as_str(), action.as_str(), *position), ("2", "79", 2));
    assert_eq!((*reward, *propensity), (0.0, 0.087_125));
}

#[test]
fn lists_in_a_cell_are_as_long_as_the_candidates() {
    let head = "action,reward,propensity,x_a,x_b,candidates,candidate_scores,candidate_features\n";
    let text = format!("{head}a,1,0.5,1,2,a|b,3|4.5,1 2|3 4\na,1,0.5,1,2,a|b,3,\n");
    let (rounds, faults, _) = read("rounds.csv", &text);
    assert_eq!(faults, ["line 3: column candidate_scores: has 1 values for 2 candidates"]);
    assert_eq!(rounds[0].context, [1.0, 2.0]);
    assert_eq!(rounds[0].candidates[1].score, Some(4.5));
    assert_eq!(rounds[0].candidates[1].features, [3.0, 4.0]);
}

#[test]
fn json_lines_are_rounds_by_field_and_faults_have_their_line() {
    let text = "{\"action\":\"a\",\"reward\":1,\"propensity\":0.5}\n{\"action\":1}\n";
    let (rounds, faults, _) = read("rounds.jsonl", text);
    assert_eq!((rounds.len(), rounds[0].decision_id.as_str()), (1, "1"));
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("line 2: invalid type"), "{faults:?}");
}

#[test]
fn a_file_without_what_every_round_needs_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rounds.csv");
    fs::write(&path, "action,reward\na,1\n").unwrap();
    let Err(refused) = Reader::open(&path, Format::Csv) else { panic!("has no propensities") };
    assert!(refused.to_string().contains("no column propensity"), "{refused}");
    assert!(Reader::open(&directory.path().join("none"), Format::Dsjson).is_err());
}

/// Numbers of six digits: serde_json reads them to the last bit.
fn decimal() -> impl Strategy<Value = f64> {
    (1..=1_000_000_u32).prop_map(|n| f64::from(n) / 1e6)
}

fn features(width: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-1_000..1_000_i32).prop_map(|n| n as f32 / 64.0), width)
}

prop_compose! {
    /// A decision with up to four positions that show what was not shown above.
    fn decision()(
        id in "[a-z]{1,8}",
        user_id in prop::option::of("[a-z\"\\\\|é ]{1,6}x"),
        timestamp in prop::option::of(Just("2024-05-01T12:00:00Z".to_owned())),
        strategy in prop::option::of(Just("epsilon_greedy".to_owned())),
        context in features(3),
        count in 5..9_usize,
        positions in 1..5_usize,
        listed in any::<bool>(),
        known in any::<bool>(),
        chances in prop::collection::vec(decimal(), 9),
        scores in prop::option::of(prop::collection::vec(decimal(), 9)),
        own in prop::collection::vec(features(2), 9),
        rewards in prop::collection::vec(-3..4_i32, 4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) -> Vec<LoggedRound> {
        let mut candidates: Vec<LoggedCandidate> = (0..count)
            .map(|at| LoggedCandidate {
                action: format!("item {at}"),
                propensity: known.then(|| chances[at]),
                score: scores.as_ref().map(|scores| scores[at]),
                deviation: scores.as_ref().map(|scores| scores[8 - at]),
                target_probability: None,
                features: own[at].clone(),
            })
            .collect();
        let mut rounds = Vec::new();
        for position in 0..positions {
            let pick = picks[position].index(candidates.len());
            let shown = &candidates[pick];
            rounds.push(LoggedRound {
                decision_id: id.clone(),
                user_id: user_id.clone(),
                timestamp: timestamp.clone(),
                position: position as u32,
                action: shown.action.clone(),
                reward: f64::from(rewards[position]) / 2.0,
                propensity: shown.propensity.unwrap_or(chances[8]),
                slate_propensity: strategy.as_ref().map(|_| chances[7]),
                target_probability: None,
                strategy: strategy.clone(),
                model: timestamp.as_ref().map(|_| "7".to_owned()),
                variant: strategy.as_ref().map(|_| "blue".to_owned()),
                score: shown.score,
                features: shown.features.clone(),
                context: context.clone(),
                candidates: if listed { candidates.clone() } else { Vec::new() },
            });
            candidates.remove(pick);
        }
        rounds
    }
}

proptest! {
    #[test]
    fn what_is_exported_is_imported_again(decisions in prop::collection::vec(decision(), 1..6)) {
        // Decisions next to each other have ids of their own.
        let mut rounds = Vec::new();
        for (at, mut decision) in decisions.into_iter().enumerate() {
            decision.iter_mut().for_each(|round| round.decision_id += &at.to_string());
            rounds.extend(decision);
        }
        for (format, name) in
            [(Format::Dsjson, "a.dsjson"), (Format::Jsonl, "a.jsonl"), (Format::Csv, "a.csv")]
        {
            let (again, faults, unlabelled) = read(name, &written(&rounds, format));
            prop_assert!(faults.is_empty() && unlabelled == 0, "{:?}", faults);
            if format == Format::Csv {
                // Cells are trimmed, and separators of lists are no part of a text.
                prop_assert_eq!(again.len(), rounds.len());
                for (again, round) in again.iter().zip(&rounds) {
                    let user_id = round.user_id.clone();
                    prop_assert_eq!(&LoggedRound { user_id, ..again.clone() }, round);
                }
            } else {
                prop_assert_eq!(&again, &rounds);
            }
        }
    }

    #[test]
    fn no_line_makes_the_reader_panic(
        line in r#"[\{\}\[\]",:a-c0-9._\-]{0,60}"#,
        at in any::<prop::sample::Index>(),
        other in any::<u8>(),
    ) {
        let _ = dsjson::read(line.as_bytes());
        let mut broken = DECISION.as_bytes().to_vec();
        let index = at.index(broken.len());
        broken[index] = other;
        let _ = dsjson::read(&broken);
        let _ = dsjson::read(&broken[..index]);
    }
}
