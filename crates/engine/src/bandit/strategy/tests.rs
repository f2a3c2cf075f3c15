//! Propensities against plain simulation of each policy.
//!
//! Seeds are fixed; a bound is exceeded by chance with a probability below 1e-5.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::bandit::strategy::*;

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Box and Muller.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - uniform(rng), uniform(rng));
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn propensities(policy: &dyn Policy, means: &[f64], deviations: &[f64]) -> Vec<f64> {
    let mut propensities = vec![f64::NAN; means.len()];
    policy.propensities(Beliefs { means, deviations }, &mut propensities);
    propensities
}

fn policies() -> Vec<Box<dyn Policy>> {
    vec![
        Box::new(Greedy),
        Box::new(EpsilonGreedy { epsilon: 0.2 }),
        Box::new(UpperConfidence { width: 1.0 }),
        Box::new(SquareCb { gamma: 40.0 }),
        Box::new(Thompson { scale: 1.0 }),
    ]
}

/// Statistic of counts against probabilities, over cells that expect at least 5.
fn chi_square(counts: &[u32], expected: &[f64], draws: u32) -> (f64, usize) {
    let mut cells = 0;
    let mut sum = 0.0;
    let (mut rest, mut rest_expected) = (0.0, 0.0);
    for (&count, share) in counts.iter().zip(expected) {
        let expected = share * f64::from(draws);
        if expected >= 5.0 {
            sum += (f64::from(count) - expected).powi(2) / expected;
            cells += 1;
        } else {
            rest += f64::from(count);
            rest_expected += expected;
        }
    }
    if rest_expected >= 1.0 {
        sum += (rest - rest_expected).powi(2) / rest_expected;
        cells += 1;
    }
    (sum, cells)
}

/// The statistic exceeds this with a probability below 1e-5 (Wilson and Hilferty).
fn bound(cells: usize) -> f64 {
    let k = (cells.max(2) - 1) as f64;
    k * (1.0 - 2.0 / (9.0 * k) + 4.26 * (2.0 / (9.0 * k)).sqrt()).powi(3)
}

fn highest(scores: impl Iterator<Item = f64>) -> usize {
    scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).expect("an arm").0
}

/// Beliefs of very different kinds.
fn worlds() -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut drawn = |n: usize, spread: f64, widest: f64| -> (Vec<f64>, Vec<f64>) {
        (0..n).map(|_| (spread * normal(&mut rng), 0.02 + widest * uniform(&mut rng))).unzip()
    };
    vec![
        (vec![0.4], vec![0.1]),
        (vec![0.3, 0.3], vec![0.1, 0.1]),
        (vec![0.5, 0.4, 0.1], vec![0.001, 0.2, 1.0]),
        (vec![0.500, 0.501, 0.2], vec![0.001, 0.001, 0.3]),
        drawn(20, 0.1, 0.3),
        drawn(100, 0.05, 0.1),
        drawn(400, 0.2, 0.4),
    ]
}

#[test]
fn thompson_propensities_are_the_frequencies_of_the_highest_draw() {
    const DRAWS: u32 = 60_000;
    for (position, (means, deviations)) in worlds().into_iter().enumerate() {
        let expected = propensities(&Thompson { scale: 1.0 }, &means, &deviations);
        let mut rng = ChaCha8Rng::seed_from_u64(100 + position as u64);
        let mut counts = vec![0; means.len()];
        for _ in 0..DRAWS {
            let both = means.iter().zip(&deviations);
            counts[highest(both.map(|(mean, d)| mean + d * normal(&mut rng)))] += 1;
        }
        let (statistic, cells) = chi_square(&counts, &expected, DRAWS);
        assert!(statistic < bound(cells), "world {position}: {statistic} of {cells} cells");
    }
}

#[test]
fn beta_propensities_are_the_frequencies_of_the_highest_draw() {
    const DRAWS: u32 = 60_000;
    // A Beta variable of whole parameters is the alpha-th smallest of uniform ones.
    let beta = |rng: &mut ChaCha8Rng, alpha: usize, beta: usize| {
        let mut numbers: Vec<f64> = (0..alpha + beta - 1).map(|_| uniform(rng)).collect();
        *numbers.select_nth_unstable_by(alpha - 1, f64::total_cmp).1
    };
    for arms in [vec![(1, 1), (1, 1), (1, 1)], vec![(1, 1), (3, 40), (12, 9), (11, 9), (2, 1)]] {
        let alphas: Vec<f64> = arms.iter().map(|arm| arm.0 as f64).collect();
        let betas: Vec<f64> = arms.iter().map(|arm| arm.1 as f64).collect();
        let mut expected = vec![0.0; arms.len()];
        BetaThompson { alphas: &alphas, betas: &betas }.propensities(&mut expected);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut counts = vec![0; arms.len()];
        for _ in 0..DRAWS {
            counts[highest(arms.iter().map(|&(a, b)| beta(&mut rng, a, b)))] += 1;
        }
        let (statistic, cells) = chi_square(&counts, &expected, DRAWS);
        assert!(statistic < bound(cells), "{arms:?}: {statistic} {counts:?} {expected:?}");
    }
}

#[test]
fn choices_of_every_policy_are_as_frequent_as_their_propensities() {
    const DRAWS: u32 = 40_000;
    let (means, deviations) = (vec![0.2, 0.5, 0.45, 0.1], vec![0.1, 0.05, 0.2, 0.3]);
    for (position, policy) in policies().iter().enumerate() {
        let mut expected = propensities(policy.as_ref(), &means, &deviations);
        mix_evenly(&mut expected, 0.04);
        let mut rng = ChaCha8Rng::seed_from_u64(position as u64);
        let mut counts = vec![0; means.len()];
        for _ in 0..DRAWS {
            counts[draw(&expected, uniform(&mut rng))] += 1;
        }
        let (statistic, cells) = chi_square(&counts, &expected, DRAWS);
        assert!(statistic < bound(cells), "policy {position}: {statistic} {counts:?}");
    }
}

#[test]
fn a_slate_gives_each_position_the_propensities_of_the_remaining_arms() {
    let (means, deviations) = &worlds()[5];
    let mut slate = ThompsonSlate::default();
    slate.begin(Beliefs { means, deviations }, 1.0);
    let mut left: Vec<usize> = (0..means.len()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut found = vec![0.0; means.len()];
    for _position in 0..40 {
        slate.prepare();
        (0..means.len()).for_each(|arm| found[arm] = slate.propensity_of(arm));
        let of = |values: &[f64]| left.iter().map(|&arm| values[arm]).collect::<Vec<f64>>();
        let alone = propensities(&Thompson { scale: 1.0 }, &of(means), &of(deviations));
        for (arm, expected) in left.iter().zip(&alone) {
            assert!((found[*arm] - expected).abs() < 0.01, "{} {expected}", found[*arm]);
        }
        let taken = draw(&found, uniform(&mut rng));
        assert!(left.contains(&taken));
        left.retain(|arm| *arm != taken);
        slate.set_present(taken, false);
    }
    for arm in 0..means.len() {
        slate.set_present(arm, true);
    }
    slate.prepare();
    (0..means.len()).for_each(|arm| found[arm] = slate.propensity_of(arm));
    let all = propensities(&Thompson { scale: 1.0 }, means, deviations);
    assert!(found.iter().zip(&all).all(|(found, all)| (found - all).abs() < 0.01));
}

#[test]
fn drawn_winners_are_as_frequent_as_their_propensities_also_without_some_arms() {
    const DRAWS: u32 = 40_000;
    for (position, (means, deviations)) in worlds().into_iter().enumerate() {
        let n = means.len();
        let beliefs = Beliefs { means: &means, deviations: &deviations };
        let mut slate = ThompsonSlate::default();
        slate.begin(beliefs, 1.0);
        for gone in [false, true] {
            // Every third arm is removed, the first ones of all among them.
            let present: Vec<bool> = (0..n).map(|arm| !gone || n == 1 || arm % 3 != 0).collect();
            (0..n).for_each(|arm| slate.set_present(arm, present[arm]));
            slate.prepare();
            let expected: Vec<f64> = (0..n).map(|arm| slate.propensity_of(arm)).collect();
            assert!((expected.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let mut rng = ChaCha8Rng::seed_from_u64(40 + position as u64);
            let mut counts = vec![0; n];
            for _ in 0..DRAWS {
                counts[slate.draw([uniform(&mut rng), uniform(&mut rng)])] += 1;
            }
            let (statistic, cells) = chi_square(&counts, &expected, DRAWS);
            assert!(statistic < bound(cells), "world {position}: {statistic} of {cells} cells");
            assert!((0..n).all(|arm| present[arm] || expected[arm] == 0.0 && counts[arm] == 0));
            // Coarse cells, but still Thompson sampling.
            let of = |values: &[f64]| -> Vec<f64> {
                (0..n).filter(|&arm| present[arm]).map(|arm| values[arm]).collect()
            };
            let exact = propensities(&Thompson { scale: 1.0 }, &of(&means), &of(&deviations));
            for (found, exact) in of(&expected).iter().zip(exact) {
                assert!((found - exact).abs() < 0.01, "world {position}: {found} against {exact}");
            }
        }
    }
}

#[test]
fn a_slate_of_arms_far_apart_takes_no_arm_twice() {
    let (mut means, deviations) = worlds().swap_remove(5);
    let mut slate = ThompsonSlate::default();
    slate.begin(Beliefs { means: &means, deviations: &deviations }, 0.02);
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut left: Vec<usize> = (0..means.len()).collect();
    for _position in 0..40 {
        slate.prepare();
        let taken = slate.draw([uniform(&mut rng), uniform(&mut rng)]);
        assert!(left.contains(&taken) && slate.propensity_of(taken) > 0.0);
        left.retain(|arm| *arm != taken);
        slate.set_present(taken, false);
        // Like variety: what is left is worth less.
        for &arm in &left {
            means[arm] -= 0.01 * uniform(&mut rng);
            slate.set_mean(arm, means[arm]);
        }
    }
}

#[test]
fn the_best_arm_of_each_rule_is_the_one_of_its_formula() {
    let (means, deviations) = ([0.5, 0.4, 0.5], [0.0, 0.3, 0.0]);
    assert_eq!(propensities(&Greedy, &means, &deviations), [0.5, 0.0, 0.5]);
    let optimist = UpperConfidence { width: 1.0 };
    assert_eq!(propensities(&optimist, &means, &deviations), [0.0, 1.0, 0.0]);
    let inverse_gap = propensities(&SquareCb { gamma: 10.0 }, &[0.9, 0.4, 0.7], &[0.0; 3]);
    let expected = [1.0 - 1.0 / 8.0 - 1.0 / 5.0, 1.0 / 8.0, 1.0 / 5.0];
    assert!(inverse_gap.iter().zip(expected).all(|(found, e)| (found - e).abs() < 1e-12));
}

#[test]
fn a_draw_never_falls_on_an_arm_without_probability() {
    assert_eq!(draw(&[0.0, 0.3, 0.0, 0.7, 0.0], 0.0), 1);
    assert_eq!(draw(&[0.0, 0.3, 0.0, 0.7, 0.0], 1.0 - f64::EPSILON / 2.0), 3);
}

fn hostile() -> impl Strategy<Value = f64> {
    let worst = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -0.0, 5e-324, 1e9];
    prop_oneof![2 => -1.0..1.0_f64, 1 => prop::sample::select(worst.to_vec())]
}

proptest! {
    #[test]
    fn whatever_is_believed_nothing_panics_and_propensities_are_probabilities(
        arms in prop::collection::vec((hostile(), hostile()), 1..40),
        changes in prop::collection::vec((0..40_usize, hostile(), any::<bool>()), 0..30),
        scale in prop::sample::select(vec![0.0, 1e-12, 0.3, 10.0]),
    ) {
        let (means, deviations): (Vec<f64>, Vec<f64>) = arms.into_iter().unzip();
        for policy in policies() {
            let found = propensities(policy.as_ref(), &means, &deviations);
            let all: f64 = found.iter().sum();
            prop_assert!((all - 1.0).abs() < 1e-6, "{found:?}");
        }
        let mut slate = ThompsonSlate::default();
        slate.begin(Beliefs { means: &means, deviations: &deviations }, scale);
        for (number, (arm, mean, is_present)) in changes.into_iter().enumerate() {
            slate.prepare();
            let drawn = slate.draw([number as f64 / 30.0, 0.5]);
            prop_assert!(drawn < means.len());
            for arm in 0..means.len() {
                let propensity = slate.propensity_of(arm);
                prop_assert!((0.0..=1.0 + 1e-6).contains(&propensity), "{propensity}");
            }
            // The first arm always stays.
            let arm = arm % means.len();
            slate.set_present(arm, is_present || arm == 0);
            slate.set_mean(arm, mean);
        }
    }

    #[test]
    fn propensities_of_every_policy_are_a_distribution_and_keep_the_floor(
        arms in prop::collection::vec((-2.0..2.0_f64, prop_oneof![Just(0.0), 1e-9..3.0_f64]), 1..40),
        floor in 0.0..1.0_f64,
    ) {
        let (means, deviations): (Vec<f64>, Vec<f64>) = arms.into_iter().unzip();
        for policy in policies() {
            let mut found = propensities(policy.as_ref(), &means, &deviations);
            prop_assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            mix_evenly(&mut found, floor);
            prop_assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let least = floor / means.len() as f64 - 1e-12;
            prop_assert!(found.iter().all(|p| *p >= least && *p <= 1.0 + 1e-9), "{found:?}");
        }
    }

    #[test]
    fn a_higher_mean_has_no_lower_propensity_where_deviations_agree(
        means in prop::collection::vec(-1.0..1.0_f64, 2..30),
        deviation in 0.001..1.0_f64,
    ) {
        let found = propensities(&Thompson { scale: 1.0 }, &means, &vec![deviation; means.len()]);
        for a in 0..means.len() {
            for b in 0..means.len() {
                prop_assert!(means[a] < means[b] || found[a] >= found[b] - 1e-9);
            }
        }
    }

    #[test]
    fn beta_propensities_are_a_distribution(
        arms in prop::collection::vec((0.01..5_000.0_f64, 0.01..5_000.0_f64), 1..20),
    ) {
        let (alphas, betas): (Vec<f64>, Vec<f64>) = arms.into_iter().unzip();
        let mut found = vec![0.0; alphas.len()];
        BetaThompson { alphas: &alphas, betas: &betas }.propensities(&mut found);
        prop_assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(found.iter().all(|p| (0.0..=1.0 + 1e-9).contains(p)));
    }
}
