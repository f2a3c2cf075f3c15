//! Scores: the expected reward, the same whatever else was asked about.

use crate::harness::Ask;
use crate::harness::Planted;
use crate::harness::Reliability;
use crate::harness::Strategy;
use crate::harness::World;
use crate::harness::mean;
use crate::harness::reliability;

fn readers() -> Planted {
    let mut planted = Planted::topics(World::new(), 30, 200, 10);
    planted.browse(10, 0.8);
    planted
}

#[test]
fn the_parts_of_the_score_of_a_lone_candidate_are_small_and_add_up() {
    let planted = readers();
    let answer = planted.world.answer(&Ask::of("user-3", 10).among(&["item-7"]));
    let one = &answer.list[0];
    let largest = one.components.values().fold(0.0_f64, |most, part| most.max(part.abs()));
    assert!(largest <= 2.0, "the largest part is {largest}: {one:?}");
    let sum: f64 = one.components.values().sum();
    assert!((sum - one.score).abs() < 1e-6, "parts add up to {sum}: {one:?}");
}

#[test]
fn a_score_does_not_depend_on_the_other_candidates() {
    let planted = readers();
    let score_among = |others: std::ops::Range<usize>| {
        let mut items: Vec<String> = others.map(|item| format!("item-{item}")).collect();
        items.push("item-7".to_owned());
        let ask = Ask::of("user-3", 10).include_seen(true).among(&items);
        planted.world.answer(&ask).candidate("item-7").score
    };
    let scores = [score_among(0..0), score_among(20..30), score_among(50..150)];
    let spread = scores[1..].iter().map(|score| (score - scores[0]).abs()).fold(0.0, f64::max);
    assert!(spread <= 1e-4, "scores of one item alone and among 10 and 100 others: {scores:?}");
}

#[test]
fn a_favourite_scores_the_same_for_two_users_of_the_same_history() {
    let mut planted = readers();
    for item in ["item-0", "item-10", "item-20", "item-30"] {
        planted.world.click("twin-a", item);
        planted.world.click("twin-b", item);
        planted.world.pass_hours(5.0);
    }
    let score = |user: &str| {
        let ask = Ask::of(user, 10).among(&["item-40", "item-55", "item-71"]);
        planted.world.answer(&ask).candidate("item-40").score
    };
    let (one, other) = (score("twin-a"), score("twin-b"));
    assert!((one - other).abs() < 1e-3, "{one} and {other}");
}

#[test]
fn high_scores_and_low_scores_are_both_what_comes_of_them() {
    let mut planted = readers();
    planted.serve(12, 10, Strategy::EpsilonGreedy, 0.3);
    let mut pairs = Vec::new();
    for (user, name) in planted.users.iter().enumerate() {
        for one in planted.world.answer(&Ask::of(name, 10)).candidates {
            let is_favourite = planted.favours(user, planted.number(&one.item));
            pairs.push((one.score, if is_favourite { 0.3 } else { 0.06 }));
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let quarters: Vec<(f64, f64)> = pairs
        .chunks(pairs.len().div_ceil(4))
        .map(|pairs| (mean(pairs.iter().map(|one| one.0)), mean(pairs.iter().map(|one| one.1))))
        .collect();
    let off = quarters.iter().map(|(score, rate)| (score - rate).abs()).fold(0.0, f64::max);
    assert!(off <= 0.08, "score and rate of reward by quarters of the scores: {quarters:.3?}");
}

#[test]
fn scores_say_how_often_a_shown_item_is_clicked() {
    let mut planted = readers();
    planted.serve(8, 10, Strategy::EpsilonGreedy, 0.3);
    // What is predicted of the next lists, and what comes of them.
    let mut predicted = Vec::new();
    for user in &planted.users {
        let answer = planted.world.answer(&Ask::of(user, 10));
        predicted.extend(answer.list.iter().map(|one| one.score));
    }
    let predicted = predicted.iter().sum::<f64>() / predicted.len() as f64;
    let clicked = planted.serve(4, 10, Strategy::Greedy, 0.3);
    let ratio = predicted / clicked;
    assert!((0.7..=1.4).contains(&ratio), "predicted {predicted:.3}, clicked {clicked:.3}");
}

/// Curves of the scores that were recorded, and of twice these, in a world whose favourites are
/// clicked at a rate of .3 and whose other items at .06.
fn curves() -> (Reliability, Reliability) {
    let mut planted = readers();
    planted.serve(8, 10, Strategy::EpsilonGreedy, 0.3);
    let served = planted.served(12, 10, Strategy::EpsilonGreedy, 0.3);
    (reliability(&served, 1.0), reliability(&served, 2.0))
}

#[test]
fn the_reliability_curve_of_recorded_scores_is_near_the_diagonal() {
    let (curve, _) = curves();
    assert!(curve.calibration_error <= 0.05, "{curve:#?}");
}

#[test]
fn the_reliability_curve_of_doubled_scores_is_off_the_diagonal() {
    let (curve, doubled) = curves();
    assert!(doubled.calibration_error >= 3.0 * curve.calibration_error, "{curve:?}\n{doubled:?}");
}
