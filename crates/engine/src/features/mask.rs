//! Which features a ranking may use. Ablations leave out a group of them to measure its value.
//!
//! A feature that is left out is 0, "nothing known", for every candidate. The weights stay as
//! they were learnt with it.

use crate::features::table::FEATURE_COUNT;
use crate::features::table::FEATURES;
use crate::models::hybrid::FeatureMatrix;

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureMask(u64);

const _: () = assert!(FEATURE_COUNT <= 64, "a mask has one bit for each feature");

impl FeatureMask {
    /// Every feature.
    pub const ALL: Self = Self(u64::MAX);

    /// Every feature except those named. Names of no feature are ignored.
    pub fn without(names: &[&str]) -> Self {
        let is_named = |at: &usize| names.contains(&FEATURES[*at].name);
        let left_out = (0..FEATURE_COUNT).filter(is_named);
        Self(left_out.fold(u64::MAX, |mask, at| mask & !(1 << at)))
    }

    /// Features that are in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Sets the features that are left out to 0.
    pub fn apply(self, features: &mut FeatureMatrix) {
        if self == Self::ALL {
            return;
        }
        for row in features.rows_mut() {
            for (at, value) in row.iter_mut().enumerate() {
                if self.0 >> at & 1 == 0 {
                    *value = 0.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_left_out_is_zero_in_every_row_and_the_others_stay() {
        let rows = [[1.5; FEATURE_COUNT], [-2.0; FEATURE_COUNT]];
        let mut features = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
        FeatureMask::without(&["content", "no such feature"]).apply(&mut features);
        for (row, before) in features.rows().zip(rows) {
            for (at, value) in row.iter().enumerate() {
                let is_left_out = FEATURES[at].name == "content";
                assert_eq!(*value, if is_left_out { 0.0 } else { before[at] });
            }
        }
    }
}
