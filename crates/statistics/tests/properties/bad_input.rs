//! Nothing of bad input comes out: empty arms, sums that are no numbers, wrong parameters.

use statistics::guardrail::{self, Good, Margin, State};
use statistics::power::{self, Design, Looks};
use statistics::sample_ratio::SampleRatio;
use statistics::sequential::{self, ConversionPlan, Plan, bounded};
use statistics::{
    Arm, Comparison, Counts, Estimate, Kind, Level, Missing, Pairs, Values, Verdict, adjustment,
    fixed, summary,
};

const LEVEL: Level = Level::FIVE_PERCENT;

fn plan() -> Plan {
    Plan::new(LEVEL, 10_000).unwrap()
}

fn values(values: &[f64]) -> Values {
    let mut sums = Values::default();
    values.iter().for_each(|value| sums.add(*value, f64::INFINITY));
    sums
}

#[track_caller]
fn nothing(comparison: &Comparison) {
    assert_eq!(comparison.verdict(), Verdict::NotEnoughYet, "{comparison:?}");
    assert!(!comparison.missing.is_empty());
    for effect in [comparison.difference, comparison.lift].into_iter().flatten() {
        assert!(effect.interval.contains(0.0) && effect.interval.width().is_finite());
    }
}

#[test]
fn empty_arms_say_that_units_are_missing() {
    let (none, some) = (Counts::default(), Counts { units: 100, conversions: 50 });
    for (a, b) in [(none, none), (none, some), (some, none)] {
        nothing(&fixed::rates(&a, &b, LEVEL));
        nothing(&sequential::means(&a.estimate(), &b.estimate(), &plan()));
        let conversions = ConversionPlan::new(LEVEL, 0.5, 100).unwrap();
        nothing(&sequential::conversions(&a, &b, &conversions));
    }
    let found = sequential::means(&none.estimate(), &some.estimate(), &plan());
    assert_eq!(found.missing, [Missing::Units { arm: Arm::Control, has: 0, needs: 2 }]);
    let empty = Pairs::default();
    nothing(&fixed::means(&empty.ratio(), &empty.ratio(), LEVEL));
    let (a, b) = adjustment::lin(&empty, &empty);
    nothing(&fixed::means(&a, &b, LEVEL));
    let sums = bounded::Sums::default();
    nothing(&bounded::means(&sums, &sums, &bounded::BoundedPlan::new(LEVEL, 1.0, 1.0).unwrap()));
    let margin = Margin::new(Good::Higher, 0.05).unwrap();
    let found = guardrail::sequential(&none.estimate(), &some.estimate(), &margin, &plan());
    assert_eq!((found.state, found.p_value_of_safe), (State::NotEnoughYet, 1.0));
}

#[test]
fn sums_that_are_no_numbers_are_named() {
    let good = values(&[1.0, 2.0, 3.0]).estimate();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e200] {
        let estimate = values(&[1.0, bad, 2.0]).estimate();
        let found = sequential::means(&good, &estimate, &plan());
        nothing(&found);
        assert_eq!(found.missing, [Missing::FiniteSums { arm: Arm::Treatment }], "{bad}");
        nothing(&fixed::means(&estimate, &good, LEVEL));
        let mut pairs = Pairs::default();
        [(1.0, 2.0), (bad, 3.0), (2.0, bad)].iter().for_each(|(y, x)| pairs.add(*y, *x));
        for (a, b) in [adjustment::cuped(&pairs, &pairs), adjustment::lin(&pairs, &pairs)] {
            nothing(&fixed::means(&a, &b, LEVEL));
        }
        nothing(&fixed::means(&pairs.ratio(), &pairs.ratio(), LEVEL));
    }
    let mut capped = values(&[1.0, 2.0]);
    capped.add(f64::NAN, 10.0);
    nothing(&sequential::means(&good, &capped.estimate(), &plan()));
    let mut sums = bounded::Sums::default();
    sums.add(f64::NAN);
    nothing(&bounded::means(&sums, &sums, &bounded::BoundedPlan::new(LEVEL, 1.0, 1.0).unwrap()));
    let design = Design::new(Looks::Once, LEVEL, 0.8, 0.5).unwrap();
    let bad = values(&[f64::NAN, 1.0]).estimate();
    assert!(power::still_detectable(&bad, &good, &design, f64::NAN).is_err());
}

#[test]
fn extreme_but_finite_estimates_give_finite_results() {
    let extremes = [f64::MIN_POSITIVE, 1e-300, 1e-12, 1.0, 1e12, 1e154, 1e300, f64::MAX];
    let spreads = [0.0, 1e-300, 1e-12, 1.0, 1e154, 1e300, f64::MAX];
    let mut estimates = Vec::new();
    for mean in extremes.into_iter().flat_map(|mean| [mean, -mean, 0.0]) {
        for variance in spreads {
            for units in [2, 1_000, u64::MAX] {
                let kind = Kind::Value;
                estimates.push(Estimate { kind, units, nonzero: units, mean, variance });
            }
        }
    }
    let margin = Margin::new(Good::Lower, 0.05).unwrap();
    for a in &estimates {
        for b in estimates.iter().step_by(7) {
            for found in [fixed::means(a, b, LEVEL), sequential::means(a, b, &plan())] {
                for effect in [found.difference, found.lift].into_iter().flatten() {
                    let interval = effect.interval;
                    assert!(interval.low.is_finite() && interval.high.is_finite(), "{a:?} {b:?}");
                    assert!(effect.value.is_finite(), "{a:?} {b:?}");
                }
                assert!(found.p_value.is_none_or(f64::is_finite), "{a:?} {b:?}");
                assert!(found.ln_e_value.is_none_or(f64::is_finite), "{a:?} {b:?}");
            }
            let found = guardrail::sequential(a, b, &margin, &plan());
            let (low, high) = found.bounds.unwrap_or_default();
            assert!(low.is_finite() && high.is_finite() && found.p_value_of_safe.is_finite());
        }
    }
}

#[test]
fn equal_values_are_no_evidence() {
    let tenths = values(&[0.1; 1_000]).estimate();
    let fifths = values(&[0.2; 1_000]).estimate();
    assert_eq!(tenths.variance, 0.0);
    let found = sequential::means(&tenths, &fifths, &plan());
    assert_eq!(found.missing, [Missing::Variation]);
    nothing(&found);
}

#[test]
fn rates_of_zero_and_one_are_compared_at_one_look() {
    let arm = |conversions| Counts { units: 50, conversions };
    assert_eq!(fixed::rates(&arm(0), &arm(50), LEVEL).verdict(), Verdict::Higher);
    let equal = fixed::rates(&arm(0), &arm(0), LEVEL);
    assert_eq!((equal.verdict(), equal.p_value), (Verdict::NoDifferenceShown, Some(1.0)));
}

#[test]
fn too_few_conversions_or_values_are_counted() {
    let arm = |conversions| Counts { units: 1_000, conversions }.estimate();
    let found = sequential::means(&arm(24), &arm(500), &plan());
    assert_eq!(found.missing, [Missing::Conversions { arm: Arm::Control, has: 24, needs: 25 }]);
    nothing(&found);
    assert_eq!(sequential::means(&arm(25), &arm(500), &plan()).verdict(), Verdict::Higher);
    let found = sequential::means(&arm(500), &arm(990), &plan());
    let (arm_of, has) = (Arm::Treatment, 10);
    assert_eq!(found.missing, [Missing::WithoutConversion { arm: arm_of, has, needs: 25 }]);
    nothing(&found);
    let mut sparse = values(&[3.0; 99]);
    sparse.merge(&values(&[0.0; 900]));
    let dense = values(&(0..999).map(|it| 3.0 + f64::from(it % 2)).collect::<Vec<_>>());
    let found = sequential::means(&dense.estimate(), &sparse.estimate(), &plan());
    assert_eq!(found.missing, [Missing::NonZero { arm: Arm::Treatment, has: 99, needs: 100 }]);
    nothing(&found);
    sparse.add(3.0, f64::INFINITY);
    assert_eq!(
        fixed::means(&dense.estimate(), &sparse.estimate(), LEVEL).verdict(),
        Verdict::Lower
    );
}

#[test]
fn a_mean_below_zero_has_a_difference_and_no_lift() {
    let losses = |shift: f64| {
        let values_of = |it: i32| shift - 5.0 + f64::from(it % 10);
        values(&(0..1_000).map(values_of).collect::<Vec<_>>()).estimate()
    };
    let found = sequential::means(&losses(-4.0), &losses(-2.0), &plan());
    assert_eq!((found.verdict(), found.lift), (Verdict::Higher, None));
    let margin = Margin::new(Good::Higher, 0.05).unwrap();
    let found = guardrail::sequential(&losses(-4.0), &losses(-2.0), &margin, &plan());
    assert_eq!(found.missing, [Missing::PositiveMean { arm: Arm::Control }]);
}

#[test]
fn wrong_parameters_are_errors_that_say_what_is_right() {
    for alpha in [0.0, -1.0, 0.3, f64::NAN, f64::INFINITY] {
        let error = Level::new(alpha).unwrap_err();
        assert!(error.to_string().starts_with("the level must be from 1e-12 to 0.25, not "));
    }
    assert!(Plan::new(LEVEL, 0).is_err());
    assert!(ConversionPlan::new(LEVEL, 1.0, 10).is_err());
    assert!(Margin::new(Good::Higher, f64::NAN).is_err());
    assert!(
        SampleRatio::new(&[], LEVEL).is_err() && SampleRatio::new(&[1.0, -1.0], LEVEL).is_err()
    );
    assert!(bounded::BoundedPlan::new(LEVEL, f64::INFINITY, 1.0).is_err());
    for (power, share) in [(f64::NAN, 0.5), (0.8, f64::NAN), (1.0, 0.5)] {
        assert!(Design::new(Looks::Once, LEVEL, power, share).is_err());
    }
    let design = Design::new(Looks::Once, LEVEL, 0.8, 0.5).unwrap();
    assert!(design.units_for_rate(0.9, 0.2).is_err() && design.units_for_rate(0.1, 0.0).is_err());
    assert!(design.units_for_mean(f64::NAN, 1.0).is_err());
    assert_eq!(design.units_for_mean(1.0, 1e-9), Ok(None));
    assert!(design.detectable_mean(1.0, f64::INFINITY).is_err());
    assert_eq!(design.detectable_rate(0.5, 4.0), Ok(None));
}

#[test]
fn a_cap_is_a_quantile_between_two_values() {
    assert_eq!(summary::quantile(&[], 0.99), None);
    assert_eq!(summary::quantile(&[4.0], 0.99), Some(4.0));
    assert_eq!(summary::quantile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
    let mut sums = Values::default();
    sums.add(7.0, 3.0);
    assert_eq!((sums.sum, sums.nonzero), (3.0, 1));
}
