//! What holds for all input: sensitivities, limits, roundings to the safe side, no panic.

mod bad_input;

use std::collections::BTreeMap;

use privacy::Bounds;
use privacy::Budget;
use privacy::Ratio;
use privacy::Rho;
use privacy::accounting;
use privacy::continual::Factorization;
use privacy::contribution::integer_row_weight;
use privacy::contribution::row_weight;
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;

type Records = Vec<(u8, i64)>;

/// Users, each with the seed of its own generator.
fn users() -> impl Strategy<Value = Vec<(u64, Records)>> {
    let amount = prop_oneof![-9..9_i64, any::<i64>()];
    let records = prop::collection::vec((0..12_u8, amount), 0..15);
    prop::collection::vec((any::<u64>(), records), 1..8)
}

fn sums(users: &[(u64, Records)], bounds: Bounds) -> BTreeMap<u8, i64> {
    let mut sums = BTreeMap::new();
    for (seed, records) in users {
        let mut rng = ChaCha12Rng::seed_from_u64(*seed);
        for (key, amount) in bounds.clip(records.iter().copied(), &mut rng) {
            *sums.entry(key).or_default() += amount;
        }
    }
    sums
}

/// Items of a user, without repetition.
fn row() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..20).collect::<Vec<_>>(), 0..=20)
}

fn gram(rows: &[Vec<usize>], weight: impl Fn(u64) -> f64) -> Vec<f64> {
    let mut gram = vec![0.0; 400];
    for row in rows {
        let weight = weight(row.len() as u64);
        for (left, right) in row.iter().flat_map(|left| row.iter().map(move |right| (left, right)))
        {
            gram[left * 20 + right] += weight * weight;
        }
    }
    gram
}

fn distance(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(l, r)| (l - r) * (l - r)).sum::<f64>().sqrt()
}

proptest! {
    #[test]
    fn a_user_who_goes_changes_sums_by_at_most_the_sensitivities(
        users in users(), gone in any::<prop::sample::Index>(), keys in 1..6_u32, amount in 1..20_u32,
    ) {
        let bounds = Bounds::new(keys, amount).unwrap();
        let gone = gone.index(users.len());
        let others = [&users[..gone], &users[gone + 1..]].concat();
        let (all, left) = (sums(&users, bounds), sums(&others, bounds));
        let value = |sums: &BTreeMap<u8, i64>, key| sums.get(&key).copied().unwrap_or(0);
        let changes: Vec<u64> =
            (0..12).map(|key| value(&all, key).abs_diff(value(&left, key))).collect();
        prop_assert!(changes.iter().filter(|change| **change > 0).count() <= keys as usize);
        prop_assert!(changes.iter().all(|change| *change <= amount.into()));
        prop_assert!(changes.iter().sum::<u64>() <= bounds.l1_sensitivity());
        let squares: u128 = changes.iter().map(|change| u128::from(*change).pow(2)).sum();
        prop_assert!(squares <= bounds.l2_sensitivity_squared());
    }

    #[test]
    fn the_order_of_records_changes_nothing(
        users in users(), keys in 1..6_u32, amount in 1..20_u32,
    ) {
        let bounds = Bounds::new(keys, amount).unwrap();
        // Sums that stop at the end of i64 depend on the order.
        let small = |records: &Records| -> Records {
            records.iter().map(|(key, amount)| (*key, amount % 1_000)).collect()
        };
        let users: Vec<_> = users.iter().map(|(seed, it)| (*seed, small(it))).collect();
        let mut turned = users.clone();
        turned.iter_mut().for_each(|(_, records)| records.reverse());
        prop_assert_eq!(sums(&users, bounds), sums(&turned, bounds));
    }

    #[test]
    fn a_user_who_goes_changes_a_gram_matrix_by_at_most_the_budget(
        rows in prop::collection::vec(row(), 1..6), budget in 1..25_u64, scale in 1..5_000_u32,
    ) {
        let others = &rows[1..];
        let weight = |items| row_weight(items, budget);
        let change = distance(&gram(&rows, weight), &gram(others, weight));
        prop_assert!(change <= budget as f64 * (1.0 + 1e-12), "{}", change);
        // A sum over items of weight times a vector of norm 1.
        let items = rows[0].len() as u64;
        let norm = weight(items) * (items as f64).sqrt();
        prop_assert!(norm <= (budget as f64).sqrt() * (1.0 + 1e-12), "{}", norm);
        let whole = integer_row_weight(items, budget, scale);
        prop_assert!(whole * whole * items <= u64::from(scale).pow(2) * budget);
        let weight = |items| integer_row_weight(items, budget, scale) as f64;
        let change = distance(&gram(&rows, weight), &gram(others, weight));
        let unit = f64::from(scale) * f64::from(scale);
        prop_assert!(change <= budget as f64 * unit * (1.0 + 1e-12), "{}", change);
    }

    #[test]
    fn a_limit_is_never_above_its_epsilon_and_the_next_cost_is(
        epsilon in 0.01..50.0_f64, digits in 1..40_i32,
    ) {
        let delta = 10_f64.powi(-digits);
        let limit = Rho::limit(epsilon, delta).unwrap();
        prop_assert!(limit.epsilon(delta).unwrap() <= epsilon);
        let next = Rho::from_nanos(limit.nanos() + 1).unwrap();
        prop_assert!(next.epsilon(delta).unwrap() > epsilon);
    }

    #[test]
    fn noise_for_a_cost_never_costs_more(
        sensitivity_squared in 1..1_u128 << 70, nanos in 1..i64::MAX as u64,
        above in 1..1_u64 << 48, below in 1..1_u64 << 48, sensitivity in any::<u64>(),
    ) {
        let rho = Rho::from_nanos(nanos).unwrap();
        if let Ok(variance) = accounting::variance(sensitivity_squared, rho) {
            prop_assert!(Rho::of_gaussian(sensitivity_squared, variance).unwrap() <= rho);
        }
        let epsilon = Ratio::new(above, below).unwrap();
        if let Ok(scale) = accounting::laplace_scale(sensitivity, epsilon) {
            let left = u128::from(sensitivity) * u128::from(scale.denominator());
            let right = scale.numerator();
            prop_assert!(left as f64 / right as f64 <= epsilon.value() * (1.0 + 1e-15));
        }
    }

    #[test]
    fn a_fraction_that_fits_is_exact_and_another_is_rounded_up(
        above in 1..1_u128 << 79, below in 1..1_u128 << 79, cut in 0..79_u32,
    ) {
        let (above, below) = (above, (below >> cut).max(1));
        if let Ok(found) = Ratio::at_least(above, below) {
            let (numerator, denominator) = (found.numerator(), found.denominator());
            prop_assert!(numerator <= 1 << 48 && denominator <= 1 << 48);
            let (left, right) = (u128::from(numerator) * below, u128::from(denominator) * above);
            prop_assert!(left >= right);
            if above <= 1 << 48 && below <= 1 << 48 {
                prop_assert_eq!(left, right);
            }
        } else {
            prop_assert!(above / below >= 1 << 47 || below / above >= 1 << 47);
        }
    }

    #[test]
    fn a_budget_is_never_exceeded(
        limit in 0..1_000_000_u64, costs in prop::collection::vec(0..300_000_u64, 0..20),
    ) {
        let mut budget = Budget::resume(Rho::from_nanos(limit).unwrap(), Rho::ZERO);
        let mut sum = 0;
        for cost in costs {
            let result = budget.spend(Rho::from_nanos(cost).unwrap());
            prop_assert_eq!(result.is_ok(), sum + cost <= limit);
            if let Ok(next) = result {
                (budget, sum) = (next, sum + cost);
            }
            prop_assert_eq!((budget.spent().nanos(), budget.left().nanos()), (sum, limit - sum));
        }
    }

    #[test]
    fn counts_without_noise_are_the_prefix_sums(
        increments in prop::collection::vec(-1_000_000..1_000_000_i64, 1..300), seed in any::<u64>(),
    ) {
        // The greatest cost: noise of less than a 2000th of a released unit.
        let rho = Rho::from_nanos(i64::MAX as u64).unwrap();
        let plan = Factorization::new(increments.len(), 1, rho).unwrap();
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut released = Vec::new();
        for step in 1..=increments.len() {
            released.push(plan.release(&increments[..step], &mut rng).unwrap());
            let truth: i64 = increments[..step].iter().sum();
            let found = plan.count(&released).unwrap();
            prop_assert!((found - truth as f64).abs() < 1e-3, "{} is not {}", found, truth);
        }
    }
}
