//! Elementary functions with the same bits on every platform.
//!
//! Invariants: everything goes to the `libm` crate (a port of musl in plain Rust); std's versions call the platform's
//! library, whose results differ between systems and releases. `sqrt` is exact by IEEE 754: use std's.

/// `e^x`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// `2^x`: decay by half-lives is `exp2(-age / half_life)`.
#[must_use]
pub fn exp2(x: f64) -> f64 {
    libm::exp2(x)
}

/// `2^x` in f32.
#[must_use]
pub fn exp2_f32(x: f32) -> f32 {
    libm::exp2f(x)
}

/// Natural logarithm.
#[must_use]
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// Natural logarithm in f32.
#[must_use]
pub fn ln_f32(x: f32) -> f32 {
    libm::logf(x)
}

/// `ln(1 + x)`, exact for small x.
#[must_use]
pub fn log1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// `ln(1 + x)` in f32.
#[must_use]
pub fn log1p_f32(x: f32) -> f32 {
    libm::log1pf(x)
}

/// Logarithm to base 2.
#[must_use]
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// `x^y`.
#[must_use]
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// Cosine.
#[must_use]
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// Sine.
#[must_use]
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// Complementary error function.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    libm::erfc(x)
}

/// Logarithm of the gamma function, for x above 0.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bits_hold() {
        // One unit above the nearest double: musl's own rounding, the same everywhere.
        assert_eq!(exp(1.0).to_bits(), 4_613_303_445_314_885_482);
        assert_eq!(ln(2.0).to_bits(), std::f64::consts::LN_2.to_bits());
        assert_eq!(exp2(-1.0), 0.5);
        assert_eq!(log2(8.0), 3.0);
        assert_eq!(pow(2.0, 10.0), 1024.0);
    }
}
