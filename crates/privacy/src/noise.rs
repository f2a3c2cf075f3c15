//! Noise on integers with exactly the probabilities of the proofs.
//!
//! Noise from floats has gaps that tell the true value apart (Mironov 2012); here every draw is a
//! comparison of whole numbers.
//!
//! - The generator gives independent, uniform bits. With one that does not, a draw may not end.
//! - A draw takes a random number of words, on average 16 to 24 (Laplace) or 24 to 42 (Gaussian).
//! - Results end at `i64::MAX` either way: reached with a probability below e^-(2^15).
//!
//! Source: Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (2020),
//! algorithms 1 to 3.

use rand::Rng;

use crate::ratio::Ratio;

/// True with the probability `exp(-x)`.
pub fn bernoulli_exp_minus(x: Ratio, rng: &mut impl Rng) -> bool {
    exp_minus(x.numerator().into(), x.denominator().into(), rng)
}

/// An integer with a probability in proportion to `exp(-|x| / scale)`.
///
/// Added to an integer that one user changes by at most `s`, it gives `s / scale` as epsilon with a
/// delta of 0; for a list of integers, s bounds the sum of the changes.
pub fn discrete_laplace(scale: Ratio, rng: &mut impl Rng) -> i64 {
    laplace(scale.numerator().into(), scale.denominator().into(), rng)
}

/// An integer with a probability in proportion to `exp(-x^2 / (2 variance))`. Its variance is at most
/// `variance`, and equal to six digits from 1 on.
///
/// What it costs is [`crate::accounting::Rho::of_gaussian`].
pub fn discrete_gaussian(variance: Ratio, rng: &mut impl Rng) -> i64 {
    let above = u128::from(variance.numerator());
    let below = u128::from(variance.denominator());
    // The whole number above the standard deviation: scale of the Laplace draws to choose from.
    let scale = (above / below).isqrt() + 1;
    let denominator = 2 * above * below * scale * scale;
    loop {
        let drawn = laplace(scale, 1, rng);
        let off = u128::from(drawn.unsigned_abs()).checked_mul(below * scale);
        let off = off.map(|it| it.abs_diff(above));
        // No square means a draw of more than 2^14 scales, which is accepted with a probability
        // below e^-(2^26).
        let square = off.and_then(|off| off.checked_mul(off));
        if square.is_some_and(|square| exp_minus(square, denominator, rng)) {
            return drawn;
        }
    }
}

/// Uniform from 0 to `bound` less one; `bound` is at least 1.
///
/// Takes one word, a second one as the higher half if the bound is above 2^64, keeps the lowest bits
/// that `bound - 1` has, and draws again if that is not below the bound.
pub(crate) fn below(bound: u128, rng: &mut impl Rng) -> u128 {
    let unused = bound.saturating_sub(1).leading_zeros();
    let mask = u128::MAX.checked_shr(unused).unwrap_or(0);
    loop {
        let mut bits = u128::from(rng.next_u64());
        if unused < u64::BITS {
            bits |= u128::from(rng.next_u64()) << u64::BITS;
        }
        if bits & mask < bound {
            return bits & mask;
        }
    }
}

/// True with the probability `exp(-numerator / denominator)`.
fn exp_minus(numerator: u128, denominator: u128, rng: &mut impl Rng) -> bool {
    let mut left = numerator;
    while left > denominator {
        if !exp_minus_share(1, 1, rng) {
            return false;
        }
        left -= denominator;
    }
    exp_minus_share(left, denominator, rng)
}

/// The same for a numerator up to the denominator: the series of the exponential function, by the
/// parity of the step that fails first.
fn exp_minus_share(numerator: u128, denominator: u128, rng: &mut impl Rng) -> bool {
    let mut step = 1_u128;
    while below(denominator, rng) < numerator && below(step, rng) == 0 {
        step += 1;
    }
    step % 2 == 1
}

/// Discrete Laplace of the scale `above / below_it`.
fn laplace(above: u128, below_it: u128, rng: &mut impl Rng) -> i64 {
    loop {
        let rest = below(above, rng);
        if !exp_minus(rest, above, rng) {
            continue;
        }
        let mut whole = 0_u128;
        while exp_minus_share(1, 1, rng) {
            whole += 1;
        }
        let size = whole.saturating_mul(above).saturating_add(rest) / below_it;
        let is_negative = below(2, rng) == 1;
        // Zero has one sign only.
        if is_negative && size == 0 {
            continue;
        }
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        return if is_negative { -size } else { size };
    }
}
