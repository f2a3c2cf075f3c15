//! Parameters of noise: fractions of two whole numbers, so that draws need no float.
//!
//! Invariants: both parts are from 1 to 2^48. With these bounds the samplers and the
//! accounting stay within u128.

/// The greatest numerator and denominator: 2^48.
const PART_MAX: u64 = 1 << 48;

/// A fraction above 0: a scale, a variance or an epsilon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: u64,
    denominator: u64,
}

/// A fraction whose parts do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parts of a fraction must be from 1 to 2^48, not {numerator} and {denominator}")]
pub struct RatioError {
    pub numerator: u128,
    pub denominator: u128,
}

impl Ratio {
    /// Exactly this fraction, in lowest terms; both parts from 1 to 2^48.
    pub fn new(numerator: u64, denominator: u64) -> Result<Self, RatioError> {
        let fits = |part| (1..=PART_MAX).contains(&part);
        if !fits(numerator) || !fits(denominator) {
            return Err(error(numerator.into(), denominator.into()));
        }
        Self::at_least(numerator.into(), denominator.into())
    }

    /// This fraction, or the next greater one that fits. An error for 0, for a denominator of 0 and
    /// above 2^48.
    pub fn at_least(numerator: u128, denominator: u128) -> Result<Self, RatioError> {
        let (mut divisor, mut rest) = (numerator.max(1), denominator);
        while rest > 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        let (above, below) = (numerator / divisor, denominator / divisor);
        // Bits that are too many are cut off both: up above, down below.
        let bits = u128::BITS - (above.max(below).saturating_sub(1)).leading_zeros();
        let cut = bits.saturating_sub(PART_MAX.trailing_zeros());
        let parts = (above.div_ceil(1 << cut), below >> cut);
        match (u64::try_from(parts.0), u64::try_from(parts.1)) {
            (Ok(numerator @ 1..), Ok(denominator @ 1..)) => Ok(Self { numerator, denominator }),
            _ => Err(error(numerator, denominator)),
        }
    }

    #[must_use]
    pub fn numerator(self) -> u64 {
        self.numerator
    }

    #[must_use]
    pub fn denominator(self) -> u64 {
        self.denominator
    }

    /// To the precision of a float, from 2^-48 to 2^48.
    #[must_use]
    pub fn value(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

fn error(numerator: u128, denominator: u128) -> RatioError {
    RatioError { numerator, denominator }
}
