//! Stochastic rounding in f32: up or down in proportion, so that large sums still grow.
//!
//! Next to a sum of 2^24 a weight of 1 is lost when rounded to the nearest, and so are all that
//! follow. Rounded up as often as the exact sum lies nearer to the upper neighbour, each counts
//! on average for what it is. The draws come of a key that the caller changes with every call,
//! so the same sums come out on every machine.
//! Source: Croci, Fasi, Higham, Mary, Mikaitis, "Stochastic rounding" (2022).

/// Odd, and near 2^64 over the golden ratio: successive keys are spread evenly.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
const UNIT: f64 = 1.0 / (1_u64 << 53) as f64;

/// `sum + addend`, rounded by a draw of `key`; within the finite numbers of f32. Exact where
/// f32 has the exact sum.
#[must_use]
pub fn add(sum: f32, addend: f64, key: u64) -> f32 {
    let exact = f64::from(sum) + addend;
    let nearest = (exact as f32).clamp(f32::MIN, f32::MAX);
    let error = exact - f64::from(nearest);
    if error == 0.0 || error.is_nan() || nearest.abs() == f32::MAX {
        return nearest;
    }
    let other = if error > 0.0 { nearest.next_up() } else { nearest.next_down() };
    let gap = f64::from(other) - f64::from(nearest);
    let draw = ((key ^ (key >> 32)).wrapping_mul(SPREAD) >> 11) as f64 * UNIT;
    if draw < error / gap { other } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_weights_count_next_to_a_large_sum_and_exact_sums_stay_exact() {
        let mut sum = 16_777_216.0_f32 * 8.0;
        let before = f64::from(sum);
        for key in 0..1_000_000 {
            sum = add(sum, 1.0, key);
        }
        let grown = f64::from(sum) - before;
        assert!((grown / 1e6 - 1.0).abs() < 0.01, "{grown}");
        assert_eq!(add(3.0, 2.0, 7), 5.0);
    }

    #[test]
    fn a_sum_ends_at_the_largest_number_there_is() {
        assert_eq!(add(f32::MAX, 1e300, 1), f32::MAX);
        assert_eq!(add(f32::MIN, -1e300, 1), f32::MIN);
    }
}
