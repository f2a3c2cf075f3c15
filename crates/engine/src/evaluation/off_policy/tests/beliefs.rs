//! Policies that go by scores and their uncertainty, against probabilities in closed
//! form.

use crate::evaluation::off_policy::tests::*;

/// One round of two candidates with these scores and deviations.
fn log(scores: [f64; 2], deviations: [Option<f64>; 2]) -> Log {
    let candidate = |action: usize| Candidate {
        action: action as u32,
        score: Some(scores[action]),
        deviation: deviations[action],
        ..Candidate::default()
    };
    let candidates = [candidate(0), candidate(1)];
    let mut builder = LogBuilder::default();
    let new = NewRound { propensity: 0.5, candidates: &candidates, ..NewRound::default() };
    builder.push(&new).unwrap();
    builder.build()
}

fn probabilities(policy: Policy, log: &Log) -> [f64; 2] {
    let mut found = [0.0; 2];
    policy.probabilities(&log.view(0), &[0.0; 2], &mut found);
    found
}

#[test]
fn thompson_shows_each_candidate_as_often_as_it_is_probably_the_best() {
    // The difference of the two draws has mean 1 and deviation scale * 0.5.
    let log = log([1.0, 0.0], [Some(0.3), Some(0.4)]);
    for (scale, normal) in [(1.0, 0.977_249_868), (2.0, 0.841_344_746)] {
        for floor in [0.0, 0.1] {
            let [first, second] = probabilities(Policy::Thompson { scale, floor }, &log);
            let expected = (1.0 - floor) * normal + floor / 2.0;
            assert!((first - expected).abs() < 1e-6, "{scale}, {floor}: {first}");
            assert!((first + second - 1.0).abs() < 1e-9);
        }
    }
    assert_eq!(probabilities(Policy::Thompson { scale: 0.0, floor: 0.0 }, &log), [1.0, 0.0]);
}

#[test]
fn lin_ucb_shows_the_best_by_score_and_deviations() {
    let log = log([1.0, 0.9], [Some(0.1), Some(0.5)]);
    let by = |scale, floor| probabilities(Policy::LinUcb { scale, floor }, &log);
    assert_eq!(by(0.5, 0.0), [0.0, 1.0]);
    assert_eq!(by(0.5, 0.5), [0.25, 0.75]);
    assert_eq!(by(0.2, 0.0), [1.0, 0.0]);
}

#[test]
fn without_every_deviation_there_is_no_such_policy() {
    let policies =
        [Policy::Thompson { scale: 1.0, floor: 0.0 }, Policy::LinUcb { scale: 1.0, floor: 0.0 }];
    for policy in policies {
        let known = log([1.0, 0.9], [Some(0.1), Some(0.0)]);
        assert!(policy.on(&known).is_ok());
        let missing = log([1.0, 0.9], [Some(0.1), None]);
        assert_eq!(policy.on(&missing).err(), Some(PolicyUnknown::Deviations));
        assert_eq!(missing.incomplete()[0].column, "candidates' deviations");
        assert!(Policy::Greedy(Scores::Logged).on(&missing).is_ok());
    }
}

#[test]
fn a_deviation_below_0_is_refused() {
    let candidates = [Candidate { deviation: Some(-0.1), ..Candidate::default() }];
    let new = NewRound { propensity: 0.5, candidates: &candidates, ..NewRound::default() };
    let refused = LogBuilder::default().push(&new);
    assert_eq!(refused, Err(InvalidRound::Deviation(-0.1)));
}
