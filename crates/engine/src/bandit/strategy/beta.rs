//! Thompson sampling over Beta beliefs of rates, with exact propensities.
//!
//! The distribution function is the regularized incomplete beta function, by its
//! continued fraction (Lentz; Press et al., Numerical Recipes, 6.4) up to [`EXACT_MAX`]
//! observations; beyond, a Beta variable is normal on the scale of Peizer and Pratt
//! (1968), to about 1e-4 of the probability.

use crate::bandit::strategy::quadrature::Quadrature;
use crate::numeric::math;
use crate::numeric::normal::LnCdf;

/// Observations up to which the continued fraction is computed.
const EXACT_MAX: f64 = 200.0;
const STEPS_MAX: usize = 200;
const TINY: f64 = 1e-300;

/// Beta-Bernoulli Thompson sampling: each arm's rate is drawn from its Beta belief, the
/// highest wins.
#[derive(Debug, Clone, Copy)]
pub struct BetaThompson<'a> {
    /// Prior successes plus successes, above 0.
    pub alphas: &'a [f64],
    /// Prior failures plus failures, above 0.
    pub betas: &'a [f64],
}

impl BetaThompson<'_> {
    /// Writes the probability of choosing each arm.
    pub fn propensities(&self, propensities: &mut [f64]) {
        let both = self.alphas.iter().zip(self.betas);
        let arms: Vec<Beta> = both.map(|(&alpha, &beta)| Beta::new(alpha, beta)).collect();
        let ln_cdf = LnCdf::default();
        let ln_f = |arm: usize, t: f64| arms[arm].ln_cdf(t, ln_cdf);
        Quadrature::new(arms.len(), 0.0, 1.0, ln_f).propensities(propensities);
    }
}

#[derive(Debug)]
struct Beta {
    alpha: f64,
    beta: f64,
    /// Logarithm of the Beta function of both.
    ln_beta: f64,
}

impl Beta {
    fn new(alpha: f64, beta: f64) -> Self {
        let ln_beta = math::ln_gamma(alpha) + math::ln_gamma(beta) - math::ln_gamma(alpha + beta);
        Self { alpha, beta, ln_beta }
    }

    /// `ln P(X <= x)`.
    fn ln_cdf(&self, x: f64, ln_cdf: LnCdf) -> f64 {
        if x <= 0.0 {
            return -750.0;
        }
        if x >= 1.0 {
            return 0.0;
        }
        if self.alpha + self.beta > EXACT_MAX {
            return ln_cdf.at(self.peizer_pratt(x));
        }
        let (a, b) = (self.alpha, self.beta);
        let front = a * math::ln(x) + b * math::log1p(-x) - self.ln_beta;
        if x < (a + 1.0) / (a + b + 2.0) {
            front - math::ln(a) + math::ln(continued_fraction(x, a, b))
        } else {
            let above = math::exp(front) * continued_fraction(1.0 - x, b, a) / b;
            // Rounding may exceed 1 where almost nothing is below.
            math::log1p(-above.min(1.0 - 1e-16))
        }
    }

    /// The standard normal quantile of `P(X <= x)`, by that of a binomial count of
    /// `a + b - 1` trials reaching `a`.
    fn peizer_pratt(&self, x: f64) -> f64 {
        let (a, b, y) = (self.alpha, self.beta, 1.0 - x);
        let n = a + b - 1.0;
        let below =
            a - 1.0 / 3.0 - (n + 1.0 / 3.0) * x + 0.02 * (y / a - x / b + (y - 0.5) / (a + b));
        let spread = 1.0 + y * g((a - 0.5) / (n * x)) + x * g((b - 0.5) / (n * y));
        -below * (spread / ((n + 1.0 / 6.0) * x * y)).sqrt()
    }
}

/// `(1 - u^2 + 2 u ln u) / (1 - u)^2`, 0 at 1.
fn g(u: f64) -> f64 {
    if u <= 0.0 {
        return 1.0;
    }
    let away = 1.0 - u;
    if away.abs() < 1e-4 {
        return away / 3.0;
    }
    (1.0 - u * u + 2.0 * u * math::ln(u)) / (away * away)
}

fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..STEPS_MAX {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-9 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trapezoids over the density: slow and simple.
    fn by_trapezoids(alpha: f64, beta: f64, x: f64) -> f64 {
        let ln_beta = math::ln_gamma(alpha) + math::ln_gamma(beta) - math::ln_gamma(alpha + beta);
        let density =
            |t: f64| ((alpha - 1.0) * t.ln() + (beta - 1.0) * (1.0 - t).ln() - ln_beta).exp();
        const STEPS: usize = 200_000;
        let width = x / STEPS as f64;
        (0..STEPS).map(|step| density((step as f64 + 0.5) * width) * width).sum()
    }

    #[test]
    fn the_distribution_function_is_the_integral_of_the_density() {
        for (alpha, beta) in [(1.0, 1.0), (2.0, 5.0), (30.0, 3.0), (120.0, 400.0), (40.0, 2_000.0)]
        {
            let mean = alpha / (alpha + beta);
            for x in [0.5 * mean, mean, mean + 0.3 * (1.0 - mean)] {
                let found = Beta::new(alpha, beta).ln_cdf(x, LnCdf::default()).exp();
                let expected = by_trapezoids(alpha, beta, x);
                assert!((found - expected).abs() < 3e-4, "{alpha} {beta} {x}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_normal_scale_joins_the_continued_fraction() {
        for share in [0.02, 0.2, 0.5, 0.9] {
            let (alpha, beta) = (share * EXACT_MAX, (1.0 - share) * EXACT_MAX);
            let beta = Beta::new(alpha, beta);
            for offset in [-2.0, -0.5, 0.0, 1.0, 2.5] {
                let x = share + offset * (share * (1.0 - share) / EXACT_MAX).sqrt();
                let exact = beta.ln_cdf(x, LnCdf::default()).exp();
                let normal = LnCdf::default().at(beta.peizer_pratt(x)).exp();
                assert!((exact - normal).abs() < 3e-4, "{share} {x}: {exact} {normal}");
            }
        }
    }
}
