//! Samplers by chi-square against exact probabilities; the test fails for noise that only looks alike.

use std::collections::BTreeMap;

use privacy::Ratio;
use privacy::noise::bernoulli_exp_minus;
use privacy::noise::discrete_gaussian;
use privacy::noise::discrete_laplace;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use serde_json::Value;
use statistics::special::gamma;
use statistics::special::normal;

use crate::close;
use crate::fixture;
use crate::list;
use crate::number;
use crate::ratio;
use crate::seeded;

type Draw = fn(Ratio, &mut ChaCha12Rng) -> i64;

const DRAWS: usize = 200_000;
/// Less than this expected goes into the bins of the tails.
const LEAST_EXPECTED: f64 = 10.0;

/// The probability of draws that fit the probabilities no better.
fn p_value(case: &Value, mut draw: impl FnMut() -> i64) -> f64 {
    let probabilities: BTreeMap<i64, f64> = case["p"]
        .as_object()
        .expect("probabilities by size")
        .iter()
        .map(|(size, p)| (size.parse().unwrap(), number(p)))
        .filter(|(_, p)| p * DRAWS as f64 >= LEAST_EXPECTED)
        .collect();
    let mut found = BTreeMap::<i64, usize>::new();
    for _ in 0..DRAWS {
        *found.entry(draw()).or_default() += 1;
    }
    let most = probabilities.keys().copied().max().expect("a probability of 0");
    let inside = (-most..=most)
        .map(|x| (found.get(&x).copied().unwrap_or(0), probabilities[&x.abs()] * DRAWS as f64));
    let mut bins: Vec<(usize, f64)> = inside.collect();
    let tail_expected = (DRAWS as f64 - bins.iter().map(|bin| bin.1).sum::<f64>()) / 2.0;
    let tail = |range: &dyn Fn(i64) -> bool| {
        found.iter().filter(|(x, _)| range(**x)).map(|(_, draws)| draws).sum::<usize>()
    };
    bins.push((tail(&|x| x < -most), tail_expected));
    bins.push((tail(&|x| x > most), tail_expected));
    // Tails with too little are left to the bound below.
    let far: usize = bins.iter().filter(|bin| bin.1 < 1.0).map(|bin| bin.0).sum();
    assert!(far < 20, "{far} draws where hardly one is expected");
    bins.retain(|bin| bin.1 >= 1.0);
    let distance: f64 = bins.iter().map(|(n, e)| (*n as f64 - e).powi(2) / e).sum();
    gamma::chi_square_tail(distance, bins.len() as f64 - 1.0)
}

#[test]
fn the_chi_square_test_has_the_limits_of_the_reference() {
    for case in list(&fixture("privacy_mechanisms")["chi_square_limits"]) {
        let degrees = number(&case["df"]);
        close(gamma::chi_square_tail(number(&case["p_1e6"]), degrees), 1e-6, 1e-15);
        close(gamma::chi_square_tail(number(&case["p_1e3"]), degrees), 1e-3, 1e-12);
    }
}

#[test]
fn the_discrete_gaussian_has_its_exact_probabilities() {
    for case in list(&fixture("privacy_mechanisms")["discrete_gaussian"]) {
        let variance = ratio(number(&case["sigma_squared"]));
        let mut rng = seeded(1);
        let p = p_value(case, || discrete_gaussian(variance, &mut rng));
        assert!(p > 1e-3, "variance {}: p is {p}", variance.value());
    }
}

#[test]
fn the_discrete_laplace_has_its_exact_probabilities() {
    for case in list(&fixture("privacy_mechanisms")["discrete_laplace"]) {
        let scale = ratio(number(&case["scale"]));
        let mut rng = seeded(2);
        let p = p_value(case, || discrete_laplace(scale, &mut rng));
        assert!(p > 1e-3, "scale {}: p is {p}", scale.value());
    }
}

#[test]
fn samples_have_the_variance_of_the_reference() {
    let all = fixture("privacy_mechanisms");
    let mut rng = seeded(3);
    let draws: [(&str, &str, Draw); 2] = [
        ("discrete_gaussian", "sigma_squared", discrete_gaussian),
        ("discrete_laplace", "scale", discrete_laplace),
    ];
    for (name, parameter, draw) in draws {
        for case in list(&all[name]) {
            let parameter = ratio(number(&case[parameter]));
            let sum: f64 = (0..DRAWS).map(|_| (draw(parameter, &mut rng) as f64).powi(2)).sum();
            let share = sum / DRAWS as f64 / number(&case["variance"]);
            // Five standard errors of a variance with a kurtosis of at most 10.
            assert!((share - 1.0).abs() < 5.0 * (9.0 / DRAWS as f64).sqrt(), "{name}: {share}");
        }
    }
}

#[test]
fn rounded_continuous_noise_fails_the_chi_square_test() {
    let all = fixture("privacy_mechanisms");
    let mut rng = seeded(4);
    let mut rounded = |deviation: f64| {
        let share = ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        (normal::quantile(share) * deviation).round() as i64
    };
    for case in &list(&all["discrete_gaussian"])[..2] {
        let deviation = number(&case["sigma_squared"]).sqrt();
        assert!(p_value(case, || rounded(deviation)) < 1e-12, "{deviation}");
    }
}

#[test]
fn a_variance_that_is_three_percent_off_fails_the_chi_square_test() {
    let case = &fixture("privacy_mechanisms")["discrete_gaussian"][3];
    let mut rng = seeded(5);
    let variance = Ratio::new(2_575, 100).unwrap();
    assert!(p_value(case, || discrete_gaussian(variance, &mut rng)) < 1e-6);
}

#[test]
fn bernoulli_draws_have_the_exponential_as_their_share() {
    for (above, below) in [(1, 3), (1, 1), (7, 2), (1 << 48, (1 << 48) - 1), (1, 1 << 48)] {
        let x = Ratio::new(above, below).unwrap();
        let mut rng = seeded(above);
        let hits = (0..DRAWS).filter(|_| bernoulli_exp_minus(x, &mut rng)).count();
        let expected = (-x.value()).exp();
        let error = (expected * (1.0 - expected) / DRAWS as f64).sqrt();
        let found = hits as f64 / DRAWS as f64;
        assert!((found - expected).abs() <= 5.0 * error + 1e-9, "{above} / {below}: {found}");
    }
}

#[test]
fn noise_at_the_bounds_of_its_parameters_has_its_size() {
    let draws = 2_000;
    let mut rng = seeded(6);
    let (most, least) = (Ratio::new(1 << 48, 1).unwrap(), Ratio::new(1, 1 << 48).unwrap());
    let mut size = |draw: Draw, parameter, scale: f64| {
        let sizes = (0..draws).map(|_| (draw(parameter, &mut rng) as f64 / scale).powi(2));
        sizes.sum::<f64>() / f64::from(draws)
    };
    let scale = (1_u64 << 48) as f64;
    close(size(discrete_gaussian, most, scale.sqrt()), 1.0, 0.15);
    close(size(discrete_laplace, most, scale), 2.0, 0.25);
    assert_eq!(size(discrete_gaussian, least, 1.0), 0.0);
    assert_eq!(size(discrete_laplace, least, 1.0), 0.0);
    // Both parts large: just above 1.
    let odd = Ratio::new(1 << 48, (1 << 48) - 1).unwrap();
    close(size(discrete_gaussian, odd, 1.0), 1.0, 0.15);
}
