//! The gamma function without cancellation for large arguments, the incomplete gamma function and
//! the tail of chi-square.
//!
//! Invariants: `stirling_error` and `deviance` are what is left of a sum of log-gammas once the
//! large terms have cancelled on paper; everything that compares large counts is built on them.
//! Sources: Loader, "Fast and accurate computation of binomial probabilities" (2000), for the two;
//! Press et al., Numerical Recipes, section 6.2, for series and continued fraction.

use crate::special::math;

/// Steps of a series or continued fraction; both need about `sqrt(a)`.
const STEPS_MAX: usize = 1_000_000;
const TINY: f64 = 1e-300;

/// `ln gamma(x) - ((x - 1/2) ln x - x + ln(2 pi) / 2)`, for x above 0.
#[must_use]
pub fn stirling_error(x: f64) -> f64 {
    const TERMS: [f64; 7] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1_260.0,
        -1.0 / 1_680.0,
        1.0 / 1_188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
    ];
    if x < 10.0 {
        return math::ln_gamma(x) - (x - 0.5) * math::ln(x) + x - math::HALF_LN_TWO_PI;
    }
    let square = 1.0 / (x * x);
    TERMS.iter().rev().fold(0.0, |sum, term| sum * square + term) / x
}

/// `x ln(x / m) + m - x`: never below 0, and exact where x is near m.
#[must_use]
pub fn deviance(x: f64, m: f64) -> f64 {
    if x == 0.0 {
        return m;
    }
    if (x - m).abs() >= 0.1 * (x + m) {
        return x * math::ln(x / m) + m - x;
    }
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut power = 2.0 * x * v;
    for odd in (3_u32..).step_by(2) {
        power *= v * v;
        let next = sum + power / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// The lower regularized incomplete gamma function `P(a, x)`.
#[must_use]
pub fn lower(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x < a + 1.0 { series(a, x) } else { 1.0 - fraction(a, x) }
}

/// The upper one, `Q(a, x) = 1 - P(a, x)`, with the digits of a small value.
#[must_use]
pub fn upper(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < a + 1.0 { 1.0 - series(a, x) } else { fraction(a, x) }
}

/// `P(X > x)` of a chi-square variable.
#[must_use]
pub fn chi_square_tail(x: f64, degrees: f64) -> f64 {
    upper(0.5 * degrees, 0.5 * x)
}

/// `x^a e^-x / gamma(a + 1)`.
fn density(a: f64, x: f64) -> f64 {
    math::exp(-deviance(a, x) - stirling_error(a)) / (2.0 * std::f64::consts::PI * a).sqrt()
}

fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut divisor) = (1.0, 1.0, a);
    for _ in 0..STEPS_MAX {
        divisor += 1.0;
        term *= x / divisor;
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum * density(a, x)
}

fn fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut product = d;
    for step in 1..STEPS_MAX {
        let an = -(step as f64) * (step as f64 - a);
        b += 2.0;
        d = 1.0 / away_from_zero(an * d + b);
        c = away_from_zero(b + an / c);
        product *= d * c;
        if (d * c - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    product * a * density(a, x)
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}
