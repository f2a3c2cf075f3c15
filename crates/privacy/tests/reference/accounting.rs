//! Costs and epsilons against dp-accounting, to 1e-9.

use privacy::Budget;
use privacy::Ratio;
use privacy::Rho;
use privacy::accounting::epsilon;
use privacy::accounting::laplace_scale;
use privacy::accounting::variance;
use serde_json::Value;

use crate::close;
use crate::count;
use crate::fixture;
use crate::list;
use crate::number;

/// Whole billionths, rounded up once.
const NANO: f64 = 1e-9;

fn accounting(table: &str) -> Vec<Value> {
    list(&fixture("privacy_accounting")[table]).clone()
}

/// To 1e-9 of the variance 20 that the reference has as a standard deviation.
fn square(deviation: f64) -> Ratio {
    Ratio::new((deviation * deviation * 1e6).round() as u64, 1_000_000).unwrap()
}

#[test]
fn epsilon_of_rho_is_that_of_dp_accounting() {
    for case in accounting("zcdp_to_eps") {
        let (rho, delta) = (number(&case["rho"]), number(&case["delta"]));
        let found = epsilon(rho, delta).unwrap();
        close(found, number(&case["eps_tight"]), 1e-9);
        assert!(found < number(&case["eps_simple"]), "{found} is no better than the simple bound");
    }
}

#[test]
fn the_cost_of_one_gaussian_covers_its_exact_epsilon() {
    for case in accounting("gaussian_single") {
        let sensitivity = u128::from(count(&case["sensitivity"]));
        let rho = Rho::of_gaussian(sensitivity.pow(2), square(number(&case["sigma"]))).unwrap();
        close(rho.value(), number(&case["rho"]), NANO);
        let found = rho.epsilon(number(&case["delta"])).unwrap();
        close(found, number(&case["eps_zcdp_tight"]), 1e-9);
        assert!(found > number(&case["eps_exact"]) && found > number(&case["eps_pld"]));
    }
}

#[test]
fn the_cost_of_many_gaussians_is_their_sum() {
    for case in accounting("gaussian_composed") {
        let one = Rho::of_gaussian(1, square(number(&case["sigma"]))).unwrap();
        let all = one.times(count(&case["k"])).unwrap();
        close(all.value(), number(&case["rho"]), NANO);
        let found = all.epsilon(number(&case["delta"])).unwrap();
        close(found, number(&case["eps_zcdp_tight"]), 1e-9);
        assert!(found <= number(&case["eps_rdp"]) && found > number(&case["eps_exact"]));
    }
}

#[test]
fn a_daily_release_of_a_year_with_sigma_20_has_an_epsilon_of_4_96() {
    let day = Rho::of_gaussian(1, Ratio::new(400, 1).unwrap()).unwrap();
    let found = day.times(365).unwrap().epsilon(1e-6).unwrap();
    assert_eq!(format!("{found:.2}"), "4.96");
    // And back: the limit of that epsilon gives the noise of a day.
    let limit = Rho::limit(found, 1e-6).unwrap();
    close(variance(1, limit.divided(365)).unwrap().value().sqrt(), 20.0, 1e-6);
}

#[test]
fn laplace_noise_costs_half_of_the_square_of_its_epsilon() {
    for case in accounting("laplace_composed") {
        let (scale, releases) = (number(&case["scale"]) as u64, count(&case["k"]));
        let epsilon = Ratio::new(1, scale).unwrap();
        assert_eq!(laplace_scale(1, epsilon).unwrap(), Ratio::new(scale, 1).unwrap());
        let rho = Rho::of_pure(epsilon).unwrap().times(releases).unwrap();
        close(rho.value(), number(&case["rho_from_pure"]), NANO);
        // Epsilons of a delta of 0 add up, too: the lower of the two holds.
        let pure = epsilon.value() * releases as f64;
        close(pure, number(&case["eps_pure"]), 1e-12);
        let found = rho.epsilon(number(&case["delta"])).unwrap().min(pure);
        close(found, number(&case["eps_zcdp_tight"]), 1e-9);
        assert!(found > number(&case["eps_pld"]) - 1e-9);
    }
}

#[test]
fn the_cost_times_the_order_covers_every_renyi_divergence() {
    for case in accounting("rdp") {
        let order = number(&case["order"]);
        let one = Ratio::new(1, 1).unwrap();
        let (rho, is_exact) = match case["mechanism"].as_str() {
            Some("gaussian") => (Rho::of_gaussian(1, square(number(&case["sigma"]))), true),
            Some("laplace") => {
                (Rho::of_pure(Ratio::new(1, number(&case["scale"]) as u64).unwrap()), false)
            }
            Some("randomized_response_eps_1") => (Rho::of_pure(one), false),
            other => panic!("{other:?}"),
        };
        let found = rho.unwrap().value() * order;
        let expected = number(&case["rdp"]);
        assert!(found >= expected - 1e-12, "{case}: {found}");
        if is_exact {
            close(found, expected, NANO * order);
        }
    }
}

#[test]
fn costs_of_factorizations_and_gram_matrices_are_those_of_dp_accounting() {
    let all = fixture("privacy_mechanisms");
    for case in list(&all["dpals_accounting"]) {
        let part = |sensitivity_squared: &str, deviation: &str| {
            let sensitivity_squared = case.get(sensitivity_squared).map_or(1, count).into();
            Rho::of_gaussian(sensitivity_squared, square(number(&case[deviation]))).unwrap()
        };
        let step = part("", "s0").plus(part("budget", "s1")).unwrap();
        let step = step.plus(part("budget", "s2")).unwrap();
        let steps = step.times(count(&case["steps"])).unwrap();
        let rho = steps.plus(part("count_budget", "count_stddev")).unwrap();
        close(rho.value(), number(&case["rho"]), 12.0 * NANO);
        // Each part is rounded up: epsilon moves by some twelve times as much.
        let found = rho.epsilon(number(&case["delta"])).unwrap();
        close(found, number(&case["eps_zcdp_tight"]), 2e-7);
        assert!(found > number(&case["eps_pld"]));
        let found = epsilon(number(&case["rho"]), number(&case["delta"])).unwrap();
        close(found, number(&case["eps_zcdp_tight"]), 1e-9);
    }
    for case in list(&all["gram_accounting"]) {
        let sensitivity = u128::from(count(&case["row_norm_squared"]));
        let rho = Rho::of_gaussian(sensitivity.pow(2), square(number(&case["sigma"]))).unwrap();
        close(rho.value(), number(&case["rho"]), NANO);
        let found = rho.epsilon(number(&case["delta"])).unwrap();
        close(found, number(&case["eps_zcdp_tight"]), 1e-9);
    }
}

#[test]
fn the_limit_is_the_greatest_cost_within_epsilon() {
    for case in accounting("zcdp_to_eps") {
        let (most, delta) = (number(&case["eps_tight"]), number(&case["delta"]));
        let limit = Rho::limit(most, delta).unwrap();
        close(limit.value(), number(&case["rho"]), 1e-8);
        assert!(limit.epsilon(delta).unwrap() <= most);
        let next = Rho::from_nanos(limit.nanos() + 1).unwrap();
        assert!(next.epsilon(delta).unwrap() > most, "{case}");
    }
}

#[test]
fn a_budget_ends_where_its_limit_is_and_not_before() {
    let mut budget = Budget::new(1.0, 1e-6).unwrap();
    let step = budget.limit().divided(7);
    for _ in 0..7 {
        budget = budget.spend(step).unwrap();
    }
    assert!(budget.left().nanos() < 7);
    let exhausted = budget.spend(step).unwrap_err();
    assert_eq!((exhausted.asked, exhausted.left), (step, budget.left()));
    assert!(exhausted.to_string().starts_with("the privacy budget has 0.00000000"), "{exhausted}");
    let end = budget.spend(budget.left()).unwrap();
    assert_eq!(end.spent(), end.limit());
    assert!(end.spend(Rho::from_nanos(1).unwrap()).is_err());
    assert!(end.spend(Rho::ZERO).is_ok());
    // A limit that was lowered: nothing is left, and nothing is negative.
    let lower = Budget::resume(step, end.spent());
    assert_eq!(lower.left(), Rho::ZERO);
    assert!(lower.spend(Rho::ZERO).is_err());
}
