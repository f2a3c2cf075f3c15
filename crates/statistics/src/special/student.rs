//! Student's t distribution: two-sided tail, quantile, and the power of a t-test.
//!
//! Invariants: degrees of freedom are any number above 0 (Welch's are not whole).
//! Source of the form for many degrees: Hill, "Algorithm 395: Student's t-distribution",
//! Communications of the ACM 13 (1970).

use crate::special::beta;
use crate::special::gamma;
use crate::special::math;
use crate::special::normal;
use crate::special::root;

/// From here on Hill's expansion has all digits, and the continued fraction loses some.
const MANY: f64 = 1e4;
/// Panels of the integral in `power`; each has five nodes.
const PANELS: usize = 60;

/// `P(|T| > |t|)`.
#[must_use]
pub fn two_sided(t: f64, degrees: f64) -> f64 {
    // Its square stays finite.
    let t = t.abs().min(1e100);
    if degrees >= MANY {
        return normal::two_sided(equivalent(t, degrees));
    }
    let sum = degrees + t * t;
    beta::cdf_of_parts(0.5 * degrees, 0.5, degrees / sum, t * t / sum)
}

/// The t with `P(T > t) = p`, for p in (0, 1).
#[must_use]
pub fn upper_quantile(p: f64, degrees: f64) -> f64 {
    if p > 0.5 {
        return -upper_quantile(1.0 - p, degrees);
    }
    if degrees >= MANY {
        let z = normal::upper_quantile(p);
        // Heavier tails: t is above z, by less than this for the smallest p.
        return root::between(z, 2.0 * z + 1.0, |t| equivalent(t, degrees) - z);
    }
    // By the smaller of the two parts, which has all its digits.
    if p < 0.25 {
        let x = beta::quantile(0.5 * degrees, 0.5, 2.0 * p);
        (degrees * (1.0 - x) / x).sqrt()
    } else {
        let y = beta::quantile(0.5, 0.5 * degrees, 1.0 - 2.0 * p);
        (degrees * y / (1.0 - y)).sqrt()
    }
}

/// The normal deviate with the same tails.
fn equivalent(t: f64, degrees: f64) -> f64 {
    let a = degrees - 0.5;
    let b = 48.0 * a * a;
    let square = a * math::log1p(t / degrees * t);
    let inner = ((-0.4 * square - 3.3) * square - 24.0) * square - 85.5;
    let correction = (inner / (0.8 * square * square + 100.0 + b) + square + 3.0) / b + 1.0;
    correction * square.sqrt()
}

/// `P(|T| > t)` where T is noncentral with the given shift: a normal with this mean over the root of
/// a chi-square over its degrees. The power of a two-sided t-test.
///
/// The integral over the chi variable, by Gauss and Legendre; 1e-12 from 2 degrees on.
#[must_use]
pub fn power(t: f64, degrees: f64, shift: f64) -> f64 {
    const NODES: [(f64, f64); 5] = [
        (0.0, 0.568_888_888_888_888_9),
        (-0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
        (-0.906_179_845_938_664, 0.236_926_885_056_189_08),
        (0.906_179_845_938_664, 0.236_926_885_056_189_08),
    ];
    // The chi variable over the root of its degrees has a mean near 1 and this spread.
    let spread = 1.0 / (2.0 * degrees).sqrt();
    let (from, to) = ((1.0 - 9.0 * spread).max(0.0), 1.0 + 9.0 * spread);
    let width = (to - from) / PANELS as f64;
    let half = 0.5 * degrees;
    let mut sum = 0.0;
    for panel in 0..PANELS {
        for (node, weight) in NODES {
            let s = from + width * (panel as f64 + 0.5 + 0.5 * node);
            // Density of s: 2 half^half s^(degrees - 1) exp(-half s^2) / gamma(half).
            let exponent = -gamma::deviance(half, half * s * s) - gamma::stirling_error(half);
            let density = 2.0 * (half / (2.0 * std::f64::consts::PI)).sqrt() / s;
            let beyond = normal::upper_tail(t * s - shift) + normal::cdf(-t * s - shift);
            sum += weight * density * math::exp(exponent) * beyond;
        }
    }
    0.5 * width * sum
}
