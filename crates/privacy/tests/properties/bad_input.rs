//! Whatever goes in: an error or finite numbers, no panic.

use privacy::Bounds;
use privacy::Budget;
use privacy::Ratio;
use privacy::Rho;
use privacy::accounting;
use privacy::audit;
use privacy::audit::Runs;
use privacy::continual::Factorization;
use privacy::contribution;
use privacy::local::OneBit;
use privacy::local::RandomizedResponse;
use privacy::noise;
use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use statistics::Level;

/// Any bits, and what is at the ends.
fn floats() -> impl Strategy<Value = f64> {
    let ends =
        [0.0, -0.0, 1.0, 1e-300, 1e-100, f64::EPSILON, 1.0 - f64::EPSILON, f64::MAX, 1e6, 1e10];
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, 0.5, 1e-5];
    prop_oneof![any::<f64>(), 0.0..1.0_f64, prop::sample::select([&ends[..], &odd[..]].concat())]
}

fn counts() -> impl Strategy<Value = u64> {
    let ends = [0, 1, 2, 1 << 48, (1 << 48) + 1, (1 << 48) - 1, 1 << 53, i64::MAX as u64, u64::MAX];
    prop_oneof![any::<u64>(), 0..1_000_u64, prop::sample::select(ends.to_vec())]
}

fn ratios() -> impl Strategy<Value = Ratio> {
    let part = || counts().prop_map(|count| count.clamp(1, 1 << 48));
    (part(), part()).prop_map(|(above, below)| Ratio::new(above, below).unwrap())
}

proptest! {
    #[test]
    fn costs_are_finite_whatever_the_parameters(
        rho in floats(), epsilon in floats(), delta in floats(), nanos in counts(), times in counts(),
        ratio in ratios(), above in any::<u128>(), below in any::<u128>(),
    ) {
        if let Ok(found) = accounting::epsilon(rho, delta) {
            prop_assert!(found.is_finite() && found >= 0.0, "{}", found);
        }
        if let Ok(found) = Budget::new(epsilon, delta) {
            prop_assert!(found.limit().epsilon(delta).unwrap() <= epsilon);
        }
        let _ = (Ratio::at_least(above, below), Rho::of_gaussian(above, ratio), Rho::of_pure(ratio));
        let _ = accounting::laplace_scale(times, ratio);
        if let Ok(rho) = Rho::from_nanos(nanos) {
            let _ = (rho.times(times), rho.divided(times), rho.plus(rho));
            let _ = accounting::variance(above, rho);
        }
    }

    #[test]
    fn noise_and_sums_end_whatever_the_parameters(
        ratio in ratios(), seed in any::<u64>(), amounts in prop::collection::vec(any::<i64>(), 0..9),
        keys in any::<u32>(), most in any::<u32>(), items in counts(), budget in counts(),
    ) {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        noise::discrete_laplace(ratio, &mut rng);
        noise::discrete_gaussian(ratio, &mut rng);
        noise::bernoulli_exp_minus(ratio, &mut rng);
        if let Ok(bounds) = Bounds::new(keys, most) {
            let clipped = bounds.clip(amounts.iter().map(|amount| (amount % 3, *amount)), &mut rng);
            prop_assert!(clipped.len() <= keys as usize);
            prop_assert!(bounds.l2_sensitivity_squared() >= bounds.l1_sensitivity().into());
        }
        let weight = contribution::row_weight(items, budget);
        prop_assert!((0.0..=1.0).contains(&weight));
        prop_assert!(contribution::integer_row_weight(items, budget, keys) <= keys.into());
    }

    #[test]
    fn counts_of_steps_are_finite_whatever_the_parameters(
        steps in 0..40_usize, sensitivity in any::<u32>(), nanos in 1..i64::MAX as u64,
        increments in prop::collection::vec(any::<i64>(), 0..50), seed in any::<u64>(),
    ) {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let rho = Rho::from_nanos(nanos).unwrap();
        if let Ok(plan) = Factorization::new(steps, sensitivity, rho) {
            let is_step = (1..=steps).contains(&increments.len());
            prop_assert_eq!(plan.release(&increments, &mut rng).is_ok(), is_step);
            prop_assert_eq!(plan.count(&increments).is_ok_and(f64::is_finite), is_step);
            let deviation = plan.deviation(increments.len());
            prop_assert_eq!(deviation.is_ok_and(f64::is_finite), is_step);
        }
        prop_assert!(Factorization::new(5_000, 1, rho).is_err());
        prop_assert!(Factorization::new(1, 1, Rho::ZERO).is_err());
    }

    #[test]
    fn local_estimates_are_finite_whatever_the_reports(
        epsilon in ratios(), categories in 0..5_u32, counts in prop::collection::vec(counts(), 0..5),
        truth in any::<u32>(), value in floats(), seed in any::<u64>(),
    ) {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        if let Ok(response) = RandomizedResponse::new(epsilon, categories) {
            let report = response.report(truth % 6, &mut rng);
            prop_assert_eq!(report.is_ok_and(|it| it < categories), truth % 6 < categories);
            for share in response.shares(&counts).into_iter().flatten() {
                prop_assert!(share.value.is_finite() && share.standard_error.is_finite());
            }
        }
        let bit = OneBit::new(epsilon);
        prop_assert_eq!(bit.report(value, &mut rng).is_ok(), (0.0..=1.0).contains(&value));
        if let [ones, reports, ..] = counts[..]
            && let Ok(mean) = bit.mean(ones, reports)
        {
            prop_assert!(mean.value.is_finite() && mean.standard_error.is_finite());
        }
    }

    #[test]
    fn audits_are_finite_whatever_the_counts(
        runs in prop::collection::vec((any::<bool>(), 0..200_000_000_u64), 2),
        shares in prop::collection::vec(0.0..=1.0_f64, 2), delta in floats(), alpha in 1e-12..0.25_f64,
    ) {
        let few = |(small, runs): (bool, u64)| if small { runs % 50 } else { runs };
        let of = |at: usize| {
            let runs = few(runs[at]);
            Runs::new((runs as f64 * shares[at]) as u64, runs)
        };
        if let (Ok(with), Ok(without)) = (of(0), of(1)) {
            let (least, most) = with.limits(Level::new(alpha).unwrap());
            prop_assert!(0.0 <= least && least <= most && most <= 1.0);
            let level = Level::new(alpha).unwrap();
            if let Ok(found) = audit::epsilon_at_least(with, without, delta, level) {
                prop_assert!(found.is_finite() && found >= 0.0);
            }
        }
    }
}
