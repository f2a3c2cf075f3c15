//! One look at a planned time: against scipy, statsmodels and gbstats.

use serde_json::Value;
use statistics::guardrail::{self, Good, Margin, State};
use statistics::special::{normal, student};
use statistics::{
    Comparison, Counts, Estimate, Interval, Kind, Level, Pairs, Values, Verdict, adjustment, fixed,
    summary,
};

use crate::{close, count, fixture, list, number, same, same_interval};

const LEVEL: Level = Level::FIVE_PERCENT;

fn units<'a>(all: &'a Value, arm: &str) -> &'a Vec<Value> {
    list(&all["units"][arm])
}

fn values(all: &Value, arm: &str, cap: f64) -> Values {
    let mut sums = Values::default();
    units(all, arm).iter().for_each(|unit| sums.add(number(&unit["y"]), cap));
    sums
}

fn pairs(all: &Value, arm: &str, other: &str) -> Pairs {
    let mut sums = Pairs::default();
    units(all, arm).iter().for_each(|unit| sums.add(number(&unit["y"]), number(&unit[other])));
    sums
}

fn error(a: &Estimate, b: &Estimate) -> f64 {
    (a.variance + b.variance).sqrt()
}

fn difference(comparison: &Comparison) -> f64 {
    comparison.difference.unwrap().value
}

#[test]
fn welch_fieller_and_the_delta_method_are_those_of_scipy_and_gbstats() {
    let all = fixture("experiments_fixed_horizon");
    let expected = &all["mean_welch"];
    let [a, b] = ["a", "b"].map(|arm| {
        let sums = values(&all, arm, f64::INFINITY);
        assert_eq!(sums.units, count(&expected[arm]["n"]));
        same(sums.sum, &expected[arm]["sum"]);
        same(sums.squares, &expected[arm]["sum_sq"]);
        sums.estimate()
    });
    let comparison = fixed::means(&a, &b, LEVEL);
    same(difference(&comparison), &expected["diff"]);
    same(error(&a, &b), &expected["se"]);
    same_interval(comparison.difference.unwrap().interval, &expected["ci"]);
    same(comparison.lift.unwrap().value, &expected["lift"]);
    let z = normal::upper_quantile(0.025);
    same_interval(fixed::fieller(&a, &b, z).unwrap(), &expected["lift_ci_fieller_z"]);
    let delta = fixed::lift_by_delta(&a, &b, LEVEL).unwrap();
    same_interval(delta.interval, &expected["lift_ci_delta_z"]);
    close(delta.interval.width() / 2.0 / z, number(&expected["lift_se_delta"]), 1e-9);
    // The p-value is the larger of this and that of the log ratio, which is larger here.
    let t = number(&expected["diff"]) / error(&a, &b);
    same(t, &expected["t"]);
    same(student::two_sided(t, number(&expected["df"])), &expected["p"]);
    assert!(comparison.p_value.unwrap() >= number(&expected["p"]) - 1e-12);
    assert_eq!(comparison.verdict(), Verdict::NoDifferenceShown);
}

#[test]
fn capped_means_are_those_of_scipy() {
    let all = fixture("experiments_fixed_horizon");
    let expected = &all["mean_winsorised_95"];
    let both = ["a", "b"].into_iter().flat_map(|arm| units(&all, arm));
    let mut both: Vec<_> = both.map(|unit| number(&unit["y"])).collect();
    both.sort_by(f64::total_cmp);
    let cap = summary::quantile(&both, 0.95).unwrap();
    same(cap, &expected["cap"]);
    let [a, b] = ["a", "b"].map(|arm| values(&all, arm, cap).estimate());
    same(b.mean - a.mean, &expected["diff"]);
    same((b.mean - a.mean) / error(&a, &b), &expected["t"]);
    let p_value = student::two_sided(number(&expected["t"]), number(&expected["df"]));
    same(p_value, &expected["p"]);
}

#[test]
fn rates_are_those_of_statsmodels() {
    let all = fixture("experiments_fixed_horizon");
    for case in list(&all["proportions"]["cases"]) {
        let arm = |arm: &str| Counts {
            units: count(&case[format!("n_{arm}")]),
            conversions: count(&case[format!("x_{arm}")]),
        };
        let (a, b) = (arm("a"), arm("b"));
        same_interval(fixed::wilson(&a, LEVEL), &case["wilson_a"]);
        same_interval(fixed::wilson(&b, LEVEL), &case["wilson_b"]);
        same_interval(fixed::newcombe(&a, &b, LEVEL), &case["ci_newcombe"]);
        let comparison = fixed::rates(&a, &b, LEVEL);
        same(difference(&comparison), &case["diff"]);
        assert_eq!(comparison.verdict(), Verdict::NoDifferenceShown);
        if !case["lift"].is_null() {
            let lift = comparison.lift.unwrap();
            same(lift.value, &case["lift"]);
            same_interval(lift.interval, &case["lift_ci_log"]);
            let delta = fixed::lift_by_delta(&a.estimate(), &b.estimate(), LEVEL).unwrap();
            let z = normal::upper_quantile(0.025);
            same(delta.interval.width() / 2.0 / z, &case["lift_se_delta"]);
        }
    }
}

#[test]
fn ratios_are_those_of_gbstats() {
    let all = fixture("experiments_fixed_horizon");
    let expected = &all["ratio_delta"];
    let [a, b] = ["a", "b"].map(|arm| pairs(&all, arm, "d").ratio());
    same(a.mean, &expected["ratio_a"]);
    same(b.mean, &expected["ratio_b"]);
    same(error(&a, &b), &expected["se"]);
    let z = normal::upper_quantile(0.025);
    let interval = Interval::around(b.mean - a.mean, z * error(&a, &b));
    same_interval(interval, &expected["ci_z"]);
    let delta = fixed::lift_by_delta(&a, &b, LEVEL).unwrap();
    same(delta.value, &expected["lift"]);
    same(delta.interval.width() / 2.0 / z, &expected["lift_se"]);
    same(fixed::means(&a, &b, LEVEL).p_value.unwrap().min(1.0), &p_of_weaker(&a, &b, expected));
}

/// The p-value of the difference, or that of the log ratio where it is larger.
fn p_of_weaker(a: &Estimate, b: &Estimate, expected: &Value) -> Value {
    let parts = [a, b].map(|it| it.variance / (a.variance + b.variance));
    let degrees = 1.0
        / (parts[0].powi(2) / (a.units as f64 - 1.0) + parts[1].powi(2) / (b.units as f64 - 1.0));
    let of_difference = student::two_sided((b.mean - a.mean) / error(a, b), degrees);
    same(of_difference, &expected["p_welch_t"]);
    let relative = [a, b].map(|it| it.variance / it.mean / it.mean);
    let log = (b.mean / a.mean).ln() / (relative[0] + relative[1]).sqrt();
    of_difference.max(student::two_sided(log, degrees)).into()
}

#[test]
fn adjusted_means_are_those_of_gbstats_and_statsmodels() {
    let all = fixture("experiments_fixed_horizon");
    let expected = &all["cuped"];
    let (control, treatment) = (pairs(&all, "a", "x"), pairs(&all, "b", "x"));
    let (a, b) = adjustment::cuped(&control, &treatment);
    same(b.mean - a.mean, &expected["diff"]);
    same(error(&a, &b), &expected["se"]);
    let plain = error(&control.metric.estimate(), &treatment.metric.estimate());
    same((error(&a, &b) / plain).powi(2), &expected["variance_ratio"]);
    let comparison = fixed::means(&a, &b, LEVEL);
    same(comparison.p_value.unwrap(), &p_of_weaker(&a, &b, expected));
    assert_eq!(comparison.verdict(), Verdict::Higher);
    let (a, b) = adjustment::lin(&control, &treatment);
    same(b.mean - a.mean, &expected["lin2013_diff"]);
    // HC2 needs each unit's residual, which sums do not have: close, not equal.
    close(error(&a, &b) / number(&expected["lin2013_se_hc2"]), 1.0, 0.006);
}

#[test]
fn a_guardrail_is_safe_where_the_lower_bound_is_above_the_margin() {
    let all = fixture("experiments_fixed_horizon");
    let expected = &all["non_inferiority"];
    let [a, b] = ["a", "b"].map(|arm| values(&all, arm, f64::INFINITY).estimate());
    // The one-sided bound at 5 % is that of a two-sided interval at 10 %.
    let tenth = Level::new(0.1).unwrap();
    same(fixed::lift_by_delta(&a, &b, tenth).unwrap().interval.low, &expected["low_one_sided_95"]);
    let margin = Margin::new(Good::Higher, number(&expected["margin_relative"])).unwrap();
    let found = guardrail::fixed(&a, &b, &margin, LEVEL);
    assert_eq!(found.state, State::Safe);
    assert!(found.p_value_of_safe < 0.05 && found.p_value_of_harmed > 0.9);
    let bad = Margin::new(Good::Lower, 0.0).unwrap();
    assert_eq!(guardrail::fixed(&a, &b, &bad, LEVEL).state, State::Harmed);
}

#[test]
fn all_users_count_as_units_and_conversions_as_what_is_not_zero() {
    let rate = Counts { units: 10, conversions: 3 }.estimate();
    assert_eq!((rate.kind, rate.units, rate.nonzero), (Kind::Rate, 10, 3));
}
