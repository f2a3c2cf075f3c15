//! What the commands print.

use clap::Parser;

use super::Args;
use super::Command;
use super::compare;
use super::file;
use super::plan;
use super::rehearse;
use super::results::told_in_full;
use crate::proto;
use crate::proto::experiment::Split;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn text(line: &str) -> String {
    let words = std::iter::once("experiments").chain(line.split_whitespace());
    let parsed = Line::try_parse_from(words).expect("a command line");
    match &parsed.args.command {
        Command::Plan(args) => plan::text(args).expect("a plan"),
        Command::Compare(args) => compare::text(args).expect("a comparison"),
        other => panic!("{other:?} needs a server"),
    }
}

fn cell<'t>(text: &'t str, row: &str) -> Vec<&'t str> {
    let line = text.lines().find(|line| line.starts_with(row));
    let line = line.unwrap_or_else(|| panic!("no {row} in {text}"));
    line[row.len()..].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

fn number(text: &str) -> f64 {
    text.replace(',', "").parse().expect("a number")
}

#[test]
fn a_plan_says_how_many_users_a_change_takes_and_that_looking_often_takes_more() {
    let text = text("plan --rate 0.05 --lift 0.1 --users-per-day 4000");
    let (once, often) = (cell(&text, "once, at the end"), cell(&text, "at any time"));
    // 31,234 a variant by the usual formula (statsmodels, unpooled).
    let users = number(once[0]);
    assert!((62_000.0..63_000.0).contains(&users), "{text}");
    assert_eq!(number(once[1]), (users / 4_000.0).ceil());
    let often = number(often.iter().rev().nth(1).expect("users and days"));
    assert!(often > 1.5 * users && often < 4.0 * users, "{text}");
}

#[test]
fn a_plan_from_users_gives_back_the_change_that_takes_so_many() {
    let users = cell(&text("plan --rate 0.05 --lift 0.1"), "once, at the end")[0].replace(',', "");
    let back = text(&format!("plan --rate 0.05 --users {users}"));
    let change = cell(&back, "once, at the end")[0];
    assert!(change.starts_with("+10.0"), "{back}");
    let means = text("plan --deviation 12 --difference 1.5");
    let users = cell(&means, "once, at the end")[0].replace(',', "");
    let back = text(&format!("plan --deviation 12 --users {users}"));
    let difference: f64 = cell(&back, "once, at the end")[0].parse().expect("a number");
    assert!((difference - 1.5).abs() < 0.01, "{back}");
}

#[test]
fn a_clear_difference_is_told_with_its_size_and_a_small_one_is_not_made_up() {
    let clear = text("compare --control 20000:1000 --treatment 20000:1250");
    assert!(clear.contains("The treatment is better."), "{clear}");
    assert!(cell(&clear, "lift")[0].starts_with("+25.0 % (+"), "{clear}");
    let worse = text("compare --control 20000:1250 --treatment 20000:1000");
    assert!(worse.contains("The treatment is worse."), "{worse}");
    let small = text("compare --control 20000:1000 --treatment 20000:1050");
    assert!(small.contains("No difference is shown."), "{small}");
    // Once, it would be enough.
    let looked = "compare --control 20000:1000 --treatment 20000:1100";
    assert!(text(looked).contains("No difference is shown."));
    assert!(text(&format!("{looked} --once")).contains("The treatment is better."));
}

#[test]
fn what_is_missing_is_told_and_no_number_is_needed_for_it() {
    let few = text("compare --control 900:9 --treatment 900:30");
    assert!(few.contains("the control has 9 of the 25 conversions"), "{few}");
    let none = text("compare --control 0:0 --treatment 0:0");
    assert!(none.contains("Not enough yet"), "{none}");
    assert!(!none.contains("NaN") && !none.contains("inf"), "{none}");
}

#[test]
fn a_split_that_is_not_as_promised_is_a_warning() {
    let even = text("compare --control 50000:2500 --treatment 50100:2500");
    assert!(!even.contains("Warning"), "{even}");
    let odd = text("compare --control 49000:2500 --treatment 51000:2500");
    assert!(odd.contains("Warning: the treatment has 51.0 % of the users"), "{odd}");
    let planned = text("compare --control 49000:2500 --treatment 51000:2500 --share 0.51");
    assert!(!planned.contains("Warning"), "{planned}");
}

#[test]
fn numbers_that_make_no_sense_are_refused_with_a_reason() {
    for line in [
        "compare --control 10:11 --treatment 10:1",
        "compare --control 10 --treatment 10:1",
        "plan --lift 0.1",
        "plan --rate 0.05 --lift 0.1 --users 10",
    ] {
        let words = std::iter::once("experiments").chain(line.split_whitespace());
        assert!(Line::try_parse_from(words).is_err(), "{line}");
    }
    for line in ["plan --rate 1.5 --lift 0.1", "plan --rate 0.05", "plan --rate 0.05 --lift nan"] {
        let words = std::iter::once("experiments").chain(line.split_whitespace());
        let parsed = Line::try_parse_from(words).expect("numbers");
        let Command::Plan(args) = &parsed.args.command else { panic!("a plan") };
        assert!(plan::text(args).is_err(), "{line}");
    }
}

#[test]
fn the_experiment_of_the_documentation_is_read_with_its_comments() {
    let text = include_str!("../../../examples/experiments/more-variety.yaml");
    let read = file::parse(text).expect("an experiment");
    assert_eq!((read.key.as_str(), read.allocation), ("more-variety", 0.5));
    let overrides = read.variants[1].overrides.as_ref().expect("overrides");
    assert_eq!(overrides.diversity.expect("diversity").diversity_weight, Some(0.6));
    assert_eq!(read.metrics[2].role(), proto::MetricRole::Guardrail);
    assert_eq!(read.metrics[0].window.map(|window| window.seconds), Some(60));
}

#[test]
fn experiments_of_the_documentation_that_divide_lists_are_read() {
    let text = include_str!("../../../examples/experiments/popular-or-personal.yaml");
    let read = file::parse(text).expect("an experiment");
    assert_eq!(read.split, Some(Split::Interleaving(proto::Interleaving {})));
    assert_eq!(read.metrics[0].kind(), proto::MetricKind::Preference);
    let text = include_str!("../../../examples/experiments/learnt-variety.yaml");
    let read = file::parse(text).expect("an experiment");
    let floor = proto::LearningAllocation { floor: 0.05 };
    assert_eq!(read.split, Some(Split::LearningAllocation(floor)));
}

#[test]
fn a_file_that_is_no_experiment_is_told_what_is_wrong_and_where() {
    let told = |text: &str| file::parse(text).expect_err("no experiment").to_string();
    let unknown = told("key: a\nweight: 3\n");
    assert!(unknown.contains("weight"), "{unknown}");
    let no_number = told("key: a\nallocation: many\n");
    assert!(no_number.contains("line 2"), "{no_number}");
    assert!(told("- a list").contains("invalid type"), "{}", told("- a list"));
}

#[test]
fn results_are_told_as_a_table_a_verdict_and_a_plot() {
    let effect = |value| proto::EffectEstimate { value, low: value - 0.1, high: value + 0.1 };
    let variant = |name: &str, mean| proto::VariantFigures {
        variant: name.to_owned(),
        users: 1_200,
        nonzero: 300,
        mean,
        standard_error: 0.01,
    };
    let exposed = |name: &str| proto::VariantExposures {
        variant: name.to_owned(),
        exposed: 1_300,
        chance: None,
        distinct_items: 0,
    };
    let comparison = proto::Comparison {
        lift: Some(effect(0.2)),
        p_value: Some(0.01),
        ..proto::Comparison::default()
    };
    let series = (1..4_u64).map(|number| proto::SeriesPoint {
        at: None,
        users: 400 * number,
        effects: vec![proto::SeriesEffect { variant: "new".into(), effect: Some(effect(0.2)) }],
    });
    let results = proto::ExperimentResults {
        key: "better".to_owned(),
        state: proto::ExperimentState::Running.into(),
        exposures: vec![exposed("old"), exposed("new")],
        metrics: vec![proto::MetricResult {
            name: "clicked".to_owned(),
            role: proto::MetricRole::Primary.into(),
            variants: vec![variant("old", 0.25), variant("new", 0.3)],
            comparisons: vec![proto::MetricComparison {
                variant: "new".to_owned(),
                comparison: Some(comparison),
                ..proto::MetricComparison::default()
            }],
            backfilled: Some(0.4),
            ..proto::MetricResult::default()
        }],
        verdict: Some(proto::ExperimentVerdict {
            text: "new is better. ".repeat(20),
            ..proto::ExperimentVerdict::default()
        }),
        series: series.collect(),
        ..proto::ExperimentResults::default()
    };
    let told = told_in_full(&results);
    assert!(told.starts_with("better is running."), "{told}");
    assert!(cell(&told, "clicked (primary)").contains(&"lift"), "{told}");
    assert!(told.contains("+20.0 % (+10.0 % to +30.0 %)"), "{told}");
    assert!(told.contains("added later: 40.0 % of what was before is computed"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 110), "{told}");
    assert_eq!(told.lines().filter(|line| line.contains("o-")).count(), 3, "{told}");
}

#[test]
fn what_is_rehearsed_is_a_variant_or_a_file_and_not_both() {
    let parses = |line: &str| {
        let words = std::iter::once("experiments").chain(line.split_whitespace());
        Line::try_parse_from(words).is_ok()
    };
    assert!(parses("rehearse more-variety varied --requests 50 --days 30"));
    assert!(parses("rehearse --file overrides.yaml"));
    for wrong in [
        "rehearse",
        "rehearse more-variety",
        "rehearse more-variety varied --file overrides.yaml",
        "rehearse more-variety varied --days 91",
    ] {
        assert!(!parses(wrong), "{wrong}");
    }
    let text = include_str!("../../../examples/experiments/overrides.yaml");
    let read = file::parse_overrides(text).expect("overrides");
    assert!(!read.boosts.is_empty() && read.diversity.is_some(), "{read:?}");
    let wrong = file::parse_overrides("diversity: 3\n").expect_err("no overrides");
    assert!(wrong.to_string().contains("line 1"), "{wrong}");
}

#[test]
fn a_rehearsal_is_told_as_tables_with_what_is_left_out_and_a_verdict() {
    let bounded = |value| proto::BoundedMean { value, low: Some(value / 2.0), high: Some(1.0) };
    let mean = |now, proposed| {
        Some(proto::RehearsedMean {
            now: Some(now),
            proposed: Some(proposed),
            difference: Some(bounded(proposed - now)),
        })
    };
    let label =
        |name: &str, now, proposed| proto::RehearsedShare { name: name.into(), now, proposed };
    let pair = |now, proposed| Some(proto::RehearsedPair { now, proposed });
    let rewarded = |value| Some(proto::EstimatedReward { value, ..Default::default() });
    let rehearsal = proto::Rehearsal {
        decisions: 4_312,
        rehearsed: 200,
        users: 151,
        left_out: vec![proto::RehearsalOmission {
            reason: proto::RehearsalOmissionReason::NoRequest.into(),
            decisions: 1_000,
        }],
        changed_positions: Some(bounded(0.25)),
        expected_reward: mean(0.05, 0.06),
        new_items: mean(0.1, 0.2),
        distinct_items: pair(1_200.0, 1_500.0),
        by_topic: Some(proto::RehearsedExposure {
            labels: vec![label("jazz", 0.5, 0.75), label("", 0.3, 0.1)],
            rest: pair(0.2, 0.15),
        }),
        reward: Some(proto::RehearsedReward {
            positions: 2_000,
            users: 151,
            logged: rewarded(0.04),
            effective_sample_size: 1_234.5,
            warnings: vec![proto::EvaluationWarning { reason: 1, text: "beware".into() }],
            ..Default::default()
        }),
        verdict: "Something changes. ".repeat(20),
        ..Default::default()
    };
    let told = rehearse::told_in_full(&rehearsal);
    assert!(told.starts_with("200 of 4,312 requests were rehearsed, of 151 users."), "{told}");
    assert!(told.contains("1,000 were left out: the record holds no request."), "{told}");
    assert_eq!(cell(&told, "positions with another item"), ["25.0 %", "12.5 % to 100.0 %"]);
    assert_eq!(cell(&told, "expected reward of a position")[..3], ["0.0500", "0.0600", "+0.0100"]);
    assert_eq!(cell(&told, "positions with new items")[..3], ["10.0 %", "20.0 %", "+10.0 %"]);
    assert_eq!(cell(&told, "different items"), ["1,200", "1,500"]);
    assert_eq!(cell(&told, "jazz"), ["50.0 %", "75.0 %", "+25.0 %"]);
    assert_eq!(cell(&told, "(none)"), ["30.0 %", "10.0 %", "-20.0 %"]);
    assert_eq!(cell(&told, "as it was logged"), ["0.0400"]);
    assert!(told.contains("worth 1,234 of the proposal's own"), "{told}");
    assert!(told.contains("Warning: beware."), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 110), "{told}");
}
