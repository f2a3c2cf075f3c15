//! Lists of several positions: by hand, and where one position earns by what is above it.

use crate::evaluation::off_policy::tests::*;

/// What was shown at the positions of one list: action, propensity, target's probability,
/// reward.
fn push_list(builder: &mut LogBuilder, unit: u32, positions: &[(u32, f64, f64, f64)]) {
    for (position, &(action, propensity, target, reward)) in positions.iter().enumerate() {
        let new = NewRound {
            action,
            reward,
            propensity,
            target: Some(target),
            position: position as u32,
            is_below: position > 0,
            unit,
            ..NewRound::default()
        };
        builder.push(&new).unwrap();
    }
}

fn reported(builder: LogBuilder) -> Report {
    evaluated(&builder.build(), Policy::FromLog, RATES, &Options::default())
}

/// By positions alone, and with those above them.
fn values(report: &Report) -> [f64; 2] {
    let estimators = [Estimator::Ips, Estimator::RewardInteraction];
    estimators.map(|estimator| report.find(estimator).unwrap().value.value)
}

fn is_unlike(report: &Report) -> bool {
    report.warnings.iter().any(|warning| matches!(warning, Warning::UnlikeLists { .. }))
}

#[test]
fn positions_are_weighed_alone_or_with_those_above_them() {
    let mut builder = LogBuilder::default();
    // Weights 1.6 and 2, below each other 3.2; then .4 and 2, below each other .8.
    push_list(&mut builder, 0, &[(0, 0.5, 0.8, 1.0), (1, 0.25, 0.5, 0.5)]);
    push_list(&mut builder, 1, &[(1, 0.5, 0.2, 0.0), (0, 0.5, 1.0, 1.0)]);
    let found = values(&reported(builder));
    let golden = [
        (1.6 * 1.0 + 2.0 * 0.5 + 0.4 * 0.0 + 2.0 * 1.0) / 4.0,
        (1.6 * 1.0 + 3.2 * 0.5 + 0.4 * 0.0 + 0.8 * 1.0) / 4.0,
    ];
    for (found, golden) in found.iter().zip(golden) {
        assert!((found - golden).abs() < 1e-12, "{found} is not {golden}");
    }
}

#[test]
fn what_a_position_earns_by_the_position_above_it_is_seen_by_rips_alone() {
    // Two items in either order. The second position earns 1 below the first item; the target
    // always begins with that: half of its positions earn 1.
    let mut builder = LogBuilder::default();
    for unit in 0..400 {
        let first = unit % 2;
        let (target, reward) = if first == 0 { (1.0, 1.0) } else { (0.0, 0.0) };
        push_list(&mut builder, unit, &[(first, 0.5, target, 0.0), (1 - first, 1.0, 1.0, reward)]);
    }
    let report = reported(builder);
    let [independent, interaction] = values(&report);
    assert!((independent - 0.25).abs() < 1e-12, "{independent}");
    assert!((interaction - 0.5).abs() < 1e-12, "{interaction}");
    assert!(!is_unlike(&report));
}

#[test]
fn lists_that_are_never_the_targets_to_the_end_are_told() {
    let mut builder = LogBuilder::default();
    for unit in 0..200 {
        let target = |at: u32| f64::from(u8::from(at != unit % 4));
        let shown: Vec<_> = (0..4).map(|at| (0, 0.75, target(at), 1.0)).collect();
        push_list(&mut builder, unit, &shown);
    }
    let report = reported(builder);
    assert!(is_unlike(&report), "{:?}", report.warnings);
    // Each position for itself is the target's as often as it should be.
    assert!((report.support.mean_weight - 1.0).abs() < 1e-9);
}

#[test]
fn without_lists_there_is_nothing_to_interact() {
    let mut builder = LogBuilder::default();
    (0..4).for_each(|unit| push_list(&mut builder, unit, &[(0, 0.5, 0.5, 1.0)]));
    let report = reported(builder);
    assert_eq!(report.find(Estimator::RewardInteraction), None);
    assert_eq!(report.support.mean_list_weight, None);
}

#[test]
fn below_a_refused_position_a_new_list_begins() {
    let mut builder = LogBuilder::default();
    let round = |propensity, is_below| NewRound {
        reward: 1.0,
        propensity,
        target: Some(1.0),
        is_below,
        ..NewRound::default()
    };
    builder.push(&round(0.5, false)).unwrap();
    builder.push(&round(0.0, true)).unwrap_err();
    builder.push(&round(0.5, true)).unwrap();
    builder.push(&round(0.5, true)).unwrap();
    let log = builder.build();
    let below: Vec<bool> = log.rounds().iter().map(|round| round.is_below).collect();
    assert_eq!(below, [false, false, true]);
}

#[test]
fn long_lists_of_large_weights_keep_their_sums_finite() {
    let mut builder = LogBuilder::default();
    push_list(&mut builder, 0, &[(0, 1e-4, 1.0, 0.0); 500]);
    push_list(&mut builder, 1, &[(0, 0.5, 0.5, 1.0)]);
    let [_, interaction] = values(&reported(builder));
    assert!(interaction.is_finite(), "{interaction}");
}
