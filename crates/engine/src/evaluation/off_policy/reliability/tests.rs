//! Curves of logs whose rates of reward are known.

use super::*;
use crate::evaluation::off_policy::Candidate;
use crate::evaluation::off_policy::LogBuilder;
use crate::evaluation::off_policy::NewRound;

/// Rounds of (unit, score, reward).
fn log(rounds: impl IntoIterator<Item = (u32, f64, f64)>) -> Log {
    let mut log = LogBuilder::default();
    for (unit, score, reward) in rounds {
        let score = Some(score);
        let new = NewRound { unit, score, reward, propensity: 0.5, ..NewRound::default() };
        log.push(&new).unwrap();
    }
    log.build()
}

fn curve(rounds: impl IntoIterator<Item = (u32, f64, f64)>) -> Reliability {
    Reliability::of(&log(rounds)).unwrap()
}

/// A thousand rounds at each rate of .05, .15 to .95 that earn 1 exactly as often as that, and
/// 0 else; scored by `score` of the rate.
fn at_known_rates(score: impl Fn(f64) -> f64) -> Reliability {
    curve((0..10_000_u32).map(|number| {
        let rewarded = 100 * (number / 1_000) + 50;
        let is_rewarded = number % 1_000 < rewarded;
        (number, score(f64::from(rewarded) / 1_000.0), f64::from(u8::from(is_rewarded)))
    }))
}

#[test]
fn scores_that_are_the_rate_of_reward_are_on_the_diagonal() {
    let curve = at_known_rates(|rate| rate);
    assert_eq!(curve.bins.len(), 10);
    for bin in &curve.bins {
        assert!((bin.predicted - bin.observed).abs() < 1e-9, "{bin:?}");
        let binomial = (bin.observed * (1.0 - bin.observed) / 999.0).sqrt();
        assert!((bin.standard_error - binomial).abs() < 1e-9, "{bin:?} and not {binomial}");
    }
    assert!(curve.calibration_error < 1e-9, "{curve:?}");
    assert!((0.005..0.015).contains(&curve.by_chance), "{curve:?}");
}

#[test]
fn scores_twice_as_high_are_off_the_diagonal_in_every_bin() {
    let curve = at_known_rates(|rate| 2.0 * rate);
    for bin in &curve.bins {
        assert!((bin.predicted - 2.0 * bin.observed).abs() < 1e-9, "{bin:?}");
    }
    assert!((curve.calibration_error - 0.5).abs() < 1e-9, "{curve:?}");
    assert!(curve.calibration_error > 30.0 * curve.by_chance, "{curve:?}");
}

#[test]
fn rounds_of_one_score_are_in_one_bin() {
    // All alike: half of them earn, so that bins of sorted rewards would be at 0 and at 1.
    let alike = curve((0..1_000).map(|number| (number, 0.5, f64::from(number % 2))));
    assert_eq!(alike.bins.len(), 1);
    assert!(alike.calibration_error < 1e-9, "{alike:?}");
    // One score has most of the rounds, and those above it are cut as before.
    let most = (0..1_000_u32).map(|number| (number, f64::from(number.max(600)) / 1_000.0, 0.0));
    let sizes: Vec<usize> = curve(most).bins.iter().map(|bin| bin.rounds).collect();
    assert_eq!(sizes, [601, 100, 100, 100, 99]);
}

#[test]
fn rounds_of_one_unit_count_as_the_one_observation_that_they_are() {
    let rounds = |of_unit: u32| {
        (0..1_000_u32).map(move |number| (number / of_unit, 0.5, f64::from(number / of_unit % 2)))
    };
    let (single, ten) = (curve(rounds(1)).bins[0], curve(rounds(10)).bins[0]);
    let ratio = ten.standard_error / single.standard_error;
    assert!((ratio - 10.0_f64.sqrt()).abs() < 0.05, "{single:?} and {ten:?}");
    assert!(curve(rounds(1_000)).bins[0].standard_error.is_nan());
}

#[test]
fn the_score_of_what_was_shown_goes_before_that_of_the_candidate() {
    let candidates = [(0, 0.25), (1, 0.75)].map(|(action, score)| Candidate {
        action,
        score: Some(score),
        ..Candidate::default()
    });
    let new =
        NewRound { action: 1, propensity: 0.5, candidates: &candidates, ..NewRound::default() };
    for (score, golden) in [(None, 0.75), (Some(0.5), 0.5)] {
        let mut log = LogBuilder::default();
        log.push(&NewRound { score, ..new }).unwrap();
        assert_eq!(Reliability::of(&log.build()).unwrap().bins[0].predicted, golden);
    }
}

#[test]
fn a_log_without_the_score_of_every_round_has_no_curve() {
    assert_eq!(Reliability::of(&LogBuilder::default().build()), None);
    let mut log = LogBuilder::default();
    for score in [Some(0.5), None] {
        log.push(&NewRound { score, propensity: 1.0, ..NewRound::default() }).unwrap();
    }
    assert_eq!(Reliability::of(&log.build()), None);
}
