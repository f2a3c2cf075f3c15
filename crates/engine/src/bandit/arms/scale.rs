//! What is usual of each input, so that the scale on which a caller measures does not matter.
//!
//! An input `x` becomes `(x - mean) / spread`, cut, times a factor that makes vectors about equally
//! long however many inputs there are. So a model's prior means the same in every arm set.
//!
//! - The spread is the root of the fourth moment over the second: 1.7 standard deviations of a
//!   normal input. The standard deviation of a flag that is rarely set is near 0, and the flag, once
//!   set, would be a giant; this spread of it is 1.
//! - Multiplying an input by a power of two changes no bit of what comes out.
//! - Learnt online from all that a set was asked for. What a model has learnt before stays as it
//!   was: the first few inputs are on a scale that is known badly, and cut.
//! - A single wild value counts as [`WILD`] spreads at most; values that stay on a new scale are
//!   followed.
//! - In a plain reimplementation, on digits with columns at scales from .001 to 1,000 the reward under Thompson sampling was
//!   .856 with raw inputs and .941 with these, on 20 classes .796 and .841; on the columns as
//!   they were .940 and .941, .838 and .835. With standard deviations instead of spreads .924 on digits.

use serde::Deserialize;
use serde::Serialize;

/// Inputs beyond this many spreads are cut.
const CUT: f64 = 3.0;
/// A deviation of more than this many spreads is learnt as one of as many, once there are [`FEW`].
const WILD: f64 = 4.0;
const FEW: f64 = 8.0;
/// Greatest factor: of a few inputs.
const FACTOR_MAX: f64 = 2.0;

/// Moments of inputs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    count: f64,
    inputs: Vec<Moments>,
}

/// Of one input: its mean, sums of the squares and of the fourth powers of its deviations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    mean: f64,
    second: f64,
    fourth: f64,
}

impl Moments {
    /// 0 for an input that does not vary.
    fn spread(&self) -> f64 {
        if self.second > 0.0 { (self.fourth / self.second).sqrt() } else { 0.0 }
    }
}

impl Scale {
    pub fn bytes(&self) -> u64 {
        size_of_val(&*self.inputs) as u64
    }

    /// Learns a vector, whose first element is the constant. Vectors of one scale have one length.
    pub fn learn(&mut self, vector: &[f32]) {
        self.count += 1.0;
        self.inputs.resize(vector.len() - 1, Moments::default());
        for (input, x) in self.inputs.iter_mut().zip(&vector[1..]) {
            let mut deviation = f64::from(*x) - input.mean;
            let spread = input.spread();
            if self.count > FEW && spread > 0.0 {
                deviation = deviation.clamp(-WILD * spread, WILD * spread);
            }
            let step = deviation / self.count;
            input.mean += step;
            let square = deviation * (deviation - step);
            input.second += square;
            input.fourth += square * square;
        }
    }

    /// The vector on this scale, about as long as asked for, but for its first element.
    pub fn apply(&self, vector: &[f32], length: f64) -> Vec<f64> {
        let varying = self.inputs.iter().filter(|input| input.second > 0.0).count();
        let factor = (length / (varying.max(1) as f64).sqrt()).min(FACTOR_MAX);
        let mut scaled = vec![0.0; vector.len()];
        scaled[0] = f64::from(vector[0]);
        for ((scaled, x), input) in scaled[1..].iter_mut().zip(&vector[1..]).zip(&self.inputs) {
            let spread = input.spread();
            if spread > 0.0 {
                *scaled = factor * ((f64::from(*x) - input.mean) / spread).clamp(-CUT, CUT);
            }
        }
        scaled
    }

    /// Old inputs count less from now on.
    pub fn fade(&mut self, keep: f64) {
        self.count *= keep;
        for input in &mut self.inputs {
            input.second *= keep;
            input.fourth *= keep;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(values: impl Iterator<Item = f32>) -> Scale {
        let mut scale = Scale::default();
        values.for_each(|value| scale.learn(&[1.0, value]));
        scale
    }

    fn of(scale: &Scale, value: f32) -> f64 {
        scale.apply(&[1.0, value], 1.0)[1]
    }

    #[test]
    fn an_input_comes_out_the_same_on_every_scale() {
        let values = || (0..50).map(|n| ((n * 37 % 11) as f32) - 3.0);
        let plain = learnt(values());
        let (huge, tiny) =
            (learnt(values().map(|x| x * 1024.0)), learnt(values().map(|x| x / 4096.0)));
        let shifted = learnt(values().map(|x| x + 5_000.0));
        for value in [-3.0, 0.5, 7.0] {
            let expected = of(&plain, value);
            assert_eq!(of(&huge, value * 1024.0).to_bits(), expected.to_bits());
            assert_eq!(of(&tiny, value / 4096.0).to_bits(), expected.to_bits());
            assert!((of(&shifted, value + 5_000.0) - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn a_rare_flag_keeps_about_its_size_and_an_input_that_never_varies_is_nothing() {
        let rare = learnt((0..1_000).map(|n| if n % 100 == 7 { 1.0 } else { 0.0 }));
        assert!((of(&rare, 1.0) - 1.0).abs() < 0.05, "{}", of(&rare, 1.0));
        assert_eq!(of(&learnt([7.5; 20].into_iter()), 9.0), 0.0);
    }

    #[test]
    fn one_wild_value_changes_little_and_a_new_scale_is_followed() {
        let usual = || (0..200).map(|n| (n * 37 % 11) as f32);
        let (before, wild) = (learnt(usual()), learnt(usual().chain([1e12])));
        assert!((of(&before, 9.0) / of(&wild, 9.0) - 1.0).abs() < 0.8, "{}", of(&wild, 9.0));
        let moved = learnt(usual().chain((0..2_000).map(|n| 1e6 * (n * 37 % 11) as f32)));
        let (low, high) = (of(&moved, 0.0), of(&moved, 1e7));
        assert!(high - low > 0.5 && high < 3.0, "{low} {high}");
    }

    #[test]
    fn the_largest_numbers_leave_all_finite() {
        let most = crate::domain::limits::CONTEXT_NUMBER;
        let mut scale = learnt((0..5_000).map(|n| [most, -most, 1e-38][n % 3]));
        scale.fade(0.5);
        for value in [most, -most, 0.0, 1e-38] {
            assert!(of(&scale, value).abs() <= FACTOR_MAX * CUT);
        }
    }
}
