//! The command line, and the whole command on files of each format.

use std::fmt::Write as _;
use std::fs;

use clap::Parser;
use serde_json::Value;

use super::policy::Exploring;
use super::*;

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    let words = ["evaluate-policy", "log.csv"].iter().chain(words);
    CommandLine::try_parse_from(words).map(|line| line.args)
}

/// Runs the command on a file written for it; its figures.
fn evaluated(name: &str, log: &str, words: &[&str]) -> Result<Value, Failure> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (file, json) = (path(name), path("figures.json"));
    fs::write(&file, log).unwrap();
    let line = ["evaluate-policy", &file, "--json", &json, "--resamples", "50"].into_iter();
    run(&CommandLine::parse_from(line.chain(words.iter().copied())).args)?;
    Ok(serde_json::from_slice(&fs::read(json).unwrap()).unwrap())
}

fn estimate<'a>(document: &'a Value, policy: usize, estimator: &str) -> &'a Value {
    let estimates = document["policies"][policy]["estimates"].as_array().unwrap();
    let is_it = |estimate: &&Value| estimate["estimator"] == estimator;
    estimates.iter().find(is_it).unwrap_or_else(|| panic!("no {estimator} in {estimates:?}"))
}

fn value(document: &Value, policy: usize, estimator: &str) -> f64 {
    estimate(document, policy, estimator)["value"].as_f64().unwrap()
}

/// Three actions shown alike; the first earns nothing, the second half of the time, the
/// third always.
fn uniform_table() -> String {
    let mut rows = "decision_id,action,position,reward,propensity\n".to_owned();
    for at in 0..1_200 {
        let (action, turn) = (at % 3, at / 3 % 2);
        let reward = [0, turn, 1][action];
        let _ = writeln!(rows, "d{at},arm-{action},0,{reward},{}", 1.0 / 3.0);
    }
    rows
}

/// The same rounds as dsjson, with candidates, propensities and scores that prefer the
/// second.
fn uniform_dsjson() -> String {
    let mut lines = String::new();
    for at in 0..1_200 {
        let (action, turn) = (at % 3, at / 3 % 2);
        let cost = -([0, turn, 1][action] as i64);
        let others: Vec<usize> = (1..=3).filter(|other| *other != action + 1).collect();
        let _ = writeln!(
            lines,
            r#"{{"_label_cost":{cost},"_label_probability":{p},"_label_Action":{shown},"_labelIndex":{action},"EventId":"e{at}","a":[{shown},{a},{b}],"p":[{p},{p},{p}],"c":{{"context":[{turn}],"_multi":[{{"id":"arm-0"}},{{"id":"arm-1","_score":2}},{{"id":"arm-2"}}]}}}}"#,
            p = 1.0 / 3.0,
            shown = action + 1,
            a = others[0],
            b = others[1],
        );
    }
    lines
        .replace(r#"{"id":"arm-0"}"#, r#"{"id":"arm-0","_score":0}"#)
        .replace(r#"{"id":"arm-2"}"#, r#"{"id":"arm-2","_score":1}"#)
}

#[test]
fn policies_and_bounds_are_read_from_the_command_line() {
    let args = parse(&[
        "--policy",
        "epsilon-greedy:0.25",
        "--policy",
        "constant:a:b",
        "--policy",
        "softmax",
        "--policy",
        "thompson:0.5",
        "--policy",
        "lin-ucb:2:0",
        "--reward-range",
        "-1,1",
        "--clip",
        "inf",
    ])
    .unwrap();
    let golden = [
        PolicyName::EpsilonGreedy(0.25),
        PolicyName::Constant("a:b".to_owned()),
        PolicyName::Softmax(1.0),
        PolicyName::Thompson(Exploring { scale: 0.5, floor: 0.01 }),
        PolicyName::LinUcb(Exploring { scale: 2.0, floor: 0.0 }),
    ];
    assert_eq!(args.policy, golden);
    assert_eq!((args.reward_range, args.clip), (Some((-1.0, 1.0)), f64::INFINITY));
    for bad in [
        &[][..],
        &["--policy", "best"],
        &["--policy", "epsilon-greedy:2"],
        &["--policy", "softmax:0"],
        &["--policy", "thompson:-1"],
        &["--policy", "thompson:"],
        &["--policy", "lin-ucb:1:2"],
        &["--policy", "constant:"],
        &["--policy", "uniform:1"],
        &["--policy", "uniform", "--clip", "0"],
        &["--policy", "uniform", "--floor", "1"],
        &["--policy", "uniform", "--reward-range", "1,1"],
    ] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_table_is_evaluated_by_every_estimator() {
    let words = ["--policy", "uniform", "--policy", "constant:arm-2", "--policy", "greedy"];
    let document = evaluated("log.csv", &uniform_table(), &words).unwrap();
    assert_eq!((document["rounds"].as_u64(), document["actions"].as_u64()), (Some(1_200), Some(3)));
    for estimator in [
        "ips",
        "snips",
        "direct",
        "doubly_robust",
        "self_normalized_doubly_robust",
        "switch_doubly_robust",
        "shrunk_doubly_robust",
        "rejection",
    ] {
        assert!((value(&document, 0, estimator) - 0.5).abs() < 0.01, "{estimator}");
        assert!((value(&document, 1, estimator) - 1.0).abs() < 0.05, "{estimator}");
        // By the reward model the third action is the best of all.
        assert!((value(&document, 2, estimator) - 1.0).abs() < 0.05, "{estimator}");
    }
    assert_eq!(value(&document, 1, "replay"), 1.0);
    let greedy = estimate(&document, 2, "doubly_robust");
    assert!(greedy["lift_bootstrap"]["low"].as_f64() > Some(0.4), "{greedy}");
    assert_eq!(document["policies"][2]["name"], "greedy by the reward model");
    assert!(document["policies"][1]["anytime"]["low"].as_f64() > Some(0.5));
    assert!(document["notes"].to_string().contains("candidate of every round"));
}

#[test]
fn a_dsjson_log_is_evaluated_by_its_scores_and_candidates() {
    let document = evaluated("log.dsjson", &uniform_dsjson(), &["--policy", "greedy"]).unwrap();
    assert_eq!(document["policies"][0]["name"], "greedy by the logged scores");
    // The second action earns half of the time, and the context determines when.
    assert!((value(&document, 0, "doubly_robust") - 0.5).abs() < 0.02);
    let robust = estimate(&document, 0, "doubly_robust")["standard_error"].as_f64();
    let plain = estimate(&document, 0, "ips")["standard_error"].as_f64();
    assert!(robust < plain.map(|plain| 0.7 * plain), "{robust:?} against {plain:?}");
    assert_eq!(document["policies"][0]["support"]["unsupported"], 0.0);
    assert_eq!(document["policies"][0]["warnings"], serde_json::json!([]));
}

#[test]
fn policies_that_go_by_deviations_need_them_in_the_log() {
    let mut rows = "decision_id,action,reward,propensity,candidates,candidate_scores,\
                    candidate_deviations\n"
        .to_owned();
    for at in 0..400 {
        // The second earns always, and is the one that the ranker knows little of.
        let _ = writeln!(rows, "d{at},{a},{a},0.5,0|1,0.5|0.4,0.01|0.5", a = at % 2);
    }
    let words = ["--policy", "lin-ucb:1:0.1", "--policy", "thompson:1:0", "--policy", "greedy"];
    let document = evaluated("log.csv", &rows, &words).unwrap();
    assert!((value(&document, 0, "ips") - 0.95).abs() < 1e-9);
    // Behind by a tenth, with a deviation of the difference of a half: .4207.
    assert!((value(&document, 1, "ips") - 0.4207).abs() < 1e-3);
    assert!(value(&document, 2, "ips").abs() < 1e-9);
    let named = &document["policies"][0]["name"];
    assert_eq!(named, "lin-ucb:1:0.1 by the logged scores");
    let without = rows.replace("candidate_deviations", "other");
    let refused = evaluated("log.csv", &without, &words).unwrap_err().to_string();
    assert!(refused.contains("no standard deviations"), "{refused}");
}

/// Four scores that earn as often as they say; all of them multiplied.
fn scored_table(factor: f64) -> String {
    let mut rows = "decision_id,action,reward,propensity,score\n".to_owned();
    for at in 0..2_000 {
        let (rate, number) = ([0.1, 0.2, 0.5, 0.9][at % 4], at / 4);
        let is_rewarded = ((number % 10) as f64) < 10.0 * rate;
        let reward = u8::from(is_rewarded);
        let _ = writeln!(rows, "d{at},arm-{},{reward},0.25,{}", at % 4, factor * rate);
    }
    rows
}

#[test]
fn logged_scores_are_held_against_rewards_by_the_reliability_curve() {
    let curve = |rows: &str| {
        let document = evaluated("log.csv", rows, &["--policy", "uniform"]).unwrap();
        document["reliability"].clone()
    };
    let number = |value: &Value| value.as_f64().unwrap();
    let calibrated = curve(&scored_table(1.0));
    assert!(number(&calibrated["calibration_error"]) < 1e-9, "{calibrated}");
    let doubled = curve(&scored_table(2.0));
    assert!((number(&doubled["calibration_error"]) - 0.425).abs() < 1e-9, "{doubled}");
    for (bin, rate) in doubled["bins"].as_array().unwrap().iter().zip([0.1, 0.2, 0.5, 0.9]) {
        assert_eq!(bin["rounds"], 500);
        assert!((number(&bin["observed"]) - rate).abs() < 1e-9, "{bin}");
        assert!((number(&bin["predicted"]) - 2.0 * rate).abs() < 1e-9, "{bin}");
        let binomial = (rate * (1.0 - rate) / 499.0).sqrt();
        assert!((number(&bin["standard_error"]) - binomial).abs() < 1e-9, "{bin}");
    }
    assert!(curve(&scored_table(1.0).replace("score", "other")).is_null());
}

#[test]
fn probabilities_of_the_file_are_a_policy() {
    let mut rows = "decision_id,action,reward,propensity,target_probability\n".to_owned();
    for at in 0..400 {
        let (action, target) = (at % 2, [0.25, 0.75][at % 2]);
        let _ = writeln!(rows, "d{at},{action},{action},0.5,{target}");
    }
    let document = evaluated("log.csv", &rows, &["--policy", "file"]).unwrap();
    assert!((value(&document, 0, "ips") - 0.75).abs() < 1e-9);
    let estimates = document["policies"][0]["estimates"].to_string();
    assert!(!estimates.contains("direct"), "the others' probabilities are not known");
    let candidates = "decision_id,action,reward,propensity,candidates,\
                      candidate_target_probabilities\n"
        .to_owned();
    let rows = (0..400).fold(candidates, |mut rows, at| {
        let _ = writeln!(rows, "d{at},{a},{a},0.5,0|1,0.25|0.75", a = at % 2);
        rows
    });
    let document = evaluated("log.csv", &rows, &["--policy", "file"]).unwrap();
    for estimator in ["ips", "direct", "doubly_robust"] {
        assert!((value(&document, 0, estimator) - 0.75).abs() < 0.01, "{estimator}");
    }
}

#[test]
fn missing_support_is_reported() {
    let mut lines = String::new();
    for at in 0..300 {
        let _ = writeln!(
            lines,
            r#"{{"decision_id":"d{at}","action":"a","reward":1,"propensity":1,"candidates":[{{"action":"a","propensity":1}},{{"action":"b","propensity":0}}]}}"#
        );
    }
    let document = evaluated("log.jsonl", &lines, &["--policy", "uniform"]).unwrap();
    let warnings = document["policies"][0]["warnings"].to_string();
    assert!(warnings.contains("50.0 % of what this policy shows had no chance"), "{warnings}");
    assert_eq!(document["policies"][0]["support"]["unsupported"], 0.5);
}

#[test]
fn bad_lines_are_left_out_and_reported_with_their_numbers() {
    let rows = uniform_table()
        .replace("d5,arm-2,0,1,", "d5,arm-2,0,often,")
        .replace("d7,arm-1,0,0,0.3333333333333333\n", "d7,arm-1,0,0,0\n");
    let document = evaluated("log.csv", &rows, &["--policy", "uniform"]).unwrap();
    assert_eq!(
        (document["rounds"].as_u64(), document["unreadable"].as_u64()),
        (Some(1_198), Some(2))
    );
    let notes = document["notes"].to_string();
    assert!(notes.contains("line 7: column reward: must be a finite number"), "{notes}");
    assert!(notes.contains("propensity must be above 0 and at most 1"), "{notes}");
}

#[test]
fn intervals_are_over_users_where_the_log_has_them() {
    let mut rows = "user_id,decision_id,action,reward,propensity\n".to_owned();
    for at in 0..1_000 {
        // Everything a user does earns the same.
        let _ = writeln!(rows, "u{},d{at},a,{},1", at % 20, at % 2);
    }
    let by_user = evaluated("log.csv", &rows, &["--policy", "uniform"]).unwrap();
    let words = ["--policy", "uniform", "--unit", "decision"];
    let by_decision = evaluated("log.csv", &rows, &words).unwrap();
    let error = |document: &Value| document["policies"][0]["logged"]["standard_error"].as_f64();
    assert!(error(&by_user) > error(&by_decision).map(|error| 5.0 * error));
    assert_eq!(by_user["policies"][0]["units"], 20);
}

#[test]
fn of_a_variant_only_its_rounds_count() {
    let mut rows = "decision_id,variant,action,reward,propensity\n".to_owned();
    for at in 0..300 {
        let (variant, reward) = [("blue", 1), ("green", 0), ("", 0)][at % 3];
        let _ = writeln!(rows, "d{at},{variant},a,{reward},1");
    }
    let words = ["--policy", "uniform", "--variant", "blue"];
    let document = evaluated("log.csv", &rows, &words).unwrap();
    assert_eq!((document["rounds"].as_u64(), value(&document, 0, "ips")), (Some(100), 1.0));
    assert!(document["notes"].to_string().contains("200 rounds of other variants"));
    let words = ["--policy", "uniform", "--variant", "red"];
    let refused = evaluated("log.csv", &rows, &words).unwrap_err().to_string();
    assert!(refused.contains("none is of the variant"), "{refused}");
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_the_reason() {
    let refused =
        |log: &str, words: &[&str]| evaluated("log.csv", log, words).unwrap_err().to_string();
    let head = "action,reward,propensity\n";
    assert!(refused(head, &["--policy", "uniform"]).contains("no round that can be used"));
    let one = format!("{head}a,1,0.5\n");
    let unknown = refused(&one, &["--policy", "constant:b"]);
    assert!(unknown.contains("constant:b: the log has no such action"), "{unknown}");
    let scores = refused(&one, &["--policy", "greedy", "--scores", "logged"]);
    assert!(scores.contains("no scores of candidates"), "{scores}");
    let file = refused(&one, &["--policy", "file"]);
    assert!(file.contains("no probabilities of a target policy"), "{file}");
    let ridge = refused(&one, &["--policy", "uniform", "--reward-model", "ridge"]);
    assert!(ridge.contains("no features"), "{ridge}");
}

#[test]
fn a_bandit_learns_from_a_log_and_its_progressive_reward_is_told() {
    let found = evaluated(
        "log.csv",
        &uniform_table(),
        &["--bandit", "thompson:0.5", "--bandit", "epsilon-greedy:1", "--bandit", "square-cb"],
    )
    .unwrap();
    let bandits = found["bandits"].as_array().unwrap();
    let names: Vec<&str> = bandits.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bandit thompson:0.5:0.01", "bandit epsilon-greedy:1", "bandit square-cb"]);
    let reward = |index: usize| bandits[index]["reward"].as_f64().unwrap();
    assert!(reward(0) > 0.85 && reward(2) > 0.6, "{bandits:?}");
    assert!((reward(1) - 0.5).abs() < 0.1, "{bandits:?}");
    let kept = bandits[0]["kept"].as_u64().unwrap();
    assert!((300..500).contains(&kept), "{kept}");
    assert_eq!(bandits[0]["curve"].as_array().unwrap().last().unwrap()["kept"], kept);
    let scaled = uniform_table().replace(",1,0.3", ",7,0.3");
    let refused = evaluated("log.csv", &scaled, &["--bandit", "greedy"]).unwrap_err();
    assert!(refused.to_string().contains("--reward-range"), "{refused}");
    assert!(
        evaluated("log.csv", &scaled, &["--bandit", "greedy", "--reward-range", "0,7"]).is_ok()
    );
    assert!(parse(&["--bandit", "thompson:x"]).is_err() && parse(&[]).is_err());
}
