//! How strong evidence is, in 16 bits.
//!
//! The upper half of an `f32` that is not negative: eight bits of precision. The confidences of
//! the default table are exact, others are off by 1 in 512 at most. Order and equality are those
//! of the numbers. Never infinite and never a NaN.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;

/// Largest strength: the settings allow confidences up to 100.
const STRENGTH_MAX: f32 = 1_024.0;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strength(u16);

impl Strength {
    /// The strength of a signed confidence, without its sign; 0 for NaN.
    pub fn of(confidence: f32) -> Self {
        let size = confidence.abs();
        if size.is_nan() {
            return Self::default();
        }
        let bits = size.min(STRENGTH_MAX).to_bits();
        // To the nearest, of two equally near the even one.
        let rounded = bits + 0x7fff + ((bits >> 16) & 1);
        Self((rounded >> 16) as u16)
    }

    pub fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// How much this is above `before`; 0 where it is not.
    pub fn above(self, before: Self) -> f32 {
        (self.get() - before.get()).max(0.0)
    }
}

/// Bit-reversed: round numbers end in zeros, which a variable-length integer leaves out.
impl Serialize for Strength {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.reverse_bits().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Strength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let strength = Self(u16::deserialize(deserializer)?.reverse_bits());
        if (0.0..=STRENGTH_MAX).contains(&strength.get()) {
            Ok(strength)
        } else {
            Err(D::Error::custom("a strength of evidence is out of range"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_confidences_of_the_default_table_are_exact() {
        for confidence in [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 100.0] {
            assert_eq!(Strength::of(confidence).get(), confidence);
            assert_eq!(Strength::of(-confidence).get(), confidence);
        }
    }

    #[test]
    fn nan_is_no_evidence_and_infinity_is_the_maximum() {
        assert!(Strength::of(f32::NAN).is_zero());
        assert_eq!(Strength::of(f32::NEG_INFINITY).get(), STRENGTH_MAX);
        assert_eq!(Strength::of(f32::MAX).get(), STRENGTH_MAX);
    }

    proptest! {
        #[test]
        fn strengths_keep_the_order_and_nearly_the_size(a in 0.0_f32..100.0, b in 0.0_f32..100.0) {
            prop_assert!((Strength::of(a).get() - a).abs() <= a / 256.0);
            if a <= b {
                prop_assert!(Strength::of(a) <= Strength::of(b));
            }
        }

        #[test]
        fn a_strength_survives_its_encoding(confidence in -200.0_f32..200.0) {
            let strength = Strength::of(confidence);
            let bytes = postcard::to_stdvec(&strength).unwrap();
            prop_assert_eq!(postcard::from_bytes::<Strength>(&bytes).unwrap(), strength);
        }
    }
}
