//! The beta function, the incomplete beta function and its inverse.
//!
//! Invariants: relative precision of 1e-12 in both tails, 3e-12 for parameters up to 1e8: the factor
//! before the continued fraction is built from deviances, not from log-gammas.
//! Source: Press et al., Numerical Recipes, section 6.4, for the continued fraction.

use crate::special::gamma::{deviance, stirling_error};
use crate::special::math;

const STEPS_MAX: usize = 1_000_000;
const TINY: f64 = 1e-300;

/// Logarithm of the beta function.
#[must_use]
pub fn ln_beta(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let errors = stirling_error(a) + stirling_error(b) - stirling_error(sum);
    let shares = -a * math::log1p(b / a) - b * math::log1p(a / b);
    shares + 0.5 * math::ln(sum / a / b) + math::HALF_LN_TWO_PI + errors
}

/// The regularized incomplete beta function: `P(X <= x)` of a Beta(a, b) variable.
#[must_use]
pub fn cdf(a: f64, b: f64, x: f64) -> f64 {
    cdf_of_parts(a, b, x, 1.0 - x)
}

/// The same where both x and `y = 1 - x` are known to all their digits.
#[must_use]
pub fn cdf_of_parts(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if y <= 0.0 {
        1.0
    } else if x < (a + 1.0) / (a + b + 2.0) {
        kernel(a, b, x, y) * fraction(a, b, x) / a
    } else {
        1.0 - kernel(a, b, x, y) * fraction(b, a, y) / b
    }
}

/// The x with `cdf(a, b, x) = p`, by Newton steps within a bracket.
#[must_use]
pub fn quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = a / (a + b);
    for _ in 0..400 {
        let excess = cdf(a, b, x) - p;
        if excess == 0.0 {
            break;
        }
        if excess > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let newton = x - excess * x * (1.0 - x) / kernel(a, b, x, 1.0 - x);
        // A root may be many powers of ten below its bracket.
        let middle = if low == 0.0 { high * 0.01 } else { 0.5 * (low + high) };
        let next = if newton > low && newton < high { newton } else { middle };
        let settled = (next - x).abs() <= 2.0 * f64::EPSILON * x;
        x = next;
        if settled {
            break;
        }
    }
    x
}

/// `x^a y^b / B(a, b)`.
fn kernel(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let sum = a + b;
    let errors = stirling_error(sum) - stirling_error(a) - stirling_error(b);
    let exponent = errors - deviance(a, sum * x) - deviance(b, sum * y);
    (a / sum * b / (2.0 * std::f64::consts::PI)).sqrt() * math::exp(exponent)
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut product = d;
    for step in 1..STEPS_MAX {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        product *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        product *= d * c;
        if (d * c - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    product
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}
