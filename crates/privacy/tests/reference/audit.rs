//! Attacks on histograms: a sound release stays below its claim, one with half of the noise does not.

use privacy::Bounds;
use privacy::Ratio;
use privacy::Rho;
use privacy::accounting;
use privacy::audit::Runs;
use privacy::audit::epsilon_at_least;
use privacy::local::RandomizedResponse;
use privacy::noise::discrete_gaussian;
use privacy::noise::discrete_laplace;
use rand::Rng;
use rand_chacha::ChaCha12Rng;
use statistics::Level;

use crate::close;
use crate::seeded;

const DELTA: f64 = 1e-5;

fn bounds() -> Bounds {
    Bounds::new(2, 1).unwrap()
}

/// Sums of what users add to two keys.
fn histogram(users: usize, rng: &mut impl Rng) -> [i64; 2] {
    let mut sums = [0; 2];
    for _ in 0..users {
        for (key, amount) in bounds().clip([(0, 5), (1, 3)], rng) {
            sums[key] += amount;
        }
    }
    sums
}

/// What attacks on a release with 4 and with 3 users prove. `says` gets how much more each key has than
/// 3 users add.
fn audit(
    mut noise: impl FnMut(&mut ChaCha12Rng) -> i64,
    says: fn([i64; 2]) -> bool,
    delta: f64,
) -> f64 {
    let runs = 100_000;
    let mut rng = seeded(1);
    let mut attack = |users| {
        let sums = histogram(users, &mut rng);
        let mut hit = || says(sums.map(|sum| sum + noise(&mut rng) - 3));
        Runs::new((0..runs).filter(|_| hit()).count() as u64, runs).unwrap()
    };
    epsilon_at_least(attack(4), attack(3), delta, Level::ONE_PER_MILLE).unwrap()
}

#[test]
fn a_sound_gaussian_histogram_keeps_its_claim_and_one_with_half_the_noise_breaks_it() {
    let rho = Rho::from_nanos(500_000_000).unwrap();
    let claim = rho.epsilon(DELTA).unwrap();
    let sound = accounting::variance(bounds().l2_sensitivity_squared(), rho).unwrap();
    let says = |extra: [i64; 2]| extra[0] + extra[1] >= 4;
    let proved = audit(|rng| discrete_gaussian(sound, rng), says, DELTA);
    assert!(proved > 1.4 && proved < claim, "{proved} of {claim}");
    let broken = Ratio::new(sound.numerator(), 4 * sound.denominator()).unwrap();
    let proved = audit(|rng| discrete_gaussian(broken, rng), says, DELTA);
    assert!(proved > claim, "{proved} of {claim}");
}

#[test]
fn a_sound_laplace_histogram_keeps_its_claim_and_one_with_half_the_noise_breaks_it() {
    let claim = Ratio::new(1, 1).unwrap();
    let sound = accounting::laplace_scale(bounds().l1_sensitivity(), claim).unwrap();
    let says = |extra: [i64; 2]| extra[0] >= 1 && extra[1] >= 1;
    let proved = audit(|rng| discrete_laplace(sound, rng), says, 0.0);
    assert!(proved > 0.9 && proved < 1.0, "{proved}");
    let broken = Ratio::new(sound.numerator(), 2 * sound.denominator()).unwrap();
    let proved = audit(|rng| discrete_laplace(broken, rng), says, 0.0);
    assert!(proved > 1.8, "{proved}");
}

#[test]
fn a_sound_mechanism_is_contradicted_no_more_often_than_the_level_says() {
    let one = Ratio::new(1, 1).unwrap();
    let response = RandomizedResponse::new(one, 2).unwrap();
    let (audits, runs) = (1_000, 200);
    let mut rng = seeded(1);
    let mut wrong = 0;
    for _ in 0..audits {
        let mut attack = |truth| {
            let hits = (0..runs).filter(|_| response.report(truth, &mut rng).unwrap() == 1).count();
            Runs::new(hits as u64, runs).unwrap()
        };
        let (with, without) = (attack(1), attack(0));
        let proved = epsilon_at_least(with, without, 0.0, Level::new(0.1).unwrap()).unwrap();
        wrong += u32::from(proved > one.value());
    }
    assert!(wrong <= audits / 10, "{wrong} of {audits}");
}

#[test]
fn limits_are_those_of_clopper_and_pearson() {
    let level = Level::new(0.025).unwrap();
    let (least, most) = Runs::new(0, 10).unwrap().limits(level);
    close(least, 0.0, 0.0);
    close(most, 1.0 - 0.025_f64.powf(0.1), 1e-12);
    // scipy.stats.beta.ppf(0.025, 5, 6) and its mirror image.
    let (least, most) = Runs::new(5, 10).unwrap().limits(level);
    close(least, 0.187_086_028_447_398_55, 1e-12);
    close(most, 1.0 - 0.187_086_028_447_398_55, 1e-12);
    let (least, most) = Runs::new(100_000_000, 100_000_000).unwrap().limits(level);
    close((1.0 - least) * 1e8, -0.025_f64.ln(), 1e-7);
    close(most, 1.0, 0.0);
}

#[test]
fn delta_is_taken_off_what_the_attack_proves() {
    let runs = |said| Runs::new(said, 1_000_000).unwrap();
    let proved =
        |delta| epsilon_at_least(runs(1_000), runs(0), delta, Level::FIVE_PERCENT).unwrap();
    assert!(proved(0.0) > proved(1e-4) && proved(1e-4) > 5.0);
    assert_eq!(proved(2e-3), 0.0);
    // Each of the two limits has half of the level.
    let half = Level::new(0.025).unwrap();
    let limits = (runs(1_000).limits(half).0, runs(0).limits(half).1);
    close(proved(0.0), (limits.0 / limits.1).ln(), 1e-12);
    // Nothing can be said of inputs that look alike.
    let same = epsilon_at_least(runs(1_000), runs(1_000), 0.0, Level::FIVE_PERCENT).unwrap();
    assert_eq!(same, 0.0);
}
