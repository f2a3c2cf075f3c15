//! What holds for all data: intervals are finite and in order, shrink, do not depend on units of
//! measurement or on which arm is called the control; a verdict and its intervals agree.

mod bad_input;

use proptest::prelude::*;
use statistics::guardrail::{self, Good, Margin, State};
use statistics::interleaving::{self, Team};
use statistics::power::{Design, Looks};
use statistics::sequential::{self, ConversionPlan, Plan, bounded};
use statistics::{
    Comparison, Counts, Effect, Estimate, Interval, Kind, Level, Pairs, Values, Verdict,
    adjustment, fixed, multiplicity,
};

fn plan() -> Plan {
    Plan::new(Level::FIVE_PERCENT, 10_000).unwrap()
}

fn counts() -> impl Strategy<Value = Counts> {
    (0_u64..1_000_000, 0.0..=1.0_f64).prop_map(|(units, rate)| Counts {
        units,
        conversions: (units as f64 * rate * rate) as u64,
    })
}

fn estimates() -> impl Strategy<Value = Estimate> {
    (2_u64..1_000_000, 0.0..=1.0_f64, -3.0..6.0_f64, 0.1..10.0_f64).prop_map(
        |(units, share, scale, spread)| {
            let mean = 10_f64.powf(scale);
            let deviation = spread * mean;
            let nonzero = (units as f64 * share) as u64;
            let variance = deviation * deviation / units as f64;
            Estimate { kind: Kind::Value, units, nonzero, mean, variance }
        },
    )
}

/// With enough for a verdict.
fn ample(estimate: Estimate) -> Estimate {
    let units = estimate.units.max(100);
    let variance = estimate.variance * estimate.units as f64 / units as f64;
    Estimate { units, nonzero: units, variance, ..estimate }
}

fn check_effect(effect: &Effect) -> Result<(), TestCaseError> {
    let Interval { low, high } = effect.interval;
    prop_assert!(low.is_finite() && high.is_finite() && effect.value.is_finite());
    // A bound that equals the value may be off by rounding.
    let slack = 1e-9 * effect.value.abs().max(1e-300);
    prop_assert!(low <= effect.value + slack && effect.value <= high + slack, "{effect:?}");
    Ok(())
}

fn check(comparison: &Comparison) -> Result<(), TestCaseError> {
    let effects = [comparison.difference, comparison.lift];
    for effect in effects.iter().flatten() {
        check_effect(effect)?;
    }
    for value in [comparison.p_value, comparison.ln_e_value].into_iter().flatten() {
        prop_assert!(value.is_finite());
    }
    if let Some(p_value) = comparison.p_value {
        prop_assert!((0.0..=1.0).contains(&p_value));
    }
    if let Some(interval) = comparison.lift_by_fieller {
        prop_assert!(interval.low <= interval.high && interval.width().is_finite());
    }
    let verdict = comparison.verdict();
    for effect in effects.iter().flatten() {
        let expected = match verdict {
            Verdict::Higher => effect.interval.low > 0.0,
            Verdict::Lower => effect.interval.high < 0.0,
            _ => effect.interval.contains(0.0),
        };
        prop_assert!(expected, "{verdict:?} {effect:?}");
    }
    if verdict == Verdict::NotEnoughYet {
        prop_assert!(!comparison.missing.is_empty());
        prop_assert!(comparison.p_value.is_none_or(|p_value| p_value == 1.0));
        prop_assert!(comparison.ln_e_value.is_none_or(|evidence| evidence == 0.0));
    }
    Ok(())
}

/// The p-value decides as the intervals do, but for rounding at the border.
fn check_p_value(comparison: &Comparison) -> Result<(), TestCaseError> {
    let p_value = comparison.p_value.unwrap();
    let decides = matches!(comparison.verdict(), Verdict::Higher | Verdict::Lower);
    let near = (p_value / 0.05 - 1.0).abs() < 1e-6;
    prop_assert!(near || decides == (p_value < 0.05), "{comparison:?}");
    Ok(())
}

fn mirrored(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Higher => Verdict::Lower,
        Verdict::Lower => Verdict::Higher,
        other => other,
    }
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 * expected.abs().max(1e-12)
}

fn scaled(estimate: Estimate, by: f64) -> Estimate {
    Estimate { mean: estimate.mean * by, variance: estimate.variance * by * by, ..estimate }
}

proptest! {
    #[test]
    fn results_are_finite_and_agree_with_their_verdict(
        a in counts(), b in counts(), x in estimates(), y in estimates(), share in 0.01..0.99_f64,
    ) {
        check(&fixed::rates(&a, &b, Level::FIVE_PERCENT))?;
        check(&sequential::means(&a.estimate(), &b.estimate(), &plan()))?;
        check(&fixed::means(&x, &y, Level::FIVE_PERCENT))?;
        check(&sequential::means(&x, &y, &plan()))?;
        let conversions = ConversionPlan::new(Level::FIVE_PERCENT, share, 1_000).unwrap();
        check(&sequential::conversions(&a, &b, &conversions))?;
    }

    #[test]
    fn p_values_decide_as_intervals_do(
        a in counts(), b in counts(), x in estimates(), y in estimates(), close in 0.9..1.1_f64,
    ) {
        let (x, y) = (ample(x), ample(Estimate { mean: x.mean * close, ..y }));
        let y = Estimate { variance: x.variance, ..y };
        check_p_value(&fixed::means(&x, &y, Level::FIVE_PERCENT))?;
        check_p_value(&sequential::means(&x, &y, &plan()))?;
        let b = Counts { conversions: (b.units as f64 * (a.rate() * close).min(1.0)) as u64, ..b };
        let rates = fixed::rates(&a, &b, Level::FIVE_PERCENT);
        if rates.may_decide() {
            check_p_value(&rates)?;
        }
        let share = b.units as f64 / (a.units + b.units).max(1) as f64;
        if share > 0.0 && share < 1.0 && a.conversions + b.conversions > 0 {
            let conversions = ConversionPlan::new(Level::FIVE_PERCENT, share, 1_000).unwrap();
            check_p_value(&sequential::conversions(&a, &b, &conversions))?;
        }
    }

    #[test]
    fn swapping_the_arms_turns_the_verdict_round(a in counts(), b in counts(), x in estimates(), y in estimates()) {
        let (x, y) = (ample(x), ample(y));
        for (there, back) in [
            (fixed::rates(&a, &b, Level::FIVE_PERCENT), fixed::rates(&b, &a, Level::FIVE_PERCENT)),
            (fixed::means(&x, &y, Level::FIVE_PERCENT), fixed::means(&y, &x, Level::FIVE_PERCENT)),
            (sequential::means(&x, &y, &plan()), sequential::means(&y, &x, &plan())),
        ] {
            prop_assert_eq!(there.verdict(), mirrored(back.verdict()));
            if let (Some(there), Some(back)) = (there.difference, back.difference) {
                prop_assert!(close(there.value, -back.value));
            }
            if let (Some(there), Some(back)) = (there.lift, back.lift) {
                let product = (1.0 + there.value) * (1.0 + back.value);
                prop_assert!(close(product, 1.0));
            }
        }
    }

    #[test]
    fn the_unit_of_measurement_changes_no_lift(x in estimates(), y in estimates(), by in 1e-6..1e6_f64) {
        let (x, y) = (ample(x), ample(y));
        let before = sequential::means(&x, &y, &plan());
        let after = sequential::means(&scaled(x, by), &scaled(y, by), &plan());
        let (lift, scaled_lift) = (before.lift.unwrap(), after.lift.unwrap());
        prop_assert!((lift.value - scaled_lift.value).abs() <= 1e-9 * (1.0 + lift.value.abs()));
        let apart = (lift.interval.high - scaled_lift.interval.high).abs();
        prop_assert!(apart <= 1e-9 * (1.0 + lift.interval.high.abs()));
        let widths = [&before, &after].map(|it| it.difference.unwrap().interval.width());
        prop_assert!(close(widths[0] * by, widths[1]));
    }

    #[test]
    fn sequential_intervals_contain_those_of_one_look(
        x in estimates(), y in estimates(), a in counts(), b in counts(), tuned_for in 100_u64..1_000_000,
    ) {
        let plan = Plan::new(Level::FIVE_PERCENT, tuned_for).unwrap();
        let contained = |inner: Option<Effect>, outer: Option<Effect>| match (inner, outer) {
            (Some(inner), Some(outer)) => {
                let slack = 1e-9 * inner.interval.width();
                outer.interval.low <= inner.interval.low + slack
                    && outer.interval.high >= inner.interval.high - slack
            }
            (inner, outer) => inner.is_none() && outer.is_none(),
        };
        let (x, y) = (ample(x), ample(y));
        let decides = |it: &Comparison| matches!(it.verdict(), Verdict::Higher | Verdict::Lower);
        let check = |inner: Comparison, outer: Comparison| {
            // One look needs both scales to leave 0 out, the sequence that of the lift.
            if decides(&inner) || !decides(&outer) {
                prop_assert!(contained(inner.lift, outer.lift), "{inner:?} {outer:?}");
            }
            if !decides(&outer) {
                prop_assert!(contained(inner.difference, outer.difference), "{inner:?} {outer:?}");
            }
            Ok(())
        };
        check(fixed::means(&x, &y, Level::FIVE_PERCENT), sequential::means(&x, &y, &plan))?;
        if a.conversions >= 25 && b.conversions >= 25 && a.rate() < 0.9 && b.rate() < 0.9 {
            let outer = sequential::means(&a.estimate(), &b.estimate(), &plan);
            check(fixed::rates(&a, &b, Level::FIVE_PERCENT), outer)?;
        }
    }

    #[test]
    fn intervals_shrink_with_units(x in estimates(), y in estimates(), times in 2_u64..100) {
        let (x, y) = (ample(x), ample(y));
        let more = |it: Estimate| Estimate {
            units: it.units * times,
            nonzero: it.nonzero * times,
            variance: it.variance / times as f64,
            ..it
        };
        let width = |comparison: Comparison| comparison.difference.unwrap().interval.width();
        // Those that contain 0 by agreement only are extended to it.
        let equal = scaled(y, x.mean / y.mean);
        let (before, after) = ((x, equal), (more(x), more(equal)));
        let level = Level::FIVE_PERCENT;
        prop_assert!(width(fixed::means(&after.0, &after.1, level)) < width(fixed::means(&before.0, &before.1, level)));
        let sequential = |it: &(Estimate, Estimate)| width(sequential::means(&it.0, &it.1, &plan()));
        prop_assert!(sequential(&after) < sequential(&before));
    }

    #[test]
    fn merged_sums_are_the_sums_of_all(values in prop::collection::vec((0_u32..1_000, 0_u32..1_000), 2..60), at in 0_usize..60) {
        let at = at.min(values.len());
        let sums = |values: &[(u32, u32)]| {
            let mut sums = Pairs::default();
            values.iter().for_each(|(y, x)| sums.add(f64::from(*y), f64::from(*x)));
            sums
        };
        let mut merged = sums(&values[..at]);
        merged.merge(&sums(&values[at..]));
        // Whole numbers have no rounding.
        prop_assert_eq!(merged, sums(&values));
    }

    #[test]
    fn an_adjustment_by_something_unrelated_to_the_metric_changes_little(
        values in prop::collection::vec((0.0..10.0_f64, 0.0..10.0_f64), 20..80), effect in 0.5..3.0_f64,
    ) {
        let (mut control, mut treatment) = (Pairs::default(), Pairs::default());
        let (mut plain, mut plain_treatment) = (Values::default(), Values::default());
        for (noise, before) in &values {
            control.add(before + 0.1 * noise, *before);
            treatment.add(before + 0.1 * noise + effect, *before);
            plain.add(before + 0.1 * noise, f64::INFINITY);
            plain_treatment.add(before + 0.1 * noise + effect, f64::INFINITY);
        }
        for (a, b) in [adjustment::cuped(&control, &treatment), adjustment::lin(&control, &treatment)] {
            prop_assert!((b.mean - a.mean - effect).abs() < 1e-6);
            prop_assert!(a.variance <= plain.estimate().variance * 1.2);
            prop_assert!(a.variance >= 0.0 && b.variance >= 0.0);
            prop_assert!(close(plain_treatment.estimate().mean, b.mean));
        }
    }

    #[test]
    fn a_guardrail_is_never_safe_and_harmed(x in estimates(), y in estimates(), loss in 0.0..0.5_f64, near in 0.5..1.5_f64) {
        let (x, y) = (ample(x), ample(Estimate { mean: x.mean * near, variance: x.variance, ..y }));
        for good in [Good::Higher, Good::Lower] {
            let margin = Margin::new(good, loss).unwrap();
            let once = guardrail::fixed(&x, &y, &margin, Level::FIVE_PERCENT);
            let often = guardrail::sequential(&x, &y, &margin, &plan());
            for found in [&once, &often] {
                let (low, high) = found.bounds.unwrap();
                prop_assert!(low <= found.lift.unwrap() && found.lift.unwrap() <= high && high.is_finite());
                let sure = [found.p_value_of_safe, found.p_value_of_harmed].map(|p_value| p_value < 0.05);
                prop_assert!(!(sure[0] && sure[1]));
                let near = |p_value: f64| (p_value / 0.05 - 1.0).abs() < 1e-6;
                prop_assert!(sure[0] == (found.state == State::Safe) || near(found.p_value_of_safe));
                prop_assert!(sure[1] == (found.state == State::Harmed) || near(found.p_value_of_harmed));
            }
            // What many looks show, one look shows.
            prop_assert!(often.state == State::Open || once.state == often.state);
        }
    }

    #[test]
    fn exact_bounds_of_means_are_in_order_and_shrink(values in prop::collection::vec(0.0..=1.0_f64, 1..200)) {
        let plan = bounded::BoundedPlan::new(Level::FIVE_PERCENT, 20.0, 10.0).unwrap();
        let mut sums = bounded::Sums::default();
        values.iter().for_each(|value| sums.add(*value));
        let few = bounded::means(&sums, &sums, &plan);
        check(&few)?;
        for _ in 0..20 {
            values.iter().for_each(|value| sums.add(*value));
        }
        let many = bounded::means(&sums, &sums, &plan);
        check(&many)?;
        let width = |it: &Comparison| it.difference.unwrap().interval.width();
        prop_assert!(width(&many) < width(&few));
        prop_assert!(width(&few) <= 40.0 + 1e-9);
    }

    #[test]
    fn drafts_have_each_item_once_and_alternate(a in prop::collection::vec(0_u8..20, 0..12), b in prop::collection::vec(0_u8..20, 0..12), coins in any::<u64>(), length in 0_usize..15) {
        let (mut tossed, mut a, mut b) = (coins, a, b);
        for ranking in [&mut a, &mut b] {
            let mut seen = std::collections::BTreeSet::new();
            ranking.retain(|item| seen.insert(*item));
        }
        let picks = interleaving::draft(&a, &b, length, || {
            tossed = tossed.rotate_left(1);
            tossed & 1 == 1
        });
        let item = |pick: &interleaving::Pick| match pick.team {
            Team::A => a[pick.position],
            Team::B => b[pick.position],
        };
        let all: std::collections::BTreeSet<_> = picks.iter().map(item).collect();
        prop_assert_eq!(all.len(), picks.len());
        let union: std::collections::BTreeSet<_> = a.iter().chain(&b).collect();
        prop_assert_eq!(picks.len(), length.min(union.len()));
    }

    #[test]
    fn adjusted_p_values_are_in_the_order_of_the_p_values(p_values in prop::collection::vec(0.0..=1.0_f64, 0..30)) {
        let adjusted = multiplicity::benjamini_hochberg(&p_values);
        for (p, q) in p_values.iter().zip(&adjusted) {
            prop_assert!(q >= p && *q <= 1.0);
            for (other, other_q) in p_values.iter().zip(&adjusted) {
                prop_assert!(p > other || q <= other_q);
            }
        }
    }

    #[test]
    fn more_units_detect_less_and_sequential_designs_need_more(
        rate in 0.001..0.5_f64, lift in 0.05..0.5_f64, share in 0.05..0.95_f64,
    ) {
        let level = Level::FIVE_PERCENT;
        let once = Design::new(Looks::Once, level, 0.8, share).unwrap();
        let often = Design::new(Looks::AnyTimeTunedForTheEnd, level, 0.8, share).unwrap();
        let (few, many) = (once.units_for_rate(rate, lift).unwrap().unwrap(), often.units_for_rate(rate, lift).unwrap().unwrap());
        prop_assert!(few < many && many < 4.0 * few);
        let back = often.detectable_rate(rate, many).unwrap().unwrap();
        prop_assert!(close(back, lift));
        prop_assert!(often.detectable_rate(rate, 2.0 * many).unwrap().unwrap() < lift);
        let means = [&once, &often].map(|it| it.units_for_mean(1.0, lift).unwrap().unwrap());
        prop_assert!(means[0] < means[1]);
    }
}
