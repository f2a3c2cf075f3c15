//! What releases cost: zero-concentrated differential privacy (zCDP), one number that adds up.
//!
//! - [`Rho`] is in whole billionths, so sums are exact and fit a bigint of SQL. A cost is rounded up, a
//!   limit down.
//! - A mechanism of cost rho has a Renyi divergence of at most `order * rho` at every order above 1.
//! - Composition is addition, whatever earlier answers made of the choice of later mechanisms.
//! - The noise for a cost never costs more: `of_gaussian(s, variance(s, rho)?)` is at most rho.
//!
//! Sources: Bun and Steinke, "Concentrated Differential Privacy: Simplifications, Extensions, and Lower
//! Bounds" (2016), for rho; Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy"
//! (2020), for its cost and for the conversion to epsilon.

use statistics::ParameterError;
use statistics::special::math;
use statistics::special::root;

use crate::parameter;
use crate::ratio::Ratio;
use crate::ratio::RatioError;

const NANOS_PER_ONE: u128 = 1_000_000_000;
const NANOS_MAX: u64 = i64::MAX as u64;

/// A cost in zCDP, in whole billionths, from 0 to 9.2e9.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rho(u64);

/// A cost above 9.2e9: no protection at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cost is above 9.2e9 rho, which is no protection")]
pub struct TooMuch;

impl Rho {
    pub const ZERO: Self = Self(0);

    /// From 0 to 2^63 - 1.
    pub fn from_nanos(nanos: u64) -> Result<Self, TooMuch> {
        Self::rounded_up(nanos.into(), 1)
    }

    #[must_use]
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// To the precision of a float.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0 as f64 / NANOS_PER_ONE as f64
    }

    /// Of discrete Gaussian noise of this variance on each of a list of integers that one user changes
    /// by at most `sqrt(sensitivity_squared)` in the L2 norm: `sensitivity^2 / (2 variance)`.
    pub fn of_gaussian(sensitivity_squared: u128, variance: Ratio) -> Result<Self, TooMuch> {
        let factor = u128::from(variance.denominator()) * NANOS_PER_ONE;
        // What does not fit in 128 bits is too much after the division, too.
        let above = sensitivity_squared.checked_mul(factor).ok_or(TooMuch)?;
        Self::rounded_up(above, 2 * u128::from(variance.numerator()))
    }

    /// Of any mechanism of this epsilon with a delta of 0: `epsilon^2 / 2`.
    pub fn of_pure(epsilon: Ratio) -> Result<Self, TooMuch> {
        let square = |part| u128::from(part) * u128::from(part);
        let above = square(epsilon.numerator()) * NANOS_PER_ONE;
        Self::rounded_up(above, 2 * square(epsilon.denominator()))
    }

    /// The cost of both.
    pub fn plus(self, other: Self) -> Result<Self, TooMuch> {
        Self::rounded_up(u128::from(self.0) + u128::from(other.0), 1)
    }

    /// The cost of so many.
    pub fn times(self, releases: u64) -> Result<Self, TooMuch> {
        Self::rounded_up(u128::from(self.0) * u128::from(releases), 1)
    }

    /// The share of each of so many equal releases, rounded down; of 0 as of 1.
    #[must_use]
    pub fn divided(self, releases: u64) -> Self {
        Self(self.0 / releases.max(1))
    }

    /// What is left of it, and 0 if nothing is.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The epsilon that this cost guarantees at `delta`: see [`epsilon`].
    pub fn epsilon(self, delta: f64) -> Result<f64, ParameterError> {
        epsilon(self.value(), delta)
    }

    /// The greatest cost whose epsilon at `delta` is at most `epsilon`, from 0 to 1e6.
    pub fn limit(epsilon: f64, delta: f64) -> Result<Self, ParameterError> {
        let most = parameter::within("epsilon", epsilon, (0.0, 1e6), "from 0 to 1e6")?;
        let delta = parameter::delta(delta)?;
        // Epsilon rises with rho, so whole numbers can be halved: `within` keeps the limit.
        let (mut within, mut above) = (0, NANOS_MAX);
        while above - within > 1 {
            let middle = within + (above - within) / 2;
            if Self(middle).epsilon(delta)? <= most {
                within = middle;
            } else {
                above = middle;
            }
        }
        Ok(Self(within))
    }

    fn rounded_up(above: u128, below: u128) -> Result<Self, TooMuch> {
        let nanos = u64::try_from(above.div_ceil(below)).map_err(|_| TooMuch)?;
        if nanos > NANOS_MAX { Err(TooMuch) } else { Ok(Self(nanos)) }
    }
}

/// The least epsilon that follows from `rho` at `delta`, to 1e-12 and relative above 1: over all orders a,
/// the least of `a rho + ln(1 / (a delta)) / (a - 1) + ln(1 - 1 / a)`, and never below 0.
///
/// `rho` is from 0 to 1e10, `delta` from 1e-100 and below 1.
pub fn epsilon(rho: f64, delta: f64) -> Result<f64, ParameterError> {
    let rho = parameter::within("rho", rho, (0.0, 1e10), "from 0 to 1e10")?;
    let evidence = -math::ln(parameter::delta(delta)?);
    if rho == 0.0 {
        return Ok(0.0);
    }
    // With x = a - 1, the slope is 0 where this is, and only there: it rises from -evidence. The
    // bound counts without the logarithm, and with nothing but it.
    let slope = |x: f64| x * x * rho + math::log1p(x) - evidence;
    let bound = (evidence / rho).sqrt().min(1.0 / delta);
    let x = root::between(0.0, bound, slope).max(f64::MIN_POSITIVE);
    // Holds at every order, so an x that is a little off gives no epsilon that is too small.
    let found = (1.0 + x) * rho + (evidence - math::log1p(x)) / x - math::log1p(1.0 / x);
    Ok(found.max(0.0))
}

/// The least variance of discrete Gaussian noise that costs at most `rho`, rounded up to a fraction that
/// fits; see [`Rho::of_gaussian`]. An error for a rho of 0, a sensitivity of 0, and a variance above
/// 2^48.
pub fn variance(sensitivity_squared: u128, rho: Rho) -> Result<Ratio, RatioError> {
    // The end of u128 is above 2^48 after the division, too.
    let above = sensitivity_squared.saturating_mul(NANOS_PER_ONE);
    Ratio::at_least(above, 2 * u128::from(rho.0))
}

/// The scale of discrete Laplace noise for this epsilon with a delta of 0, where one user changes a list
/// of integers by at most `sensitivity` in the L1 norm. Costs [`Rho::of_pure`]. An error for a
/// sensitivity of 0 and a scale above 2^48.
pub fn laplace_scale(sensitivity: u64, epsilon: Ratio) -> Result<Ratio, RatioError> {
    let above = u128::from(sensitivity) * u128::from(epsilon.denominator());
    Ratio::at_least(above, epsilon.numerator().into())
}
