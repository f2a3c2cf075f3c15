//! Counts after every step: the error of the reference, and that of a binary tree at the same cost.

use privacy::Rho;
use privacy::accounting;
use privacy::continual::Factorization;
use privacy::noise;
use rand::Rng;

use crate::close;
use crate::count;
use crate::fixture;
use crate::list;
use crate::number;
use crate::seeded;

fn half() -> Rho {
    Rho::from_nanos(500_000_000).unwrap()
}

/// The greatest standard deviation, and the root of the mean variance.
fn errors(variances: impl Iterator<Item = f64>) -> (f64, f64) {
    let variances: Vec<f64> = variances.collect();
    let greatest = variances.iter().copied().fold(0.0, f64::max);
    let mean = variances.iter().sum::<f64>() / variances.len() as f64;
    (greatest.sqrt(), mean.sqrt())
}

/// A node of each level holds an increment, and a prefix is a node for each bit of its length.
fn levels(steps: u64) -> u32 {
    steps.ilog2() + 1
}

#[test]
fn the_error_is_that_of_the_square_root_factorization() {
    for case in list(&fixture("privacy_accounting")["continual_sqrt_factorization"]["table"]) {
        let steps = count(&case["T"]) as usize;
        let plan = Factorization::new(steps, 1, half()).unwrap();
        let found = plan.deviation(steps).unwrap();
        // Rounding of R costs that little.
        close(found, number(&case["max_sd_at_rho_half"]), 3e-4);
        assert!((1..steps).all(|step| plan.deviation(step).unwrap() < found));
    }
}

#[test]
fn the_first_products_have_the_coefficients_of_the_paper() {
    let all = fixture("privacy_accounting");
    let expected = list(&all["continual_sqrt_factorization"]["first_coefficients"]);
    // So much that no noise is left to speak of.
    let plan = Factorization::new(12, 1, Rho::from_nanos(i64::MAX as u64).unwrap()).unwrap();
    let mut increments = vec![1 << 20];
    for coefficient in expected {
        let released = plan.release(&increments, &mut seeded(1)).unwrap() as f64;
        close(released / f64::from(1 << 20), (number(coefficient) * 4_096.0).round(), 1e-6);
        increments.push(0);
    }
}

#[test]
fn the_error_is_a_third_of_a_binary_trees_at_worst_and_half_to_four_tenths_on_average() {
    for (steps, worst, mean) in [
        (10, 0.517, 0.634),
        (100, 0.391, 0.502),
        (365, 0.347, 0.459),
        (1_000, 0.344, 0.441),
        (4_096, 0.297, 0.402),
    ] {
        let plan = Factorization::new(steps, 1, half()).unwrap();
        let ours = errors((1..=steps).map(|step| plan.deviation(step).unwrap().powi(2)));
        let levels = levels(steps as u64);
        let trees = errors((1..=steps).map(|step| f64::from(step.count_ones() * levels)));
        close(ours.0 / trees.0, worst, 6e-4);
        close(ours.1 / trees.1, mean, 6e-4);
        // Noise in each step, added up.
        let sums = errors((1..=steps).map(|step| step as f64));
        assert!(ours.0 < 0.57 * sums.0 && ours.1 < 0.71 * sums.1);
    }
}

/// Prefix sums by a binary tree, with noise of the given variance in each node.
fn tree_counts(increments: &[i64], rho: Rho, rng: &mut impl Rng) -> Vec<f64> {
    let levels = levels(increments.len() as u64);
    let variance = accounting::variance(levels.into(), rho).unwrap();
    // The finished node of each level.
    let mut nodes = vec![(0_i64, 0_i64); levels as usize];
    let steps = increments.iter().zip(1_usize..);
    let counts = steps.map(|(increment, step)| {
        let level = step.trailing_zeros() as usize;
        let sum = increment + nodes[..level].iter().map(|node| node.0).sum::<i64>();
        nodes[..level].fill((0, 0));
        nodes[level] = (sum, sum + noise::discrete_gaussian(variance, rng));
        nodes.iter().map(|node| node.1).sum::<i64>() as f64
    });
    counts.collect()
}

#[test]
fn simulated_counts_are_unbiased_and_have_the_stated_errors_which_are_below_a_binary_trees() {
    let (steps, runs) = (100, 400);
    let plan = Factorization::new(steps, 1, half()).unwrap();
    let increments: Vec<i64> = (0..steps as i64).map(|step| step % 7).collect();
    let truth: Vec<i64> = increments
        .iter()
        .scan(0, |sum, x| {
            *sum += x;
            Some(*sum)
        })
        .collect();
    let mut rng = seeded(1);
    let (mut off, mut squares, mut tree_squares) = (0.0, vec![0.0; steps], vec![0.0; steps]);
    for _ in 0..runs {
        let mut released = Vec::new();
        for step in 1..=steps {
            released.push(plan.release(&increments[..step], &mut rng).unwrap());
            let error = plan.count(&released).unwrap() - truth[step - 1] as f64;
            off += error;
            squares[step - 1] += error * error;
        }
        let counts = tree_counts(&increments, half(), &mut rng);
        for step in 0..steps {
            tree_squares[step] += (counts[step] - truth[step] as f64).powi(2);
        }
    }
    let mean_square = |squares: &[f64]| squares.iter().sum::<f64>() / (runs * steps) as f64;
    let stated = errors((1..=steps).map(|step| plan.deviation(step).unwrap().powi(2))).1;
    close(mean_square(&squares).sqrt(), stated, 0.03);
    // Errors of a run are correlated: its mean has at most the greatest deviation.
    let bound = 5.0 * plan.deviation(steps).unwrap() / f64::from(runs as u32).sqrt();
    assert!((off / (runs * steps) as f64).abs() < bound, "{off}");
    close((mean_square(&squares) / mean_square(&tree_squares)).sqrt(), 0.502, 0.02);
}

#[test]
fn a_decayed_count_has_the_noise_of_one_step_times_a_known_factor() {
    for case in list(&fixture("privacy_accounting")["decayed_counter"]) {
        let decay = number(&case["gamma"]);
        close((1.0 / (1.0 - decay * decay)).sqrt(), number(&case["sd_over_sigma"]), 1e-9);
    }
}
