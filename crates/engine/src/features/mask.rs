//! Which features a ranking may use: what a component of the ranker is worth is seen
//! by leaving it out.
//!
//! A feature that is left out is 0, "nothing known", for every candidate; the weights
//! stay as they were learnt with it.

use crate::features::describe::FEATURE_COUNT;
use crate::features::describe::FEATURES;

/// A set of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureMask(u64);

const _: () = assert!(FEATURE_COUNT <= 64, "a mask has one bit for each feature");

impl FeatureMask {
    /// Every feature.
    pub const ALL: Self = Self(u64::MAX);

    /// Every feature but those named; names that are no feature are passed over.
    pub fn without(names: &[&str]) -> Self {
        let is_named = |place: &usize| names.contains(&FEATURES[*place]);
        let left_out = (0..FEATURE_COUNT).filter(is_named);
        Self(left_out.fold(u64::MAX, |mask, place| mask & !(1 << place)))
    }

    /// Whether the feature at this place of [`FEATURES`] is used.
    pub fn keeps(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FeatureMatrix;

    #[test]
    fn a_feature_left_out_is_zero_in_every_row_and_the_others_stay() {
        let mask = FeatureMask::without(&["content", "no such feature"]);
        let content = FEATURES.iter().position(|name| *name == "content").unwrap();
        let rows = [[1.5; FEATURE_COUNT], [-2.0; FEATURE_COUNT]];
        let mut features = FeatureMatrix::from_rows(rows.iter().map(|row| &row[..]));
        features.keep(mask);
        for (row, before) in features.rows().zip(rows) {
            for (place, value) in row.iter().enumerate() {
                let wanted = if place == content { 0.0 } else { before[place] };
                assert_eq!(*value, wanted, "{}", FEATURES[place]);
            }
        }
    }
}
