//! Elementary functions with the same bits on every platform.
//!
//! Invariants: everything goes to the `libm` crate; std's versions differ between systems and
//! releases. `sqrt` is exact by IEEE 754: use std's.

/// Half of `ln(2 pi)`.
pub const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// `e^x`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// `e^x - 1`, exact for small x.
#[must_use]
pub fn exp_less_one(x: f64) -> f64 {
    libm::expm1(x)
}

/// Natural logarithm.
#[must_use]
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// `ln(1 + x)`, exact for small x.
#[must_use]
pub fn log1p(x: f64) -> f64 {
    libm::log1p(x)
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
