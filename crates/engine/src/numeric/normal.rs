//! The standard normal distribution, by table: logarithm of the cumulative distribution function.
//!
//! Invariants: `ln_cdf` never falls, is finite for every number, and is within 1e-5 of the exact value from -12 up; the
//! table is made by `libm` once per process, so the bits are the same everywhere.
//! Cost: 20 KiB of table (32 with its padding), one multiplication and one interpolation a call
//! (libm's erfc and log take twenty times as long).

use std::sync::LazyLock;

use crate::numeric::math;

const LOW: f64 = -12.0;
const HIGH: f64 = 8.0;
const STEPS_PER_UNIT: f64 = 128.0;
const ENTRIES: usize = 2_562;
/// Length of the table with padding, a power of two: what is cut to it needs no other check.
const PADDED: usize = 4_096;
/// 1.5 * 2^52: a number added to this is rounded to an integer.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;

static LN_CDF: LazyLock<Box<[f64; PADDED]>> = LazyLock::new(|| {
    let mut table = Box::new([0.0; PADDED]);
    for (entry, value) in table[..ENTRIES].iter_mut().enumerate() {
        *value = exact_ln_cdf(LOW + entry as f64 / STEPS_PER_UNIT);
    }
    table
});

fn exact_ln_cdf(z: f64) -> f64 {
    // Above 0 the complement is small: its logarithm keeps the digits.
    if z > 0.0 {
        math::log1p(-0.5 * math::erfc(z * std::f64::consts::FRAC_1_SQRT_2))
    } else {
        math::ln(0.5 * math::erfc(-z * std::f64::consts::FRAC_1_SQRT_2))
    }
}

/// The table of `ln P(Z <= z)`, taken once for many lookups.
#[derive(Debug, Clone, Copy)]
pub struct LnCdf(&'static [f64; PADDED]);

impl Default for LnCdf {
    fn default() -> Self {
        Self(&LN_CDF)
    }
}

impl LnCdf {
    /// `ln P(Z <= z)` of a standard normal variable Z. Below -12 it goes on as a parabola with the right slope.
    #[inline]
    #[must_use]
    pub fn at(self, z: f64) -> f64 {
        if z >= HIGH {
            return 0.0;
        }
        if z <= LOW {
            let below = LOW - z;
            return self.0[0] - below * (-LOW + 0.5 * below);
        }
        self.bounded(z)
    }

    /// The same within the table, without a branch: below -12 as at -12, above 8 as at 8.
    #[inline]
    #[must_use]
    pub fn bounded(self, z: f64) -> f64 {
        let above = if z > LOW { z } else { LOW };
        let within = if above < HIGH { above } else { HIGH };
        let position = (within - LOW) * STEPS_PER_UNIT;
        // The sum has no bits for a fraction: its last bits are the entry.
        let rounded = (position - 0.5) + TO_INTEGER;
        let entry = rounded.to_bits() as usize;
        let (left, right) = (self.0[entry % PADDED], self.0[(entry + 1) % PADDED]);
        left + (position - (rounded - TO_INTEGER)) * (right - left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_the_normal_distribution() {
        let table = LnCdf::default();
        for (z, cdf) in
            [(0.0, 0.5), (1.0, 0.841_344_746), (-1.96, 0.024_997_895), (3.0, 0.998_650_1)]
        {
            assert!((table.at(z).exp() - cdf).abs() < 1e-5 * cdf, "{z}");
        }
    }

    #[test]
    fn the_table_is_near_the_exact_value_and_never_falls() {
        let table = LnCdf::default();
        let mut before = f64::NEG_INFINITY;
        for step in -20_000..10_000 {
            let z = f64::from(step) / 1_000.0 + 0.000_37;
            let found = table.at(z);
            assert!(found >= before && found <= 0.0, "{z}");
            before = found;
            if z >= LOW {
                assert!((found - exact_ln_cdf(z)).abs() < 1e-5, "{z}: {found}");
            }
        }
        assert!(table.at(-1e6).is_finite() && table.at(f64::MAX) == 0.0);
    }
}
